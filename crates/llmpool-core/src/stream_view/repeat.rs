//! Recognition of events that equal an earlier event except for a few strings.
//!
//! Consecutive events of a stream often differ only in one or two strings. If all other bytes of an event
//! equal those of an earlier event, the classification and most of the decoding of the earlier event still
//! apply. A *template* is an earlier event without the strings that vary.
//!
//! Invariant: for an event that is valid JSON, a matching template yields the same facts as a full
//! classification.

use std::fmt;

use bytes::Bytes;
use memchr::{memchr2, memmem};

use super::event_flags::EventFacts;
use crate::sse::SseEvent;

/// A JSON field whose value usually differs from event to event, while the rest of the event stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaryingField {
    /// The string field `content`.
    Content,
    /// The string field `reasoning_content`.
    ReasoningContent,
    /// The string field `reasoning`.
    Reasoning,
    /// The string field `arguments` of a tool call.
    Arguments,
    /// The string field `delta` of an event of the Responses API.
    Delta,
    /// The string field `obfuscation`: padding with which OpenAI hides the length of the text.
    Obfuscation,
    /// The integer field `sequence_number`.
    SequenceNumber,
}

const FIELDS: [VaryingField; 7] = [
    VaryingField::Content,
    VaryingField::ReasoningContent,
    VaryingField::Reasoning,
    VaryingField::Arguments,
    VaryingField::Delta,
    VaryingField::Obfuscation,
    VaryingField::SequenceNumber,
];

/// Maximum number of varying fields in one event. An event with more varying fields is always classified in
/// full.
const MAX_VARYING: usize = 4;

/// A JSON string with an escape sequence, which makes the JSON text longer than the decoded string. The
/// length of an event's output with this string shows whether the output is measured as JSON text.
const ESCAPED: &str = r#""\u0061""#;

/// The positions of the varying values in an event that equals an earlier event in all other bytes.
#[derive(Clone, Copy, Debug)]
pub struct EventRepeat {
    template: u32,
    spans: [ValueSpan; MAX_VARYING],
    len: usize,
}

/// Byte range of one varying value in the data of the event, from `start` (inclusive) to `end` (exclusive).
/// The range includes the quotes of a string.
#[derive(Clone, Copy, Debug)]
struct ValueSpan {
    field: VaryingField,
    start: u32,
    end: u32,
}

impl EventRepeat {
    /// Returns the number of the template that the event matches. A template is an earlier event without its
    /// varying values, so two events of one stream with the same template differ only in these values.
    pub fn template(&self) -> u32 {
        self.template
    }

    /// Returns the varying fields with their values as JSON text, in the order in which they occur in the
    /// event. `data` is the data of the event.
    pub fn values<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = (VaryingField, &'a [u8])> {
        let spans = self.spans.into_iter().take(self.len);
        spans.filter_map(|span| Some((span.field, data.get(span.start as usize..span.end as usize)?)))
    }

    /// Returns the decoded value of a varying string field. `None` if the field does not vary, or if its
    /// value is not a valid JSON string. `data` is the data of the event.
    pub fn string(&self, data: &[u8], field: VaryingField) -> Option<String> {
        let (_, json) = self.values(data).find(|(known, _)| *known == field)?;
        serde_json::from_slice(json).ok()
    }

    /// Returns the data of the event with a distinct marker in place of each varying string, and the
    /// positions of the markers. Decoding this data shows into which field the decoder puts each string.
    pub fn probe(&self, data: &[u8]) -> (Vec<u8>, Self) {
        self.with_strings(data, |index| format!("\"probe {index}\""))
    }

    /// Returns the data of the event with an empty string in place of each varying string, and the positions
    /// of the empty strings.
    pub fn blank(&self, data: &[u8]) -> (Vec<u8>, Self) {
        self.with_strings(data, |_| "\"\"".to_owned())
    }

    /// Replaces each varying string with the JSON text that `value` returns for the zero-based position of
    /// its field in the event.
    fn with_strings(&self, data: &[u8], value: impl Fn(usize) -> String) -> (Vec<u8>, Self) {
        let (mut replaced, mut spans, mut copied) = (Vec::with_capacity(data.len()), *self, 0);
        for (index, span) in spans.spans.iter_mut().take(self.len).enumerate() {
            let (start, end) = (span.start as usize, span.end as usize);
            replaced.extend_from_slice(&data[copied..start]);
            span.start = replaced.len() as u32;
            match span.field {
                VaryingField::SequenceNumber => replaced.extend_from_slice(&data[start..end]),
                _ => replaced.extend_from_slice(value(index).as_bytes()),
            }
            span.end = replaced.len() as u32;
            copied = end;
        }
        replaced.extend_from_slice(&data[copied..]);
        (replaced, spans)
    }

    /// Finds the varying values of an event. Considers only fields whose names occur exactly once in the
    /// event. `None` if there is no such field, or if there are more than [`MAX_VARYING`].
    fn find(template: u32, data: &[u8]) -> Option<Self> {
        let mut spans: Vec<ValueSpan> = FIELDS.into_iter().filter_map(|field| field.find(data)).collect();
        spans.sort_unstable_by_key(|span| span.start);
        let mut found = Self {
            template,
            spans: [*spans.first()?; MAX_VARYING],
            len: spans.len(),
        };
        found.spans.get_mut(..spans.len())?.copy_from_slice(&spans);
        Some(found)
    }
}

