//! Options of a single call.

use std::sync::Arc;
use std::time::Duration;

pub use llmpool_core::limits::Caller;

/// Options of a single call. By default, the target's settings apply.
///
/// Construct it with `..CallOptions::default()`: fields will be added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// The time for the whole call: waiting, attempts, backoff and body.
    ///
    /// A call that cannot meet it is rejected as soon as that is known. `None`, the default: the target's `total` timeout applies (600 s
    /// unless configured), and waiting for a permit ends after 30 s.
    pub timeout: Option<Duration>,
    /// Overrides the target's timeouts.
    pub timeouts: Option<Timeouts>,
    /// The trace id of reports and log records. `None`, the default: each call generates one.
    pub trace_id: Option<Arc<str>>,
    /// The caller on whose behalf the call is made. Callers that wait for the same target share it fairly, by weight.
    pub caller: Caller,
    /// Whether the call fails at once when no key is usable: each is invalid, out of quota, forbidden for the model, or disabled.
    ///
    /// Default: `false`, the call waits for a key to recover while its deadline allows. Set it for batches of calls.
    pub fail_fast: bool,
}

/// The options of a call without options.
pub(crate) static DEFAULT_OPTIONS: CallOptions = CallOptions {
    timeout: None,
    timeouts: None,
    trace_id: None,
    caller: Caller::new(0),
    fail_fast: false,
};

/// The timeouts of a call and its attempts. `None` disables a timeout.
///
/// Construct it with `..Timeouts::default()`: fields will be added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// The time to open a connection. Default: 5 s.
    pub connect: Option<Duration>,
    /// The time from sending a request to the first content of a stream. Not used for calls without a stream. Default: 300 s.
    pub first_content: Option<Duration>,
    /// The time between two bytes of an answer: in a stream after its first content, otherwise after the response head. Default: 60 s.
    pub idle: Option<Duration>,
    /// The time for the whole call. Default: 600 s.
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
