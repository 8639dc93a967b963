//! The side view of a stream of chat completion chunks: content? usage? error? terminal?
//!
//! Whoever moves bytes has to know when a stream has become visible to its reader, when it is complete, and what it cost,
//! without decoding what nobody reads. The common event, a piece of text in the middle of one choice, is recognised by a few
//! searches; every other event is read properly.
//!
//! Always true: the shortcut only ever says "content and nothing else", and only of an event of which the full reading would
//! say no more than that; once content was seen, an event that adds nothing is told the same way.

mod responses;

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api_format::ApiFormat;
use crate::chat::{FinishReason, LenientU64, Usage};
use crate::provider_error;
use crate::sse::SseEvent;

/// What one event shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventFlags {
    /// It shows the reader something: text, refusal, reasoning, a tool call, audio, or a finish reason.
    pub content: bool,
    /// It is an error, or a finish reason that means one.
    pub error: bool,
    /// It is `[DONE]`.
    pub done: bool,
    /// It carries usage and no choice.
    pub usage_only: bool,
    /// It is not JSON.
    pub corrupt: bool,
    /// It carries the response itself, whose id and items requests will refer to.
    pub creates_resources: bool,
}

/// What has been seen of a stream so far.
#[derive(Clone, Debug, Default)]
pub struct StreamView {
    api_format: ApiFormat,
    /// A terminal event of a response came.
    over: bool,
    /// Choices by index, as bits; indexes beyond the last bit share it.
    seen: u128,
    finished: u128,
    done: bool,
    content: bool,
    /// The JSON text of the last usage that said something.
    usage: Option<Bytes>,
    answer: Answer,
}

/// How much was said.
#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    pieces: u32,
    bytes: u64,
    /// The least that an event has around what it says.
    around: Option<usize>,
}

impl StreamView {
    /// Creates the view of a stream in `api_format` that has not begun.
    pub fn new(api_format: ApiFormat) -> Self {
        Self {
            api_format,
            ..Self::default()
        }
    }

    /// Looks at the next event.
    pub fn see(&mut self, event: &SseEvent) -> EventFlags {
        if event.data.starts_with(b"[DONE]") {
            self.done = true;
            return EventFlags {
                done: true,
                ..EventFlags::default()
            };
        }
        // As some keep a connection alive.
        if event.data.trim_ascii().is_empty() && event.name.is_none() {
            return EventFlags::default();
        }
        if self.api_format == ApiFormat::Responses {
            return self.see_response(event);
        }
        // The first event often has more around its piece than those behind it, so two are read.
        if self.answer.pieces >= 2 && event.name.is_none() && is_plain_piece(&event.data) {
            self.seen |= 1;
            self.answer.note_plain_piece(event.data.len());
            return EventFlags {
                content: true,
                ..EventFlags::default()
            };
        }
        self.read(event)
    }

    /// Whether the stream ended as it should: `[DONE]`, a terminal event, or a finish reason for every choice that was seen.
    pub fn is_complete(&self) -> bool {
        self.done || self.over || (self.seen != 0 && self.seen == self.finished)
    }

    /// Whether `[DONE]` was seen.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether the reader has been shown something.
    pub fn has_content(&self) -> bool {
        self.content
    }

    /// The JSON text of the last usage that said something.
    pub fn usage(&self) -> Option<&Bytes> {
        self.usage.as_ref()
    }

    /// The tokens of the answer so far, as far as can be told from its length: for an answer of which the provider does not say it.
    pub fn estimated_tokens(&self) -> u32 {
        self.answer.tokens()
    }

