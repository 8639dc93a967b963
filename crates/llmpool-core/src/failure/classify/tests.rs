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
        (302, "", WrongEndpoint, Certain),
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

fn kind_of(status: u16, body: &str) -> FailureKind {
    classify_body(status, body).0
}

#[test]
fn every_code_counts_and_the_specific_one_decides() {
    use FailureKind::*;
    for (status, body, kind) in [
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
            InvalidKey,
        ),
        (
            429,
            r#"{"error":{"code":"insufficient_quota","type":"tokens"}}"#,
            NoQuota,
        ),
        (
            429,
            r#"{"error":{"type":"requests","code":"insufficient_quota"}}"#,
            NoQuota,
        ),
        (429, r#"{"error":{"message":"x","type":"tokens"}}"#, RateLimited),
        (
            400,
            r#"{"error":{"code":"BadRequest","message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentFilter,
        ),
        (
            400,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"code\":\"context_length_exceeded\"}}"}}}"#,
            ContextLength,
        ),
        (
            429,
            r#"{"error":{"code":429,"errors":[{"message":"m","reason":"rateLimitExceeded"}]}}"#,
            RateLimited,
        ),
        (
            429,
            r#"{"code":"RateLimitExceeded.EndpointRPMExceeded","message":"x"}"#,
            RateLimited,
        ),
    ] {
        assert_eq!(classify_body(status, body), (kind, Certainty::Certain), "{body}");
    }
}

