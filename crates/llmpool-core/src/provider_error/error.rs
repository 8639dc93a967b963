//! The error that the body of a response describes.

use std::time::Duration;

/// The error that the body of a response describes. A field is `None` if the body does not state the value.
///
/// The values come from the innermost error object, and from the objects around it if they state more: errors
/// contain each other, in lists, in members such as `detail`, or as JSON within a text.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProviderError {
    /// The error message, from `message`, `msg`, `error_msg`, `detail` or similar. Several errors in a list are
    /// joined, and a validation error begins with the path of its field. The whole body if the body is not
    /// JSON; only the title if the body is an HTML page.
    pub message: Option<String>,
    /// The error code, from `code` or `error_code`, or an `error` that is a text written like a code. A numeric
    /// code is converted to text.
    pub code: Option<String>,
    /// The error type, from `status` (sent by Google), `type` or `error_type`.
    pub kind: Option<String>,
    /// Every code, type and reason in the body, in the order in which they were found. A general type often
    /// stands beside the code that names the cause, or an error of another provider within the error.
    pub codes: Vec<String>,
    /// The name of the request parameter that the provider rejects, such as `stream_options`.
    pub param: Option<String>,
    /// The wait that the provider requests before the next attempt, measured from the arrival of the
    /// response. Never zero. Parsed from the error message if the body has no member for the wait.
    pub retry_delay: Option<Duration>,
    /// The time at which the exhausted quota resets, as a duration since the Unix epoch. Parsed from the
    /// error message if the body has no member for the time.
    pub resets_at: Option<Duration>,
    /// Headers that the body quotes, with lower-case names. OpenRouter sends them in `error.metadata.headers`.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for ProviderError {
    /// Shows only the error type, and redacts a type that does not look like an error code, because the
    /// fields of an error may quote the prompt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderError")
            .field(
                "kind",
                &self.kind.as_deref().map(crate::failure::redact_unless_code),
            )
            .finish_non_exhaustive()
    }
}
