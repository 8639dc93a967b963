//! Decodes the chunks of one stream.
//!
//! Most chunks of a stream equal an earlier chunk except for a few strings, such as the text.
//! [`StreamView`](crate::stream_view::StreamView) recognises such a chunk as a repeat. The decoder then
//! copies the earlier chunk and replaces these strings (the fast path). The decoder parses all other chunks.
//!
//! Invariant: the fast path yields the same chunk as parsing. The decoder verifies this once for each
//! template (the part that repeated chunks have in common): it fills the template with distinct test strings
//! and compares the result with the parsed chunk. If the two differ, the decoder parses all chunks of that
//! template.

use serde_json::value::RawValue;

use super::chunk::{ChatChunk, ChunkChoice};
use super::chunk_serde::StringCache;
use super::content::Content;
use super::first_choice::FirstChoice;
use super::half_pairs::HalfPairs;
use super::json::Json;
use super::repair::{AnswerKind, repaired};
use super::wire_object::is_default;
use crate::lenient_json;
use crate::stream_view::{EventRepeat, VaryingField};

/// A decoder for the chunks of one stream. Reuses what consecutive chunks have in common.
///
/// A character that is split over two chunks is held back until its second half arrives. Call
/// [`finish`](Self::finish) after the last chunk.
#[derive(Clone, Default)]
pub struct ChunkDecoder {
    cache: StringCache,
    prototype: Option<Prototype>,
    halves: HalfPairs,
    first_choice: FirstChoice,
}

/// A decoded chunk whose varying strings are empty. It is copied for each later chunk that differs only in
/// these strings.
#[derive(Clone)]
struct Prototype {
    template: u32,
    /// The chunk to copy. `None` if copying would give a wrong result, so that the later chunks must be
    /// parsed.
    chunk: Option<ChatChunk>,
}

impl ChunkDecoder {
    /// Creates a decoder for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the data of one server-sent event.
    ///
    /// Converts values of an unexpected type, for example an ID that is a number. Drops values whose meaning
    /// is unclear. Replaces text that JSON does not allow: invalid UTF-8 and single halves of surrogate pairs
    /// become U+FFFD.
    ///
    /// # Errors
    /// Fails if the data cannot be decoded as a chunk. The error message may quote the data.
    pub fn decode(&mut self, data: &[u8]) -> Result<ChatChunk, serde_json::Error> {
        let decoded = self.cache.decode(data);
        let decoded = if self.halves.is_empty() && decoded.as_ref().is_ok_and(is_readable) {
            decoded
        } else {
            self.decode_repaired(data).map_or(decoded, Ok)
        };
        decoded.map(|chunk| self.with_first_choice(chunk))
    }

    fn with_first_choice(&mut self, mut chunk: ChatChunk) -> ChatChunk {
        chunk.first_choice = self.first_choice.update(&chunk);
        chunk
    }

    /// Returns the last chunk of a stream that ended in the middle of a character. `None` if it did not.
    pub fn finish(&mut self) -> Option<ChatChunk> {
        if self.halves.is_empty() {
            return None;
        }
        let mut chunk = self.cache.empty_chunk();
        self.halves.finish(&mut chunk);
        Some(self.with_first_choice(chunk))
    }

    /// Decodes a chunk that a parser refuses, or that continues a character of an earlier chunk.
    fn decode_repaired(&mut self, data: &[u8]) -> Option<ChatChunk> {
        let text = lenient_json::cleaned_except_halves(data);
        let joined = self.halves.join(&text);
        let text = joined.as_deref().unwrap_or(&text);
        let decoded = self.cache.decode(text.as_bytes()).ok().filter(is_readable);
        decoded.or_else(|| {
            let repaired = repaired(text.as_bytes(), AnswerKind::Chunk)?;
            self.cache.decode(repaired.as_bytes()).ok()
        })
    }

    /// Decodes the data of an event that [`StreamView`](crate::stream_view::StreamView) has already examined.
    /// `repeat` is the stream view's description of how the event repeats an earlier event, or `None` if the
    /// event is new.
    ///
    /// # Errors
    /// See [`decode`](Self::decode).
    #[doc(hidden)]
    pub fn decode_observed(
        &mut self,
        data: &[u8],
        repeat: Option<&EventRepeat>,
    ) -> Result<ChatChunk, serde_json::Error> {
        let repeat = repeat.filter(|_| self.halves.is_empty());
        match repeat.and_then(|repeat| self.decode_repeat(data, repeat)) {
            Some(chunk) => Ok(self.with_first_choice(chunk)),
            None => self.decode(data),
        }
    }

    fn decode_repeat(&mut self, data: &[u8], repeat: &EventRepeat) -> Option<ChatChunk> {
        let template = repeat.template();
        let is_known = |prototype: &Prototype| prototype.template == template;
        if !self.prototype.as_ref().is_some_and(is_known) {
            let chunk = self.prototype_chunk(data, repeat);
            self.prototype = Some(Prototype { template, chunk });
        }
        let mut chunk = self.prototype.as_ref()?.chunk.clone()?;
        fill(&mut chunk, data, repeat)?;
        Some(chunk)
    }

