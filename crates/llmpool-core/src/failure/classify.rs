//! Classifies error responses by status, headers and body. Two tables list the error codes and phrases that
//! providers are known to send.

use super::{Blame, Certainty, Failure, FailureKind};
use crate::provider_error::ProviderError;
use crate::rate_headers::ErrorHeaders;

/// The error codes and error types that providers are known to send, grouped by the failure that each of them
/// means. The four-digit codes are those of GLM (Zhipu AI).
const KNOWN_CODES: &[(FailureKind, &[&str])] = &[
    (
        FailureKind::InvalidKey,
        &[
            "1000",
            "1001",
            "1002",
            "1003",
            "1004",
            "API_KEY_INVALID",
            "authentication_error",
            "incorrect_api_key_error",
            "invalid_api_key",
            "invalid_authentication_error",
        ],
    ),
    (
        FailureKind::NoQuota,
        &[
            "1113",
            "1304",
            "1308",
            "1310",
            "AccountOverdueError",
            "billing_hard_limit_reached",
            "exceeded_current_quota_error",
        ],
    ),
    (FailureKind::ModelNotFound, &["1211", "model_not_found"]),
    (
        FailureKind::ContextLength,
        &[
            "1261",
            "context_length_exceeded",
            "exceed_context_size_error",
            "tokens_too_long",
        ],
    ),
    (
        FailureKind::ContentFilter,
        &["1301", "content_filter", "content_policy_violation"],
    ),
    (
        FailureKind::RateLimited,
        &[
            "1302",
            "1303",
            "1305",
            "Throttling.AllocationQuota",
            "Throttling.RateQuota",
            "limit_requests",
            "rate_limit_error",
            "rate_limit_exceeded",
            "rate_limit_reached_error",
            "requests",
            "rpm_rate_limit_exceeded",
            "tokens",
            "tpm_rate_limit_exceeded",
        ],
    ),
    (
        FailureKind::Overloaded,
        &["1312", "engine_overloaded_error", "overloaded_error"],
    ),
    (
        FailureKind::PermissionDenied,
        &["insufficient_permissions", "permission_error"],
    ),
];

/// Phrases in error messages, in lower case, that mean an exhausted quota rather than an exceeded rate limit.
/// Used only for a 429 without a known error code.
const QUOTA_PHRASES: &[&str] = &[
    "subscription quota",
    "insufficient balance",
    "billing",
    "per day",
    "daily",
    "free quota",
];

/// Returns the failure that a response with an error status reports. `error` is the parsed response body, or
/// `None` if the body is empty.
///
/// The reset time of an exhausted rate limit is a wait only if the failure is blamed on the key: the limits
/// of one key say nothing about when a failing target recovers.
pub fn classify(status: u16, headers: &ErrorHeaders, error: Option<&ProviderError>) -> Failure {
    let empty = ProviderError::default();
    let error = error.unwrap_or(&empty);
    let (kind, certainty) = cause(
        status,
        headers.retry_after.or(headers.limit_reset).is_some(),
        error,
    );
    Failure {
        status: Some(status),
        certainty,
        retry_after: headers.retry_after,
        limit_reset: headers.limit_reset.filter(|_| kind.blame() == Blame::Key),
        request_id: headers.request_id.clone(),
        ..failure_from(kind, error)
    }
}

/// Returns the failure that a success response reports in its body or in a stream event. If the error code is
/// a number from 400 to 599, it is treated as the HTTP status.
pub fn classify_in_stream(error: &ProviderError) -> Failure {
    let status = error
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .filter(|code| (400..600).contains(code));
    let retry_after = error.retry_delay.filter(|wait| !wait.is_zero());
    let (kind, certainty) = match status {
        Some(status) => cause(status, retry_after.is_some(), error),
        None => (
            kind_of_code(error).unwrap_or(FailureKind::ServerError),
            Certainty::Certain,
        ),
    };
    Failure {
        certainty,
        retry_after,
        ..failure_from(kind, error)
    }
}

fn failure_from(kind: FailureKind, error: &ProviderError) -> Failure {
    Failure {
        code: error.code.clone(),
        param: error.param.clone(),
        message: error.message.clone(),
        ..Failure::new(kind)
    }
}

