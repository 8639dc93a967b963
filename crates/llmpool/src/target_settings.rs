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
/// Construct with `..TargetSettings::default()`, because later versions will add fields.
#[derive(Clone)]
pub struct TargetSettings {
    /// The API format of the target. Default: Chat Completions.
    pub api: ApiFormat,
    /// The limits of this model, for all its keys together. Default: no limits.
    ///
    /// A call first counts towards `tpm` with an estimate of its prompt and answer tokens. The estimate is replaced by the usage that the
    /// provider reports.
    pub limits: Limits,
    /// The tokens that are reserved for an answer if the request sets no maximum. Used only if a limit counts tokens.
    ///
    /// Default: `None`, which reserves the 95th percentile of the lengths of recent answers, or 1024 tokens until 20 answers are known.
    pub expected_output_tokens: Option<u32>,
    /// The number of consecutive failures of the target (5xx, timeouts, no connection) after which its circuit breaker opens.
    ///
    /// The breaker stays open for 5 s; after that, a single call probes the target. The time doubles with each failed probe, up to 60 s.
    /// Default: `None`, so that the breaker never opens, which is right for a program without an alternative target. A wait that the
    /// provider requests is always observed.
    pub breaker: Option<u32>,
    /// What happens to the key of an attempt that is answered with a given HTTP status. Default: empty, so that each status is handled in
    /// the standard way.
    pub on_status: StatusPolicy,
    /// Whether the limits that response headers and refusals reveal also apply, in addition to the configured limits. Default: `true`.
    pub learn_limits: bool,
    /// The maximum number of retries after the first attempt. Default: 5.
    pub max_retries: u32,
    /// The upper bound of the backoff before the first retry. The bound doubles with each retry. Default: 1 s.
    pub retry_delay: Duration,
    /// The timeouts of each attempt and of the whole call.
    pub timeouts: Timeouts,
    /// The maximum number of tokens of a prompt and its answer together. Default: 200 000.
    pub context_window: u32,
    /// Fields that are added to each request that does not set them. Default: empty.
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
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("timeouts", &self.timeouts)
            .field("context_window", &self.context_window)
            .field("api_params", &params)
            .field("headers", &headers)
            .finish()
    }
}
