//! Classification of the chunks of a chat completion stream.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::event_flags::EventFacts;
use super::json_fields::{is_failure, is_non_empty, output_length};
use super::reported_usage::ReportedUsage;
use crate::chat::repair::{AnswerKind, repaired, repaired_usage};
use crate::chat::wire_object::FieldName;
use crate::chat::{FinishReason, LenientU64, Usage, states_a_reason};
use crate::provider_error::find_error_in_event;
use crate::sse::SseEvent;

pub(super) fn classify(event: &SseEvent) -> EventFacts {
    if let Ok(chunk) = serde_json::from_slice(&event.data) {
        return facts_of(chunk, event);
    }
    let data = repaired(&event.data, AnswerKind::Chunk).map(Bytes::from);
    let event = SseEvent {
        data: data.unwrap_or_default(),
        name: event.name.clone(),
    };
    match serde_json::from_slice(&event.data) {
        Ok(chunk) => facts_of(chunk, &event),
        Err(_) => EventFacts::unreadable(event.name.as_deref()),
    }
}

/// Returns the facts about an event whose data is `chunk`.
fn facts_of(chunk: ChunkFields<'_>, event: &SseEvent) -> EventFacts {
    let mut facts = EventFacts::default();
    let groq = chunk.groq();
    facts.flags.error = chunk.is_error(groq.as_ref(), event);
    let choices = chunk.choices.unwrap_or_default();
    for choice in &choices {
        let bit = 1_u128 << choice.index.get().unwrap_or(0).min(127);
        facts.choices |= bit;
        if choice.is_finished() {
            facts.finished |= bit;
        }
        facts.flags.content |= choice.has_content();
        facts.flags.whole |= choice.has_whole_message();
        facts.output_bytes += choice.output_bytes();
    }
    facts.flags.whole &= !facts.flags.error;
    let nested = groq.and_then(|groq| groq.usage);
    let usages = [chunk.usage, nested]
        .into_iter()
        .chain(choices.iter().map(|choice| choice.usage));
    let usages = usages.flatten().rev();
    for usage in usages.filter_map(|usage| readable_usage(usage, event)) {
        facts.flags.usage_only = choices.is_empty();
        if !usage.usage.is_empty() {
            facts.usage = Some(Box::new(usage));
            break;
        }
    }
    if choices.is_empty() {
        facts.flags.error |= find_error_in_event(&event.data).is_some();
    }
    facts
}

#[derive(Deserialize)]
struct ChunkFields<'a> {
    #[serde(borrow)]
    choices: Option<Vec<ChoiceFields<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct GroqFields<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChoiceFields<'a> {
    #[serde(default)]
    index: LenientU64,
    #[serde(borrow)]
    delta: Option<DeltaFields<'a>>,
    #[serde(borrow)]
    message: Option<DeltaFields<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    /// What the upstream of a router said, which may be an error where the finish reason is `stop`.
    #[serde(borrow)]
    native_finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Text of the legacy completions API, which has no delta.
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

/// Output in the delta of a streamed choice, or in the message of a complete choice.
pub(super) struct DeltaFields<'a> {
    /// Total length in bytes of the values of all non-empty fields except `role` and `tool_calls`, as JSON
    /// text.
    bytes: usize,
    tool_calls: Option<&'a RawValue>,
}

impl<'a> ChunkFields<'a> {
    fn groq(&self) -> Option<GroqFields<'a>> {
        serde_json::from_str(self.x_groq?.get()).ok()
    }

    fn is_error(&self, groq: Option<&GroqFields<'_>>, event: &SseEvent) -> bool {
        let groq = groq.and_then(|groq| groq.error);
        let choices = self.choices.as_deref().unwrap_or_default();
        event.name.as_deref() == Some(b"error")
            || [self.error, groq].into_iter().flatten().any(is_failure)
            || choices.iter().any(ChoiceFields::is_error)
    }
}