    /// Returns the event as a chunk whose varying strings are empty. Verifies that filling strings into this
    /// chunk gives the same result as parsing; returns `None` if the results differ.
    fn prototype_chunk(&mut self, data: &[u8], repeat: &EventRepeat) -> Option<ChatChunk> {
        let (probe, probe_repeat) = repeat.probe(data);
        let parsed = self.cache.decode(&probe).ok().filter(is_readable)?;
        let (blank, blank_repeat) = repeat.blank(data);
        let mut prototype = parsed.clone();
        fill(&mut prototype, &blank, &blank_repeat)?;
        let mut filled = prototype.clone();
        fill(&mut filled, &probe, &probe_repeat)?;
        (filled == parsed).then_some(prototype)
    }
}

/// Returns whether the content of the deltas contains all text of the chunk. The legacy completions API has its text
/// beside them, and some gateways have it beside the content.
fn is_readable(chunk: &ChatChunk) -> bool {
    let has_text_elsewhere = |choice: &ChunkChoice| {
        let delta = &choice.delta;
        (choice.extra.get("text").is_some() && is_default(delta))
            || (delta.content.is_none() && delta.extra.get("text").is_some())
    };
    !chunk.choices.iter().any(has_text_elsewhere)
}

/// Copies the varying values of an event into `chunk`. Returns `None` if a value cannot be decoded, or if
/// `chunk` lacks the field for a value.
fn fill(chunk: &mut ChatChunk, data: &[u8], repeat: &EventRepeat) -> Option<()> {
    for (field, json) in repeat.values(data) {
        if field == VaryingField::Obfuscation {
            let json: &RawValue = serde_json::from_slice(json).ok()?;
            chunk.extra.insert("obfuscation", Json::from(json.to_owned()));
            continue;
        }
        let text: String = serde_json::from_slice(json).ok()?;
        let delta = &mut chunk.choices.first_mut()?.delta;
        match field {
            VaryingField::Content => delta.content = Some(Content::Text(text)),
            VaryingField::ReasoningContent => delta.reasoning_content = Some(text),
            VaryingField::Reasoning => delta.reasoning = Some(text),
            VaryingField::Arguments => {
                let call = delta.tool_calls.first_mut()?;
                call.function.as_mut()?.arguments = Some(text);
            }
            VaryingField::Delta | VaryingField::Obfuscation | VaryingField::SequenceNumber => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::sse::SseEvent;
    use crate::stream_view::StreamView;

    fn chunk_json(shape: usize, text: &str, padding: &str) -> String {
        let text = serde_json::to_string(text).unwrap();
        let padding = serde_json::to_string(padding).unwrap();
        let delta = match shape % 8 {
            0 | 1 => format!(r#"{{"content":{text}}}"#),
            2 => format!(r#"{{"content": {text}, "role":"assistant"}}"#),
            3 => format!(r#"{{"reasoning_content":{text},"content":null}}"#),
            4 => format!(r#"{{"reasoning":{text}}}"#),
            5 => format!(r#"{{"tool_calls":[{{"index":0,"function":{{"arguments":{text}}}}}]}}"#),
            6 => format!(r#"{{"content":{text},"x":{{"content":{text}}}}}"#),
            _ => format!(r#"{{"\u0063ontent":{text},"y":{{"content":"y"}}}}"#),
        };
        let index = shape / 8 % 2;
        let end = if shape < 8 {
            String::new()
        } else {
            format!(r#","obfuscation":{padding}"#)
        };
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":{index},"delta":{delta},"finish_reason":null}}],"usage":null{end}}}"#
        )
    }

    fn observe(view: &mut StreamView, data: &[u8]) -> Option<EventRepeat> {
        let event = SseEvent {
            data: Bytes::copy_from_slice(data),
            name: None,
        };
        view.observe(&event).repeat
    }

    proptest! {
        #[test]
        fn chunk_decodes_the_same_after_any_other_chunks(
            run in prop::collection::vec((0_usize..16, 1_usize..5, ".{0,6}|[\\\\\"\u{0}-\u{1f}]{0,3}", "[a-z]{0,4}", any::<prop::sample::Index>(), any::<u8>(), 0_u8..8), 1..20),
        ) {
            let (mut view, mut decoder) = (StreamView::default(), ChunkDecoder::new());
            for (shape, times, text, padding, place, byte, corrupt) in run {
                for turn in 0..times {
                    let mut data = chunk_json(shape, &format!("{text}{turn}"), &padding).into_bytes();
                    if corrupt == 0 {
                        let place = place.index(data.len());
                        data[place] = byte;
                    }
                    let repeat = observe(&mut view, &data);
                    let mut fresh = ChunkDecoder { first_choice: decoder.first_choice, ..ChunkDecoder::default() };
                    let (used, fresh) = (decoder.decode_observed(&data, repeat.as_ref()), fresh.decode(&data));
                    prop_assert_eq!(used.is_ok(), fresh.is_ok());
                    if let (Ok(used), Ok(fresh)) = (used, fresh) {
                        prop_assert!(used == fresh, "{}", String::from_utf8_lossy(&data));
                        prop_assert_eq!(serde_json::to_string(&used).unwrap(), serde_json::to_string(&fresh).unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn repeated_chunks_are_not_parsed_again() {
        for shape in (0..6).chain(8..14) {
            let (mut view, mut decoder) = (StreamView::default(), ChunkDecoder::new());
            for turn in 0..3 {
                let data = chunk_json(shape, &format!("word {turn}\n"), "pad");
                let repeat = observe(&mut view, data.as_bytes());
                let decoded = repeat.and_then(|repeat| decoder.decode_repeat(data.as_bytes(), &repeat));
                assert_eq!(decoded.is_some(), turn > 0, "{data}");
            }
        }
    }
}
