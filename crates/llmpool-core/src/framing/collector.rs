//! Converts the events of a stream to a complete answer.

use crate::api_format::ApiFormat;
use crate::chat::wire_object::opaque_debug;
use crate::chat::{Assembler, ChunkDecoder};
use crate::responses::ResponseAssembler;

/// Collects the events of a stream into the document that the provider would have sent without streaming.
pub struct EventCollector(Answer);

enum Answer {
    Chat(Box<(ChunkDecoder, Assembler)>),
    Response(Box<ResponseAssembler>),
}

impl EventCollector {
    /// Creates a collector for one stream.
    pub fn new(api_format: ApiFormat) -> Self {
        Self(match api_format {
            ApiFormat::ChatCompletions => Answer::Chat(Box::default()),
            ApiFormat::Responses => Answer::Response(Box::default()),
        })
    }

    /// Adds the data of the next event. Ignores `[DONE]` and events that are
    /// [blank](crate::stream_view::EventFlags::blank). Does not look for errors: the stream view finds them.
    ///
    /// # Errors
    /// Fails if the data cannot be decoded. The error message may quote the data.
    pub fn push(&mut self, data: &[u8]) -> Result<(), serde_json::Error> {
        let content = data.trim_ascii();
        if !matches!(content.first(), Some(b'{' | b'[')) || content.starts_with(super::DONE) {
            return Ok(());
        }
        match &mut self.0 {
            Answer::Chat(chat) => {
                let (decoder, assembler) = &mut **chat;
                assembler.push(decoder.decode(data)?);
            }
            Answer::Response(assembler) => assembler.push(data)?,
        }
        Ok(())
    }

    /// Returns the complete answer as JSON. `None` if no event contained a part of an answer or its usage.
    pub fn finish(self) -> Option<Vec<u8>> {
        match self.0 {
            Answer::Chat(chat) => {
                let (mut decoder, mut assembler) = *chat;
                decoder
                    .finish()
                    .into_iter()
                    .for_each(|chunk| assembler.push(chunk));
                let completion = assembler.finish();
                let is_answer = !completion.choices.is_empty() || completion.usage.is_some();
                is_answer.then(|| serde_json::to_vec(&completion).ok())?
            }
            Answer::Response(assembler) => serde_json::to_vec(&assembler.finish()?).ok(),
        }
    }
}

opaque_debug!(EventCollector);
