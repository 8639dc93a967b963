//! How providers tell of their limits, each in its own way: headers, and the bodies of refusals.
//!
//! Data, from the providers' documentation and from what their users were sent. Texts are shortened to what clients
//! look for in them.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::behaviour::{RetryAfter, RetryAfterForm, StatusReply};
use crate::calendar;
use crate::errors;
use crate::limits::{Denied, Gauge, Meter};

/// Whose way of telling of limits is used. It decides the headers of responses to keys with [limits](crate::Limits),
/// and how a request beyond them is refused; everything else is as OpenAI does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `x-ratelimit-*` with spans such as `6m0s`, `retry-after` and `retry-after-ms`; 429 `insufficient_quota`.
    #[default]
    Openai,
    /// `anthropic-ratelimit-*` with times of day, `retry-after`; 400 where the credit is used up.
    Anthropic,
    /// No headers; 402 where the balance is used up.
    Deepseek,
    /// No headers; tokens run out as `insufficient_quota`, though they are back in a minute; 403 for a used-up quota.
    Dashscope,
    /// No headers; numbers as codes: 1302 for the rate, 1113 for the balance, 1308 with a time of day in its text.
    Glm,
    /// `x-ratelimit-limit`, `-remaining` and `-reset` of requests; error objects without `code`.
    Moonshot,
    /// `x-ratelimit-*` without resets; a rate limit is a 200 with `code` and `msg`.
    Qianfan,
    /// As OpenAI, but the headers of requests are about the day, and only `retry-after` is told.
    Groq,
}

/// What there is left for a key, as its responses tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub(crate) requests: Option<Gauge>,
    pub(crate) tokens: Option<Gauge>,
    pub(crate) day: Option<Gauge>,
    pub(crate) organization: Option<String>,
}

/// Which headers a dialect has.
struct Headers {
    /// The name of a header about `"limit"`, `"remaining"` or `"reset"` of `"requests"` or `"tokens"`.
    name: fn(&str, &str) -> String,
    tokens: bool,
    /// Whether the day comes first where both the day and a shorter time are limited.
    day_first: bool,
    /// How a reset is written, if it is told.
    reset: Option<fn(Duration, SystemTime) -> String>,
    retry_after: &'static [RetryAfterForm],
    organization: bool,
}

const OPENAI: Headers = Headers {
    name: |what, of| format!("x-ratelimit-{what}-{of}"),
    tokens: true,
    day_first: false,
    reset: Some(|span, _| units(span)),
    retry_after: &[RetryAfterForm::Seconds, RetryAfterForm::Ms],
    organization: true,
};
const ANTHROPIC: Headers = Headers {
    name: |what, of| format!("anthropic-ratelimit-{of}-{what}"),
    reset: Some(|span, date| calendar::rfc3339(date + span)),
    retry_after: &[RetryAfterForm::Seconds],
    organization: false,
    ..OPENAI
};
const MOONSHOT: Headers = Headers {
    name: |what, _| format!("x-ratelimit-{what}"),
    tokens: false,
    reset: Some(|span, _| calendar::seconds_up(span).to_string()),
    retry_after: &[],
    organization: false,
    ..OPENAI
};
const QIANFAN: Headers = Headers {
    reset: None,
    retry_after: &[],
    organization: false,
    ..OPENAI
};
const GROQ: Headers = Headers {
    day_first: true,
    retry_after: &[RetryAfterForm::Seconds],
    organization: false,
    ..OPENAI
};

impl Dialect {
    /// The headers of a response, which may be a refusal; `date` is the provider's.
    pub(crate) fn headers(
        self,
        standing: &Standing,
        denied: Option<&Denied>,
        date: SystemTime,
    ) -> Vec<(String, String)> {
        let Some(form) = self.form() else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        let requests = if form.day_first {
            standing.day.or(standing.requests)
        } else {
            standing.requests.or(standing.day)
        };
        let tokens = standing.tokens.filter(|_| form.tokens);
        for (of, gauge) in [("requests", requests), ("tokens", tokens)] {
            let Some(gauge) = gauge else { continue };
            headers.push(((form.name)("limit", of), gauge.limit.to_string()));
            headers.push(((form.name)("remaining", of), gauge.remaining.to_string()));
            if let Some(reset) = form.reset {
                headers.push(((form.name)("reset", of), reset(gauge.reset, date)));
            }
        }
        if let Some(organization) = standing.organization.clone().filter(|_| form.organization) {
            headers.push(("openai-organization".into(), organization));
        }
        headers.extend(form.retry_after(denied, date));
        headers
    }

