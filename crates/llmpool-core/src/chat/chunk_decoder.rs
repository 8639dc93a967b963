//! Decoding the chunks of one stream, one after another: what a chunk has in common with those before is not read again.

use super::chunk::{ChatChunk, Shared};
use super::repair::repaired;
use super::template::Template;

/// Decodes the chunks of one stream.
#[derive(Clone)]
pub struct ChunkDecoder {
    shared: Shared,
    pub(super) template: Option<Template>,
    /// How many more templates are worth learning before one of them has to be of use.
    curiosity: u8,
}

const MOST_CURIOSITY: u8 = 8;

impl ChunkDecoder {
    /// A decoder for a stream that has not begun.
    pub fn new() -> Self {
        Self {
            shared: Shared::default(),
            template: None,
            curiosity: MOST_CURIOSITY,
        }
    }

    /// Decodes the data of one event. One that is written in an odd way is read as what it means, where that is plain.
    pub fn decode(&mut self, data: &[u8]) -> Result<ChatChunk, serde_json::Error> {
        if let Some(chunk) = self.template.as_ref().and_then(|template| template.read(data)) {
            self.curiosity = MOST_CURIOSITY;
            return Ok(chunk);
        }
        let chunk = match self.shared.decode(data) {
            Ok(chunk) => chunk,
            // Nothing is learned from one that is odd.
            Err(error) => return repaired(data).ok_or(error),
        };
        if self.curiosity > 0 {
            self.curiosity -= 1;
            let learned = Template::learn(data, &chunk, |probe| self.shared.decode(probe).ok());
            self.template = learned.or_else(|| self.template.take());
        }
        Ok(chunk)
    }
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self::new()
    }
}
