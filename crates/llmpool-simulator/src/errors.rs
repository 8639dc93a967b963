//! Error responses in OpenAI's format, and the two formats in which servers reject `stream_options`.

use hyper::StatusCode;
use serde_json::{Value, json};

/// An error response: a status and a JSON body.
///
/// The error message names fields and positions in the request. Of the request's values, the message quotes
/// only the model's name.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl ErrorResponse {
    /// Creates an error of type `invalid_request_error` without a `code`. `param` is the name of the invalid
    /// parameter, if the error concerns a single parameter.
    pub(crate) fn new(status: StatusCode, message: &str, param: Option<&str>) -> Self {
        Self {
            status,
            body: error_object(message, "invalid_request_error", param, None),
        }
    }

    /// Creates an error with status 400 for the request parameter `param`.
    pub(crate) fn invalid(param: &str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, Some(param))
    }

    /// Creates an error with status 400 for a request body that cannot be deserialized. The message reports
    /// only the position of the error, because serde's own message may quote the request.
    pub(crate) fn unparsable(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = if error.is_data() {
            format!("A field has the wrong type (line {line}, column {column}).")
        } else {
            format!("We could not parse the JSON body of your request (line {line}, column {column}).")
        };
        Self::new(StatusCode::BAD_REQUEST, &message, None)
    }

    /// Creates an error with status 404 and the code `model_not_found`.
    pub(crate) fn unknown_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Self::new(StatusCode::NOT_FOUND, &message, None).with_code("model_not_found")
    }

    /// Sets the error's `code`.
    pub(crate) fn with_code(mut self, code: &str) -> Self {
        self.body["error"]["code"] = code.into();
        self
    }
}

/// Returns the body that OpenAI sends with this HTTP status. If `code` is set, this value replaces the `code`
/// that OpenAI usually sends with the status.
pub(crate) fn for_status(status: u16, code: Option<&str>) -> Value {
    if code == Some("insufficient_quota") {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        return error_object(message, "insufficient_quota", None, code);
    }
    let (message, kind, default_code) = match status {
        401 => (
            "Incorrect API key provided.",
            "invalid_request_error",
            Some("invalid_api_key"),
        ),
        402 => (
            "Insufficient balance.",
            "invalid_request_error",
            Some("insufficient_balance"),
        ),
        403 => (
            "You have insufficient permissions for this operation.",
            "invalid_request_error",
            Some("insufficient_permissions"),
        ),
        404 => (
            "The model does not exist or you do not have access to it.",
            "invalid_request_error",
            Some("model_not_found"),
        ),
        413 => ("The request body is too large.", "invalid_request_error", None),
        429 => (
            "Rate limit reached for requests.",
            "requests",
            Some("rate_limit_exceeded"),
        ),
        503 | 529 => (
            "The engine is currently overloaded, please try again later.",
            "server_error",
            Some("overloaded"),
        ),
        500.. => (
            "The server had an error while processing your request.",
            "server_error",
            None,
        ),
        _ => ("The request is not valid.", "invalid_request_error", None),
    };
    error_object(message, kind, None, code.or(default_code))
}

/// Returns the body of an error that is sent in a response with status 200, as the whole body or as a stream
/// event.
pub(crate) fn in_band() -> Value {
    for_status(500, None)
}

/// Returns the body of the response with status 400 in which OpenAI rejects `stream_options` as an unknown
/// parameter.
pub(crate) fn stream_options_rejected_openai() -> Value {
    let param = "stream_options";
    error_object(
        "Unknown parameter: 'stream_options'.",
        "invalid_request_error",
        Some(param),
        Some("unknown_parameter"),
    )
}

/// Returns the body of the response with status 422 in which a FastAPI server rejects `stream_options` as an
/// unknown field.
pub(crate) fn stream_options_rejected_fastapi() -> Value {
    json!({"detail": [{
        "type": "extra_forbidden",
        "loc": ["body", "stream_options"],
        "msg": "Extra inputs are not permitted",
    }]})
}

/// Returns `{"error": {message, type, param, code}}`, with all four members present.
fn error_object(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_objects_have_all_four_members() {
        for status in [400, 401, 402, 403, 404, 413, 418, 429, 500, 502, 503, 504, 529] {
            let body = for_status(status, None);
            let mut members: Vec<_> = body["error"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            members.sort_unstable();
            assert_eq!(members, ["code", "message", "param", "type"], "{status}");
        }
    }

    #[test]
    fn quota_and_rate_errors_differ_in_code_and_type() {
        assert_eq!(for_status(429, None)["error"]["code"], "rate_limit_exceeded");
        let quota = for_status(429, Some("insufficient_quota"));
        assert_eq!(
            (&quota["error"]["code"], &quota["error"]["type"]),
            (&json!("insufficient_quota"), &json!("insufficient_quota"))
        );
    }
}
