//! The error responses that each dialect sends when a limit is exceeded.
//!
//! The responses are taken from the providers' documentation and from responses that users reported. Messages are
//! shortened to the parts that clients search for.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::ProviderDialect;
use crate::errors;
use crate::limits::{LimitExceeded, ProviderLimitKind};
use crate::reply::StatusReply;
use crate::time_format;

impl ProviderDialect {
    /// Returns the error response to a denied request. `date` is the provider's current date.
    pub(crate) fn refusal(self, exceeded: &LimitExceeded, date: SystemTime) -> StatusReply {
        let (status, body) = match exceeded.limit {
            ProviderLimitKind::Quota => self.quota_refusal(exceeded.wait, date),
            ProviderLimitKind::Requests
            | ProviderLimitKind::Tokens
            | ProviderLimitKind::Day
            | ProviderLimitKind::Concurrency => self.rate_refusal(exceeded),
        };
        StatusReply {
            body: Some(body),
            ..StatusReply::new(status)
        }
    }

    fn rate_refusal(self, exceeded: &LimitExceeded) -> (u16, Value) {
        let is_tokens = exceeded.limit == ProviderLimitKind::Tokens;
        let kind = if is_tokens { "tokens" } else { "requests" };
        match self {
            Self::Openai | Self::Groq => {
                let retry_hint = exceeded.wait.map_or_else(String::new, |wait| {
                    format!(" Please try again in {}.", time_format::go_duration(wait))
                });
                let message = format!(
                    "Rate limit reached for {}.{retry_hint}",
                    limit_name(exceeded.limit)
                );
                let error =
                    json!({"message": message, "type": kind, "param": null, "code": "rate_limit_exceeded"});
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
            Self::Dashscope => (429, dashscope(exceeded.limit)),
            Self::Glm => (429, glm("1302", "您的账户已达到速率限制，请您控制请求频率")),
            Self::Moonshot => {
                let message = format!(
                    "Your account reached max {}, please try again later",
                    limit_name(exceeded.limit)
                );
                (429, moonshot("rate_limit_reached_error", &message))
            }
            Self::Qianfan => {
                let (code, msg) = if is_tokens {
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
                    let reset = time_format::beijing(date + wait);
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

/// Returns the name of a limit in the error messages of OpenAI and Moonshot.
fn limit_name(limit: ProviderLimitKind) -> &'static str {
    match limit {
        ProviderLimitKind::Requests => "requests per min (RPM)",
        ProviderLimitKind::Tokens => "tokens per min (TPM)",
        ProviderLimitKind::Day => "requests per day (RPD)",
        ProviderLimitKind::Concurrency => "concurrency",
        ProviderLimitKind::Quota => "quota",
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

fn dashscope(limit: ProviderLimitKind) -> Value {
    let (code, message) = match limit {
        ProviderLimitKind::Tokens => (
            "insufficient_quota",
            "Allocated quota exceeded, please increase your quota limit.",
        ),
        ProviderLimitKind::Requests => (
            "limit_requests",
            "Requests rate limit exceeded, please try again later.",
        ),
        ProviderLimitKind::Day | ProviderLimitKind::Concurrency | ProviderLimitKind::Quota => (
            "Throttling.RateQuota",
            "Requests rate limit exceeded, please try again later.",
        ),
    };
    json!({"error": {"message": message, "type": code, "param": null, "code": code}})
}
