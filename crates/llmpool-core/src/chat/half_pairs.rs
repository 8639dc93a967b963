//! Surrogate pairs that a provider splits over two chunks.
//!
//! Some providers cut a text between two UTF-16 code units, so that one chunk ends with the first half of an
//! emoji and the next chunk of the same text begins with the second half. The first half is held back until
//! the text continues. A half without a counterpart is read as U+FFFD.

use serde_json::value::RawValue;

use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::finish_reason::states_a_reason;
use super::lenient_u64::LenientU64;
use super::tool::{FunctionCall, ToolCallDelta};
use crate::held_halves::HeldHalves;
use crate::raw_object::RawObject;

/// The first halves with which texts of a stream end so far.
#[derive(Clone, Default)]
pub(super) struct HalfPairs(HeldHalves<TextPlace>);

/// One of the texts of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TextPlace {
    choice: u64,
    field: TextField,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextField {
    Content,
    Refusal,
    ReasoningContent,
    Reasoning,
    /// The arguments of the tool call with this index.
    Arguments(LenientU64),
}

const MESSAGE_FIELDS: [(TextField, &str); 4] = [
    (TextField::Content, "content"),
    (TextField::Refusal, "refusal"),
    (TextField::ReasoningContent, "reasoning_content"),
    (TextField::Reasoning, "reasoning"),
];

impl HalfPairs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts each half of an earlier chunk in front of the text that continues it, and holds back the halves
    /// with which texts of this chunk end. Returns the changed chunk, in which the remaining single halves
    /// have no counterpart. `None` if the chunk is not an object.
    pub(super) fn join(&mut self, chunk: &str) -> Option<String> {
        let mut chunk = RawObject::parse(chunk)?;
        chunk.edit("choices", |choices| {
            edit_items(choices, |choice| self.join_choice(choice))
        });
        Some(chunk.to_json())
    }

    /// Adds U+FFFD to the texts that end with a half. Does nothing if there are none.
    pub(super) fn finish(&mut self, chunk: &mut ChatChunk) {
        for (place, _) in self.0.take_all(|_| true) {
            let text = Some("\u{fffd}".to_owned());
            let mut delta = Delta::default();
            match place.field {
                TextField::Content => delta.content = text.map(Into::into),
                TextField::Refusal => delta.refusal = text,
                TextField::ReasoningContent => delta.reasoning_content = text,
                TextField::Reasoning => delta.reasoning = text,
                TextField::Arguments(index) => delta.tool_calls.push(ToolCallDelta {
                    index,
                    function: Some(FunctionCall {
                        arguments: text,
                        ..FunctionCall::default()
                    }),
                    ..ToolCallDelta::default()
                }),
            }
            chunk.choices.push(ChunkChoice {
                index: place.choice.into(),
                delta,
                ..ChunkChoice::default()
            });
        }
    }

    fn join_choice(&mut self, json: &str) -> Option<String> {
        let mut choice = RawObject::parse(json)?;
        let index = count(&choice, "index").get().unwrap_or(0);
        let reason = choice.get("finish_reason");
        let is_finished = reason.is_some_and(|reason| states_a_reason(reason.trim_matches('"')));
        if is_finished && self.0.contains(|place| place.choice == index) && choice.is_missing("delta") {
            choice.set("delta", "{}".to_owned());
        }
        choice.edit("delta", |delta| self.join_delta(index, is_finished, delta));
        Some(choice.to_json())
    }

    /// `json` is the delta of the choice `index`.
    fn join_delta(&mut self, index: u64, is_finished: bool, json: &str) -> Option<String> {
        let Some(mut delta) = RawObject::parse(json) else {
            return Some(json.to_owned());
        };
        for (field, name) in MESSAGE_FIELDS {
            let place = TextPlace { choice: index, field };
            delta.edit(name, |text| Some(self.0.join(place, text)));
        }
        delta.edit("tool_calls", |calls| {
            edit_items(calls, |call| self.join_call(index, call))
        });
        if is_finished {
            self.end_choice(index, &mut delta);
        }
        Some(delta.to_json())
    }

    fn join_call(&mut self, choice: u64, json: &str) -> Option<String> {
        let mut call = RawObject::parse(json)?;
        let field = TextField::Arguments(count(&call, "index"));
        call.edit("function", |json| {
            let Some(mut function) = RawObject::parse(json) else {
                return Some(json.to_owned());
            };
            let place = TextPlace { choice, field };
            function.edit("arguments", |text| Some(self.0.join(place, text)));
            Some(function.to_json())
        });
        Some(call.to_json())
    }

    /// Adds the halves of a choice that ends to its last delta.
    fn end_choice(&mut self, choice: u64, delta: &mut RawObject<'_>) {
        for (place, half) in self.0.take_all(|place| place.choice == choice) {
            let named = MESSAGE_FIELDS.iter().find(|(field, _)| *field == place.field);
            match (place.field, named) {
                (TextField::Arguments(index), _) => {
                    let index = index.get().map(|index| format!("\"index\":{index},"));
                    let index = index.unwrap_or_default();
                    let call = format!(r#"{{{index}"function":{{"arguments":"{half}"}}}}"#);
                    append_item(delta, "tool_calls", call);
                }
                (_, Some((_, name))) => append_text(delta, name, &half),
                (_, None) => {}
            }
        }
    }
}

