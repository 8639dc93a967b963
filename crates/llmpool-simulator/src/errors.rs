//! The bodies of refusals, in OpenAI's shape unless a dialect is asked for.

use serde_json::{Value, json};

/// An error object: `{"error": {message, type, param, code}}`, all four always present.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ErrorBody<'a> {
    pub(crate) message: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) param: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
}

impl ErrorBody<'_> {
    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

/// What OpenAI sends with a status; `code` replaces the usual code.
pub(crate) fn for_status(status: u16, code: Option<&str>) -> Value {
    if code == Some("insufficient_quota") {
        let message = "You exceeded your current quota, please check your plan and billing details.";
        return ErrorBody {
            message,
            kind: "insufficient_quota",
            param: None,
            code,
        }
        .to_json();
    }
    let (message, kind, usual) = match status {
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
    ErrorBody {
        message,
        kind,
        param: None,
        code: code.or(usual),
    }
    .to_json()
}

/// An error that is told inside a 200.
pub(crate) fn in_band() -> Value {
    for_status(500, None)
}

pub(crate) fn stream_options_refused_openai() -> Value {
    ErrorBody {
        message: "Unknown parameter: 'stream_options'.",
        kind: "invalid_request_error",
        param: Some("stream_options"),
        code: Some("unknown_parameter"),
    }
    .to_json()
}

pub(crate) fn stream_options_refused_fastapi() -> Value {
    json!({"detail": [{
        "type": "extra_forbidden",
        "loc": ["body", "stream_options"],
        "msg": "Extra inputs are not permitted",
    }]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_object_has_all_four_members() {
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
    fn quota_gone_and_rate_reached_are_told_apart_by_code_and_type() {
        assert_eq!(for_status(429, None)["error"]["code"], "rate_limit_exceeded");
        let quota = for_status(429, Some("insufficient_quota"));
        assert_eq!(
            (&quota["error"]["code"], &quota["error"]["type"]),
            (&json!("insufficient_quota"), &json!("insufficient_quota"))
        );
    }
}