    fn read(&mut self, event: &SseEvent) -> EventFlags {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(&event.data) else {
            return match said_once(event) {
                Some(event) => self.read(&event),
                None => unread(event),
            };
        };
        let mut flags = EventFlags {
            error: chunk.is_error(event),
            ..EventFlags::default()
        };
        let choices = chunk.choices.unwrap_or_default();
        for choice in &choices {
            let bit = 1_u128 << choice.index.map_or(0, |index| index.0).min(127);
            self.seen |= bit;
            if choice.is_finished() {
                self.finished |= bit;
            }
            flags.content |= choice.has_content();
        }
        let said = choices
            .iter()
            .filter_map(|choice| Some(choice.delta.as_ref()?.said()))
            .sum();
        self.answer.note(said, event.data.len());
        let usages = [chunk.usage, chunk.x_groq.and_then(|groq| groq.usage)];
        let usages = usages
            .into_iter()
            .chain(choices.iter().map(|choice| choice.usage));
        if let Some(usage) = usages.flatten().rfind(|usage| counts_something(usage)) {
            self.usage = Some(event.data.slice_ref(usage.get().as_bytes()));
            flags.usage_only = choices.is_empty();
        }
        self.content |= flags.content;
        flags
    }
}

/// An event that could not be read.
fn unread(event: &SseEvent) -> EventFlags {
    let error = event.name.as_deref() == Some(b"error");
    EventFlags {
        corrupt: !error,
        error,
        ..EventFlags::default()
    }
}

/// The event with the last of its members of one name, where it says some twice.
fn said_once(event: &SseEvent) -> Option<SseEvent> {
    let value: serde_json::Value = serde_json::from_slice(&event.data).ok()?;
    let data = Bytes::from(serde_json::to_vec(&value).ok()?);
    (data.len() < event.data.len() && serde_json::from_slice::<Chunk<'_>>(&data).is_ok()).then(|| SseEvent {
        data,
        name: event.name.clone(),
    })
}

impl Answer {
    fn note(&mut self, said: usize, whole: usize) {
        if said > 0 {
            self.pieces = self.pieces.saturating_add(1);
            self.bytes += said as u64;
            let around = whole.saturating_sub(said);
            self.around = Some(self.around.map_or(around, |known| known.min(around)));
        }
    }

    fn note_plain_piece(&mut self, whole: usize) {
        self.pieces = self.pieces.saturating_add(1);
        self.bytes += whole.saturating_sub(self.around.unwrap_or(0)) as u64;
    }

    /// About four bytes are a token, and no piece is less than one.
    fn tokens(&self) -> u32 {
        let by_length = u32::try_from(self.bytes.div_ceil(4)).unwrap_or(u32::MAX);
        by_length.max(self.pieces)
    }
}

/// The tokens of a whole answer, as far as can be told from its length; `None` where it is no answer.
pub fn estimated_tokens(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        choices: Vec<Choice<'a>>,
    }
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow, default)]
        message: Option<Delta<'a>>,
    }
    let mut answer = Answer::default();
    let Ok(whole) = serde_json::from_slice::<Whole<'_>>(body) else {
        answer.note(responses::said_by(body)?, body.len());
        return Some(answer.tokens());
    };
    let messages = whole.choices.iter().filter_map(|choice| choice.message.as_ref());
    messages.for_each(|message| answer.note(message.said(), body.len()));
    Some(answer.tokens())
}

/// Whether the event is a piece of the first choice and nothing more: a single `"finish_reason"`, which is null, a single
/// `"index"`, which is 0, no usage or a null one, and no word of errors. Inside a JSON string a quote is escaped, so no text
/// looks like this.
fn is_plain_piece(data: &[u8]) -> bool {
    static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
    static INDEX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"index\""));
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
    static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
    data.last() == Some(&b'}')
        && occurs_once_with(&FINISH, b":null", data)
        && occurs_once_with(&INDEX, b":0", data)
        && ERROR.find(data).is_none()
        && USAGE
            .find_iter(data)
            .all(|at| data[at + USAGE.needle().len()..].starts_with(b":null"))
}

fn occurs_once_with(name: &Finder<'_>, value: &[u8], data: &[u8]) -> bool {
    let Some(at) = name.find(data) else { return false };
    let rest = &data[at + name.needle().len()..];
    rest.starts_with(value) && name.find(rest).is_none()
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    x_groq: Option<Groq<'a>>,
    /// Said by some errors that have no member of that name.
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_code: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<LenientU64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// What the members of a delta say, all but its role.
struct Delta<'a> {
    /// The length of texts and whatever else.
    content: usize,
    tool_calls: Option<&'a RawValue>,
}

