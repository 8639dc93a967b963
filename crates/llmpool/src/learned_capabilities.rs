//! What the answers of a target reveal about it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llmpool_core::estimate::OutputLengths;

/// What the answers of a target have revealed about it so far.
#[derive(Debug, Default)]
pub(crate) struct LearnedCapabilities {
    rejects_stream_options: AtomicBool,
    answer_lengths: Mutex<OutputLengths>,
}

impl LearnedCapabilities {
    /// Returns whether `stream_options` may be added to a request that has none.
    pub(crate) fn accepts_stream_options(&self) -> bool {
        !self.rejects_stream_options.load(Ordering::Relaxed)
    }

    /// Records that the target rejects `stream_options`.
    pub(crate) fn reject_stream_options(&self) {
        self.rejects_stream_options.store(true, Ordering::Relaxed);
    }

    /// Records the length of an answer in tokens.
    pub(crate) fn record_answer_length(&self, tokens: u32) {
        self.answer_lengths().record(tokens);
    }

    /// Returns the 95th percentile of the answer lengths in tokens, or `None` until enough answers are known.
    pub(crate) fn p95_answer_length(&self) -> Option<u32> {
        self.answer_lengths().p95()
    }

    fn answer_lengths(&self) -> MutexGuard<'_, OutputLengths> {
        self.answer_lengths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
