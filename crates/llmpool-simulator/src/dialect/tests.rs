use serde_json::{Value, json};

use super::*;

const ALL: [ProviderDialect; 8] = [
    ProviderDialect::Openai,
    ProviderDialect::Anthropic,
    ProviderDialect::Deepseek,
    ProviderDialect::Dashscope,
    ProviderDialect::Glm,
    ProviderDialect::Moonshot,
    ProviderDialect::Qianfan,
    ProviderDialect::Groq,
];

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 12 * 3600)
}

fn report() -> LimitReport {
    let status = |limit, seconds| {
        Some(WindowStatus {
            limit,
            remaining: limit / 2,
            reset: Duration::from_secs_f64(seconds),
        })
    };
    LimitReport {
        requests: status(60, 30.0),
        tokens: status(1000, 7.66),
        day: status(500, 86_400.0),
        organization: Some("org-a".into()),
    }
}

fn denied(limit: ProviderLimitKind) -> LimitExceeded {
    LimitExceeded {
        limit,
        wait: Some(Duration::from_millis(1200)),
    }
}

fn headers(dialect: ProviderDialect, denied: Option<&LimitExceeded>) -> Vec<String> {
    let headers = dialect.headers(&report(), denied, noon()).into_iter();
    headers.map(|(name, value)| format!("{name}: {value}")).collect()
}

fn body(dialect: ProviderDialect, denied: &LimitExceeded) -> (u16, Value) {
    let reply = dialect.refusal(denied, noon());
    (reply.status, reply.body.unwrap())
}

#[test]
fn each_dialect_has_its_own_headers() {
    assert_eq!(
        headers(ProviderDialect::Openai, None),
        [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 30",
            "x-ratelimit-reset-requests: 30s",
            "x-ratelimit-limit-tokens: 1000",
            "x-ratelimit-remaining-tokens: 500",
            "x-ratelimit-reset-tokens: 7.66s",
            "openai-organization: org-a",
        ]
    );
    assert_eq!(
        headers(ProviderDialect::Anthropic, None),
        [
            "anthropic-ratelimit-requests-limit: 60",
            "anthropic-ratelimit-requests-remaining: 30",
            "anthropic-ratelimit-requests-reset: 2026-01-01T12:00:30Z",
            "anthropic-ratelimit-tokens-limit: 1000",
            "anthropic-ratelimit-tokens-remaining: 500",
            "anthropic-ratelimit-tokens-reset: 2026-01-01T12:00:08Z",
        ]
    );
    assert_eq!(
        headers(ProviderDialect::Moonshot, None),
        [
            "x-ratelimit-limit: 60",
            "x-ratelimit-remaining: 30",
            "x-ratelimit-reset: 30"
        ]
    );
    assert_eq!(
        headers(ProviderDialect::Qianfan, None),
        [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 30",
            "x-ratelimit-limit-tokens: 1000",
            "x-ratelimit-remaining-tokens: 500",
        ]
    );
    let groq = headers(ProviderDialect::Groq, None);
    assert_eq!(
        groq[..3],
        [
            "x-ratelimit-limit-requests: 500",
            "x-ratelimit-remaining-requests: 250",
            "x-ratelimit-reset-requests: 24h0m0s"
        ]
    );
    assert!(groq[3].ends_with("limit-tokens: 1000") && groq.len() == 6);
    for silent in [
        ProviderDialect::Deepseek,
        ProviderDialect::Dashscope,
        ProviderDialect::Glm,
    ] {
        assert!(
            headers(silent, Some(&denied(ProviderLimitKind::Requests))).is_empty(),
            "{silent:?}"
        );
    }
}

#[test]
fn retry_after_is_sent_for_rates_and_not_for_quotas() {
    let retry_headers = |dialect, limit| -> Vec<String> {
        let headers = headers(dialect, Some(&denied(limit))).into_iter();
        headers.filter(|header| header.starts_with("retry")).collect()
    };
    let openai = retry_headers(ProviderDialect::Openai, ProviderLimitKind::Requests);
    assert_eq!(openai, ["retry-after: 2", "retry-after-ms: 1200"]);
    for dialect in [ProviderDialect::Anthropic, ProviderDialect::Groq] {
        assert_eq!(
            retry_headers(dialect, ProviderLimitKind::Tokens),
            ["retry-after: 2"],
            "{dialect:?}"
        );
    }
    for dialect in [ProviderDialect::Moonshot, ProviderDialect::Qianfan] {
        assert!(
            retry_headers(dialect, ProviderLimitKind::Requests).is_empty(),
            "{dialect:?}"
        );
    }
    assert!(
        ALL.iter()
            .all(|dialect| retry_headers(*dialect, ProviderLimitKind::Quota).is_empty())
    );
}

