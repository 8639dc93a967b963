//! The trait [`Observer`], which receives events of calls, attempts, waits, key states and learned limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use llmpool_core::failure::FailureKind;
use llmpool_core::limits::WaitReason;

use crate::error::ErrorKind;
use crate::key_status::KeyState;
use crate::report::{AttemptReport, CallReport, TraceId};
use crate::secrets::KeyLabel;

/// A receiver of the events of calls to one model or to all models, for metrics, logs and alarms. Register it with
/// [`Providers::with_observer`](crate::Providers::with_observer) or
/// [`OpenAiCompatible::with_observer`](crate::OpenAiCompatible::with_observer).
///
/// Every method has a default that does nothing. Events contain key labels, ids, times and counts, but no key and no
/// content of a request or an answer.
///
/// The order of the events of one call: [`call_started`](Self::call_started), then for each attempt
/// [`waited`](Self::waited) (if the call had to wait) and [`attempt_ended`](Self::attempt_ended), followed by the
/// changes that the attempt caused, then [`call_ended`](Self::call_ended). Every started call ends exactly once:
/// it succeeds, fails or is dropped. Events of calls that run at the same time may come in any order.
///
/// The methods run on the task of the call, with no lock of this crate held, so they may use the models. They must
/// not block: the call goes on when they return. A panic in a method is caught and affects neither the call nor other
/// observers.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use llmpool::observer::{CallEnded, Observer};
/// use llmpool::{ModelEntry, Providers};
///
/// #[derive(Default)]
/// struct TokenCount(AtomicU64);
///
/// impl Observer for TokenCount {
///     fn call_ended(&self, event: &CallEnded<'_>) {
///         let total = event.report.usage.as_ref().and_then(|usage| usage.total_tokens());
///         self.0.fetch_add(total.unwrap_or_default(), Ordering::Relaxed);
///     }
/// }
///
/// let tokens = Arc::new(TokenCount::default());
/// let model = ModelEntry::new("smollm2", "http://127.0.0.1:8088/v1", ["any"]);
/// let providers = Providers::builder().model("local", model).observer(tokens.clone()).build()?;
/// # Ok::<(), llmpool::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// A call has started.
    fn call_started(&self, event: &CallStarted<'_>) {
        let _ = event;
    }

    /// A wait of a call has ended: for a permit or for a backoff. Not called if the call was dropped while it waited.
    fn waited(&self, event: &Waited<'_>) {
        let _ = event;
    }

    /// An attempt of a call has ended: it has failed, its answer is complete, or the first content of its stream has
    /// arrived. Not called if the call was dropped during the attempt.
    fn attempt_ended(&self, event: &AttemptEnded<'_>) {
        let _ = event;
    }

    /// A call has ended. A streamed call ends with its stream.
    fn call_ended(&self, event: &CallEnded<'_>) {
        let _ = event;
    }

    /// A call, or [`set_key_enabled`](crate::OpenAiCompatible::set_key_enabled), has changed the state of a key.
    ///
    /// The passing of time changes states too: a pause ends, and an attempt then tests the key. Such changes are not
    /// reported, so `before` may differ from the `after` of the previous event.
    /// [`key_status`](crate::OpenAiCompatible::key_status) returns the states at any time.
    fn key_state_changed(&self, event: &KeyStateChanged<'_>) {
        let _ = event;
    }

    /// A call has changed the pace that was learned from the provider's refusals: a refusal sets or lowers it,
    /// successes raise it, and it is forgotten when it has delayed nothing for a minute.
    ///
    /// Each success raises the pace a little, so raises are reported in steps of about 10 %.
    fn limit_changed(&self, event: &LimitChanged<'_>) {
        let _ = event;
    }
}

/// The event of [`Observer::call_started`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallStarted<'a> {
    /// The id of the called model, in the form `provider/model`.
    pub target: &'a str,
    /// The trace id of the call, which its other events repeat.
    pub trace_id: &'a TraceId,
    /// The path of the endpoint after the base URL: `chat/completions`, `responses`, `embeddings` or `models`.
    pub endpoint: &'static str,
    /// Whether the call asks for a streamed answer.
    pub is_streamed: bool,
}

