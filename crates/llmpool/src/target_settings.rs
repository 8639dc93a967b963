//! The settings of a target (one model at one base URL), apart from its keys, model name and base URL.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::Json;
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::limits::{LimitScope, Limits};
use llmpool_core::routing::retry::RetryPolicy;

use crate::options::Timeouts;

/// The default context window, in tokens.
const DEFAULT_CONTEXT_WINDOW: u32 = 200_000;

/// The settings of a target (one model at one base URL), apart from its keys, model name and base URL.
///
/// Construct with `..TargetSettings::default()`, because later versions will add fields.
#[derive(Clone)]
pub struct TargetSettings {
    /// The API format of the target. Default: Chat Completions.
    pub api: ApiFormat,
    /// The limits of this model, which apply to all its keys together. Default: no limits.
    ///
    /// Until the provider reports the usage of a call, the call counts towards `tpm` with its estimated
    /// prompt and answer tokens.
    pub limits: Limits,
    /// The number of tokens to reserve for an answer if the request sets no maximum length. Used only if a
    /// limit counts tokens.
    ///
    /// Default: `None`. The reserved number is then the 95th percentile of the lengths of recent answers, or
    /// 1024 while fewer than 20 answers are known.
    pub expected_output_tokens: Option<u32>,
    /// The number of consecutive failures of the target (5xx, timeouts, no connection) after which its
    /// circuit breaker opens. While the breaker is open, no requests are sent to the target.
    ///
    /// An attempt that ends at the call's deadline counts as a failure of the target if it lasted at least as
    /// long as the shorter of the target's `first_content` and `total` [`timeouts`](Self::timeouts). An
    /// earlier deadline of a caller does not count.
    ///
    /// The breaker opens for 5 s. Then a single call tests the target. If that call fails, the breaker opens
    /// again for twice the previous time, up to 60 s. Default: `None`, which disables the breaker. Enable the
    /// breaker only if the program has another target for the requests. If the target fails and the provider
    /// requests a pause (`Retry-After`, for example), the target is not used during the pause, even without a
    /// breaker.
    pub breaker: Option<u32>,
    /// The action to take on the key of a failed attempt, depending on the HTTP status of the response. A
    /// status without an action is handled in the standard way. Default: empty.
    pub on_status: StatusPolicy,
    /// Whether keys slow down to a pace that is learned from the provider's refusals. If not, a refusal still
    /// pauses the key. Default: `true`.
    pub learn_limits: bool,
    /// Whether the provider's rate limits apply to each model or to each key. A refusal pauses a key, and slows
    /// it down, for the refused model or for all models with this scope.
    ///
    /// Default: `None`. The scope is then that of the provider, if the host of the base URL is known to belong
    /// to a provider that limits keys, and otherwise [`LimitScope::Model`].
    pub limit_scope: Option<LimitScope>,
    /// The format in which calls with [`adapt_schema`](crate::CallOptions::adapt_schema) ask for structured answers.
    /// With a configured format, no other format is tried if the provider refuses it.
    ///
    /// Default: `None`. Calls then start with [`AnswerFormat::JsonSchema`], or with a weaker format if the host of the
    /// base URL is known to belong to a provider that ignores the response format. A weaker format is used once the
    /// provider has refused the stronger one.
    pub structured_output: Option<AnswerFormat>,
    /// The maximum number of retries after the first attempt. If the failure is a key's, the first attempt
    /// with another key is not a retry. If the failure is an exceeded rate limit, the call waits for the key
    /// until its deadline without spending a retry, unless this is 0. Default: 5.
    pub max_retries: u32,
    /// The upper bound of the random backoff before the first retry. The bound doubles with each further
    /// retry, up to 60 s. Default: 1 s.
    pub retry_delay: Duration,
    /// The timeouts of each attempt and of the whole call. Default: [`Timeouts::default`].
    pub timeouts: Timeouts,
    /// The maximum number of tokens of a prompt and its answer together. Informational: requests are not
    /// checked against this number. Default: 200 000.
    pub context_window: u32,
    /// Fields that are added to each request body. A field that the request itself sets is not overwritten.
    /// Default: empty.
    pub api_params: Vec<(String, Json)>,
    /// Headers that are sent with every request. Default: empty.
    pub headers: HeaderMap,
}

impl Default for TargetSettings {
    fn default() -> Self {
        let RetryPolicy { max_retries, base } = RetryPolicy::default();
        Self {
            api: ApiFormat::default(),
            limits: Limits::default(),
            expected_output_tokens: None,
            breaker: None,
            on_status: StatusPolicy::default(),
            learn_limits: true,
            limit_scope: None,
            structured_output: None,
            max_retries,
            retry_delay: base,
            timeouts: Timeouts::default(),
            context_window: DEFAULT_CONTEXT_WINDOW,
            api_params: Vec::new(),
            headers: HeaderMap::new(),
        }
    }
}

impl fmt::Debug for TargetSettings {
    /// Omits the values of headers and parameters, because they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> = self.api_params.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("TargetSettings")
            .field("api", &self.api)
            .field("limits", &self.limits)
            .field("expected_output_tokens", &self.expected_output_tokens)
            .field("breaker", &self.breaker)
            .field("on_status", &self.on_status)
            .field("learn_limits", &self.learn_limits)
            .field("limit_scope", &self.limit_scope)
            .field("structured_output", &self.structured_output)
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("timeouts", &self.timeouts)
            .field("context_window", &self.context_window)
            .field("api_params", &params)
            .field("headers", &headers)
            .finish()
    }
}
