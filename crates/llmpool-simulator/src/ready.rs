//! Scenarios that are ready to be played, by name.

use crate::scenario::{Scenario, ScenarioError};

/// In the order of the alphabet, by which they are listed.
const READY: [(&str, &str); 6] = [
    ("dying-keys", include_str!("../scenarios/dying-keys.json")),
    ("flaky", include_str!("../scenarios/flaky.json")),
    ("one-account", include_str!("../scenarios/one-account.json")),
    ("outage", include_str!("../scenarios/outage.json")),
    ("rate-limited", include_str!("../scenarios/rate-limited.json")),
    ("slow", include_str!("../scenarios/slow.json")),
];

impl Scenario {
    /// The ready scenario with this name.
    ///
    /// # Errors
    /// A name that no ready scenario has; the message lists those there are.
    pub fn ready(name: &str) -> Result<Self, ScenarioError> {
        match READY.iter().find(|(known, _)| *known == name) {
            Some((_, json)) => Self::from_json(json),
            None => {
                let names: Vec<&str> = Self::ready_names().collect();
                Err(ScenarioError::new(format!(
                    "no ready one has this name; there are: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// The names of all ready scenarios.
    pub fn ready_names() -> impl Iterator<Item = &'static str> {
        READY.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ready_scenario_can_be_played_and_is_listed_once_and_in_order() {
        let names: Vec<&str> = Scenario::ready_names().collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        for name in &names {
            assert!(
                Scenario::ready(name).is_ok(),
                "{name}: {:?}",
                Scenario::ready(name)
            );
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let expected: Vec<String> = names.iter().map(|name| format!("{name}.json")).collect();
        assert_eq!(files, expected, "a file that nobody can ask for");
    }

    #[test]
    fn a_name_that_nobody_knows_is_answered_with_those_there_are() {
        let message = Scenario::ready("falky").unwrap_err().to_string();
        assert!(message.contains("dying-keys, flaky, one-account"), "{message}");
    }
}
