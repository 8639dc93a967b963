//! The framing of an answer: what its bytes are, and the conversion between documents and event streams.

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatCompletion, Content};
use llmpool_core::framing::{
    AnswerReplay, Completeness, EventCollector, Framing, completeness, document_to_events, documents,
    is_ordinary_document, page_title, sniff, unusable,
};
use llmpool_core::responses::{EventSequence, Item, ItemPart, Response, ResponseEvent, ResponseStatus};
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::StreamView;
use serde::de::IgnoredAny;
use serde_json::Value;

/// The number of pieces after which the framing is asked for again.
const MAX_ASKED: usize = 64;
/// The maximum number of characters of a title or of a text that an error shows.
const MAX_SHOWN: usize = 80;

/// The framing of an answer does not depend on how it is split, and documents survive as events. The first byte
/// is the length of the pieces.
pub fn framing(input: &[u8]) {
    let Some((size, body)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    check_early_framings(body, size);
    check_documents(body);
    let shown = [page_title(body), unusable(body).message];
    let mut shown = shown.iter().flatten();
    assert!(shown.all(|text| text.chars().count() <= MAX_SHOWN && !text.contains(char::is_control)));
    for format in [ApiFormat::ChatCompletions, ApiFormat::Responses] {
        check_completeness(format, body);
        let whole = read(format, std::iter::once(body));
        assert!(whole == read(format, body.chunks(size)));
    }
    check_completion(body);
    check_response(body);
}

/// Asserts that the framing of a part is that of the whole, if it is certain.
fn check_early_framings(body: &[u8], size: usize) {
    let whole = sniff(body);
    for end in (0..body.len()).step_by(size).take(MAX_ASKED) {
        let early = sniff(&body[..end]);
        let may_change = matches!(early, None | Some(Framing::Text));
        assert!(early == whole || may_change);
        assert!(early != Some(Framing::Text) || matches!(whole, Some(Framing::Text | Framing::Events)));
    }
}

fn check_documents(body: &[u8]) {
    let found = documents(body);
    for document in &found {
        assert_eq!(documents(document), [*document]);
    }
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if is_json && body.trim_ascii_start().starts_with(b"{") {
        assert_eq!(found, [body.trim_ascii()]);
        assert_eq!(sniff(body), Some(Framing::Document));
        assert!(is_ordinary_document(body) || body.contains(&b'\n'));
    }
}

/// Asserts that a mark at the end does not change whether an answer is complete, and that a part of it is not.
fn check_completeness(format: ApiFormat, body: &[u8]) {
    let of = |body: &[u8]| completeness(body, StreamView::new(format));
    let Some(last) = documents(body).pop() else {
        assert_eq!(of(body), Completeness::Unfinished);
        return;
    };
    assert_eq!(of(&[body, b"\n\ndata: [DONE]\n\n"].concat()), of(body));
    let end = last.as_ptr_range().end.addr() - body.as_ptr().addr();
    assert_eq!(of(&body[..end - 1]), Completeness::Unfinished);
}

/// What a reader sees of a stream.
#[derive(PartialEq)]
struct Seen {
    events: Vec<(SseEvent, bool)>,
    is_complete: bool,
    document: Option<Vec<u8>>,
}

/// Reads a stream, with complete answers in place of its events, as one document. `None` if an event is too long.
fn read<'a>(format: ApiFormat, pieces: impl Iterator<Item = &'a [u8]>) -> Option<Seen> {
    let mut decoder = SseDecoder::new(1 << 16);
    let (mut view, mut replay) = (StreamView::new(format), AnswerReplay::new(format));
    let (mut collector, mut events) = (EventCollector::new(format), Vec::new());
    let mut observe = |event: SseEvent| {
        let whole = view.observe(&event).flags.whole;
        if whole {
            for event in replay.events_of(&event.data).into_iter().flatten() {
                assert!(!view.observe(&event).flags.whole);
                drop(collector.push(&event.data));
            }
        } else {
            drop(collector.push(&event.data));
        }
        events.push((event, whole));
    };
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event().ok()? {
            observe(event);
        }
    }
    decoder.take_unfinished().into_iter().for_each(observe);
    let document = collector.finish();
    if let Some(document) = &document {
        assert!(match format {
            ApiFormat::ChatCompletions => ChatCompletion::decode(document).is_ok(),
            ApiFormat::Responses => Response::decode(document).is_ok(),
        });
    }
    let is_complete = view.is_complete();
    Some(Seen {
        events,
        is_complete,
        document,
    })
}

fn collect(format: ApiFormat, events: &[SseEvent]) -> Vec<u8> {
    let mut collector = EventCollector::new(format);
    for event in events {
        assert!(collector.push(&event.data).is_ok());
    }
    let Some(document) = collector.finish() else {
        panic!("the events contain no answer")
    };
    document
}

