//! Properties that hold for any input, for the fuzzers and for the tests that replay their corpus.

#[path = "checks/framing.rs"]
mod framing;
#[path = "checks/lenient.rs"]
mod lenient;
#[path = "checks/provider_error.rs"]
mod provider_error;
#[path = "checks/tool_calls.rs"]
mod tool_calls;

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

pub use framing::framing;
pub use lenient::lenient;
pub use provider_error::provider_error;

/// Bytes decode to the same events and chunks for any split. The first byte is the length of the pieces.
pub fn sse(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(bytes));
    let pieces = decode(bytes.chunks(usize::from(*size).max(1)));
    assert!(whole == pieces);
    check_chunks(&whole.unwrap_or_default());
}

/// Text parses as a provider file or is rejected with diagnostics.
pub fn provider_json(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A `file:` reference would read files of this machine.
    if text.contains("file:") {
        return;
    }
    if let Err(error) = ProviderFile::parse(text, "fuzz", &|_| Some("key".to_owned())) {
        assert!(!error.diagnostics().is_empty() && !error.to_string().is_empty());
    }
}

/// Text that decodes as a type of the vocabulary encodes to the same JSON, and what is read leniently encodes to
/// JSON that decodes to the same value.
pub fn vocabulary(input: &[u8]) {
    check_lenient_round_trip(input, ChatCompletion::decode);
    check_lenient_round_trip(input, |json| ChunkDecoder::new().decode(json));
    check_lenient_round_trip(input, Response::decode);
    check_lenient_round_trip(input, responses::ResponseEvent::decode);
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    check_round_trip::<ChatRequest>(text);
    check_round_trip::<ChatCompletion>(text);
    check_round_trip::<ChatChunk>(text);
    check_round_trip::<ResponsesRequest>(text);
    check_round_trip::<Response>(text);
    check_round_trip::<responses::ResponseEvent>(text);
}

/// Requests and responses are translated in both directions, or rejected with the name of a field.
pub fn translate(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(chat) = serde_json::from_str::<ChatRequest>(text) {
        match translate::chat_request_to_responses(&chat) {
            Ok(done) => drop(translate::responses_request_to_chat(
                &done.request,
                ChatCapabilities::default(),
            )),
            Err(field) => assert!(!field.param.is_empty()),
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
        for capabilities in [ChatCapabilities::default(), details, plain] {
            match translate::responses_request_to_chat(&request, capabilities) {
                Ok(done) => drop(translate::chat_request_to_responses(&done.request)),
                Err(field) => assert!(!field.param.is_empty()),
            }
        }
        drop(responses::resource_refs(input));
        drop(responses::created_resources(input));
        drop(ResponseEnvelope::new(&request, "seed", 0).started());
    }
    if let Ok(response) = Response::decode(input)
        && let Ok(completion) = translate::response_to_completion(response)
    {
        drop(translate::completion_to_response(completion, &envelope()));
    }
    if let Ok(completion) = ChatCompletion::decode(input) {
        drop(translate::completion_to_response(completion, &envelope()));
    }
    drop(translate::parse_usage(input));
}

/// Lines of JSON are assembled, translated and observed, as chunks and as events; the events translated from chunks
/// are a valid sequence. Tool calls in pieces are put together.
pub fn assemble(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        tool_calls::check_calls(text);
    }
    let lines = || input.split(|byte| *byte == b'\n');
    let (mut assembler, mut chunks) = (Assembler::new(), ChunkToEventTranslator::new(envelope()));
    for line in lines() {
        if let Ok(chunk) = ChunkDecoder::new().decode(line) {
            chunks.push(chunk.clone());
            assembler.push(chunk);
        }
    }
    // The parity of the length selects how the stream ends, so that both ends are covered.
    if input.len().is_multiple_of(2) {
        chunks.finish();
    } else {
        chunks.fail(&FailedResponse::default());
    }
    let mut sequence = EventSequence::new();
    while let Some(event) = chunks.next_event() {
        assert_eq!(sequence.push(&event), Ok(()));
    }
    assert_eq!(sequence.end(), Ok(()));
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

fn envelope() -> ResponseEnvelope {
    ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 0)
}

fn check_round_trip<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(decoded) = serde_json::from_str::<T>(text) else {
        return;
    };
    let encoded = serde_json::to_string(&decoded).unwrap_or_default();
    let Ok(again) = serde_json::from_str::<T>(&encoded) else {
        panic!("the encoded text does not decode: {encoded}")
    };
    let (first, second) = (
        serde_json::to_value(&decoded).ok(),
        serde_json::to_value(&again).ok(),
    );
    assert_eq!(first, second);
    // A repeated member is kept once, so only texts without repetitions are compared with the input.
    let original: Option<Value> = serde_json::from_str(text).ok();
    let same = original.as_ref().map(by_value) == first.as_ref().map(by_value);
    assert!(same || is_normalised_by_decoding(text), "{text} became {encoded}");
}

fn check_lenient_round_trip<T: Serialize + PartialEq, E>(
    json: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
) {
    let Ok(decoded) = decode(json) else {
        return;
    };
    let encoded = serde_json::to_string(&decoded).unwrap_or_default();
    let Ok(again) = decode(encoded.as_bytes()) else {
        panic!("the encoded text does not decode: {encoded}")
    };
    assert!(decoded == again, "{encoded}");
    assert_eq!(serde_json::to_string(&again).ok(), Some(encoded));
}

/// Replaces numbers by floats, since `1` may be encoded as `1.0`.
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

/// Returns whether decoding may normalise the text: it has escapes, repeated members, or counts, which may not be plain integers.
fn is_normalised_by_decoding(text: &str) -> bool {
    const COUNTS: [&str; 6] = ["tokens", "index", "created", "number", "_tokens", "n\""];
    let mut names = Vec::new();
    let has_repeated_member = text.split('"').skip(1).step_by(2).any(|name| {
        let known = names.contains(&name);
        names.push(name);
        known
    });
    has_repeated_member || text.contains('\\') || COUNTS.iter().any(|count| text.contains(count))
}

/// Asserts that every event decodes to the JSON that it has on its own. A character that is split over two events
/// does not. Which choice is the first depends on the events before and is not part of the JSON.
fn check_chunks(events: &[SseEvent]) {
    let has_surrogate = |event: &SseEvent| {
        let mut places = event.data.windows(3);
        places.any(|text| text.eq_ignore_ascii_case(b"\\ud"))
    };
    if events.iter().any(has_surrogate) {
        return;
    }
    let (mut view, mut decoder) = (StreamView::default(), ChunkDecoder::new());
    for event in events {
        let repeat = view.observe(event).repeat;
        let decoded = decoder.decode_observed(&event.data, repeat.as_ref());
        let alone = ChunkDecoder::new().decode(&event.data);
        let json = |chunk: &ChatChunk| serde_json::to_string(chunk).ok();
        assert_eq!(decoded.ok().as_ref().map(json), alone.ok().as_ref().map(json));
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
