//! Reads the configured reactions to HTTP statuses:
//! `"on_status": {"418": {"action": "park", "seconds": 60, "scope": "model"}}`.

use llmpool_core::failure::status_policy::{KeyAction, KeyScope, StatusPolicy};

use super::field::{Field, Fields};
use super::reader::FileReader;

const FIELDS: [&str; 3] = ["action", "seconds", "scope"];
const SCOPES: [(&str, KeyScope); 2] = [("key", KeyScope::Key), ("model", KeyScope::Model)];

const ACTIONS: [(&str, &str); 3] = [("park", "park"), ("disable", "disable"), ("ignore", "ignore")];

impl<'a> FileReader<'a> {
    pub(super) fn status_policy(&mut self, field: Option<Field<'a>>) -> StatusPolicy {
        let members = field.and_then(|field| self.object(&field, r#"{"418": {"action": "disable"}}"#));
        let members = members.iter().flat_map(Fields::iter);
        let entries = members.filter_map(|(status, field)| {
            let number = status.parse().ok().filter(|status| (300..600).contains(status));
            if number.is_none() {
                let message = "expected a status code from 300 to 599 as the field's name";
                self.error(&field, message, "use a name such as \"429\"");
            }
            let action = self.key_action(&field);
            Some((number?, action?))
        });
        entries.collect()
    }

    fn key_action(&mut self, field: &Field<'a>) -> Option<KeyAction> {
        let members = self.object_of(field, &FIELDS, r#"{"action": "disable"}"#)?;
        let scope = match members.get("scope") {
            Some(scope) => self.one_of(&scope, &SCOPES)?,
            None => KeyScope::default(),
        };
        let seconds = members.get("seconds");
        let pause = match &seconds {
            Some(seconds) => Some(self.duration(seconds)?),
            None => None,
        };
        let Some(action) = members.get("action") else {
            let example = if pause.is_some() {
                "\"park\""
            } else {
                "\"disable\""
            };
            self.missing(field, &members, "action", example);
            return None;
        };
        match (self.one_of(&action, &ACTIONS)?, pause) {
            ("park", Some(pause)) if !pause.is_zero() => Some(KeyAction::Park { pause, scope }),
            ("park", _) => {
                let help = "add \"seconds\" with a positive number";
                self.error(field, "the action park needs a pause", help);
                None
            }
            ("disable", None) => Some(KeyAction::Disable { scope }),
            (_, None) => Some(KeyAction::Ignore),
            (_, Some(_)) => {
                let message = "only the action park has a pause";
                let help = "remove \"seconds\", or set \"action\" to \"park\"";
                self.error(seconds.as_ref().unwrap_or(field), message, help);
                None
            }
        }
    }
}
