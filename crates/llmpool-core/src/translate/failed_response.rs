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

/// The code of a response that is complete, but has no output that a chat can contain.
const NO_OUTPUT: &str = "no_output";

impl FailedResponse {
    pub(crate) fn no_output() -> Self {
        Self {
            code: Some(NO_OUTPUT.to_owned()),
            message: Some("the response has no output that a chat can contain".to_owned()),
        }
    }

    /// Returns what is wrong with the response, without text of the provider.
    pub fn detail(&self) -> &'static str {
        match self.code.as_deref() {
            Some(NO_OUTPUT) => "a response without output that a chat can contain",
            Some("response_not_ready") => "the response is not finished",
            _ => "the response failed",
        }
    }
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
