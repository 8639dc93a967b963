//! The error of a response that ended with a failure.

use std::fmt;

use crate::failure::redact_unless_code;

/// The failure of a response, as reported by the provider or found by a translation.
///
/// `Debug` and `Display` leave out the message, because the provider's message can contain parts of the
/// prompt or a key.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FailedResponse {
    /// Error code, such as `server_error`, `rate_limit_exceeded` or `invalid_prompt`. `None` if the provider
    /// sent no code.
    pub code: Option<String>,
    /// Error message, usually written by the provider. `None` if the provider sent no message.
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
