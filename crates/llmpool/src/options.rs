//! Options of a single call.

use std::sync::Arc;
use std::time::Duration;

pub use llmpool_core::limits::Caller;

/// Options of a single call. Options that are not set leave the model's settings in effect.
///
/// Construct with `..CallOptions::default()`, because later versions will add fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallOptions {
    /// The maximum duration of the whole call: waiting for permission to send, all attempts, backoff, and
    /// reading the answer.
    ///
    /// The call fails early if permission to send cannot be granted within this time. Default: `None`. The
    /// call then has the model's `total` timeout (600 s unless configured), and each wait for permission to
    /// send, and each wait that the provider asks for, is limited to 30 s.
    pub timeout: Option<Duration>,
    /// Timeouts that replace all timeouts of the model for this call. Default: `None`, so that the timeouts
    /// of the model apply.
    pub timeouts: Option<Timeouts>,
    /// The trace id that identifies the call in reports and log records. Default: `None`, so that a trace id
    /// is generated for each call.
    pub trace_id: Option<Arc<str>>,
    /// The caller on whose behalf the call is made, for example a user or tenant. Callers that wait for the
    /// same model share the model's capacity in proportion to their weights. By default, all calls belong to
    /// one caller.
    pub caller: Caller,
    /// Whether the call waits if no key is usable, that is, if every key is invalid, out of quota, not
    /// permitted to use the model, or disabled. The call then waits until a key recovers or the maximum wait
    /// is over.
    ///
    /// Default: `false`. The call then fails at once, with the earliest time at which a key may recover as
    /// [`Error::retry_in`](crate::Error::retry_in), if that time is known. Calls always wait for throttled
    /// keys, and for keys without quota if the provider has named a time before the deadline at which it returns.
    pub wait_for_keys: bool,
    /// Whether a chat request whose [`response_format`](crate::chat::ChatRequest::response_format) is a schema is
    /// adapted to what the model supports. The call then sends `json_schema`, `json_object` with the schema in the
    /// system message, or only the message, which asks for JSON in a fenced code block: the format that is configured
    /// as [`structured_output`](crate::TargetSettings::structured_output), or the strongest that the model is not known
    /// to refuse. A refusal of the format is repeated in the next weaker one, which spends no retry. Later calls start
    /// there.
    ///
    /// Default: `false`. The request is then sent as it is, and a refusal of the format ends the call. Calls of typed
    /// functions set the option.
    pub adapt_schema: bool,
}

/// The options of calls that are made without explicit options. Equal to `CallOptions::default()`.
pub(crate) static DEFAULT_OPTIONS: CallOptions = CallOptions {
    timeout: None,
    timeouts: None,
    trace_id: None,
    caller: Caller::new(0),
    wait_for_keys: false,
    adapt_schema: false,
};

/// The timeouts of a call and its attempts. A timeout that is `None` is disabled.
///
/// Construct with `..Timeouts::default()`, because later versions will add fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeouts {
    /// The maximum time for opening a connection, including the TLS handshake. Default: 5 s.
    pub connect: Option<Duration>,
    /// The maximum time from the start of an attempt to the first content of its stream. Does not apply to
    /// calls without a stream. Default: 300 s.
    pub first_content: Option<Duration>,
    /// The maximum time without receiving a byte of the answer. Applies to a stream after its first content,
    /// and to any other answer after its response head. Default: 60 s.
    pub idle: Option<Duration>,
    /// The maximum duration of the whole call, including all attempts and waits. Default: 600 s.
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
