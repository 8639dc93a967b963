//! The state of one stream, updated with every event.

use bytes::Bytes;

use super::event_flags::{EventFacts, EventFlags};
use super::output_size::OutputSize;
use super::repeat::{EventRepeat, EventTemplate};
use super::reported_usage::ReportedUsage;
use super::{chat_chunk, response_event};
use crate::api_format::ApiFormat;
use crate::provider_error::find_error_in_event;
use crate::sse::SseEvent;

/// Maximum number of times in a row that a stream tries to learn a template, without an event that matches a
/// template. After that, the stream learns no template until an event matches the last template.
const MAX_UNUSED_TEMPLATES: u8 = 8;

/// The state of one stream: whether output has arrived, whether the stream is complete, and the token usage
/// that the provider has reported.
#[derive(Clone, Debug, Default)]
pub struct StreamView {
    api_format: ApiFormat,
    /// The number of choices that the request asks for. 0 means one.
    requested_choices: u32,
    /// Bit set of the choices that have appeared: bit `n` stands for the choice with index `n`. All indexes
    /// from 127 on share bit 127.
    pub(super) choices: u128,
    pub(super) finished: u128,
    /// The choices that had appeared before the last usage, if it came without choices. Such a chunk is the last one.
    choices_before_usage: u128,
    has_terminal_event: bool,
    done: bool,
    content: bool,
    /// Whether the output of the stream consists of complete answers in place of deltas.
    has_whole_answers: bool,
    pub(super) usage: Option<Box<ReportedUsage>>,
    pub(super) output: OutputSize,
    template: Option<EventTemplate>,
    templates_learned: u32,
    unused_templates: u8,
}

/// The classification of one event, which is passed to the decoder along with the event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation {
    /// Facts about the event, for example whether it carries output.
    pub flags: EventFlags,
    /// Positions of the event's varying values, if the event equals an earlier event except for these values.
    /// Otherwise `None`.
    pub repeat: Option<EventRepeat>,
}

impl Observation {
    fn of(flags: EventFlags) -> Self {
        Self { flags, repeat: None }
    }
}

impl StreamView {
    /// Returns the state of a stream in `api_format` before its first event.
    pub fn new(api_format: ApiFormat) -> Self {
        Self {
            api_format,
            ..Self::default()
        }
    }

    /// Sets how many choices the request asks for: see [`requested_choices`](super::requested_choices).
    pub fn with_choices(self, requested_choices: u32) -> Self {
        Self {
            requested_choices,
            ..self
        }
    }

    /// Returns the API format of the stream.
    pub fn api_format(&self) -> ApiFormat {
        self.api_format
    }

    /// Classifies the next event and updates the state of the stream.
    pub fn observe(&mut self, event: &SseEvent) -> Observation {
        let data = event.data.trim_ascii_start();
        if data.starts_with(b"[DONE]") {
            self.done = true;
            return Observation::of(EventFlags {
                done: true,
                ..EventFlags::default()
            });
        }
        // Some servers send `ping` or a time to keep a connection open.
        if !matches!(data.first(), Some(b'{' | b'[')) && !is_named_error(event) {
            return Observation::of(EventFlags {
                blank: true,
                ..EventFlags::default()
            });
        }
        let known = self
            .template
            .as_ref()
            .and_then(|template| template.recognise(event));
        let (facts, repeat) = match known {
            Some((facts, repeat)) => {
                self.unused_templates = 0;
                (facts, Some(repeat))
            }
            None => {
                let facts = self.classify(event);
                self.learn(event, &facts);
                (facts, None)
            }
        };
        if facts.flags.whole {
            return self.observe_whole(facts);
        }
        let flags = facts.flags;
        self.apply(facts);
        Observation { flags, repeat }
    }

    /// Returns the observation of an event that contains a complete answer. After deltas, the answer repeats
    /// what has arrived, so it is an ordinary event without output.
    #[cold]
    fn observe_whole(&mut self, mut facts: EventFacts) -> Observation {
        self.has_whole_answers |= self.output == OutputSize::default();
        let whole = self.has_whole_answers;
        if !whole {
            facts.flags.whole = false;
            let flags = facts.flags;
            self.apply(facts);
            return Observation::of(flags);
        }
        Observation::of(EventFlags {
            whole,
            ..EventFlags::default()
        })
    }