/// Asserts that a completion as events is the same completion.
fn check_completion(body: &[u8]) {
    let events = document_to_events(ApiFormat::ChatCompletions, body);
    let (Some(events), Ok(before)) = (events, ChatCompletion::decode(body)) else {
        return;
    };
    let document = collect(ApiFormat::ChatCompletions, &events);
    let Ok(after) = ChatCompletion::decode(&document) else {
        panic!("a completion has become {}", String::from_utf8_lossy(&document))
    };
    let has_count = |answer: &ChatCompletion| {
        answer
            .usage
            .as_ref()
            .is_some_and(|usage| usage.total_tokens().is_some())
    };
    assert!(has_count(&after) || !has_count(&before));
    if !has_plain_choices(body) {
        return;
    }
    assert_eq!(after.choices.len(), before.choices.len());
    for (after, before) in after.choices.iter().zip(&before.choices) {
        assert_eq!(after.index(), before.index());
        assert_eq!(after.message.text(), before.message.text());
        assert_eq!(after.message.refusal, before.message.refusal);
        let calls = |choice: &llmpool_core::chat::Choice| {
            let calls = choice.message.tool_calls.iter();
            let calls = calls.map(|call| (call.name().to_owned(), call.arguments().to_owned()));
            calls.collect::<Vec<_>>()
        };
        assert_eq!(calls(after), calls(before));
    }
}

/// Returns whether the choices of a completion have indexes in order, and their tool calls have IDs of their own
/// and no indexes. Others may be joined.
fn has_plain_choices(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let choices = body["choices"].as_array().map_or(&[][..], Vec::as_slice);
    let mut choices = choices.iter().enumerate();
    choices.all(|(place, choice)| {
        let calls = &choice["message"]["tool_calls"];
        let calls = calls.as_array().map_or(&[][..], Vec::as_slice);
        let mut ids = Vec::new();
        let are_apart = calls.iter().all(|call| {
            let id = call["id"]
                .as_str()
                .filter(|id| !id.is_empty() && !ids.contains(id));
            ids.extend(id);
            id.is_some() && call.get("index").is_none() && call["function"].is_object()
        });
        choice["index"].as_u64() == Some(place as u64) && are_apart
    })
}

/// Asserts that a response as events is the same response, and that its events are a valid sequence.
fn check_response(body: &[u8]) {
    let events = document_to_events(ApiFormat::Responses, body);
    let (Some(events), Ok(mut before)) = (events, Response::decode(body)) else {
        return;
    };
    let status = before.status.get_or_insert(ResponseStatus::Completed).clone();
    let has_end = matches!(status, ResponseStatus::Completed | ResponseStatus::Incomplete);
    let mut sequence = EventSequence::new();
    for event in &events {
        let Ok(event) = ResponseEvent::decode(&event.data) else {
            panic!("an event cannot be decoded")
        };
        if has_end && has_plain_items(&before) {
            assert_eq!(sequence.push(&event), Ok(()));
        }
    }
    if status == ResponseStatus::Completed {
        let document = collect(ApiFormat::Responses, &events);
        let Ok(after) = Response::decode(&document) else {
            panic!("a response has become {}", String::from_utf8_lossy(&document))
        };
        assert_eq!(after.text(), before.text());
        assert_eq!(after.output.len(), before.output.len());
        let value = |response: &Response| serde_json::to_value(&response.usage).ok();
        assert_eq!(value(&after), value(&before));
    }
}

/// Returns whether the response and its items have IDs of their own, and the items only parts that such items may
/// have.
fn has_plain_items(response: &Response) -> bool {
    let mut ids = Vec::new();
    let mut items = response.output.iter();
    response.id.is_some()
        && items.all(|item| {
            let id = item.id().filter(|id| !ids.contains(id));
            ids.extend(id);
            id.is_some() && has_plain_parts(item)
        })
}

fn has_plain_parts(item: &Item) -> bool {
    match item {
        Item::Message(message) => match &message.content {
            Some(Content::Parts(parts)) => {
                let is_plain =
                    |part: &ItemPart| matches!(part, ItemPart::OutputText(_) | ItemPart::Refusal(_));
                parts.iter().all(is_plain)
            }
            _ => true,
        },
        Item::Reasoning(reasoning) => {
            let is_summary = |part: &ItemPart| matches!(part, ItemPart::SummaryText(_));
            let is_text = |part: &ItemPart| matches!(part, ItemPart::ReasoningText(_));
            let content = reasoning.content.as_deref().unwrap_or_default();
            reasoning.summary.iter().all(is_summary) && content.iter().all(is_text)
        }
        _ => true,
    }
}
