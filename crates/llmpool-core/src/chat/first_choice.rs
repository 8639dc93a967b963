//! Which choice of a stream is the first.

use super::chunk::ChatChunk;

/// The lowest index of a choice in the chunks of a stream so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FirstChoice(Option<u64>);

impl FirstChoice {
    /// Adds the choices of the next chunk, and returns the lowest index so far. Returns 0 before the first
    /// choice.
    pub(crate) fn update(&mut self, chunk: &ChatChunk) -> u64 {
        let indexes = chunk.choices.iter().map(|choice| choice.index());
        self.0 = self.0.into_iter().chain(indexes).min();
        self.0.unwrap_or(0)
    }
}
