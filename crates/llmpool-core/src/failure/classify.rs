//! From status, headers and body to a cause. The words that providers use are data, in one place.

use super::{Certainty, Failure, FailureKind};
use crate::provider_error::ProviderError;
use crate::rate_headers::RateHeaders;

/// Codes and types that leave no doubt, whatever the status (GLM's are digits).
const NAMED: &[(&str, FailureKind)] = &[
    ("1000", FailureKind::InvalidKey),
    ("1001", FailureKind::InvalidKey),
    ("1002", FailureKind::InvalidKey),
    ("1003", FailureKind::InvalidKey),
    ("1004", FailureKind::InvalidKey),
    ("1113", FailureKind::NoQuota),
    ("1211", FailureKind::ModelNotFound),
    ("1261", FailureKind::ContextLength),
    ("1301", FailureKind::ContentFilter),
    ("1302", FailureKind::RateLimited),
    ("1303", FailureKind::RateLimited),
    ("1304", FailureKind::NoQuota),
    ("1305", FailureKind::RateLimited),
    ("1308", FailureKind::NoQuota),
    ("1310", FailureKind::NoQuota),
    ("1312", FailureKind::Overloaded),
    ("AccountOverdueError", FailureKind::NoQuota),
    ("API_KEY_INVALID", FailureKind::InvalidKey),
    ("Throttling.AllocationQuota", FailureKind::RateLimited),
    ("Throttling.RateQuota", FailureKind::RateLimited),
    ("authentication_error", FailureKind::InvalidKey),
    ("billing_hard_limit_reached", FailureKind::NoQuota),
    ("content_filter", FailureKind::ContentFilter),
    ("content_policy_violation", FailureKind::ContentFilter),
    ("context_length_exceeded", FailureKind::ContextLength),
    ("engine_overloaded_error", FailureKind::Overloaded),
    ("exceed_context_size_error", FailureKind::ContextLength),
    ("exceeded_current_quota_error", FailureKind::NoQuota),
    ("incorrect_api_key_error", FailureKind::InvalidKey),
    ("insufficient_permissions", FailureKind::PermissionDenied),
    ("invalid_api_key", FailureKind::InvalidKey),
    ("invalid_authentication_error", FailureKind::InvalidKey),
    ("limit_requests", FailureKind::RateLimited),
    ("model_not_found", FailureKind::ModelNotFound),
    ("overloaded_error", FailureKind::Overloaded),
    ("permission_error", FailureKind::PermissionDenied),
    ("rate_limit_error", FailureKind::RateLimited),
    ("rate_limit_exceeded", FailureKind::RateLimited),
    ("rate_limit_reached_error", FailureKind::RateLimited),
    ("requests", FailureKind::RateLimited),
    ("rpm_rate_limit_exceeded", FailureKind::RateLimited),
    ("tokens", FailureKind::RateLimited),
    ("tokens_too_long", FailureKind::ContextLength),
    ("tpm_rate_limit_exceeded", FailureKind::RateLimited),
];

/// Words of messages that mean quota gone rather than a rate, where no code says so.
const QUOTA_WORDS: &[&str] = &[
    "subscription quota",
    "insufficient balance",
    "billing",
    "per day",
    "daily",
    "free quota",
];

/// The cause of an answer with an error status.
pub fn classify(status: u16, headers: &RateHeaders, error: Option<&ProviderError>) -> Failure {
    let nothing = ProviderError::default();
    let error = error.unwrap_or(&nothing);
    let timed = headers.retry_after.is_some();
    let (kind, certainty) = cause(status, timed, error);
    Failure {
        status: Some(status),
        certainty,
        retry_after: headers.retry_after,
        request_id: headers.request_id.clone(),
        ..described(kind, error)
    }
}

/// The cause of an error inside a success: an event of a stream, or a whole body.
pub fn classify_in_stream(error: &ProviderError) -> Failure {
    let status = error
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .filter(|code| (400..600).contains(code));
    let (kind, certainty) = match status {
        Some(status) => cause(status, error.retry_delay.is_some(), error),
        None => (named(error).unwrap_or(FailureKind::ServerError), Certainty::Sure),
    };
    Failure {
        certainty,
        retry_after: error.retry_delay,
        ..described(kind, error)
    }
}

fn described(kind: FailureKind, error: &ProviderError) -> Failure {
    Failure {
        code: error.code.clone(),
        param: error.param.clone(),
        message: error.message.clone(),
        ..Failure::new(kind)
    }
}

fn cause(status: u16, timed: bool, error: &ProviderError) -> (FailureKind, Certainty) {
    let named = named(error);
    let sure = |kind| (kind, Certainty::Sure);
    match status {
        // Never followed: a redirected request would take its key to who knows where.
        300..=399 => sure(FailureKind::InvalidRequest),
        401 => sure(FailureKind::InvalidKey),
        402 => sure(FailureKind::NoQuota),
        403 => named.map_or((FailureKind::PermissionDenied, Certainty::Unclear), sure),
        404 => named.map_or((FailureKind::InvalidRequest, Certainty::Unclear), sure),
        408 | 409 => sure(FailureKind::ServerError),
        413 => sure(FailureKind::TooLarge),
        429 => rate_or_quota(named, timed, error),
        400 | 422 if is_about_stream_options(error) => sure(FailureKind::StreamOptionsRefused),
        400..=499 if status != 498 => sure(named.unwrap_or(FailureKind::InvalidRequest)),
        498 | 503 | 529 => sure(FailureKind::Overloaded),
        500..=599 => sure(FailureKind::ServerError),
        _ => sure(FailureKind::InvalidResponse),
    }
}