impl Chunk<'_> {
    fn is_error(&self, event: &SseEvent) -> bool {
        let groq = self.x_groq.as_ref().and_then(|groq| groq.error);
        let choices = self.choices.as_deref().unwrap_or_default();
        event.name.as_deref() == Some(b"error")
            || [self.error, groq].into_iter().flatten().any(says_something)
            || choices.iter().any(Choice::is_error)
            || (choices.is_empty() && are_an_error(self.object, self.code, self.error_code))
    }
}

/// Whether these members, beside no answer, are of an error.
fn are_an_error(object: Option<&RawValue>, code: Option<&RawValue>, error_code: Option<&RawValue>) -> bool {
    let read = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    if object.is_none() && code.is_none() && error_code.is_none() {
        return false;
    }
    let (object, code, error_code) = (read(object), read(code), read(error_code));
    provider_error::looks_like_error(|name| match name {
        "object" => object.as_ref(),
        "code" => code.as_ref(),
        "error_code" => error_code.as_ref(),
        _ => None,
    })
}

impl Choice<'_> {
    fn finish(&self) -> &str {
        self.finish_reason.map_or("", |raw| raw.get().trim_matches('"'))
    }

    fn is_finished(&self) -> bool {
        !matches!(self.finish(), "" | "null")
    }

    fn is_error(&self) -> bool {
        self.error.is_some_and(says_something) || FinishReason::from(self.finish()).is_failure()
    }

    fn has_content(&self) -> bool {
        self.is_finished() || self.delta.as_ref().is_some_and(Delta::has_content)
    }
}

impl Delta<'_> {
    fn has_content(&self) -> bool {
        self.content > 0 || self.calls_something()
    }

    fn calls_something(&self) -> bool {
        self.tool_calls.is_some_and(|calls| calls_something(calls.get()))
    }

    /// In bytes of JSON, quotes apart.
    fn said(&self) -> usize {
        let calls = self.tool_calls.filter(|_| self.calls_something());
        self.content + calls.map_or(0, |calls| calls.get().len())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Delta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Delta<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a delta")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut delta = Delta {
                    content: 0,
                    tool_calls: None,
                };
                while let Some(Name(name)) = members.next_key()? {
                    match name.as_ref() {
                        "role" => {
                            members.next_value::<IgnoredAny>()?;
                        }
                        "tool_calls" => delta.tool_calls = members.next_value()?,
                        _ => {
                            let value = members.next_value::<&RawValue>()?;
                            if says_something(value) {
                                delta.content += value.get().trim_matches('"').len().max(1);
                            }
                        }
                    }
                }
                Ok(delta)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Whether a usage is one, and has more than nulls.
fn counts_something(usage: &RawValue) -> bool {
    says_something(usage) && serde_json::from_str::<Usage>(usage.get()).is_ok_and(|usage| !usage.is_empty())
}

/// Anything but `null`, `false` and the empty string, array and object.
fn says_something(raw: &RawValue) -> bool {
    let text = raw.get();
    let empty_within = |open, close| {
        text.strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|rest| rest.trim().is_empty())
    };
    !matches!(text, "null" | "false" | "\"\"") && !empty_within('[', ']') && !empty_within('{', '}')
}