impl ChoiceFields<'_> {
    fn finish_reason(&self) -> &str {
        self.finish_reason.map_or("", |raw| raw.get().trim_matches('"'))
    }

    fn is_finished(&self) -> bool {
        states_a_reason(self.finish_reason())
    }

    fn is_error(&self) -> bool {
        self.error.is_some_and(is_failure)
            || (self.is_finished() && FinishReason::from(self.finish_reason()).is_failure())
            || self
                .native_finish_reason
                .is_some_and(|reason| FinishReason::from(reason.get().trim_matches('"')).is_failure())
    }

    fn has_content(&self) -> bool {
        let has_output = self.delta.as_ref().is_some_and(DeltaFields::has_content);
        self.is_finished() || has_output || self.text_bytes() > 0
    }

    /// Returns whether the choice has output in a message instead of a delta.
    fn has_whole_message(&self) -> bool {
        let has_delta = self.delta.as_ref().is_some_and(DeltaFields::has_content);
        !has_delta && self.message.as_ref().is_some_and(DeltaFields::has_content)
    }

    fn output_bytes(&self) -> usize {
        self.delta.as_ref().map_or(0, DeltaFields::output_bytes) + self.text_bytes()
    }

    /// Returns the length of the text that stands for the delta, or 0 if the choice has a delta.
    fn text_bytes(&self) -> usize {
        let text = self
            .text
            .filter(|text| self.delta.is_none() && text.get().starts_with('"'));
        text.map_or(0, output_length)
    }
}

impl DeltaFields<'_> {
    fn has_content(&self) -> bool {
        self.bytes > 0 || self.has_tool_call()
    }

    fn has_tool_call(&self) -> bool {
        self.tool_calls.is_some_and(|calls| has_tool_call(calls.get()))
    }

    /// Returns the length in bytes of all output in the delta or message, including tool calls, as JSON text.
    pub(super) fn output_bytes(&self) -> usize {
        let calls = self.tool_calls.filter(|_| self.has_tool_call());
        self.bytes + calls.map_or(0, |calls| calls.get().len())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for DeltaFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DeltaVisitor;
        impl<'de> Visitor<'de> for DeltaVisitor {
            type Value = DeltaFields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a delta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let mut delta = DeltaFields {
                    bytes: 0,
                    tool_calls: None,
                };
                while let Some(FieldName(name)) = fields.next_key()? {
                    match name.as_ref() {
                        "role" => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                        "tool_calls" => delta.tool_calls = fields.next_value()?,
                        _ => {
                            let value = fields.next_value::<&RawValue>()?;
                            if is_non_empty(value) {
                                delta.bytes += output_length(value).max(1);
                            }
                        }
                    }
                }
                Ok(delta)
            }
        }
        deserializer.deserialize_map(DeltaVisitor)
    }
}

/// Returns a usage object that is part of `event`, without the values that cannot be decoded. `None` if it has no
/// members, or only nulls.
fn readable_usage(json: &RawValue, event: &SseEvent) -> Option<ReportedUsage> {
    if !is_non_empty(json) {
        return None;
    }
    let (usage, json): (Usage, Bytes) = match serde_json::from_str(json.get()) {
        Ok(usage) => (usage, event.data.slice_ref(json.get().as_bytes())),
        Err(_) => {
            let repaired = repaired_usage(json.get())?;
            (serde_json::from_str(&repaired).ok()?, repaired.into())
        }
    };
    Some(ReportedUsage { usage, json }).filter(|reported| !reported.usage.is_blank())
}

/// Returns whether any tool call in `calls`, the JSON text of a `tool_calls` list, has a name or arguments.
/// `true` if the list cannot be parsed.
fn has_tool_call(calls: &str) -> bool {
    #[derive(Deserialize)]
    struct CalledFunction<'a> {
        #[serde(borrow)]
        function: Option<CallFields<'a>>,
        #[serde(borrow)]
        custom: Option<CallFields<'a>>,
    }
    #[derive(Deserialize)]
    struct CallFields<'a> {
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        arguments: Option<&'a RawValue>,
        #[serde(borrow)]
        input: Option<&'a RawValue>,
    }
    let Ok(calls) = serde_json::from_str::<Option<Vec<CalledFunction<'_>>>>(calls) else {
        return true;
    };
    calls
        .into_iter()
        .flatten()
        .flat_map(|call| [call.function, call.custom])
        .flatten()
        .flat_map(|call| [call.name, call.arguments, call.input])
        .flatten()
        .any(is_non_empty)
}
