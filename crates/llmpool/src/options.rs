//! What a caller may say about one call.

use std::sync::Arc;
use std::time::Duration;

pub use llmpool_core::limits::Caller;

/// What a caller may say about one call. The default leaves everything to the target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// How long the whole call may take: waiting, attempts, pauses and body. `None`: the target's `total` (600 s unless
    /// configured), and then a wait in line ends after 30 s. A call that cannot make it is refused as soon as that is known.
    pub timeout: Option<Duration>,
    /// Overrides the target's timeouts.
    pub timeouts: Option<Timeouts>,
    /// Carried in reports and log records. `None`: every call gets an id of its own.
    pub trace_id: Option<Arc<str>>,
    /// Who calls: waiting callers share a target fairly.
    pub caller: Caller,
    /// Whether the call fails as soon as the provider has refused every key (invalid, without quota, not for this model), or all are disabled.
    /// Default: it waits, as long as its time allows, since each is tried again after a while. Many calls in a row want it.
    pub fail_fast: bool,
}

/// The options of a call that names none.
pub(crate) static DEFAULT_OPTIONS: CallOptions = CallOptions {
    timeout: None,
    timeouts: None,
    trace_id: None,
    caller: Caller::new(0),
    fail_fast: false,
};

/// The four timeouts of an attempt and its call; `None` switches one off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// To open a connection. Default 5 s.
    pub connect: Option<Duration>,
    /// From sending the request to the first content of a stream; not used for plain calls. Default 300 s.
    pub first_content: Option<Duration>,
    /// Between two bytes of an answer while we wait for the provider: in a stream after its first content, in a plain
    /// answer after its head. Default 60 s.
    pub idle: Option<Duration>,
    /// For the whole call. Default 600 s.
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