/// Whether a list of tool call deltas has a name or a piece of arguments.
fn calls_something(calls: &str) -> bool {
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow, default)]
        function: Option<Part<'a>>,
        #[serde(borrow, default)]
        custom: Option<Part<'a>>,
    }
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default)]
        name: Option<&'a RawValue>,
        #[serde(borrow, default)]
        arguments: Option<&'a RawValue>,
        #[serde(borrow, default)]
        input: Option<&'a RawValue>,
    }
    let Ok(calls) = serde_json::from_str::<Option<Vec<Call<'_>>>>(calls) else {
        return true;
    };
    calls
        .into_iter()
        .flatten()
        .flat_map(|call| [call.function, call.custom])
        .flatten()
        .any(|part| {
            [part.name, part.arguments, part.input]
                .into_iter()
                .flatten()
                .any(says_something)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> SseEvent {
        SseEvent {
            data: Bytes::copy_from_slice(data.as_bytes()),
            name: None,
        }
    }

    fn see(data: &str) -> EventFlags {
        StreamView::default().see(&event(data))
    }

    fn delta(delta: &str) -> String {
        format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
    }

    #[test]
    fn an_answer_is_as_long_as_it_says_however_it_is_cut() {
        let text = "Four bytes are about a token, whoever counts them. ".repeat(20);
        let whole = format!(
            r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]}}"#
        );
        let expected = (text.len() / 4) as u32;
        assert_eq!(estimated_tokens(whole.as_bytes()), Some(expected));
        for size in [7, 40, text.len()] {
            let mut view = StreamView::default();
            view.see(&event(&delta(r#"{"role":"assistant","content":""}"#)));
            for piece in text.as_bytes().chunks(size) {
                let piece = std::str::from_utf8(piece).unwrap();
                view.see(&event(&delta(&format!(r#"{{"content":"{piece}"}}"#))));
            }
            let tokens = view.estimated_tokens();
            assert!(
                tokens.abs_diff(expected) <= 1 + expected / 50,
                "{tokens} of {expected} in pieces of {size}"
            );
        }
        let mut single = StreamView::default();
        let letters = ["a", "b", "c", "d"].map(|letter| delta(&format!(r#"{{"content":"{letter}"}}"#)));
        for letter in &letters {
            single.see(&event(letter));
        }
        assert_eq!(single.estimated_tokens(), 4, "no piece is less than a token");
        assert_eq!(estimated_tokens(b"{\"error\":1}"), None);
        assert_eq!(StreamView::default().estimated_tokens(), 0);
    }

    #[test]
    fn prefix_events_show_nothing() {
        for empty in [
            r#"{"role":"assistant"}"#,
            r#"{"role":"assistant","content":null}"#,
            r#"{"role":"assistant","content":"","refusal":null,"tool_calls":[]}"#,
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"","arguments":""}}]}"#,
            "{}",
        ] {
            assert_eq!(see(&delta(empty)), EventFlags::default(), "{empty}");
        }
        assert_eq!(
            see(r#"{"choices":[],"prompt_filter_results":[{"x":1}]}"#),
            EventFlags::default()
        );
        assert_eq!(see(r#"{"choices":null}"#), EventFlags::default());
    }

    #[test]
    fn anything_a_reader_would_notice_is_content() {
        for shown in [
            r#"{"content":"a"}"#,
            r#"{"refusal":"no"}"#,
            r#"{"reasoning_content":"hm"}"#,
            r#"{"reasoning":"hm"}"#,
            r#"{"reasoning_details":[{"text":"hm"}]}"#,
            r#"{"audio":{"id":"a"}}"#,
            r#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#,
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
            r#"{"tool_calls":[{"index":0,"custom":{"input":"x"}}]}"#,
            r#"{"function_call":{"name":"f"}}"#,
            r#"{"someday":"new"}"#,
        ] {
            assert!(see(&delta(shown)).content, "{shown}");
        }
        assert!(see(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#).content);
    }

    // L56
    #[test]
    fn errors_are_seen_wherever_they_hide() {
        for broken in [
            r#"{"error":{"message":"x"}}"#,
            r#"{"error":"text"}"#,
            r#"{"choices":[{"index":0,"error":{"code":502},"delta":{}}]}"#,
            r#"{"x_groq":{"error":"x"},"choices":[]}"#,
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            r#"{"code":"rpm_rate_limit_exceeded","msg":"Rate limit"}"#,
            r#"{"error_code":336501,"error_msg":"Rate limit"}"#,
            r#"{"object":"error","message":"x","type":"server_error","param":null,"code":null}"#,
            r#"{"object":"error","message":"x","type":"server_error","param":null,"code":500}"#,
        ] {
            assert!(see(broken).error, "{broken}");
            let as_response = StreamView::new(ApiFormat::Responses).see(&event(broken)).error;
            assert!(as_response || broken.contains("choices"), "{broken}");
        }
        for fine in [
            r#"{"error":null,"choices":[]}"#,
            r#"{"error":{},"choices":[]}"#,
            r#"{"error":"","choices":[]}"#,
            r#"{"code":0,"message":"Success","choices":[]}"#,
            r#"{"code":"200","choices":[{"index":0,"delta":{"content":"x"}}]}"#,
            r#"{"code":5,"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
            r#"{"object":"chat.completion.chunk","usage":{"prompt_tokens":1},"choices":[]}"#,
            "",
        ] {
            let flags = see(fine);
            assert!(!flags.error && !flags.corrupt, "{fine}");
        }
        let named = SseEvent {
            data: Bytes::from_static(b"oops"),
            name: Some(Bytes::from_static(b"error")),
        };
        assert!(StreamView::default().see(&named).error);
        assert!(see("<html>").corrupt);
    }

    // O18, O19, L52
    #[test]
    fn complete_needs_a_finish_reason_for_every_choice_seen_or_done() {
        let mut view = StreamView::default();
        view.see(&event(
            r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#,
        ));
        assert!(!view.is_complete());
        view.see(&event(
            r#"{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}"#,
        ));
        assert!(!view.is_complete());
        view.see(&event(
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#,
        ));
        assert!(view.is_complete() && !view.is_done());
        let mut done = StreamView::default();
        assert!(!done.is_complete());
        assert!(done.see(&event("[DONE]")).done);
        assert!(done.is_complete());
    }

    // L77
    #[test]
    fn a_member_that_is_said_twice_counts_as_it_was_said_last() {
        let mut view = StreamView::default();
        let twice = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":null,"usage":{"prompt_tokens":1}}"#;
        assert!(!view.see(&event(twice)).corrupt && view.is_complete());
        assert_eq!(&view.usage().unwrap()[..], br#"{"prompt_tokens":1}"#);
        let used = r#"{"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":null}}"#;
        assert!(!view.see(&event(used)).usage_only, "nulls are no usage");
        assert_eq!(&view.usage().unwrap()[..], br#"{"prompt_tokens":1}"#);
    }

    // U14, L65, L66
    #[test]
    fn the_last_usage_that_says_something_counts() {
        let mut view = StreamView::default();
        for data in [
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":2}}]}"#,
            r#"{"choices":[],"usage":null}"#,
            r#"{"choices":[],"usage":{}}"#,
            r#"{"choices":[],"x_groq":{"id":"x"}}"#,
        ] {
            view.see(&event(data));
        }
        assert_eq!(
            view.usage().unwrap(),
            &Bytes::from_static(br#"{"prompt_tokens":2}"#)
        );
        assert!(see(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#).usage_only);
        view.see(&event(r#"{"choices":[],"x_groq":{"usage":{"prompt_tokens":3}}}"#));
        assert_eq!(
            view.usage().unwrap(),
            &Bytes::from_static(br#"{"prompt_tokens":3}"#)
        );
    }

    #[test]
    fn numbers_are_read_as_leniently_as_by_the_decoder() {
        let mut view = StreamView::default();
        for index in ["\"0\"", "0.0", "0"] {
            let data = format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}}}}]}}"#);
            assert!(view.see(&event(&data)).content, "{index}");
        }
        view.see(&event(
            r#"{"choices":[{"index":"0","delta":{},"finish_reason":"stop"}]}"#,
        ));
        assert!(view.is_complete());
    }

    #[test]
    fn the_shortcut_sees_what_the_full_reading_sees() {
        let events = [
            delta(r#"{"content":" a"}"#),
            delta(r#"{"content":"\"finish_reason\":null \"usage\" \"error\""}"#),
            delta(r#"{"content":"usage"}"#),
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"x":{"finish_reason":null}}"#.into(),
            r#"{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":null}]}"#.into(),
            r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"x"}}]},"finish_reason":null}]}"#.into(),
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":9}}"#.into(),
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}"#.into(),
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"usage":null}],"usage":{"total_tokens":9}}"#.into(),
            r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"error":{"code":1}}"#.into(),
        ];
        for data in events {
            let mut quick = StreamView {
                content: true,
                ..StreamView::default()
            };
            let mut full = quick.clone();
            let (quick_sight, full_sight) = (quick.see(&event(&data)), full.read(&event(&data)));
            assert_eq!(quick_sight, full_sight, "{data}");
            assert_eq!((quick.seen, quick.finished), (full.seen, full.finished), "{data}");
            assert_eq!(quick.usage, full.usage, "{data}");
        }
    }
}
