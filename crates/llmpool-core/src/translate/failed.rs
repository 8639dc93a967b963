//! What is no answer.

use std::fmt;

use crate::failure::redact_unless_code;

/// The response failed: it is no answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Failed {
    /// `server_error`, `rate_limit_exceeded`, `invalid_prompt` and others.
    pub code: Option<String>,
    /// The provider's words.
    pub message: Option<String>,
}

impl fmt::Debug for Failed {
    /// Leaves out the provider's words: they may echo the prompt or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("code", &self.code.as_deref().map(redact_unless_code))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.as_deref().unwrap_or("without a code");
        write!(f, "the response failed ({code})")
    }
}

impl std::error::Error for Failed {}
