//! The rate limit headers and error bodies of real providers.

mod refusals;

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::limits::{LimitExceeded, ProviderLimitKind, WindowStatus};
use crate::retry_after::{RetryAfter, RetryAfterForm};
use crate::time_format;

/// The provider that the simulator imitates in its rate limit headers and in the error responses to requests
/// that exceed the [limits](crate::ProviderLimits) of a key. All other responses follow OpenAI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderDialect {
    /// OpenAI. Sends `x-ratelimit-*` headers, whose reset times are durations such as `6m0s`, and both
    /// `retry-after` and `retry-after-ms`. When a quota is used up, answers with status 429 and the code
    /// `insufficient_quota`.
    #[default]
    Openai,
    /// Anthropic. Sends `anthropic-ratelimit-*` headers, whose reset times are RFC 3339 dates, and
    /// `retry-after`. When a quota is used up, answers with status 400.
    Anthropic,
    /// DeepSeek. Sends no rate limit headers. When a quota is used up, answers with status 402.
    Deepseek,
    /// DashScope. Sends no rate limit headers. When a token limit is exceeded, answers with the code
    /// `insufficient_quota`, although the client only has to wait. When a quota is used up, answers with
    /// status 403.
    Dashscope,
    /// GLM. Sends no rate limit headers. Error bodies contain numeric codes: 1302 for an exceeded rate limit,
    /// 1113 for a used-up quota that never resets, and 1308 for a used-up quota that resets, with the reset
    /// date in the message.
    Glm,
    /// Moonshot. Sends the headers `x-ratelimit-limit`, `x-ratelimit-remaining` and `x-ratelimit-reset`,
    /// which report the limit on requests. Error objects have no `code` member.
    Moonshot,
    /// Qianfan. Sends `x-ratelimit-*` headers without reset times. When a rate limit is exceeded, answers
    /// with status 200 and a body with the members `code` and `msg`.
    Qianfan,
    /// Groq. Sends the same headers as OpenAI except `retry-after-ms` and `openai-organization`. The
    /// `x-ratelimit-*-requests` headers report the daily limit if the key has one, and the limit per window
    /// otherwise.
    Groq,
}

/// The state of a key's limits after a request, from which the response headers are built. A limit that is
/// not configured is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LimitReport {
    pub(crate) requests: Option<WindowStatus>,
    pub(crate) tokens: Option<WindowStatus>,
    pub(crate) day: Option<WindowStatus>,
    pub(crate) organization: Option<String>,
}

/// The rate limit headers that a dialect sends.
struct HeaderStyle {
    /// Returns the name of a header. The first argument is `"limit"`, `"remaining"` or `"reset"`, the second is
    /// `"requests"` or `"tokens"`.
    name: fn(&str, &str) -> String,
    /// Whether the dialect sends headers about the limit on tokens.
    tokens: bool,
    /// Selects the limit that the headers about requests report if both a daily limit and a limit per window
    /// are configured: `true` selects the daily limit, `false` the limit per window.
    day_first: bool,
    /// Formats the value of the reset header. The arguments are the time until the reset and the provider's
    /// current date. `None` if the dialect sends no reset header.
    reset: Option<fn(Duration, SystemTime) -> String>,
    /// The headers in which the response to a denied request reports how long to wait.
    retry_after: &'static [RetryAfterForm],
    /// Whether the dialect sends an `openai-organization` header.
    organization: bool,
}

const OPENAI: HeaderStyle = HeaderStyle {
    name: |field, unit| format!("x-ratelimit-{field}-{unit}"),
    tokens: true,
    day_first: false,
    reset: Some(|wait, _| time_format::go_duration(wait)),
    retry_after: &[RetryAfterForm::Seconds, RetryAfterForm::Ms],
    organization: true,
};
const ANTHROPIC: HeaderStyle = HeaderStyle {
    name: |field, unit| format!("anthropic-ratelimit-{unit}-{field}"),
    reset: Some(|wait, date| time_format::rfc3339(date + wait)),
    retry_after: &[RetryAfterForm::Seconds],
    organization: false,
    ..OPENAI
};
const MOONSHOT: HeaderStyle = HeaderStyle {
    name: |field, _| format!("x-ratelimit-{field}"),
    tokens: false,
    reset: Some(|wait, _| time_format::seconds_up(wait).to_string()),
    retry_after: &[],
    organization: false,
    ..OPENAI
};
const QIANFAN: HeaderStyle = HeaderStyle {
    reset: None,
    retry_after: &[],
    organization: false,
    ..OPENAI
};
const GROQ: HeaderStyle = HeaderStyle {
    day_first: true,
    retry_after: &[RetryAfterForm::Seconds],
    organization: false,
    ..OPENAI
};

impl ProviderDialect {
    /// Returns the rate limit headers of a response. `exceeded` is `None` if the request passed the limits.
    /// `date` is the provider's current date.
    pub(crate) fn headers(
        self,
        report: &LimitReport,
        exceeded: Option<&LimitExceeded>,
        date: SystemTime,
    ) -> Vec<(String, String)> {
        let Some(style) = self.header_style() else {
            return Vec::new();
        };
        let mut headers = Vec::new();
        let requests = if style.day_first {
            report.day.or(report.requests)
        } else {
            report.requests.or(report.day)
        };
        let tokens = report.tokens.filter(|_| style.tokens);
        for (unit, status) in [("requests", requests), ("tokens", tokens)] {
            let Some(status) = status else { continue };
            headers.push(((style.name)("limit", unit), status.limit.to_string()));
            headers.push(((style.name)("remaining", unit), status.remaining.to_string()));
            if let Some(reset) = style.reset {
                headers.push(((style.name)("reset", unit), reset(status.reset, date)));
            }
        }
        if let Some(organization) = report.organization.clone().filter(|_| style.organization) {
            headers.push(("openai-organization".into(), organization));
        }
        headers.extend(style.retry_after_headers(exceeded, date));
        headers
    }

    fn header_style(self) -> Option<HeaderStyle> {
        match self {
            Self::Openai => Some(OPENAI),
            Self::Anthropic => Some(ANTHROPIC),
            Self::Moonshot => Some(MOONSHOT),
            Self::Qianfan => Some(QIANFAN),
            Self::Groq => Some(GROQ),
            Self::Deepseek | Self::Dashscope | Self::Glm => None,
        }
    }
}

impl HeaderStyle {
    fn retry_after_headers(
        &self,
        exceeded: Option<&LimitExceeded>,
        date: SystemTime,
    ) -> Vec<(String, String)> {
        // Providers send no `retry-after` when the quota is used up, because waiting is not expected to help.
        let wait = exceeded
            .filter(|exceeded| exceeded.limit != ProviderLimitKind::Quota)
            .and_then(|exceeded| exceeded.wait);
        let headers = wait.into_iter().flat_map(|wait| {
            self.retry_after
                .iter()
                .filter_map(move |form| RetryAfter { wait, form: *form }.header(date))
        });
        headers
            .map(|(name, value)| (name.as_str().to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests;