/// The event of [`Observer::waited`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waited<'a> {
    /// The id of the called model, in the form `provider/model`.
    pub target: &'a str,
    /// The trace id of the call.
    pub trace_id: &'a TraceId,
    /// The duration of this wait.
    pub duration: Duration,
    /// What the call waited for.
    pub cause: WaitCause,
}

/// What a call waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitCause {
    /// The call waited for permission to send: for the contained limit, slot or key, as it was when the wait began. A
    /// rejection can end the wait, too. `None` if only earlier calls in the queue delayed the call.
    Permit(Option<WaitReason>),
    /// The call waited before a retry. Contains the failure of the attempt before.
    Backoff(FailureKind),
}

/// The event of [`Observer::attempt_ended`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptEnded<'a> {
    /// The id of the called model, in the form `provider/model`.
    pub target: &'a str,
    /// The trace id of the call.
    pub trace_id: &'a TraceId,
    /// The key, status, failure and duration of the attempt. An attempt whose complete answer turns out to be unreadable
    /// is reported without a failure; the report of [`CallEnded`] contains the failure.
    pub report: &'a AttemptReport,
    /// Whether the request was passed to a connection. If not, nothing was sent.
    pub is_sent: bool,
}

/// The event of [`Observer::call_ended`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallEnded<'a> {
    /// The path of the endpoint after the base URL: `chat/completions`, `responses`, `embeddings` or `models`.
    pub endpoint: &'static str,
    /// Whether the call asked for a streamed answer.
    pub is_streamed: bool,
    /// How the call ended.
    pub outcome: CallEnd,
    /// The target, trace id, attempts, waits, times and usage of the call. The usage of a call that was dropped before
    /// its answer is unknown; that of a dropped stream covers the events that had arrived. `dropped_output` is empty for
    /// streams.
    pub report: &'a CallReport,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallEnd {
    /// The answer is complete.
    Succeeded,
    /// The call returned an error of this kind, or its stream ended with one.
    Failed(ErrorKind),
    /// The caller dropped the call or its stream.
    Dropped,
}

/// The event of [`Observer::key_state_changed`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyStateChanged<'a> {
    /// The name of the provider to which the key belongs.
    pub provider: &'a str,
    /// The label of the key.
    pub key: &'a KeyLabel,
    /// The id of the only model, in the form `provider/model`, for which the state has changed. `None` if it has changed
    /// for all models of the provider that use the key.
    pub target: Option<&'a str>,
    /// The state immediately before the change.
    pub before: KeyState,
    /// The state after the change.
    pub after: KeyState,
    /// The time until the key may be used again: see [`KeyStatus::retry_in`](crate::KeyStatus::retry_in).
    pub retry_in: Option<Duration>,
}

/// The event of [`Observer::limit_changed`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitChanged<'a> {
    /// The name of the provider to which the key belongs.
    pub provider: &'a str,
    /// The label of the key whose attempt has shown the limit. The limit applies to all keys of its
    /// [`quota_group`](crate::KeyEntry::quota_group), and to all models of the provider if the provider limits keys rather
    /// than models.
    pub key: &'a KeyLabel,
    /// The id of the model that was called, in the form `provider/model`.
    pub target: &'a str,
    /// The pace before the change, in requests per minute. `None` if there was none.
    pub before: Option<f64>,
    /// The pace after the change, in requests per minute. `None` if it was forgotten.
    pub per_minute: Option<f64>,
}

/// The observers of a model, in the order in which they were added. Usually empty.
#[derive(Clone, Default)]
pub(crate) struct Observers(Option<Arc<[Arc<dyn Observer>]>>);

impl Observers {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns these observers and another one.
    pub(crate) fn with(&self, observer: Arc<dyn Observer>) -> Self {
        let known = self.0.iter().flat_map(|known| known.iter().cloned());
        Self(Some(known.chain([observer]).collect()))
    }

    /// Calls `notify` with each observer. Catches panics: a call must end in an orderly way even if it ends while a panic
    /// of its caller unwinds.
    pub(crate) fn notify(&self, notify: impl Fn(&dyn Observer)) {
        for observer in self.0.iter().flat_map(|known| known.iter()) {
            let _ = catch_unwind(AssertUnwindSafe(|| notify(&**observer)));
        }
    }
}