#[test]
fn each_dialect_has_its_own_rate_error() {
    for (dialect, limit, status, pointer, word) in [
        (
            ProviderDialect::Openai,
            ProviderLimitKind::Requests,
            429,
            "/error/code",
            "rate_limit_exceeded",
        ),
        (
            ProviderDialect::Openai,
            ProviderLimitKind::Tokens,
            429,
            "/error/type",
            "tokens",
        ),
        (
            ProviderDialect::Groq,
            ProviderLimitKind::Day,
            429,
            "/error/type",
            "requests",
        ),
        (
            ProviderDialect::Anthropic,
            ProviderLimitKind::Requests,
            429,
            "/error/type",
            "rate_limit_error",
        ),
        (
            ProviderDialect::Deepseek,
            ProviderLimitKind::Requests,
            429,
            "/error/type",
            "rate_limit_error",
        ),
        (
            ProviderDialect::Dashscope,
            ProviderLimitKind::Requests,
            429,
            "/error/code",
            "limit_requests",
        ),
        (
            ProviderDialect::Dashscope,
            ProviderLimitKind::Tokens,
            429,
            "/error/code",
            "insufficient_quota",
        ),
        (
            ProviderDialect::Dashscope,
            ProviderLimitKind::Concurrency,
            429,
            "/error/code",
            "Throttling.RateQuota",
        ),
        (
            ProviderDialect::Glm,
            ProviderLimitKind::Requests,
            429,
            "/error/code",
            "1302",
        ),
        (
            ProviderDialect::Moonshot,
            ProviderLimitKind::Requests,
            429,
            "/error/type",
            "rate_limit_reached_error",
        ),
        (
            ProviderDialect::Qianfan,
            ProviderLimitKind::Requests,
            200,
            "/code",
            "rpm_rate_limit_exceeded",
        ),
        (
            ProviderDialect::Qianfan,
            ProviderLimitKind::Tokens,
            200,
            "/code",
            "tpm_rate_limit_exceeded",
        ),
    ] {
        let (actual, body) = body(dialect, &denied(limit));
        assert_eq!(
            (actual, body.pointer(pointer).and_then(Value::as_str)),
            (status, Some(word)),
            "{dialect:?} {limit:?}: {body}"
        );
    }
    let (_, body) = body(ProviderDialect::Dashscope, &denied(ProviderLimitKind::Tokens));
    assert!(body.to_string().contains("Allocated quota exceeded"));
}

#[test]
fn each_dialect_has_its_own_quota_error() {
    let used_up = LimitExceeded {
        limit: ProviderLimitKind::Quota,
        wait: None,
    };
    for (dialect, status, part) in [
        (ProviderDialect::Openai, 429, r#""code":"insufficient_quota""#),
        (ProviderDialect::Groq, 429, r#""code":"insufficient_quota""#),
        (ProviderDialect::Qianfan, 429, r#""code":"insufficient_quota""#),
        (ProviderDialect::Anthropic, 400, "credit balance is too low"),
        (ProviderDialect::Deepseek, 402, "Insufficient Balance"),
        (ProviderDialect::Dashscope, 403, "AllocationQuota.FreeTierOnly"),
        (ProviderDialect::Glm, 429, r#""code":"1113""#),
        (ProviderDialect::Moonshot, 429, "exceeded_current_quota_error"),
    ] {
        let (actual, body) = body(dialect, &used_up);
        assert!(
            actual == status && body.to_string().contains(part),
            "{dialect:?}: {actual} {body}"
        );
    }
}

#[test]
fn glm_reports_the_reset_in_beijing_time() {
    let (status, body) = body(ProviderDialect::Glm, &denied(ProviderLimitKind::Quota));
    assert_eq!((status, &body["error"]["code"]), (429, &json!("1308")));
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("2026-01-01 20:00:02"), "{message}");
}