    /// Returns whether the stream ended properly: with `[DONE]`, with the last event of a response
    /// (`response.completed` or `response.incomplete`), or with a finish reason for every choice that the
    /// request asked for. A chunk with the usage and no choices is also an end if each choice so far has a finish
    /// reason, since some providers send fewer choices than the request asks for.
    pub fn is_complete(&self) -> bool {
        self.done || self.has_terminal_event || self.has_all_choices()
    }

    fn has_all_choices(&self) -> bool {
        // A set of more than 127 choices is full from the 128th on.
        let requested = self.requested_choices.clamp(1, u128::BITS);
        let are_all = || self.finished.count_ones() >= requested || self.choices_before_usage == self.choices;
        self.choices == self.finished && self.choices != 0 && are_all()
    }

    /// Returns whether `[DONE]` has arrived.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns whether any event with output of the model has arrived.
    pub fn has_content(&self) -> bool {
        self.content
    }

    /// Returns the token usage that the provider reported last, with the counts of earlier reports that it lacks,
    /// as JSON text that [`Usage`](crate::chat::Usage) reads. `None` if no usage with at least one token count has
    /// arrived.
    pub fn usage(&self) -> Option<&Bytes> {
        self.usage.as_ref().map(|usage| &usage.json)
    }

    /// Returns whether the provider has reported a token count above 0, which shows that the answer is paid for.
    pub fn is_billed(&self) -> bool {
        self.usage.as_ref().is_some_and(|reported| {
            let usage = &reported.usage;
            let counts = [
                usage.prompt_tokens(),
                usage.completion_tokens(),
                usage.total_tokens(),
            ];
            counts.into_iter().flatten().any(|count| count > 0)
        })
    }

    /// Estimates the number of output tokens that have arrived, from the length of the output.
    pub fn estimated_tokens(&self) -> u32 {
        self.output.estimated_tokens()
    }

    fn classify(&self, event: &SseEvent) -> EventFacts {
        let mut facts = match self.api_format {
            ApiFormat::ChatCompletions => chat_chunk::classify(event),
            ApiFormat::Responses => response_event::classify(event),
        };
        facts.flags.error |= is_named_error(event);
        // Some servers send a list of errors as an event.
        if facts.flags.corrupt && find_error_in_event(&event.data).is_some() {
            facts.flags.corrupt = false;
            facts.flags.error = true;
        }
        if facts.flags.error {
            // An error completes no answer. What was complete before stays complete.
            (facts.choices, facts.finished, facts.terminal) = (0, 0, false);
        }
        facts
    }

    fn learn(&mut self, event: &SseEvent, facts: &EventFacts) {
        let is_worthwhile = facts.output_bytes > 0 && facts.is_output_only();
        if !is_worthwhile || self.unused_templates >= MAX_UNUSED_TEMPLATES {
            return;
        }
        self.unused_templates += 1;
        let number = self.templates_learned;
        if let Some(template) = EventTemplate::learn(number, event, |event| self.classify(event)) {
            self.templates_learned = self.templates_learned.wrapping_add(1);
            self.template = Some(template);
        }
    }

    fn apply(&mut self, facts: EventFacts) {
        self.choices |= facts.choices;
        self.finished |= facts.finished;
        self.has_terminal_event |= facts.terminal;
        self.content |= facts.flags.content;
        self.output.add(facts.output_bytes);
        if let Some(mut later) = facts.usage {
            self.choices_before_usage = if facts.flags.usage_only { self.choices } else { 0 };
            if let Some(earlier) = &self.usage {
                later.complete_from(earlier);
            }
            self.usage = Some(later);
        }
    }
}

/// Returns whether the event has the name `error`.
fn is_named_error(event: &SseEvent) -> bool {
    event.name.as_deref() == Some(b"error")
}