fn cause(status: u16, has_retry_after: bool, error: &ProviderError) -> (FailureKind, Certainty) {
    let from_code = kind_of_code(error);
    let certain = |kind| (kind, Certainty::Certain);
    match status {
        // Redirects are not followed, because the redirected request would send the API key to another host.
        300..=399 => certain(FailureKind::InvalidRequest),
        401 => certain(FailureKind::InvalidKey),
        402 => certain(FailureKind::NoQuota),
        403 => from_code.map_or((FailureKind::PermissionDenied, Certainty::Ambiguous), certain),
        404 => from_code.map_or((FailureKind::InvalidRequest, Certainty::Ambiguous), certain),
        408 | 409 => certain(FailureKind::ServerError),
        413 => certain(FailureKind::TooLarge),
        429 => rate_or_quota(from_code, has_retry_after, error),
        400 | 422 if is_about_stream_options(error) => certain(FailureKind::StreamOptionsRefused),
        400..=499 if status != 498 => certain(from_code.unwrap_or(FailureKind::InvalidRequest)),
        498 | 503 | 529 => certain(FailureKind::Overloaded),
        500..=599 => certain(FailureKind::ServerError),
        _ => certain(FailureKind::InvalidResponse),
    }
}

fn rate_or_quota(
    from_code: Option<FailureKind>,
    has_retry_after: bool,
    error: &ProviderError,
) -> (FailureKind, Certainty) {
    let message = error.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let mentions = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let is_quota_code = [&error.code, &error.kind]
        .into_iter()
        .flatten()
        .any(|code| code == "insufficient_quota");
    let kind = if mentions(&["request too large"]) {
        FailureKind::TooLarge
    } else if let Some(kind) = from_code {
        kind
    // DashScope sends `insufficient_quota` both for an exceeded rate, which recovers within a minute, and for
    // an exhausted quota. Only the message tells the two apart.
    } else if is_quota_code && mentions(&["allocated quota", "per minute"]) {
        FailureKind::RateLimited
    } else if is_quota_code || mentions(QUOTA_PHRASES) {
        FailureKind::NoQuota
    } else if has_retry_after {
        FailureKind::RateLimited
    } else {
        return (FailureKind::RateLimited, Certainty::Ambiguous);
    };
    (kind, Certainty::Certain)
}

fn kind_of_code(error: &ProviderError) -> Option<FailureKind> {
    [&error.code, &error.kind].into_iter().flatten().find_map(|code| {
        let known = KNOWN_CODES
            .iter()
            .find(|(_, codes)| codes.contains(&code.as_str()));
        known.map(|(kind, _)| *kind)
    })
}

