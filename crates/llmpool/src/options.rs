//! Options of a single call.

use std::sync::Arc;
use std::time::Duration;

pub use llmpool_core::limits::Caller;

/// Options of a single call. By default, the target's settings apply.
///
/// Construct with `..CallOptions::default()`, because later versions will add fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// The maximum duration of the whole call: waiting for permits, attempts, backoff and reading the answer.
    ///
    /// A call is rejected as soon as it is known that no permit can be granted before the timeout. Default: `None`, so that the target's
    /// `total` timeout applies (600 s unless configured) and waiting for a permit ends after 30 s.
    pub timeout: Option<Duration>,
    /// Timeouts that replace those of the target. Default: `None`.
    pub timeouts: Option<Timeouts>,
    /// The trace id of the call in reports and log records. Default: `None`, so that each call generates a trace id.
    pub trace_id: Option<Arc<str>>,
    /// The caller (a user or tenant, for example) on whose behalf the call is made. Callers that wait for the same target share it fairly,
    /// in proportion to their weights.
    pub caller: Caller,
    /// Whether the call fails at once if no key is usable, because each key is invalid, out of quota, forbidden for the model, or disabled.
    ///
    /// Default: `false`, so that the call waits for a key to recover until the call's deadline. Useful for batches of calls.
    pub fail_fast: bool,
}

/// The options of calls that are made without options.
pub(crate) static DEFAULT_OPTIONS: CallOptions = CallOptions {
    timeout: None,
    timeouts: None,
    trace_id: None,
    caller: Caller::new(0),
    fail_fast: false,
};

/// The timeouts of a call and its attempts. `None` disables a timeout.
///
/// Construct with `..Timeouts::default()`, because later versions will add fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// The maximum time for opening a connection. Default: 5 s.
    pub connect: Option<Duration>,
    /// The maximum time from sending a request to the first content of the stream. Does not apply to calls without a stream. Default: 300
    /// s.
    pub first_content: Option<Duration>,
    /// The maximum time during which no byte of the answer arrives. Applies to a stream after its first content, and to other answers after
    /// the response head. Default: 60 s.
    pub idle: Option<Duration>,
    /// The maximum duration of the whole call. Default: 600 s.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Some(Duration::from_secs(5)),
            first_content: Some(Duration::from_secs(300)),
            idle: Some(Duration::from_secs(60)),
            total: Some(Duration::from_secs(600)),
        }
    }
}
