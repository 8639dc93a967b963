//! What happened during a call: on the answer, at the end of a stream, on the error.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use llmpool_core::chat::Usage;
use llmpool_core::failure::FailureKind;

use crate::secrets::KeyLabel;

/// What happened during one call. Never part of what is serialised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallReport {
    /// The target's id, `provider/model`.
    pub target: Arc<str>,
    /// The call's trace id: the caller's, or one made for this call.
    pub trace_id: TraceId,
    /// Every request that was handed to a connection, in order.
    pub attempts: Vec<AttemptReport>,
    /// Tries that ended before the request was handed to a connection: no connection could be opened.
    pub unsent: Vec<AttemptReport>,
    /// Time spent waiting for permits.
    pub waited: Duration,
    /// Time from the start of the call to its answer; for a stream, to its end.
    pub elapsed: Duration,
    /// For a stream, time from the start of the call to the first content.
    pub first_content: Option<Duration>,
    /// What the call used, in tokens: what the provider said, else an estimate from the lengths of prompt and answer. `None` while it is
    /// not over, and where there was nothing to estimate: missing usage is never 0.
    pub usage: Option<Usage>,
    /// Where `usage` comes from.
    pub usage_source: UsageSource,
    /// Harmless members of the request that had no equivalent at the target and were left out.
    pub dropped: Vec<String>,
}

/// One exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    /// The key it was made with.
    pub key: KeyLabel,
    /// What went wrong; `None` when it got through.
    pub failure: Option<FailureKind>,
    /// The HTTP status of the answer, if one came.
    pub status: Option<u16>,
    /// From the hand-over to the end; for a stream that got through, to its first content.
    pub duration: Duration,
    /// The reused connection was dead before any byte of the answer: most likely the provider never saw this request.
    pub dead_connection: bool,
    /// The provider's id of the exchange.
    pub request_id: Option<String>,
}

/// Where a usage comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageSource {
    /// The provider said so.
    Provider,
    /// Estimated, because the provider did not say: from the length of the texts, within about a quarter.
    Estimated,
    /// Nobody said.
    #[default]
    Unknown,
}

impl UsageSource {
    /// The source as reports and metrics print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Estimated => "estimated",
            Self::Unknown => "unknown",
        }
    }
}

impl CallReport {
    /// Takes over what the provider said of usage, else an estimate; a usage that says nothing is none.
    pub(crate) fn note_usage(&mut self, usage: Option<Usage>, estimate: impl FnOnce() -> Option<Usage>) {
        let said = usage.filter(|usage| !usage.is_empty());
        (self.usage, self.usage_source) = match said {
            Some(usage) => (Some(usage), UsageSource::Provider),
            None => match estimate() {
                Some(usage) => (Some(usage), UsageSource::Estimated),
                None => (None, UsageSource::Unknown),
            },
        };
    }

    /// How many requests the provider received, as far as can be known from here.
    pub fn upstream_requests(&self) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| !attempt.dead_connection)
            .count()
    }
}

/// A call's trace id.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum TraceId {
    /// No call was made yet.
    #[default]
    None,
    /// Given by the caller.
    Given(Arc<str>),
    /// Made for this call.
    Minted(u128),
}

impl TraceId {
    /// An id of its own for every call.
    pub(crate) fn mint() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let call = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::Minted(u128::from(crate::random::process_seed()) << 64 | u128::from(crate::random::mixed(call)))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Given(id) => f.write_str(id),
            Self::Minted(id) => write!(f, "{id:032x}"),
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
    fn two_calls_get_two_trace_ids() {
        let (first, second) = (TraceId::mint(), TraceId::mint());
        assert_ne!(first, second);
        assert_eq!(first.to_string().len(), 32);
    }
}
