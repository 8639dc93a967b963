//! What statuses do to a key: `"on_status": {"418": {"action": "park", "seconds": 60, "scope": "model"}}`.

use std::time::Duration;

use llmpool_core::failure::status_policy::{KeyAction, KeyScope, StatusPolicy};
use serde_json::value::RawValue;

use super::{Reader, joined};

const FIELDS: [&str; 3] = ["action", "seconds", "scope"];

impl<'a> Reader<'a> {
    pub(super) fn statuses(&mut self, value: &'a RawValue, path: &str) -> StatusPolicy {
        let members = self.members(value, path, None).unwrap_or_default();
        let entries = members.into_iter().filter_map(|(status, value)| {
            let field = joined(path, &status);
            let number = status.parse().ok().filter(|status| (300..600).contains(status));
            if number.is_none() {
                let problem = "this is not the status of a failed request";
                self.defect(value, &field, problem, "name one from 300 to 599, as in \"429\"");
            }
            Some((number?, self.action(value, &field)?))
        });
        entries.collect()
    }

    fn action(&mut self, value: &'a RawValue, path: &str) -> Option<KeyAction> {
        let members = self.members(value, path, Some(&FIELDS))?;
        let get = |name: &str| {
            let found = members.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| *value)
        };
        let scopes = [("key", KeyScope::Key), ("model", KeyScope::Model)];
        let scope = match get("scope") {
            Some(value) => self.one_of(value, &joined(path, "scope"), &scopes)?,
            None => KeyScope::default(),
        };
        let seconds = match get("seconds") {
            Some(value) => Some(self.number(value, &joined(path, "seconds"))?),
            None => None,
        };
        let Some(action) = get("action") else {
            let cure = "add \"action\": \"park\", \"disable\" or \"ignore\"";
            self.defect(value, path, "it does not say what to do", cure);
            return None;
        };
        let actions = [("park", 0), ("disable", 1), ("ignore", 2)];
        match (self.one_of(action, &joined(path, "action"), &actions)?, seconds) {
            (0, Some(seconds)) if seconds > 0.0 => Some(KeyAction::Park {
                pause: Duration::from_secs_f64(seconds.min(3e9)),
                scope,
            }),
            (0, _) => {
                let cure = "add \"seconds\", a number above 0";
                self.defect(value, path, "it does not say how long the key rests", cure);
                None
            }
            (_, Some(_)) => {
                let problem = "only a key that is parked has seconds";
                self.defect(
                    value,
                    &joined(path, "seconds"),
                    problem,
                    "remove it, or park the key",
                );
                None
            }
            (1, None) => Some(KeyAction::Disable { scope }),
            _ => Some(KeyAction::Ignore),
        }
    }

    fn one_of<T: Copy>(&mut self, value: &RawValue, path: &str, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(value, path)?;
        let found = known.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.wrong_type(value, path, &format!("one of {}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }
}
