//! Reports of calls. Each answer, each stream and each error of a call contains a report.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use llmpool_core::chat::Usage;
use llmpool_core::failure::FailureKind;

use crate::secrets::KeyLabel;

/// The report of one call: its attempts, its waiting times and its token usage. Serialised answers do not
/// contain the report.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallReport {
    /// The id of the called model, in the form `provider/model`.
    pub target: Arc<str>,
    /// The trace id from the call options or, if not set there, a random id that was generated for the call.
    pub trace_id: TraceId,
    /// The attempts that passed the request to a connection, in chronological order.
    pub attempts: Vec<AttemptReport>,
    /// The attempts that sent nothing because no connection was available, in chronological order.
    pub unsent: Vec<AttemptReport>,
    /// The total time for which the call waited for permits. Does not include backoff between attempts.
    pub waited: Duration,
    /// The time from the start of the call to its answer or error. For a stream, the time to the end of the
    /// stream; while the stream is still open, the time to its first content.
    pub elapsed: Duration,
    /// The time from the start of the call to the first content of a stream. `None` for calls without a
    /// stream.
    pub first_content: Option<Duration>,
    /// The tokens that the call used, as reported by the provider. If the provider reports no usage, the
    /// tokens are estimated from the lengths of the prompt and the answer.
    ///
    /// `None` while a stream is open, or if the usage is not reported and cannot be estimated. Unknown usage
    /// is never reported as 0.
    pub usage: Option<Usage>,
    /// Whether `usage` was reported by the provider, was estimated, or is unknown.
    pub usage_source: UsageSource,
    /// Paths of the request fields that were not sent, because the API format of the model has no equivalent.
    /// The answer is correct without these fields.
    pub dropped: Vec<String>,
    /// Paths of the parts of the answer that the chat leaves out, because the API format of the model has more
    /// than a chat can express, such as `output[0] (web_search_call)`. Each path occurs once. Complete once a
    /// stream has ended.
    pub dropped_output: Vec<String>,
    /// How the answer was converted, because the provider sent another framing than the request asked for.
    /// `None` if raw bytes and events are what the provider sent.
    pub converted: Option<Conversion>,
}

/// The conversion of an answer that the provider sent in another framing than the request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conversion {
    /// The request asked for a stream, and the provider sent a document, or several ones.
    DocumentToEvents,
    /// The request asked for a document, and the provider sent a stream.
    EventsToDocument,
    /// Events of the stream contained complete answers in place of deltas.
    AnswersToDeltas,
    /// There were marks beside the document, such as a byte order mark or `[DONE]`.
    Trimmed,
}

impl Conversion {
    /// Returns the name of the conversion for reports, such as `document to events`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DocumentToEvents => "document to events",
            Self::EventsToDocument => "events to document",
            Self::AnswersToDeltas => "answers to deltas",
            Self::Trimmed => "trimmed",
        }
    }
}

/// The report of one attempt of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The label of the key that the attempt used.
    pub key: KeyLabel,
    /// The kind of failure, or `None` if the attempt succeeded.
    pub failure: Option<FailureKind>,
    /// The HTTP status of the response, or `None` if no response arrived.
    pub status: Option<u16>,
    /// The duration of the attempt, without the wait for its permit. A successful streaming attempt ends when
    /// its first content arrives.
    pub duration: Duration,
    /// Whether the attempt failed because a reused connection was closed before the first byte of the
    /// response arrived. The provider most likely never received the request of such an attempt.
    pub dead_connection: bool,
    /// The id that the provider assigned to the request (`x-request-id`), or `None` if the provider sent no
    /// id.
    pub request_id: Option<String>,
}

/// The source of the token usage in a call report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageSource {
    /// The provider reported the usage.
    Provider,
    /// The usage is estimated from the lengths of the prompt and the answer, usually to within 25 % of the
    /// actual usage.
    Estimated,
    /// The usage is unknown: the provider did not report it, and it could not be estimated.
    #[default]
    Unknown,
}

impl UsageSource {
    /// Returns the name of the source for reports and metrics, such as `estimated`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl CallReport {
    /// Sets the usage and its source. Uses `usage` if it contains at least one count, and otherwise calls
    /// `estimate`.
    pub(crate) fn note_usage(&mut self, usage: Option<&Usage>, estimate: impl FnOnce() -> Option<Usage>) {
        if let Some(usage) = usage.filter(|usage| !usage.is_empty()) {
            self.usage_source = UsageSource::Provider;
            self.usage = Some(usage.clone());
            return;
        }
        self.usage = estimate();
        self.usage_source = match self.usage {
            Some(_) => UsageSource::Estimated,
            None => UsageSource::Unknown,
        };
    }

    /// Returns the number of requests that the provider received, as far as the client can know: the number
    /// of [`attempts`](Self::attempts), except those that failed on a dead connection.
    pub fn upstream_requests(&self) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| !attempt.dead_connection)
            .count()
    }
}

/// Returns the tokens of all calls together, or `None` if the usage of one of them is unknown.
#[cfg(feature = "structured")]
pub(crate) fn sum_of_usages(calls: &[CallReport]) -> Option<Usage> {
    let known: Option<Vec<&Usage>> = calls.iter().map(|call| call.usage.as_ref()).collect();
    Usage::sum(known?)
}

/// The trace id of a call.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceId {
    /// No trace id. A default [`CallReport`], which belongs to no call, has this value.
    #[default]
    None,
    /// The id that the call options set.
    Given(Arc<str>),
    /// A random id that was generated for the call. Displayed as 32 hexadecimal digits.
    Generated(u128),
}

impl TraceId {
    pub(crate) fn generate() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::Generated(
            u128::from(crate::random::process_seed()) << 64 | u128::from(crate::random::mixed(call)),
        )
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Given(id) => f.write_str(id),
            Self::Generated(id) => write!(f, "{id:032x}"),
        }
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // U17, O30
    #[test]
    fn generated_trace_ids_differ() {
        let (first, second) = (TraceId::generate(), TraceId::generate());
        assert_ne!(first, second);
        assert_eq!(first.to_string().len(), 32);
    }
}
