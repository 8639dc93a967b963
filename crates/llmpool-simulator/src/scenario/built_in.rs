//! The scenarios that ship with the simulator.

use super::{Scenario, ScenarioError};

/// The name and the JSON text of each built-in scenario, sorted by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("dying-keys", include_str!("../../scenarios/dying-keys.json")),
    ("flaky", include_str!("../../scenarios/flaky.json")),
    ("one-account", include_str!("../../scenarios/one-account.json")),
    ("outage", include_str!("../../scenarios/outage.json")),
    ("rate-limited", include_str!("../../scenarios/rate-limited.json")),
    ("slow", include_str!("../../scenarios/slow.json")),
];

impl Scenario {
    /// Returns the built-in scenario with this name.
    ///
    /// # Errors
    /// Returns an error if no built-in scenario has this name. The message lists the known names.
    pub fn built_in(name: &str) -> Result<Self, ScenarioError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, json)) => Self::from_json(json),
            None => {
                let names: Vec<&str> = Self::built_in_names().collect();
                Err(ScenarioError::new(format!(
                    "no built-in scenario has this name; built-in scenarios: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Returns the names of all built-in scenarios in alphabetical order.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_scenarios_are_valid_and_complete() {
        let names: Vec<&str> = Scenario::built_in_names().collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        for name in &names {
            assert!(
                Scenario::built_in(name).is_ok(),
                "{name}: {:?}",
                Scenario::built_in(name)
            );
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let expected: Vec<String> = names.iter().map(|name| format!("{name}.json")).collect();
        assert_eq!(files, expected, "a file in scenarios/ without an entry");
    }

    #[test]
    fn unknown_name_lists_the_known_ones() {
        let message = Scenario::built_in("falky").unwrap_err().to_string();
        assert!(message.contains("dying-keys, flaky, one-account"), "{message}");
    }
}