    /// What is sent instead of an answer.
    pub(crate) fn refusal(self, denied: &Denied, date: SystemTime) -> StatusReply {
        let (status, body) = match denied.by {
            Meter::Quota => self.quota_refusal(denied.wait, date),
            Meter::Requests | Meter::Tokens | Meter::Day | Meter::Concurrency => self.rate_refusal(denied),
        };
        StatusReply {
            body: Some(body),
            ..StatusReply::new(status)
        }
    }

    fn form(self) -> Option<Headers> {
        match self {
            Self::Openai => Some(OPENAI),
            Self::Anthropic => Some(ANTHROPIC),
            Self::Moonshot => Some(MOONSHOT),
            Self::Qianfan => Some(QIANFAN),
            Self::Groq => Some(GROQ),
            Self::Deepseek | Self::Dashscope | Self::Glm => None,
        }
    }

    fn rate_refusal(self, denied: &Denied) -> (u16, Value) {
        let tokens = denied.by == Meter::Tokens;
        let what = if tokens { "tokens" } else { "requests" };
        match self {
            Self::Openai | Self::Groq => {
                let again = denied.wait.map_or_else(String::new, |wait| {
                    format!(" Please try again in {}.", units(wait))
                });
                let message = format!("Rate limit reached for {}.{again}", openai_name(denied.by));
                let error =
                    json!({"message": message, "type": what, "param": null, "code": "rate_limit_exceeded"});
                (429, json!({"error": error}))
            }
            Self::Anthropic => {
                let message = "This request would exceed your account's rate limit. Please try again later.";
                (429, anthropic("rate_limit_error", message))
            }
            Self::Deepseek => {
                let message = "Rate limit reached: you are sending requests too quickly.";
                let error =
                    json!({"message": message, "type": "rate_limit_error", "param": null, "code": null});
                (429, json!({"error": error}))
            }
            Self::Dashscope => (429, dashscope(denied.by)),
            Self::Glm => (429, glm("1302", "您的账户已达到速率限制，请您控制请求频率")),
            Self::Moonshot => {
                let message = format!(
                    "Your account reached max {}, please try again later",
                    openai_name(denied.by)
                );
                (429, moonshot("rate_limit_reached_error", &message))
            }
            Self::Qianfan => {
                let (code, msg) = if tokens {
                    ("tpm_rate_limit_exceeded", "Rate limit reached for TPM")
                } else {
                    ("rpm_rate_limit_exceeded", "Rate limit reached for RPM")
                };
                (200, json!({"code": code, "msg": msg}))
            }
        }
    }

    fn quota_refusal(self, wait: Option<Duration>, date: SystemTime) -> (u16, Value) {
        match self {
            Self::Openai | Self::Groq | Self::Qianfan => {
                (429, errors::for_status(429, Some("insufficient_quota")))
            }
            Self::Anthropic => {
                let message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing \
                               to upgrade or purchase credits.";
                (400, anthropic("invalid_request_error", message))
            }
            Self::Deepseek => {
                let error = json!({"message": "Insufficient Balance", "type": "unknown_error", "param": null,
                                   "code": "invalid_request_error"});
                (402, json!({"error": error}))
            }
            Self::Dashscope => {
                let message = "The free tier of the model has been exhausted.";
                let code = "AllocationQuota.FreeTierOnly";
                (
                    403,
                    json!({"error": {"message": message, "type": code, "param": null, "code": code}}),
                )
            }
            Self::Glm => match wait {
                None => (429, glm("1113", "余额不足或无可用资源包,请充值。")),
                Some(wait) => {
                    let reset = calendar::beijing(date + wait);
                    (
                        429,
                        glm("1308", &format!("已达到使用上限。您的限额将在 {reset} 重置。")),
                    )
                }
            },
            Self::Moonshot => {
                let message = "You exceeded your current token quota, please check your account balance";
                (429, moonshot("exceeded_current_quota_error", message))
            }
        }
    }
}

impl Headers {
    fn retry_after(&self, denied: Option<&Denied>, date: SystemTime) -> Vec<(String, String)> {
        // Where nobody but the customer can help, there is no time to tell.
        let wait = denied
            .filter(|denied| denied.by != Meter::Quota)
            .and_then(|denied| denied.wait);
        let told = wait.into_iter().flat_map(|wait| {
            self.retry_after
                .iter()
                .filter_map(move |form| RetryAfter { wait, form: *form }.header(date))
        });
        told.map(|(name, value)| (name.as_str().to_owned(), value))
            .collect()
    }
}

