//! Chunks that are like an earlier one but for a few texts, recognised by their bytes.
//!
//! The chunks of a stream repeat everything but a word or two. Once one was decoded, the next need not be: where all bytes
//! around the texts are the same, the chunk is the same with other texts.
//!
//! Always true: a template answers what decoding would have answered, or nothing. It is believed only after decoding a probe,
//! which has other texts in the same places, gave exactly what the template says of it.

use memchr::memchr2;
use memchr::memmem;
use serde_json::value::RawValue;

use super::chunk::ChatChunk;
use super::content::Content;
use super::unknown_fields::Json;

/// A chunk with holes.
#[derive(Clone)]
pub(super) struct Template {
    /// The texts that change, in the order in which they come.
    holes: Vec<Hole>,
    /// What comes after them.
    rest: Box<[u8]>,
    chunk: ChatChunk,
}

#[derive(Clone)]
struct Hole {
    /// The bytes between the hole before and this one.
    before: Box<[u8]>,
    text: Text,
}

/// A text that changes from chunk to chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Content,
    ReasoningContent,
    Reasoning,
    Arguments,
    /// OpenAI's padding against the guessing of lengths.
    Obfuscation,
}

const TEXTS: [Text; 5] = [
    Text::Content,
    Text::ReasoningContent,
    Text::Reasoning,
    Text::Arguments,
    Text::Obfuscation,
];

impl Template {
    /// A template made of a decoded chunk, if it has texts of which that is known.
    pub(super) fn learn(
        data: &[u8],
        chunk: &ChatChunk,
        decode: impl FnOnce(&[u8]) -> Option<ChatChunk>,
    ) -> Option<Self> {
        let mut places: Vec<(usize, usize, Text)> = TEXTS
            .into_iter()
            .filter_map(|text| text.find(data).map(|(from, to)| (from, to, text)))
            .collect();
        places.sort_unstable_by_key(|(from, ..)| *from);
        if places.is_empty() {
            return None;
        }
        let (mut holes, mut probe, mut last) = (Vec::new(), Vec::new(), 0);
        for (number, (from, to, text)) in places.into_iter().enumerate() {
            let before = data.get(last..from)?;
            probe.extend_from_slice(before);
            probe.extend_from_slice(format!("\"probe {number}\"").as_bytes());
            holes.push(Hole {
                before: before.into(),
                text,
            });
            last = to;
        }
        probe.extend_from_slice(&data[last..]);
        let mut template = Self {
            holes,
            rest: data[last..].into(),
            chunk: chunk.clone(),
        };
        for hole in &template.holes {
            // So that a copy of the chunk copies no text that is replaced at once.
            hole.text.put(&mut template.chunk, b"\"\"")?;
        }
        (template.read(&probe)? == decode(&probe)?).then_some(template)
    }

    /// The chunk, if it is the template's with other texts.
    pub(super) fn read(&self, data: &[u8]) -> Option<ChatChunk> {
        let mut literals = [&data[..0]; TEXTS.len()];
        let mut left = data;
        for (hole, literal) in self.holes.iter().zip(&mut literals) {
            left = left.strip_prefix(&*hole.before)?;
            let length = literal_length(left)?;
            (*literal, left) = left.split_at(length);
        }
        if left != &*self.rest {
            return None;
        }
        let mut chunk = self.chunk.clone();
        for (hole, literal) in self.holes.iter().zip(literals) {
            hole.text.put(&mut chunk, literal)?;
        }
        Some(chunk)
    }
}

impl Text {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Content => b"\"content\"",
            Self::ReasoningContent => b"\"reasoning_content\"",
            Self::Reasoning => b"\"reasoning\"",
            Self::Arguments => b"\"arguments\"",
            Self::Obfuscation => b"\"obfuscation\"",
        }
    }

    /// Where its literal lies, quotes included, if its name occurs once and has a text.
    fn find(self, data: &[u8]) -> Option<(usize, usize)> {
        let mut found = memmem::find_iter(data, self.name());
        let (at, None) = (found.next()?, found.next()) else {
            return None;
        };
        let behind = at + self.name().len();
        let gap = data[behind..]
            .iter()
            .position(|byte| !matches!(byte, b':' | b' '))?;
        let from = behind + gap;
        Some((from, from + literal_length(&data[from..])?))
    }

    fn put(self, chunk: &mut ChatChunk, literal: &[u8]) -> Option<()> {
        if self == Self::Obfuscation {
            let json: &RawValue = serde_json::from_slice(literal).ok()?;
            chunk.extra.insert("obfuscation", Json::from(json.to_owned()));
            return Some(());
        }
        let text: String = serde_json::from_slice(literal).ok()?;
        let delta = &mut chunk.choices.first_mut()?.delta;
        match self {
            Self::ReasoningContent => delta.reasoning_content = Some(text),
            Self::Reasoning => delta.reasoning = Some(text),
            Self::Arguments => {
                let call = delta.tool_calls.first_mut()?;
                call.function.as_mut()?.arguments = Some(text);
            }
            Self::Content | Self::Obfuscation => delta.content = Some(Content::Text(text)),
        }
        Some(())
    }
}

/// The length of the string literal at the beginning, quotes included.
fn literal_length(data: &[u8]) -> Option<usize> {
    if data.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', data.get(at..)?)?;
        if data[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::chunk_decoder::ChunkDecoder;

    fn piece(shape: usize, text: &str, padding: &str) -> String {
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
        let behind = if shape < 8 {
            String::new()
        } else {
            format!(r#","obfuscation":{padding}"#)
        };
        format!(
            r#"{{"id":"c","model":"m","choices":[{{"index":{index},"delta":{delta},"finish_reason":null}}],"usage":null{behind}}}"#
        )
    }

    proptest! {
        /// Whatever came before, a chunk is read as it would be read alone.
        #[test]
        fn a_decoder_that_has_learned_reads_what_a_new_one_reads(
            run in prop::collection::vec((0_usize..16, 1_usize..5, ".{0,6}|[\\\\\"\u{0}-\u{1f}]{0,3}", "[a-z]{0,4}", any::<prop::sample::Index>(), any::<u8>(), 0_u8..8), 1..20),
        ) {
            let mut learned = ChunkDecoder::new();
            for (shape, times, text, padding, place, byte, spoil) in run {
                for turn in 0..times {
                    let mut data = piece(shape, &format!("{text}{turn}"), &padding).into_bytes();
                    if spoil == 0 {
                        let place = place.index(data.len());
                        data[place] = byte;
                    }
                    let (known, fresh) = (learned.decode(&data), ChunkDecoder::new().decode(&data));
                    prop_assert_eq!(known.is_ok(), fresh.is_ok());
                    if let (Ok(known), Ok(fresh)) = (known, fresh) {
                        prop_assert!(known == fresh, "{}", String::from_utf8_lossy(&data));
                        prop_assert_eq!(serde_json::to_string(&known).unwrap(), serde_json::to_string(&fresh).unwrap());
                    }
                }
            }
        }
    }

    #[test]
    fn pieces_of_one_kind_are_not_decoded_twice() {
        for shape in (0..6).chain(8..14) {
            let mut decoder = ChunkDecoder::new();
            for turn in 0..3 {
                let data = piece(shape, &format!("word {turn}\n"), "pad");
                let template = decoder.template.as_ref();
                let hit = template.is_some_and(|template| template.read(data.as_bytes()).is_some());
                assert_eq!(hit, turn > 0, "{data}");
                decoder.decode(data.as_bytes()).unwrap();
            }
        }
    }
}
