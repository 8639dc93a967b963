//! Reports of calls: available from the answer, the stream and the error.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use llmpool_core::chat::Usage;
use llmpool_core::failure::FailureKind;

use crate::secrets::KeyLabel;

/// The report of one call. Never serialised with the answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CallReport {
    /// The target's id, `provider/model`.
    pub target: Arc<str>,
    /// The trace id given by the caller, or generated for this call.
    pub trace_id: TraceId,
    /// Every attempt whose request was handed to a connection, in order.
    pub attempts: Vec<AttemptReport>,
    /// Attempts for which no connection could be opened.
    pub unsent: Vec<AttemptReport>,
    /// The time spent waiting for permits.
    pub waited: Duration,
    /// The time from the start of the call to its answer or error; for a stream, to its end.
    pub elapsed: Duration,
    /// For a stream, the time from the start of the call to the first content.
    pub first_content: Option<Duration>,
    /// The tokens that the call used: as reported by the provider, else estimated from the lengths of prompt and answer.
    ///
    /// `None` while a stream is running, and where there is nothing to estimate. Missing usage is never reported as 0.
    pub usage: Option<Usage>,
    /// The source of `usage`.
    pub usage_source: UsageSource,
    /// Request fields left out because the target's format has no equivalent and they do not change the answer's meaning.
    pub dropped: Vec<String>,
}

/// One attempt of a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttemptReport {
    /// The label of the key.
    pub key: KeyLabel,
    /// The kind of failure, or `None` if the attempt succeeded.
    pub failure: Option<FailureKind>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The time from the permit to the end of the attempt; for a stream that succeeded, to its first content.
    pub duration: Duration,
    /// Whether a reused connection turned out to be dead before the first byte of the answer. The provider most likely never received
    /// the request.
    pub dead_connection: bool,
    /// The provider's id of the attempt (`x-request-id`).
    pub request_id: Option<String>,
}

/// The source of a usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageSource {
    /// Reported by the provider.
    Provider,
    /// Estimated from the length of the texts, to within about 25 %.
    Estimated,
    /// Not reported and not estimated.
    #[default]
    Unknown,
}

impl UsageSource {
    /// Returns the source as reports and metrics print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl CallReport {
    /// Sets the usage to the reported one, else to an estimate. An empty usage counts as missing.
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

    /// Returns the number of requests that the provider received, as far as the client can know: attempts on dead connections excluded.
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
    /// No call yet.
    #[default]
    None,
    /// Given by the caller.
    Given(Arc<str>),
    /// Generated for this call.
    Generated(u128),
}

impl TraceId {
    /// Returns a new id.
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
