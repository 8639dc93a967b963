//! Translation of the status of a response to the finish reason of a chat completion.

use crate::chat::FinishReason;
use crate::responses::{Response, ResponseStatus};
use crate::translate::FailedResponse;

/// Returns the reason why the model stopped. Ignores tool calls, which [`or_tool_calls`] takes into account.
///
/// # Errors
///
/// Returns an error if the response failed, was cancelled, or is not finished.
pub(super) fn finish_reason(response: &Response) -> Result<FinishReason, FailedResponse> {
    let details = response.incomplete_details.as_ref();
    match &response.status {
        Some(ResponseStatus::Failed | ResponseStatus::Cancelled) => Err(failure(response)),
        Some(status @ (ResponseStatus::Queued | ResponseStatus::InProgress)) => Err(FailedResponse {
            code: Some("response_not_ready".to_owned()),
            message: Some(format!("the response is {}", status.as_str())),
        }),
        Some(ResponseStatus::Incomplete) => Ok(match details.and_then(|details| details.reason.as_deref()) {
            Some("content_filter") => FinishReason::ContentFilter,
            _ => FinishReason::Length,
        }),
        _ => Ok(FinishReason::Stop),
    }
}

/// Returns `ToolCalls` if `reason` is `Stop` and the model called tools. Otherwise returns `reason`.
pub(super) fn or_tool_calls(reason: FinishReason, has_tool_calls: bool) -> FinishReason {
    match reason {
        FinishReason::Stop if has_tool_calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

/// Returns the failure that a response reports. All fields are empty if the response has no `error`.
pub(super) fn failure(response: &Response) -> FailedResponse {
    let error = response.error.clone().unwrap_or_default();
    FailedResponse {
        code: error.code,
        message: error.message,
    }
}
