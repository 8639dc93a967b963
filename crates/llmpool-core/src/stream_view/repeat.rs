//! Recognition of events that repeat an earlier one with other strings.
//!
//! The events of a stream differ from each other in a word or two. Where every byte around the strings is the same as in an
//! earlier event, the classification and most of the decoding of that event still hold.
//!
//! Invariant: for valid JSON, the facts that a template gives for an event are those that a full classification gives.

use std::fmt;

use bytes::Bytes;
use memchr::{memchr2, memmem};

use super::event_flags::EventFacts;
use crate::sse::SseEvent;

/// Fields whose values differ from event to event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaryingField {
    /// `content`, a string.
    Content,
    /// `reasoning_content`, a string.
    ReasoningContent,
    /// `reasoning`, a string.
    Reasoning,
    /// `arguments`, a string.
    Arguments,
    /// `delta`, a string.
    Delta,
    /// `obfuscation`, a string: OpenAI's padding that hides the length of the text.
    Obfuscation,
    /// `sequence_number`, a whole number.
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

/// Limit on varying fields in one event. Events with more are not recognised.
const MAX_VARYING: usize = 4;

/// A string with an escape, whose length shows whether output is counted in bytes of JSON.
const ESCAPED: &str = r#""\u0061""#;

/// The positions of the varying values in an event that equals an earlier event everywhere else.
#[derive(Clone, Copy, Debug)]
pub struct EventRepeat {
    template: u32,
    spans: [ValueSpan; MAX_VARYING],
    len: usize,
}

/// Position of one value in the event's data, quotes included.
#[derive(Clone, Copy, Debug)]
struct ValueSpan {
    field: VaryingField,
    start: u32,
    end: u32,
}

impl EventRepeat {
    /// Returns the number of the template. Two events of one stream with the same number differ in their varying values only.
    pub fn template(&self) -> u32 {
        self.template
    }

    /// Returns the varying values as JSON text, in order. `data` is the data of the event.
    pub fn values<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = (VaryingField, &'a [u8])> {
        let spans = self.spans.into_iter().take(self.len);
        spans.filter_map(|span| Some((span.field, data.get(span.start as usize..span.end as usize)?)))
    }

    /// Returns the string of a field. Returns `None` if the field does not vary or its text is not a valid string.
    pub fn string(&self, data: &[u8], field: VaryingField) -> Option<String> {
        let (_, json) = self.values(data).find(|(known, _)| *known == field)?;
        serde_json::from_slice(json).ok()
    }

    /// Returns the event with a different string in each place, and the positions there. Decoding it shows which string goes where.
    pub fn probe(&self, data: &[u8]) -> (Vec<u8>, Self) {
        self.with_strings(data, |index| format!("\"probe {index}\""))
    }

    /// Returns the event with empty strings, and the positions there.
    pub fn blank(&self, data: &[u8]) -> (Vec<u8>, Self) {
        self.with_strings(data, |_| "\"\"".to_owned())
    }

    /// Replaces every string by the JSON text that `value` returns for its index.
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

    /// Finds the varying values of an event. A field counts only if its name occurs once.
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

    /// Returns the length of the value at the beginning of `data`.
    fn value_length(self, data: &[u8]) -> Option<usize> {
        match self {
            Self::SequenceNumber => data.iter().position(|byte| !byte.is_ascii_digit()),
            _ => string_length(data),
        }
        .filter(|length| *length > 0)
    }
}

/// Returns the length of the string at the beginning of `data`, quotes included.
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

/// An event without its varying values.
#[derive(Clone)]
pub(super) struct EventTemplate {
    number: u32,
    name: Option<Bytes>,
    fields: Vec<TemplateField>,
    after: Box<[u8]>,
    /// Facts about the event with empty strings.
    blank: EventFacts,
}

#[derive(Clone)]
struct TemplateField {
    /// Bytes between the field before and this one.
    before: Box<[u8]>,
    field: VaryingField,
    /// Bytes of output that a non-empty string here adds besides its own, if the string is output. A tool call counts as a whole.
    output_overhead: Option<usize>,
}

impl EventTemplate {
    /// Makes a template of an event. Returns `None` if the event has no varying output, does more than add output, or has output whose
    /// size is not the sum of its strings.
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

    /// Returns the facts about an event and the positions of its varying values. Returns `None` if it differs anywhere else.
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
    /// Shows no text of the event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTemplate")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
