//! The error of a response that failed instead of answering.

use std::fmt;

use crate::failure::redact_unless_code;

/// The failure with which a response ended instead of an answer.
///
/// `Debug` and `Display` leave out the provider's message, because the message can echo the prompt or a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FailedResponse {
    /// The error code, such as `server_error`, `rate_limit_exceeded` or `invalid_prompt`. `None` if the provider sent none.
    pub code: Option<String>,
    /// The error message, usually written by the provider. `None` if the provider sent none.
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
