//! Pieces of a streamed answer.
//!
//! Many members are the same in every chunk of a stream. Those texts are kept and handed out as shared copies, so a chunk of
//! text costs its list of choices and its text, and nothing else.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::content::Content;
use super::finish_reason::FinishReason;
use super::lenient_u64::LenientU64;
use super::message::Role;
use super::tool::{FunctionCall, ToolCallDelta};
use super::unknown_fields::{Json, UnknownFields};
use super::usage::Usage;
use super::wire_object::{FieldName, wire_object};

/// One chunk of a stream.
#[derive(Clone, Default, PartialEq)]
pub struct ChatChunk {
    /// The completion's id; the same in all chunks.
    pub id: Option<Arc<str>>,
    /// `chat.completion.chunk`.
    pub object: Option<Arc<str>>,
    pub(crate) created: Option<LenientU64>,
    /// The model that answers.
    pub model: Option<Arc<str>>,
    /// The backend's configuration.
    pub system_fingerprint: Option<Arc<str>>,
    /// Which tier serves it.
    pub service_tier: Option<Arc<str>>,
    /// Pieces of choices; empty in a chunk that only carries usage.
    pub choices: Vec<ChunkChoice>,
    /// Usage so far, or at the end.
    pub usage: Option<Usage>,
    /// Anything else.
    pub extra: UnknownFields,
}

/// The next piece of one choice.
#[derive(Clone, Default, PartialEq)]
pub struct ChunkChoice {
    pub(crate) index: Option<LenientU64>,
    /// What is new.
    pub delta: Delta,
    /// Why it ended, in its last piece.
    pub finish_reason: Option<FinishReason>,
    /// How likely the tokens of this piece were.
    pub logprobs: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ChunkChoice {
    index => "index",
    finish_reason => "finish_reason",
    logprobs => "logprobs",
} always { delta => "delta" });

impl ChunkChoice {
    /// A piece of the first choice.
    pub(crate) fn first(delta: Delta) -> Self {
        Self {
            index: Some(LenientU64(0)),
            delta,
            ..Self::default()
        }
    }

    /// Its place among the choices.
    pub fn index(&self) -> u64 {
        self.index.map_or(0, |index| index.0)
    }
}

/// What is new in a choice.
#[derive(Clone, Default, PartialEq)]
pub struct Delta {
    /// The next piece of the content, a text nearly always.
    pub content: Option<Content>,
    /// Who speaks; comes once.
    pub role: Option<Role>,
    /// The next piece of a refusal.
    pub refusal: Option<String>,
    /// The next piece of reasoning, as DeepSeek and many others name it.
    pub reasoning_content: Option<String>,
    /// The next piece of reasoning, as OpenRouter, Groq and vLLM name it.
    pub reasoning: Option<String>,
    /// Pieces of tool calls.
    pub tool_calls: Vec<ToolCallDelta>,
    /// A piece of the old form of a tool call.
    pub function_call: Option<FunctionCall>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Delta {
    content => "content",
    role => "role",
    refusal => "refusal",
    reasoning_content => "reasoning_content",
    reasoning => "reasoning",
    tool_calls => "tool_calls",
    function_call => "function_call",
});

impl Delta {
    /// The next piece of the text, if there is one.
    pub fn text(&self) -> Option<&str> {
        self.content.as_ref()?.as_text()
    }
}

impl ChatChunk {
    /// The first choice's piece of text, if there is one.
    pub fn text(&self) -> Option<&str> {
        let first = self.choices.iter().find(|choice| choice.index() == 0)?;
        first.delta.text()
    }

    /// The usage that says something, wherever the provider put it: at the top, in a choice, or in `x_groq`.
    pub fn usage(&self) -> Option<Usage> {
        let counts = |usage: &Usage| !usage.is_empty();
        let nested = |json: &Json| serde_json::from_str(json.get()).ok().filter(counts);
        let in_choice = || {
            let mut choices = self.choices.iter().rev();
            choices.find_map(|choice| choice.extra.get("usage").and_then(nested))
        };
        let in_groq = || {
            let groq: Groq = serde_json::from_str(self.extra.get("x_groq")?.get()).ok()?;
            groq.usage.filter(counts)
        };
        let own = self.usage.as_ref().filter(|usage| counts(usage));
        own.cloned().or_else(in_choice).or_else(in_groq)
    }

    /// Seconds since 1970 at which the completion was begun, as the provider says.
    pub fn created(&self) -> Option<u64> {
        self.created.map(|created| created.0)
    }

    /// Whether it carries usage and no piece of a choice.
    pub fn is_usage_only(&self) -> bool {
        self.choices.is_empty() && self.usage().is_some()
    }
}

#[derive(serde::Deserialize)]
struct Groq {
    usage: Option<Usage>,
}

