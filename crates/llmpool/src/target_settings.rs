//! The settings of a target besides its keys, model and base URL.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::Json;
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::limits::Limits;
use llmpool_core::routing::retry::RetryPolicy;

use crate::options::Timeouts;

/// The default context window, in tokens.
const DEFAULT_CONTEXT_WINDOW: u32 = 200_000;

/// The settings of a target besides its keys, model and base URL.
///
/// Construct it with `..TargetSettings::default()`: fields will be added.
#[derive(Clone)]
pub struct TargetSettings {
    /// The wire format of the target's API. Default: Chat Completions.
    pub api: ApiFormat,
    /// Limits of this model, whatever the key. Default: none.
    ///
    /// For `tpm` a call reserves an estimate of its prompt and answer, which is corrected by the usage that the provider reports.
    pub limits: Limits,
    /// Tokens reserved for an answer if the request sets no maximum; only used where a limit counts tokens.
    ///
    /// `None`, the default: the 95th percentile of the answers so far, and 1024 until enough of them are known.
    pub expected_output_tokens: Option<u32>,
    /// Consecutive failures of the target (5xx, timeouts, no connection) that open its circuit breaker.
    ///
    /// It stays open for 5 s, doubling up to 60 s, and is then probed by a single call. `None`, the default: it never opens, which is
    /// right without an alternative target. A pause named by the provider is observed in either case.
    pub breaker: Option<u32>,
    /// Overrides of what an HTTP status does to a key.
    pub on_status: StatusPolicy,
    /// Whether limits observed in headers and refusals slow down the keys. Default: `true`.
    pub learn_limits: bool,
    /// The number of retries after the first attempt. Default: 5.
    pub max_retries: u32,
    /// The upper bound of the first backoff, which doubles with each retry. Default: 1 s.
    pub retry_delay: Duration,
    /// The timeouts of each attempt and of the whole call.
    pub timeouts: Timeouts,
    /// The largest number of tokens of a prompt and its answer. Default: 200 000.
    pub context_window: u32,
    /// Fields added to each request that does not set them itself.
    pub api_params: Vec<(String, Json)>,
    /// Headers sent with every request.
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
    /// Omits the values of headers and parameters, which may be secret.
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
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("timeouts", &self.timeouts)
            .field("context_window", &self.context_window)
            .field("api_params", &params)
            .field("headers", &headers)
            .finish()
    }
}