/// The abbreviations of OpenAI and Moonshot.
fn openai_name(meter: Meter) -> &'static str {
    match meter {
        Meter::Requests => "requests per min (RPM)",
        Meter::Tokens => "tokens per min (TPM)",
        Meter::Day => "requests per day (RPD)",
        Meter::Concurrency => "concurrency",
        Meter::Quota => "quota",
    }
}

fn anthropic(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

fn glm(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn moonshot(kind: &str, message: &str) -> Value {
    json!({"error": {"type": kind, "message": message}})
}

fn dashscope(meter: Meter) -> Value {
    let (code, message) = match meter {
        Meter::Tokens => (
            "insufficient_quota",
            "Allocated quota exceeded, please increase your quota limit.",
        ),
        Meter::Requests => (
            "limit_requests",
            "Requests rate limit exceeded, please try again later.",
        ),
        Meter::Day | Meter::Concurrency | Meter::Quota => (
            "Throttling.RateQuota",
            "Requests rate limit exceeded, please try again later.",
        ),
    };
    json!({"error": {"message": message, "type": code, "param": null, "code": code}})
}

/// A span as Go writes it, in whole milliseconds rounded up: `1h2m3s`, `6m0s`, `7.66s`, `20ms`, `0s`.
fn units(span: Duration) -> String {
    let millis = span.as_nanos().div_ceil(1_000_000);
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1000 % 60, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Dialect; 8] = [
        Dialect::Openai,
        Dialect::Anthropic,
        Dialect::Deepseek,
        Dialect::Dashscope,
        Dialect::Glm,
        Dialect::Moonshot,
        Dialect::Qianfan,
        Dialect::Groq,
    ];

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 12 * 3600)
    }

    fn standing() -> Standing {
        let gauge = |limit, seconds| {
            Some(Gauge {
                limit,
                remaining: limit / 2,
                reset: Duration::from_secs_f64(seconds),
            })
        };
        Standing {
            requests: gauge(60, 30.0),
            tokens: gauge(1000, 7.66),
            day: gauge(500, 86_400.0),
            organization: Some("org-a".into()),
        }
    }

    fn denied(by: Meter) -> Denied {
        Denied {
            by,
            wait: Some(Duration::from_millis(1200)),
        }
    }

    fn headers(dialect: Dialect, denied: Option<&Denied>) -> Vec<String> {
        let headers = dialect.headers(&standing(), denied, noon()).into_iter();
        headers.map(|(name, value)| format!("{name}: {value}")).collect()
    }

    fn body(dialect: Dialect, denied: &Denied) -> (u16, Value) {
        let reply = dialect.refusal(denied, noon());
        (reply.status, reply.body.unwrap())
    }

    #[test]
    fn each_tells_what_is_left_in_its_own_headers() {
        assert_eq!(
            headers(Dialect::Openai, None),
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
            headers(Dialect::Anthropic, None),
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
            headers(Dialect::Moonshot, None),
            [
                "x-ratelimit-limit: 60",
                "x-ratelimit-remaining: 30",
                "x-ratelimit-reset: 30"
            ]
        );
        assert_eq!(
            headers(Dialect::Qianfan, None),
            [
                "x-ratelimit-limit-requests: 60",
                "x-ratelimit-remaining-requests: 30",
                "x-ratelimit-limit-tokens: 1000",
                "x-ratelimit-remaining-tokens: 500",
            ]
        );
        let groq = headers(Dialect::Groq, None);
        assert_eq!(
            groq[..3],
            [
                "x-ratelimit-limit-requests: 500",
                "x-ratelimit-remaining-requests: 250",
                "x-ratelimit-reset-requests: 24h0m0s"
            ]
        );
        assert!(groq[3].ends_with("limit-tokens: 1000") && groq.len() == 6);
        for silent in [Dialect::Deepseek, Dialect::Dashscope, Dialect::Glm] {
            assert!(
                headers(silent, Some(&denied(Meter::Requests))).is_empty(),
                "{silent:?}"
            );
        }
    }

    #[test]
    fn the_time_to_come_back_at_is_told_with_a_rate_refusal_and_not_with_a_quota() {
        let told = |dialect, by| -> Vec<String> {
            let headers = headers(dialect, Some(&denied(by))).into_iter();
            headers.filter(|header| header.starts_with("retry")).collect()
        };
        let openai = told(Dialect::Openai, Meter::Requests);
        assert_eq!(openai, ["retry-after: 2", "retry-after-ms: 1200"]);
        for dialect in [Dialect::Anthropic, Dialect::Groq] {
            assert_eq!(told(dialect, Meter::Tokens), ["retry-after: 2"], "{dialect:?}");
        }
        for dialect in [Dialect::Moonshot, Dialect::Qianfan] {
            assert!(told(dialect, Meter::Requests).is_empty(), "{dialect:?}");
        }
        assert!(ALL.iter().all(|dialect| told(*dialect, Meter::Quota).is_empty()));
    }

    #[test]
    fn each_refuses_a_rate_in_its_own_words() {
        for (dialect, by, status, place, word) in [
            (
                Dialect::Openai,
                Meter::Requests,
                429,
                "/error/code",
                "rate_limit_exceeded",
            ),
            (Dialect::Openai, Meter::Tokens, 429, "/error/type", "tokens"),
            (Dialect::Groq, Meter::Day, 429, "/error/type", "requests"),
            (
                Dialect::Anthropic,
                Meter::Requests,
                429,
                "/error/type",
                "rate_limit_error",
            ),
            (
                Dialect::Deepseek,
                Meter::Requests,
                429,
                "/error/type",
                "rate_limit_error",
            ),
            (
                Dialect::Dashscope,
                Meter::Requests,
                429,
                "/error/code",
                "limit_requests",
            ),
            (
                Dialect::Dashscope,
                Meter::Tokens,
                429,
                "/error/code",
                "insufficient_quota",
            ),
            (
                Dialect::Dashscope,
                Meter::Concurrency,
                429,
                "/error/code",
                "Throttling.RateQuota",
            ),
            (Dialect::Glm, Meter::Requests, 429, "/error/code", "1302"),
            (
                Dialect::Moonshot,
                Meter::Requests,
                429,
                "/error/type",
                "rate_limit_reached_error",
            ),
            (
                Dialect::Qianfan,
                Meter::Requests,
                200,
                "/code",
                "rpm_rate_limit_exceeded",
            ),
            (
                Dialect::Qianfan,
                Meter::Tokens,
                200,
                "/code",
                "tpm_rate_limit_exceeded",
            ),
        ] {
            let (told, body) = body(dialect, &denied(by));
            assert_eq!(
                (told, body.pointer(place).and_then(Value::as_str)),
                (status, Some(word)),
                "{dialect:?} {by:?}: {body}"
            );
        }
        let (_, body) = body(Dialect::Dashscope, &denied(Meter::Tokens));
        assert!(body.to_string().contains("Allocated quota exceeded"));
    }

    #[test]
    fn each_says_in_its_own_words_that_the_quota_is_gone() {
        let gone = Denied {
            by: Meter::Quota,
            wait: None,
        };
        for (dialect, status, part) in [
            (Dialect::Openai, 429, r#""code":"insufficient_quota""#),
            (Dialect::Groq, 429, r#""code":"insufficient_quota""#),
            (Dialect::Qianfan, 429, r#""code":"insufficient_quota""#),
            (Dialect::Anthropic, 400, "credit balance is too low"),
            (Dialect::Deepseek, 402, "Insufficient Balance"),
            (Dialect::Dashscope, 403, "AllocationQuota.FreeTierOnly"),
            (Dialect::Glm, 429, r#""code":"1113""#),
            (Dialect::Moonshot, 429, "exceeded_current_quota_error"),
        ] {
            let (told, body) = body(dialect, &gone);
            assert!(
                told == status && body.to_string().contains(part),
                "{dialect:?}: {told} {body}"
            );
        }
    }

    #[test]
    fn glm_tells_the_reset_as_a_time_in_beijing() {
        let (status, body) = body(Dialect::Glm, &denied(Meter::Quota));
        assert_eq!((status, &body["error"]["code"]), (429, &json!("1308")));
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("2026-01-01 20:00:02"), "{message}");
    }

    #[test]
    fn spans_are_written_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1000, "1s"),
            (7660, "7.66s"),
            (10_000, "10s"),
            (360_000, "6m0s"),
            (3_723_000, "1h2m3s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(units(Duration::from_millis(millis)), text);
        }
        assert_eq!(units(Duration::from_nanos(1)), "1ms", "never too early");
    }
}