fn rate_or_quota(named: Option<FailureKind>, timed: bool, error: &ProviderError) -> (FailureKind, Certainty) {
    let message = error.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    if message.contains("request too large") {
        return (FailureKind::TooLarge, Certainty::Sure);
    }
    if let Some(kind) = named {
        return (kind, Certainty::Sure);
    }
    // DashScope says "quota" of a rate that refills within the minute, and names it differently from a lasting one.
    if error.code.as_deref() == Some("insufficient_quota")
        || error.kind.as_deref() == Some("insufficient_quota")
    {
        let passes = message.contains("allocated quota") || message.contains("per minute");
        return (
            if passes {
                FailureKind::RateLimited
            } else {
                FailureKind::NoQuota
            },
            Certainty::Sure,
        );
    }
    if QUOTA_WORDS.iter().any(|words| message.contains(words)) {
        return (FailureKind::NoQuota, Certainty::Sure);
    }
    (
        FailureKind::RateLimited,
        if timed {
            Certainty::Sure
        } else {
            Certainty::Unclear
        },
    )
}

fn named(error: &ProviderError) -> Option<FailureKind> {
    [&error.code, &error.kind].into_iter().flatten().find_map(|word| {
        NAMED
            .iter()
            .find(|(known, _)| known == word)
            .map(|(_, kind)| *kind)
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

    fn of(status: u16, body: &str) -> (FailureKind, Certainty) {
        let failure = classify(
            status,
            &RateHeaders::default(),
            ProviderError::parse(body.as_bytes()).as_ref(),
        );
        (failure.kind, failure.certainty)
    }

    // L06, L23
    #[test]
    fn causes_by_status_and_code() {
        use Certainty::{Sure, Unclear};
        use FailureKind::*;
        let table = [
            (
                400,
                r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
                ContextLength,
                Sure,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"x","type":"exceed_context_size_error"}}"#,
                ContextLength,
                Sure,
            ),
            (400, r#"{"error":{"message":"x"}}"#, InvalidRequest, Sure),
            (
                401,
                r#"{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}"#,
                InvalidKey,
                Sure,
            ),
            (402, "", NoQuota, Sure),
            (
                403,
                r#"{"error":{"code":"insufficient_permissions"}}"#,
                PermissionDenied,
                Sure,
            ),
            (403, "<html>no</html>", PermissionDenied, Unclear),
            (
                404,
                r#"{"error":{"code":"model_not_found"}}"#,
                ModelNotFound,
                Sure,
            ),
            (
                404,
                r#"{"error":{"message":"File Not Found"}}"#,
                InvalidRequest,
                Unclear,
            ),
            (413, "", TooLarge, Sure),
            (
                422,
                r#"{"detail":[{"loc":["body","x"],"msg":"m"}]}"#,
                InvalidRequest,
                Sure,
            ),
            (
                429,
                r#"{"error":{"code":"rate_limit_exceeded"}}"#,
                RateLimited,
                Sure,
            ),
            (429, r#"{"error":{"code":"1113","message":"x"}}"#, NoQuota, Sure),
            (429, "slow down", RateLimited, Unclear),
            (
                429,
                r#"{"error":{"message":"Request too large: Limit 10, Requested 20"}}"#,
                TooLarge,
                Sure,
            ),
            (500, "", ServerError, Sure),
            (503, "", Overloaded, Sure),
            (529, "", Overloaded, Sure),
            (302, "", InvalidRequest, Sure),
        ];
        for (status, body, kind, certainty) in table {
            assert_eq!(of(status, body), (kind, certainty), "{status} {body}");
        }
    }

    // L02, L94
    #[test]
    fn quota_gone_is_told_from_a_quota_that_passes() {
        for gone in [
            r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
            r#"{"error":{"message":"Subscription quota exceeded"}}"#,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded: requests per day"}}"#,
        ] {
            assert_eq!(of(429, gone).0, FailureKind::NoQuota, "{gone}");
        }
        for passes in [
            r#"{"error":{"code":"insufficient_quota","message":"Allocated quota exceeded, please increase"}}"#,
            r#"{"error":{"code":"Throttling.AllocationQuota","message":"quota"}}"#,
        ] {
            assert_eq!(of(429, passes).0, FailureKind::RateLimited, "{passes}");
        }
    }

    // U18
    #[test]
    fn stream_options_is_learned_from_the_structure_never_from_the_text() {
        let text = r#"{"error":{"message":"stream_options is not supported"}}"#;
        assert_eq!(of(400, text).0, FailureKind::InvalidRequest);
        for structured in [
            r#"{"error":{"message":"x","param":"stream_options"}}"#,
            r#"{"error":{"message":"x","param":"stream_options.include_usage"}}"#,
        ] {
            assert_eq!(of(400, structured).0, FailureKind::StreamOptionsRefused);
        }
        assert_eq!(
            of(422, r#"{"detail":[{"loc":["body","stream_options"]}]}"#).0,
            FailureKind::StreamOptionsRefused
        );
    }

    #[test]
    fn a_429_with_a_time_is_surely_a_rate_and_debug_shows_no_words() {
        let headers = RateHeaders {
            retry_after: Some(Duration::from_secs(2)),
            request_id: None,
        };
        let error = ProviderError::parse(br#"{"error":{"message":"CANARY","code":"CANARY sk-1"}}"#);
        let failure = classify(429, &headers, error.as_ref());
        assert_eq!(
            (failure.kind, failure.certainty),
            (FailureKind::RateLimited, Certainty::Sure)
        );
        assert!(!format!("{failure:?} {error:?}").contains("CANARY"));
    }
}