impl VaryingField {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Content => b"\"content\"",
            Self::ReasoningContent => b"\"reasoning_content\"",
            Self::Reasoning => b"\"reasoning\"",
            Self::Arguments => b"\"arguments\"",
            Self::Delta => b"\"delta\"",
            Self::Obfuscation => b"\"obfuscation\"",
            Self::SequenceNumber => b"\"sequence_number\"",
        }
    }

    fn find(self, data: &[u8]) -> Option<ValueSpan> {
        let mut places = memmem::find_iter(data, self.name());
        let (place, None) = (places.next()?, places.next()) else {
            return None;
        };
        let after_name = place + self.name().len();
        let gap = data[after_name..]
            .iter()
            .position(|byte| !matches!(byte, b':' | b' '))?;
        let start = after_name + gap;
        let end = start + self.value_length(&data[start..])?;
        Some(ValueSpan {
            field: self,
            start: u32::try_from(start).ok()?,
            end: u32::try_from(end).ok()?,
        })
    }

    /// Returns the length in bytes of the field's value at the beginning of `data`. `None` if `data` does not
    /// begin with a value of the field's type.
    fn value_length(self, data: &[u8]) -> Option<usize> {
        match self {
            Self::SequenceNumber => data.iter().position(|byte| !byte.is_ascii_digit()),
            _ => string_length(data),
        }
        .filter(|length| *length > 0)
    }
}

/// Returns the length in bytes of the JSON string at the beginning of `data`, including its quotes. `None` if
/// `data` does not begin with a complete string.
fn string_length(data: &[u8]) -> Option<usize> {
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

/// An earlier event without its varying values, for recognising later events that differ only in these
/// values.
#[derive(Clone)]
pub(super) struct EventTemplate {
    number: u32,
    name: Option<Bytes>,
    fields: Vec<TemplateField>,
    after: Box<[u8]>,
    /// Facts about the event with all varying strings empty.
    blank: EventFacts,
}

#[derive(Clone)]
struct TemplateField {
    /// Bytes of the event before this varying value, from the end of the previous varying value or the
    /// beginning of the event.
    before: Box<[u8]>,
    field: VaryingField,
    /// Number of bytes of output that a non-empty string in this field adds beyond its own length. For
    /// example, a tool call counts as output in its entirety. `None` if strings in this field are not output.
    output_overhead: Option<usize>,
}

impl EventTemplate {
    /// Makes a template from an event.
    ///
    /// Returns `None` if the event has no varying output, if it does more than add output, or if the length
    /// of its output cannot be computed from the lengths of its varying strings.
    pub(super) fn learn(
        number: u32,
        event: &SseEvent,
        classify: impl Fn(&SseEvent) -> EventFacts,
    ) -> Option<Self> {
        let data = &event.data;
        let found = EventRepeat::find(number, data)?;
        let facts_with = |value: &dyn Fn(usize) -> &'static str| {
            let data = found.with_strings(data, |index| value(index).to_owned()).0;
            let facts = classify(&SseEvent {
                data: Bytes::from(data),
                name: event.name.clone(),
            });
            facts.is_output_only().then_some(facts)
        };
        let blank = facts_with(&|_| "\"\"")?;
        let (mut fields, mut copied) = (Vec::new(), 0);
        let mut bytes_of_all = blank.output_bytes;
        for (index, span) in found.spans.iter().take(found.len).enumerate() {
            let filled = facts_with(&|other| if other == index { "\"x\"" } else { "\"\"" })?;
            let added = filled.output_bytes.checked_sub(blank.output_bytes)?;
            let output_overhead = added.checked_sub(1);
            bytes_of_all += output_overhead.map_or(0, |overhead| overhead + ESCAPED.len() - 2);
            fields.push(TemplateField {
                before: data.get(copied..span.start as usize)?.into(),
                field: span.field,
                output_overhead,
            });
            copied = span.end as usize;
        }
        let is_sum = facts_with(&|_| ESCAPED)?.output_bytes == bytes_of_all;
        let has_output = fields.iter().any(|field| field.output_overhead.is_some());
        (is_sum && has_output).then(|| Self {
            number,
            name: event.name.clone(),
            fields,
            after: data[copied..].into(),
            blank,
        })
    }

    /// Returns the facts about an event that matches the template, and the positions of the event's varying
    /// values. `None` if the event does not match the template, that is, if any byte outside the varying
    /// values differs.
    pub(super) fn recognise(&self, event: &SseEvent) -> Option<(EventFacts, EventRepeat)> {
        if event.name != self.name {
            return None;
        }
        let none = ValueSpan {
            field: VaryingField::Obfuscation,
            start: 0,
            end: 0,
        };
        let mut repeat = EventRepeat {
            template: self.number,
            spans: [none; MAX_VARYING],
            len: self.fields.len(),
        };
        let mut facts = self.blank.clone();
        let mut rest = &event.data[..];
        for (known, span) in self.fields.iter().zip(&mut repeat.spans) {
            rest = rest.strip_prefix(&*known.before)?;
            let start = event.data.len() - rest.len();
            let length = known.field.value_length(rest)?;
            *span = ValueSpan {
                field: known.field,
                start: u32::try_from(start).ok()?,
                end: u32::try_from(start + length).ok()?,
            };
            let is_empty_string = length == 2;
            if let Some(overhead) = known.output_overhead.filter(|_| !is_empty_string) {
                facts.flags.content = true;
                facts.output_bytes += overhead + length - 2;
            }
            rest = &rest[length..];
        }
        (rest == &*self.after).then_some((facts, repeat))
    }
}

impl fmt::Debug for EventTemplate {
    /// Omits the text of the event, because it contains user text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTemplate")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
