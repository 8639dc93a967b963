//! What has to hold for any input: for the fuzzers, and for the replay of their corpus by the tests.

use bytes::Bytes;
use llmpool::provider_file::ProviderFile;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest, ChunkDecoder};
use llmpool_core::responses::{self, EventSequence, Response, ResponsesRequest};
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::StreamView;
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, FailedResponse, ReasoningEcho,
    ResponseEnvelope,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Any bytes, in any pieces, give the same events and chunks. The first byte says how long the pieces are.
pub fn sse(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(bytes));
    let pieces = decode(bytes.chunks(usize::from(*size).max(1)));
    assert!(whole == pieces);
    read_chunks(&whole.unwrap_or_default());
}

/// Any text is read or refused with words.
pub fn provider_json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A reference to a file would read this machine.
    if text.contains("file:") {
        return;
    }
    if let Err(error) = ProviderFile::parse(text, "fuzz", &|_| Some("key".to_owned())) {
        assert!(!error.diagnostics().is_empty() && !error.to_string().is_empty());
    }
}

/// Any text is read as whatever it may be or refused; what was read is written as it was.
pub fn vocabulary(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    again::<ChatRequest>(text);
    again::<ChatCompletion>(text);
    again::<ChatChunk>(text);
    again::<ResponsesRequest>(text);
    again::<Response>(text);
    again::<responses::ResponseEvent>(text);
}

/// Any request is translated or refused by the name of a field, there and back; any answer too.
pub fn translated(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(chat) = serde_json::from_str::<ChatRequest>(text) {
        match translate::chat_request_to_responses(&chat) {
            Ok(done) => drop(translate::responses_request_to_chat(
                &done.request,
                ChatCapabilities::default(),
            )),
            Err(refused) => assert!(!refused.param.is_empty()),
        }
    }
    if let Ok(request) = serde_json::from_str::<ResponsesRequest>(text) {
        let details = ChatCapabilities {
            reasoning_echo: ReasoningEcho::Details,
            ..ChatCapabilities::default()
        };
        let plain = ChatCapabilities {
            developer_role: false,
            max_completion_tokens: false,
            openai_extensions: false,
            reasoning_echo: ReasoningEcho::Content,
        };
        for accent in [ChatCapabilities::default(), details, plain] {
            match translate::responses_request_to_chat(&request, accent) {
                Ok(done) => drop(translate::chat_request_to_responses(&done.request)),
                Err(refused) => assert!(!refused.param.is_empty()),
            }
        }
        drop(responses::resource_refs(input));
        drop(responses::created_resources(input));
        drop(ResponseEnvelope::new(&request, "seed", 0).started());
    }
    if let Ok(response) = Response::decode(input)
        && let Ok(completion) = translate::response_to_completion(response)
    {
        drop(translate::completion_to_response(completion, &frame()));
    }
    if let Ok(completion) = ChatCompletion::decode(input) {
        drop(translate::completion_to_response(completion, &frame()));
    }
    drop(translate::parse_usage(input));
}

/// Any lines of JSON, as chunks and as events: they are put together, translated and seen, and what is made of chunks is in order.
pub fn assembled(input: &[u8]) {
    let lines = || input.split(|byte| *byte == b'\n');
    let (mut assembler, mut chunks) = (Assembler::new(), ChunkToEventTranslator::new(frame()));
    for line in lines() {
        if let Ok(chunk) = ChunkDecoder::new().decode(line) {
            chunks.push(chunk.clone());
            assembler.push(chunk);
        }
    }
    // An even number of bytes ends well, so that both ends are tried.
    if input.len().is_multiple_of(2) {
        chunks.finish();
    } else {
        chunks.fail(&FailedResponse::default());
    }
    let mut grammar = EventSequence::new();
    while let Some(event) = chunks.next_event() {
        assert_eq!(grammar.push(&event), Ok(()));
    }
    assert_eq!(grammar.end(), Ok(()));
    drop(assembler.finish());
    let (mut translator, mut assembler) = (EventToChunkTranslator::new(), Assembler::new());
    let mut view = StreamView::new(ApiFormat::Responses);
    for line in lines() {
        let observation = view.observe(&SseEvent {
            data: Bytes::copy_from_slice(line),
            name: None,
        });
        drop(translator.push_data(line, observation.repeat.as_ref()));
        while let Some(chunk) = translator.next_chunk() {
            assembler.push(chunk);
        }
    }
    drop(assembler.finish());
}

fn frame() -> ResponseEnvelope {
    ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 0)
}

fn again<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(read) = serde_json::from_str::<T>(text) else {
        return;
    };
    let written = serde_json::to_string(&read).unwrap_or_default();
    let Ok(again) = serde_json::from_str::<T>(&written) else {
        panic!("what was written is not read: {written}")
    };
    let (first, second) = (
        serde_json::to_value(&read).ok(),
        serde_json::to_value(&again).ok(),
    );
    assert_eq!(first, second);
    // A member that is there twice is kept once, so only texts without one are compared with what was written.
    let original: Option<Value> = serde_json::from_str(text).ok();
    let same = original.as_ref().map(by_value) == first.as_ref().map(by_value);
    assert!(same || has_what_is_normalised(text), "{text} became {written}");
}

/// Numbers by their value: `1` may be written as `1.0`, and a number in quotes as a number.
fn by_value(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(by_value).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), by_value(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Whether a text has what reading makes one of several: counts that are no plain whole numbers, and members that are there twice.
fn has_what_is_normalised(text: &str) -> bool {
    const COUNTS: [&str; 6] = ["tokens", "index", "created", "number", "_tokens", "n\""];
    let mut names = Vec::new();
    let doubled = text.split('"').skip(1).step_by(2).any(|name| {
        let known = names.contains(&name);
        names.push(name);
        known
    });
    doubled || text.contains('\\') || COUNTS.iter().any(|count| text.contains(count))
}

/// Asserts that every event decodes as it does on its own.
fn read_chunks(events: &[SseEvent]) {
    let (mut view, mut decoder) = (StreamView::default(), ChunkDecoder::new());
    for event in events {
        let repeat = view.observe(event).repeat;
        let decoded = decoder.decode_observed(&event.data, repeat.as_ref());
        let alone = ChunkDecoder::new().decode(&event.data);
        assert!(decoded.ok() == alone.ok());
    }
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<SseEvent>> {
    let mut decoder = SseDecoder::new(1 << 16);
    let mut view = StreamView::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event().ok()? {
            view.observe(&event);
            events.push(event);
        }
    }
    Some(events)
}