/// The texts that were the same in the last chunk.
#[derive(Clone, Default)]
pub(super) struct Shared {
    id: Option<Arc<str>>,
    object: Option<Arc<str>>,
    model: Option<Arc<str>>,
    system_fingerprint: Option<Arc<str>>,
    service_tier: Option<Arc<str>>,
}

impl Shared {
    pub(super) fn decode(&mut self, data: &[u8]) -> Result<ChatChunk, serde_json::Error> {
        let Ok(text) = std::str::from_utf8(data) else {
            return serde_json::from_slice(data);
        };
        // Cheaper from text: it need not be looked at again for what is no UTF-8.
        let mut json = serde_json::Deserializer::from_str(text);
        let chunk = Members { shared: self }.deserialize(&mut json)?;
        json.end()?;
        Ok(chunk)
    }
}

struct Members<'a> {
    shared: &'a mut Shared,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ChatChunk;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ChatChunk, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// The bits of the named members in `UnknownFields`.
const NAMES: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "choices",
    "usage",
];

/// The bit of the choices; marked until they come.
const CHOICES: u32 = 6;

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ChatChunk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chunk of a chat completion")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ChatChunk, A::Error> {
        let mut chunk = ChatChunk::default();
        chunk.extra.mark(CHOICES);
        let shared = self.shared;
        while let Some(FieldName(name)) = members.next_key()? {
            let bit = NAMES.iter().position(|known| *known == name);
            let mut same = |last: &mut Option<Arc<str>>| members.next_value_seed(Same(last));
            let there = match bit {
                Some(0) => set(&mut chunk.id, same(&mut shared.id)?),
                Some(1) => set(&mut chunk.object, same(&mut shared.object)?),
                Some(2) => set(&mut chunk.created, members.next_value()?),
                Some(3) => set(&mut chunk.model, same(&mut shared.model)?),
                Some(4) => set(
                    &mut chunk.system_fingerprint,
                    same(&mut shared.system_fingerprint)?,
                ),
                Some(5) => set(&mut chunk.service_tier, same(&mut shared.service_tier)?),
                Some(6) => match members.next_value::<Option<Vec<ChunkChoice>>>()? {
                    Some(choices) => {
                        chunk.choices = choices;
                        chunk.extra.unmark(CHOICES);
                        true
                    }
                    None => false,
                },
                Some(_) => set(&mut chunk.usage, members.next_value()?),
                None => {
                    let value = members.next_value()?;
                    chunk.extra.push(name.into_owned(), value);
                    true
                }
            };
            if let Some(bit) = bit.filter(|_| !there) {
                chunk.extra.set_null(bit as u32);
            }
        }
        chunk.extra.forget_repeated();
        Ok(chunk)
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

/// A text that most likely is the one of the chunk before.
struct Same<'a>(&'a mut Option<Arc<str>>);

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = Option<Arc<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Some(FieldName(text)) = Option::<FieldName<'de>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        if self.0.as_deref() != Some(text.as_ref()) {
            *self.0 = Some(Arc::from(text.as_ref()));
        }
        Ok(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for ChatChunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Members {
            shared: &mut Shared::default(),
        }
        .deserialize(deserializer)
    }
}

impl Serialize for ChatChunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let texts = [
            &self.id,
            &self.object,
            &self.model,
            &self.system_fingerprint,
            &self.service_tier,
        ];
        for (name, text) in ["id", "object", "model", "system_fingerprint", "service_tier"]
            .iter()
            .zip(texts)
        {
            if let Some(text) = text {
                map.serialize_entry(name, &**text)?;
            }
        }
        if let Some(created) = &self.created {
            map.serialize_entry("created", created)?;
        }
        if !self.choices.is_empty() || !(self.extra.is_null(CHOICES) || self.extra.is_marked(CHOICES)) {
            map.serialize_entry("choices", &self.choices)?;
        }
        if let Some(usage) = &self.usage {
            map.serialize_entry("usage", usage)?;
        }
        for (bit, name) in NAMES.iter().enumerate() {
            if self.extra.is_null(bit as u32) && self.is_absent(bit) {
                map.serialize_entry(name, &())?;
            }
        }
        self.extra.serialize_members(&mut map, &[])?;
        map.end()
    }
}

impl ChatChunk {
    fn is_absent(&self, bit: usize) -> bool {
        match bit {
            0 => self.id.is_none(),
            1 => self.object.is_none(),
            2 => self.created.is_none(),
            3 => self.model.is_none(),
            4 => self.system_fingerprint.is_none(),
            5 => self.service_tier.is_none(),
            6 => self.choices.is_empty(),
            _ => self.usage.is_none(),
        }
    }
}

impl fmt::Debug for ChatChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatChunk")
            .field("choices", &self.choices)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChunkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkChoice")
            .field("index", &self.index())
            .field("delta", &self.delta)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Delta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("content", &self.content)
            .field("tool_calls", &self.tool_calls.len())
            .finish_non_exhaustive()
    }
}