// L02, L06
#[test]
fn missing_credit_is_no_quota_at_every_status() {
    for (status, body) in [
        (429, r#"{"error":{"code":"credit_balance_too_low"}}"#),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#,
        ),
        (429, r#"{"error":{"code":"insufficient_credits"}}"#),
        (429, r#"{"error":{"code":"insufficient_user_quota"}}"#),
        (
            403,
            r#"{"error":{"code":"insufficient_user_quota","type":"new_api_error","message":"x"}}"#,
        ),
        (429, r#"{"error":{"code":"quota_exceeded"}}"#),
        (429, r#"{"error":{"code":"billing_not_active"}}"#),
        (400, r#"{"code":"Arrearage","message":"Access denied"}"#),
        (403, r#"{"error":{"code":"InsufficientBalance"}}"#),
        (
            403,
            r#"{"error":{"code":"AllocationQuota.FreeTierOnly","message":"x"}}"#,
        ),
        (403, r#"{"code":403,"reason":"NOT_ENOUGH_BALANCE","message":"x"}"#),
        (400, r#"{"error":{"type":"billing_error","message":"x"}}"#),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#,
        ),
        (
            400,
            r#"{"error":"You have insufficient credits to make this request."}"#,
        ),
        (403, r#"{"error":{"message":"用户额度不足, 剩余额度: 0"}}"#),
        (403, r#"{"error":{"message":"账户已欠费,请充值"}}"#),
        (429, r#"{"error":{"message":"余额不足"}}"#),
        (401, r#"{"error":{"message":"该令牌额度已用尽"}}"#),
        (
            429,
            r#"{"error":{"message":"Rate limit exceeded: free-models-per-day","code":429}}"#,
        ),
        (429, "Insufficient balance"),
        // MiniMax, xAI, SiliconFlow, OpenRouter and Fireworks.
        (
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"insufficient balance (1008)"}}"#,
        ),
        (503, "insufficient balance"),
        (
            429,
            r#"{"code":"Some resource has been exhausted","error":"Your team x has either used all available credits or reached its monthly spending limit. To continue, purchase more credits."}"#,
        ),
        (
            403,
            r#"{"code":"x","error":"Your team x has either used all available credits or reached its monthly spending limit."}"#,
        ),
        (
            403,
            r#"{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}"#,
        ),
        (
            403,
            r#"{"error":{"message":"Key limit exceeded (monthly limit). Manage it in the settings","code":403}}"#,
        ),
        (
            412,
            r#"{"error":{"message":"Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices.","code":"PRECONDITION_FAILED"}}"#,
        ),
    ] {
        assert_eq!(kind_of(status, body), FailureKind::NoQuota, "{status} {body}");
    }
    for (status, body) in [
        (
            400,
            r#"{"error":{"message":"billing_id: your credit balance is too low","param":"metadata"}}"#,
        ),
        (400, r#"{"error":{"message":"unknown field: billing"}}"#),
        (400, r#"{"error":{"message":"events per day must be a number"}}"#),
        (
            422,
            r#"{"detail":[{"loc":["body","x"],"msg":"insufficient credits"}]}"#,
        ),
    ] {
        assert_eq!(
            kind_of(status, body),
            FailureKind::InvalidRequest,
            "{status} {body}"
        );
    }
    assert_eq!(kind_of(500, "insufficient memory"), FailureKind::ServerError);
    assert_eq!(
        kind_of(429, "API key limit exceeded, slow down"),
        FailureKind::RateLimited
    );
}

// L56
#[test]
fn missing_credit_in_a_success_response_is_no_quota() {
    for body in [
        r#"{"error":{"code":"insufficient_quota"}}"#,
        r#"{"error":{"message":"Your credit balance is too low"}}"#,
        r#"{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}"#,
        r#"{"code":30001,"message":"Sorry, your account balance is insufficient","data":null}"#,
        r#"{"error":{"code":402,"message":"x"}}"#,
        r#"{"error":{"message":"x","type":"insufficient_quota","code":429}}"#,
    ] {
        let error = ProviderError::parse(body.as_bytes()).unwrap();
        assert_eq!(classify_in_stream(&error).kind, FailureKind::NoQuota, "{body}");
    }
    let rate = r#"{"error":{"code":"insufficient_quota","message":"Allocated quota exceeded"}}"#;
    let error = ProviderError::parse(rate.as_bytes()).unwrap();
    assert_eq!(classify_in_stream(&error).kind, FailureKind::RateLimited);
}

fn failure_of(headers: &[(&str, &str)], body: &str) -> Failure {
    let error = ProviderError::parse(body.as_bytes());
    let get = |name: &str| {
        headers
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    let now = Some(Duration::from_secs(1_741_300_000));
    classify(
        429,
        &ErrorHeaders::parse(get, error.as_ref(), now),
        error.as_ref(),
    )
}

#[test]
fn rate_headers_say_nothing_about_the_end_of_missing_credit() {
    let headers = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1s"),
    ];
    let broke = failure_of(&headers, r#"{"error":{"code":"insufficient_quota"}}"#);
    assert_eq!((broke.kind, broke.retry_after), (FailureKind::NoQuota, None));
    assert!(!broke.is_limit_reset);
    let body = r#"{"error":{"code":"insufficient_quota"}}"#;
    let named = failure_of(&[("retry-after", "60")], body);
    let minute = Some(Duration::from_secs(60));
    assert_eq!((named.kind, named.retry_after), (FailureKind::NoQuota, minute));
}

#[test]
fn quota_named_only_in_a_sentence_that_returns_within_a_minute_is_a_rate() {
    let gemini = |delay: &str| {
        format!(
            r#"[{{"error":{{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{{"retryDelay":"{delay}"}}]}}}}]"#
        )
    };
    let soon = failure_of(&[], &gemini("34s"));
    let wait = Some(Duration::from_secs(34));
    assert_eq!((soon.kind, soon.retry_after), (FailureKind::RateLimited, wait));
    assert_eq!(failure_of(&[], &gemini("61s")).kind, FailureKind::NoQuota);
}

#[test]
fn headers_within_the_body_name_the_end_of_a_quota() {
    let body = r#"{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429,"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1741305600000"},"provider_name":null}}}"#;
    let failure = failure_of(&[], body);
    let wait = Some(Duration::from_secs(5600));
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::NoQuota, wait));
    assert!(!failure.is_limit_reset);
    let body = body
        .replace("free-models-per-day", "free-models-per-min")
        .replace("per day", "");
    let rate = failure_of(&[], &body);
    assert_eq!((rate.kind, rate.is_limit_reset), (FailureKind::RateLimited, true));
    assert_eq!(rate.certainty, Certainty::Certain);
    let retry = r#"{"error":{"code":429,"metadata":{"headers":{"Retry-After":7}}}}"#;
    assert_eq!(failure_of(&[], retry).retry_after, Some(Duration::from_secs(7)));
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
    let wait = |status, headers: &ErrorHeaders| {
        let failure = classify(status, headers, None);
        (failure.retry_after, failure.is_limit_reset)
    };
    assert_eq!(wait(429, &headers), (Some(hour), true));
    for status in [500, 503, 529] {
        assert_eq!(wait(status, &headers), (None, false), "{status}");
    }
    let explicit = ErrorHeaders {
        retry_after: Some(Duration::from_secs(3)),
        ..ErrorHeaders::default()
    };
    for status in [429, 500, 503] {
        let seconds = Some(Duration::from_secs(3));
        assert_eq!(wait(status, &explicit), (seconds, false), "{status}");
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

/// The codes of MiniMax mean something else at GLM.
#[test]
fn codes_of_base_resp_have_a_meaning_of_their_own() {
    for (code, kind) in [
        (1002, FailureKind::RateLimited),
        (1004, FailureKind::InvalidKey),
        (1008, FailureKind::NoQuota),
        (1027, FailureKind::ContentFilter),
        (1039, FailureKind::RateLimited),
        (2049, FailureKind::InvalidKey),
        (1301, FailureKind::ServerError),
    ] {
        let body = format!(r#"{{"base_resp":{{"status_code":{code},"status_msg":"m"}},"choices":null}}"#);
        let error = ProviderError::parse(body.as_bytes()).unwrap();
        assert_eq!(classify_in_stream(&error).kind, kind, "{body}");
        assert_eq!(error.code, Some(code.to_string()), "{body}");
    }
}
