//! What the library learns about a target from its answers: whether it supports `stream_options`, and how
//! long its answers are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llmpool_core::estimate::OutputLengths;

#[derive(Debug, Default)]
pub(crate) struct LearnedCapabilities {
    rejects_stream_options: AtomicBool,
    answer_lengths: Mutex<OutputLengths>,
}

impl LearnedCapabilities {
    /// Returns whether the library may add `stream_options` to a request that does not set them. Returns true
    /// until the target has rejected `stream_options`.
    pub(crate) fn accepts_stream_options(&self) -> bool {
        !self.rejects_stream_options.load(Ordering::Relaxed)
    }

    /// Records that the target rejects `stream_options`, so that the library no longer adds them.
    pub(crate) fn reject_stream_options(&self) {
        self.rejects_stream_options.store(true, Ordering::Relaxed);
    }

    pub(crate) fn record_answer_length(&self, tokens: u32) {
        self.answer_lengths().record(tokens);
    }

    /// Returns the 95th percentile of the lengths of recent answers, in tokens. Returns `None` until 20
    /// answers are recorded.
    pub(crate) fn p95_answer_length(&self) -> Option<u32> {
        self.answer_lengths().p95()
    }

    fn answer_lengths(&self) -> MutexGuard<'_, OutputLengths> {
        self.answer_lengths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