fn is_about_stream_options(error: &ProviderError) -> bool {
    let param = error.param.as_deref().unwrap_or_default();
    param == "stream_options" || param.starts_with("stream_options.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn classify_body(status: u16, body: &str) -> (FailureKind, Certainty) {
        let failure = classify(
            status,
            &ErrorHeaders::default(),
            ProviderError::parse(body.as_bytes()).as_ref(),
        );
        (failure.kind, failure.certainty)
    }

    // L06, L23
    #[test]
    fn status_and_code_determine_the_cause() {
        use Certainty::{Ambiguous, Certain};
        use FailureKind::*;
        let table = [
            (
                400,
                r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
                ContextLength,
                Certain,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#,
                ContextLength,
                Certain,
            ),
            (400, r#"{"error":{"message":"x"}}"#, InvalidRequest, Certain),
            (
                401,
                r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#,
                InvalidKey,
                Certain,
            ),
            (402, "", NoQuota, Certain),
            (
                403,
                r#"{"error":{"code":"insufficient_permissions"}}"#,
                PermissionDenied,
                Certain,
            ),
            (403, "<html>no</html>", PermissionDenied, Ambiguous),
            (
                404,
                r#"{"error":{"code":"model_not_found"}}"#,
                ModelNotFound,
                Certain,
            ),
            (
                404,
                r#"{"error":{"message":"File Not Found"}}"#,
                InvalidRequest,
                Ambiguous,
            ),
            (413, "", TooLarge, Certain),
            (
                422,
                r#"{"detail":[{"loc":["body","x"],"msg":"m"}]}"#,
                InvalidRequest,
                Certain,
            ),
            (
                429,
                r#"{"error":{"code":"rate_limit_exceeded"}}"#,
                RateLimited,
                Certain,
            ),
            (
                429,
                r#"{"error":{"code":"1113","message":"x"}}"#,
                NoQuota,
                Certain,
            ),
            (429, "slow down", RateLimited, Ambiguous),
            (
                429,
                r#"{"error":{"message":"Request too large: Limit 10, Requested 20"}}"#,
                TooLarge,
                Certain,
            ),
            (500, "", ServerError, Certain),
            (503, "", Overloaded, Certain),
            (529, "", Overloaded, Certain),
            (302, "", InvalidRequest, Certain),
        ];
        for (status, body, kind, certainty) in table {
            assert_eq!(classify_body(status, body), (kind, certainty), "{status} {body}");
        }
    }

    // L02, L94
    #[test]
    fn exhausted_quota_differs_from_refilling_rate() {
        for exhausted in [
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
            r#"{"error":{"message":"Subscription quota exceeded"}}"#,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded: requests per day"}}"#,
        ] {
            assert_eq!(
                classify_body(429, exhausted).0,
                FailureKind::NoQuota,
                "{exhausted}"
            );
        }
        for refills in [
            r#"{"error":{"code":"insufficient_quota","message":"Allocated quota exceeded, please increase"}}"#,
            r#"{"error":{"code":"Throttling.AllocationQuota","message":"quota"}}"#,
        ] {
            assert_eq!(
                classify_body(429, refills).0,
                FailureKind::RateLimited,
                "{refills}"
            );
        }
    }

    // U18
    #[test]
    fn stream_options_rejection_requires_structured_param() {
        let text = r#"{"error":{"message":"stream_options is not supported"}}"#;
        assert_eq!(classify_body(400, text).0, FailureKind::InvalidRequest);
        for structured in [
            r#"{"error":{"message":"x","param":"stream_options"}}"#,
            r#"{"error":{"message":"x","param":"stream_options.include_usage"}}"#,
        ] {
            assert_eq!(
                classify_body(400, structured).0,
                FailureKind::StreamOptionsRefused
            );
        }
        assert_eq!(
            classify_body(422, r#"{"detail":[{"loc":["body","stream_options"]}]}"#).0,
            FailureKind::StreamOptionsRefused
        );
    }

    #[test]
    fn rate_limit_with_retry_after_is_certain_and_debug_is_redacted() {
        let headers = ErrorHeaders {
            retry_after: Some(Duration::from_secs(2)),
            ..ErrorHeaders::default()
        };
        let error = ProviderError::parse(br#"{"error":{"message":"CANARY","code":"CANARY sk-1"}}"#);
        let failure = classify(429, &headers, error.as_ref());
        assert_eq!(
            (failure.kind, failure.certainty),
            (FailureKind::RateLimited, Certainty::Certain)
        );
        assert!(!format!("{failure:?} {error:?}").contains("CANARY"));
    }

    // reproduction 7
    #[test]
    fn limit_reset_is_a_wait_only_if_the_key_is_to_blame() {
        let hour = Duration::from_secs(3600);
        let headers = ErrorHeaders {
            limit_reset: Some(hour),
            ..ErrorHeaders::default()
        };
        let reset = |status| classify(status, &headers, None).limit_reset;
        assert_eq!(reset(429), Some(hour));
        for status in [500, 503, 529] {
            assert_eq!(reset(status), None, "{status}");
        }
        let explicit = ErrorHeaders {
            retry_after: Some(Duration::from_secs(3)),
            ..ErrorHeaders::default()
        };
        for status in [429, 500, 503] {
            let wait = classify(status, &explicit, None).retry_after;
            assert_eq!(wait, Some(Duration::from_secs(3)), "{status}");
        }
    }

    // reproduction 13
    #[test]
    fn zero_wait_in_a_body_is_no_wait() {
        let error = ProviderError {
            retry_delay: Some(Duration::ZERO),
            ..ProviderError::default()
        };
        assert_eq!(classify_in_stream(&error).retry_after, None);
        let headers = ErrorHeaders::parse(|_| None, Some(&error), None);
        assert_eq!(headers.retry_after, None);
    }
}
