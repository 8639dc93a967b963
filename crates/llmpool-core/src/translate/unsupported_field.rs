//! The error for a request field that cannot be translated to the other API format.

use std::fmt;

/// Error reason for an object whose `type` is unknown.
pub(super) const UNKNOWN_TYPE: &str = "this type is unknown and cannot be translated";
/// Error reason for a message or item whose role is missing or unknown.
pub(super) const UNKNOWN_ROLE: &str = "this role is unknown and cannot be translated";

/// Error reason for a tool that the provider runs, such as web search. Only Responses providers run such
/// tools.
pub(super) const HOSTED_TOOL: &str = "only providers of the Responses API run this tool";
/// Error reason for a custom tool or custom tool call, if the provider does not support custom tools.
pub(super) const NO_CUSTOM_TOOLS: &str = "the provider of this model has no custom tools; use a function";

/// The error for a request field that the other API format cannot express and without which the answer would
/// be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedField {
    /// Path of the field in the original request, such as `stop` or `messages[2].content[0]`.
    pub param: String,
    /// Why the field cannot be translated and, where possible, what to send instead.
    pub reason: &'static str,
}

impl UnsupportedField {
    pub(super) fn new(param: impl Into<String>, reason: &'static str) -> Self {
        Self {
            param: param.into(),
            reason,
        }
    }

    /// Returns an error for the first of `checks` whose condition is true. Each element is a condition, the
    /// path of a field, and the reason for the error.
    pub(super) fn check<const N: usize>(checks: [(bool, &str, &'static str); N]) -> Result<(), Self> {
        match checks.into_iter().find(|(unsupported, ..)| *unsupported) {
            Some((_, param, reason)) => unsupported(param, reason),
            None => Ok(()),
        }
    }
}

/// Returns an [`UnsupportedField`] error for the field at path `param`, with the given reason.
pub(super) fn unsupported<T>(param: impl Into<String>, reason: &'static str) -> Result<T, UnsupportedField> {
    Err(UnsupportedField::new(param, reason))
}

/// Translates each element of the list at `path`. Calls `translate` with the element and its path, such as
/// `tools[0]`. Stops at the first error.
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
