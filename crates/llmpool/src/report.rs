//! Reports of calls, which answers, streams and errors contain.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use llmpool_core::chat::Usage;
use llmpool_core::failure::FailureKind;

use crate::secrets::KeyLabel;

/// The report of one call: its attempts, its waits and its usage. Never serialised with the answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallReport {
    /// The target's id, `provider/model`.
    pub target: Arc<str>,
    /// The trace id that the caller has set or that was generated for this call.
    pub trace_id: TraceId,
    /// The attempts whose request was handed to a connection, in the order in which they were made.
    pub attempts: Vec<AttemptReport>,
    /// The attempts whose request was not sent, because no connection could be opened.
    pub unsent: Vec<AttemptReport>,
    /// The total time that the call waited for permits.
    pub waited: Duration,
    /// The time from the start of the call to its answer or error or, for a stream, to the end of the stream.
    pub elapsed: Duration,
    /// The time from the start of the call to the first content of a stream. `None` for other calls.
    pub first_content: Option<Duration>,
    /// The tokens that the call used: as reported by the provider or, if not reported, estimated from the lengths of prompt and answer.
    ///
    /// `None` until a stream has ended, and if the usage can neither be reported nor estimated. An unknown usage is never reported as 0.
    pub usage: Option<Usage>,
    /// Whether the provider has reported `usage`, or it is estimated or unknown.
    pub usage_source: UsageSource,
    /// Paths of the request fields that were left out, because the target's API format has no equivalent and the answer is correct without
    /// them.
    pub dropped: Vec<String>,
}

/// One attempt of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The label of the key.
    pub key: KeyLabel,
    /// How the attempt failed, or `None` if it succeeded.
    pub failure: Option<FailureKind>,
    /// The HTTP status, or `None` if there was no response.
    pub status: Option<u16>,
    /// The time from acquiring the permit to the end of the attempt or, for a stream that succeeded, to its first content.
    pub duration: Duration,
    /// Whether the attempt failed because a reused connection was closed before the first byte of the response. In this case the provider
    /// most likely never received the request.
    pub dead_connection: bool,
    /// The id that the provider gave to the attempt (`x-request-id`), if any.
    pub request_id: Option<String>,
}

/// The source of the usage in a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageSource {
    /// The provider has reported the usage.
    Provider,
    /// The usage is estimated from the lengths of prompt and answer, usually to within 25 %.
    Estimated,
    /// The usage is neither reported nor estimated.
    #[default]
    Unknown,
}

impl UsageSource {
    /// Returns the name of the source for reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl CallReport {
    /// Sets the usage to `usage` or, if that is `None` or empty, to the estimate.
    pub(crate) fn note_usage(&mut self, usage: Option<Usage>, estimate: impl FnOnce() -> Option<Usage>) {
        self.usage_source = UsageSource::Provider;
        self.usage = usage.filter(|usage| !usage.is_empty());
        if self.usage.is_none() {
            self.usage_source = UsageSource::Estimated;
            self.usage = estimate();
        }
        if self.usage.is_none() {
            self.usage_source = UsageSource::Unknown;
        }
    }

    /// Returns the number of requests that the provider has received, as far as the client can know. Does not count attempts on dead
    /// connections.
    pub fn upstream_requests(&self) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| !attempt.dead_connection)
            .count()
    }
}

/// The trace id of a call.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceId {
    /// There is no call: the report is a default value.
    #[default]
    None,
    /// The caller has set this id.
    Given(Arc<str>),
    /// This id was generated for the call.
    Generated(u128),
}

impl TraceId {
    /// Generates a new random id.
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
