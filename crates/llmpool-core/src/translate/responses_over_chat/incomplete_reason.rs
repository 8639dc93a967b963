//! Translation of the finish reason of a chat completion to the status of a response.

use crate::chat::{FinishClass, FinishReason};
use crate::translate::FailedResponse;

/// Translates a finish reason to the reason why a response is incomplete, or to `None` if the response is
/// complete. An absent finish reason counts as complete, because some providers never send a finish reason.
///
/// # Errors
///
/// Returns an error if the finish reason reports a failure of the provider.
pub(super) fn incomplete_reason(
    finish_reason: Option<&FinishReason>,
) -> Result<Option<&'static str>, FailedResponse> {
    match finish_reason.map_or(FinishClass::Missing, FinishReason::class) {
        FinishClass::Complete | FinishClass::Missing => Ok(None),
        FinishClass::Truncated => Ok(Some("max_output_tokens")),
        FinishClass::Filtered => Ok(Some("content_filter")),
        FinishClass::Failed => Err(FailedResponse {
            code: None,
            message: finish_reason.map(|reason| reason.as_str().to_owned()),
        }),
    }
}

/// Returns the status of an output item that has ended: `incomplete` or `completed`.
pub(super) fn item_status(is_incomplete: bool) -> String {
    let status = if is_incomplete { "incomplete" } else { "completed" };
    status.to_owned()
}
