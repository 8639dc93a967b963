//! The error of a response that carries no answer.

use std::fmt;

use crate::failure::redact_unless_code;

/// A response that ended in a failure instead of an answer.
///
/// `Debug` and `Display` leave out the provider's message, because it can echo the prompt or a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FailedResponse {
    /// The provider's error code, such as `server_error`, `rate_limit_exceeded` or `invalid_prompt`.
    pub code: Option<String>,
    /// The provider's error message.
    pub message: Option<String>,
}

impl fmt::Debug for FailedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailedResponse")
            .field("code", &self.code.as_deref().map(redact_unless_code))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for FailedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().unwrap_or("without a code");
        write!(f, "the response failed ({code})")
    }
}

impl std::error::Error for FailedResponse {}
