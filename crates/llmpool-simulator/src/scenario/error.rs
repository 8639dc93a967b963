//! The error for an invalid scenario.

use std::fmt;

/// The error for an invalid scenario. The message names the invalid field, says how to fix the field, and
/// never contains a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError(String);

impl ScenarioError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Converts a deserialization error, and removes quoted strings from its message, because serde quotes
    /// unexpected strings and a quoted string may be a misplaced key.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        Self(match (message.find("string \""), message.rfind("\", expected")) {
            (Some(start), Some(end)) if start < end => {
                format!(
                    "{}a string, expected{}",
                    &message[..start],
                    &message[end + "\", expected".len()..]
                )
            }
            _ => message,
        })
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid scenario: {}", self.0)
    }
}

impl std::error::Error for ScenarioError {}