/// Appends the JSON text of characters to the string in a member, which may be absent.
fn append_text(object: &mut RawObject<'_>, name: &'static str, inner: &str) {
    let known = object.get(name).and_then(|text| text.strip_suffix('"'));
    let text = format!("{}{inner}\"", known.unwrap_or("\""));
    object.set(name, text);
}

/// Appends an item, which is JSON text, to the list in a member, which may be absent.
fn append_item(object: &mut RawObject<'_>, name: &'static str, item: String) {
    let known = object.get(name).and_then(|list| list.strip_suffix(']'));
    let list = match known {
        Some(list) if list.len() > 1 => format!("{list},{item}]"),
        _ => format!("[{item}]"),
    };
    object.set(name, list);
}

/// Replaces the items of a list, or a single item in place of a list. Keeps an item if `edit` returns `None`, and any
/// other value.
fn edit_items(json: &str, mut edit: impl FnMut(&str) -> Option<String>) -> Option<String> {
    if json.starts_with('{') {
        return edit(json).or_else(|| Some(json.to_owned()));
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else {
        return Some(json.to_owned());
    };
    let items = items.into_iter().map(RawValue::get);
    let items: Vec<String> = items
        .map(|item| edit(item).unwrap_or_else(|| item.to_owned()))
        .collect();
    Some(format!("[{}]", items.join(",")))
}

fn count(object: &RawObject<'_>, name: &str) -> LenientU64 {
    let count = object
        .get(name)
        .and_then(|count| serde_json::from_str(count).ok());
    count.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::chat::{Assembler, ChatChunk, ChatCompletion, ChunkDecoder};

    fn decoded(chunks: &[String]) -> Vec<ChatChunk> {
        let mut decoder = ChunkDecoder::new();
        let decoded = chunks
            .iter()
            .map(|chunk| decoder.decode(chunk.as_bytes()).unwrap());
        let mut decoded: Vec<ChatChunk> = decoded.collect();
        decoded.extend(decoder.finish());
        assert!(decoder.finish().is_none());
        decoded
    }

    fn assembled(chunks: &[String]) -> ChatCompletion {
        let mut assembler = Assembler::new();
        decoded(chunks)
            .into_iter()
            .for_each(|chunk| assembler.push(chunk));
        assembler.finish()
    }

    fn delta(choice: usize, delta: &str) -> String {
        format!(r#"{{"id":"c","choices":[{{"index":{choice},"delta":{delta}}}]}}"#)
    }

    fn arguments(call: usize, text: &str) -> String {
        format!(r#"{{"tool_calls":[{{"index":{call},"function":{{"name":"f","arguments":"{text}"}}}}]}}"#)
    }

    #[test]
    fn split_surrogate_pair_is_joined() {
        for name in ["content", "reasoning_content", "reasoning", "refusal"] {
            let piece = |text: &str| delta(0, &format!(r#"{{"{name}":"{text}"}}"#));
            let read = assembled(&[piece(r"a\ud83d"), piece(""), piece(r"\uDE00b"), piece("c")]);
            let message = serde_json::to_value(&read.choices[0].message).unwrap();
            assert_eq!(message[name], "a😀bc", "{name}");
        }
        let read = assembled(&[
            delta(0, &arguments(0, r#"{\"a\":\"\ud83d"#)),
            delta(0, &arguments(1, r"\ud83d")),
            delta(0, &arguments(0, r#"\ude00\"}"#)),
            delta(0, &arguments(1, r"\ude01")),
        ]);
        let calls = &read.choices[0].message.tool_calls;
        let text = |call: usize| {
            calls[call]
                .function
                .as_ref()
                .unwrap()
                .arguments
                .as_deref()
                .unwrap()
        };
        assert_eq!((text(0), text(1)), (r#"{"a":"😀"}"#, "😁"));
        let alone = |text: &str| format!(r#"{{"choices":{{"index":0,"delta":{{"content":"{text}"}}}}}}"#);
        let read = assembled(&[alone(r"\ud83d"), alone(r"\ude00")]);
        assert_eq!(read.text(), "😀", "choices as an object");
    }

    #[test]
    fn pairs_of_several_choices_are_joined_apart() {
        let piece = |choice: usize, text: &str| delta(choice, &format!(r#"{{"content":"{text}"}}"#));
        let read = assembled(&[
            piece(0, r"\ud83d"),
            piece(1, r"\ud83d"),
            piece(0, r"\ude00"),
            piece(1, r"\ude01"),
        ]);
        assert_eq!(read.choices[0].message.text(), "😀");
        assert_eq!(read.choices[1].message.text(), "😁");
    }

    #[test]
    fn half_without_a_counterpart_is_replaced() {
        let piece = |text: &str| delta(0, &format!(r#"{{"content":"{text}"}}"#));
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#.to_owned();
        let bare_end = r#"{"choices":[{"index":0,"finish_reason":"stop"}]}"#.to_owned();
        let last = r#"{"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}"#.to_owned();
        for (chunks, text) in [
            (vec![piece(r"\ud83d"), piece("b"), end.clone()], "\u{fffd}b"),
            (
                vec![piece(r"\ud83d"), piece(r"\ud83d"), piece(r"\ude00")],
                "\u{fffd}😀",
            ),
            (vec![piece(r"a\ud83d"), end.clone()], "a\u{fffd}"),
            (vec![piece(r"a\ud83d"), bare_end], "a\u{fffd}"),
            (vec![piece(r"a\ud83d"), last], "a\u{fffd}b"),
            (vec![piece(r"a\ud83d")], "a\u{fffd}"),
            (
                vec![piece(r"a\\ud83d"), piece(r"\ude00"), end],
                "a\\ud83d\u{fffd}",
            ),
        ] {
            assert_eq!(assembled(&chunks).text(), text, "{chunks:?}");
        }
        let call = [delta(0, &arguments(1, r"\ud83d"))];
        let read = assembled(&call);
        let function = read.choices[0].message.tool_calls[0].function.as_ref().unwrap();
        assert_eq!(function.arguments.as_deref(), Some("\u{fffd}"));
        let finish = r#"{"choices":[{"index":0,"delta":{"tool_calls":null},"finish_reason":"tool_calls"}]}"#;
        let read = assembled(&[call[0].clone(), finish.to_owned()]);
        let calls = &read.choices[0].message.tool_calls;
        assert_eq!(calls.len(), 1);
        assert_eq!(
            calls[0].function.as_ref().unwrap().arguments.as_deref(),
            Some("\u{fffd}")
        );
    }

    #[test]
    fn last_chunk_has_the_id_of_the_stream() {
        let chunks = decoded(&[delta(0, r#"{"content":"\ud83d"}"#)]);
        assert_eq!((chunks.len(), chunks[1].id.as_deref()), (2, Some("c")));
    }

    proptest! {
        #[test]
        fn code_units_cut_anywhere_are_read_as_text(
            units in prop::collection::vec(prop_oneof![any::<u16>(), 0xd7f0_u16..0xe010], 1..16),
            lengths in prop::collection::vec(0_usize..4, 0..16),
        ) {
            let (mut chunks, mut rest) = (Vec::new(), &units[..]);
            for length in lengths.into_iter().chain([usize::MAX]) {
                let (piece, left) = rest.split_at(length.min(rest.len()));
                let text: String = piece.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                chunks.push(delta(0, &format!(r#"{{"content":"{text}"}}"#)));
                rest = left;
            }
            prop_assert_eq!(assembled(&chunks).text(), String::from_utf16_lossy(&units));
        }
    }
}
