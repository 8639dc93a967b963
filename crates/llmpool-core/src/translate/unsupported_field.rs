//! The error of a request that has no equivalent in the other format.

use std::fmt;

/// Reason for a field whose `type` is not one of the known ones.
pub(super) const UNKNOWN_TYPE: &str = "this type is unknown and cannot be translated";
/// Reason for a message or item whose role is not one of the known ones.
pub(super) const UNKNOWN_ROLE: &str = "this role is unknown and cannot be translated";

/// Reason for a tool that a Chat Completions provider cannot run.
pub(super) const HOSTED_TOOL: &str = "only providers of the Responses API run this tool";
/// Reason for a custom tool, or a call of one, if the provider does not support them.
pub(super) const NO_CUSTOM_TOOLS: &str = "the provider of this model has no custom tools; use a function";

/// A request field that has no equivalent in the other format and without which the response would be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedField {
    /// Path of the field, such as `stop` or `messages[2].content[0]`.
    pub param: String,
    /// Why the field cannot be translated, and what to do about it.
    pub reason: &'static str,
}

impl UnsupportedField {
    pub(super) fn new(param: impl Into<String>, reason: &'static str) -> Self {
        Self {
            param: param.into(),
            reason,
        }
    }

    /// Returns an error for the first of `checks` whose condition holds. A check is a condition, the field, and the reason.
    pub(super) fn check<const N: usize>(checks: [(bool, &str, &'static str); N]) -> Result<(), Self> {
        match checks.into_iter().find(|(unsupported, ..)| *unsupported) {
            Some((_, param, reason)) => unsupported(param, reason),
            None => Ok(()),
        }
    }
}

/// Returns the error of an unsupported field.
pub(super) fn unsupported<T>(param: impl Into<String>, reason: &'static str) -> Result<T, UnsupportedField> {
    Err(UnsupportedField::new(param, reason))
}

/// Translates each element of the list at `path`, together with its own path. Stops at the first error.
pub(super) fn translate_each<T, U>(
    list: &[T],
    path: &str,
    mut translate: impl FnMut(&T, String) -> Result<U, UnsupportedField>,
) -> Result<Vec<U>, UnsupportedField> {
    let elements = list.iter().enumerate();
    elements
        .map(|(index, element)| translate(element, format!("{path}[{index}]")))
        .collect()
}

impl fmt::Display for UnsupportedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.param, self.reason)
    }
}

impl std::error::Error for UnsupportedField {}
