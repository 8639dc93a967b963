//! Tool calls that arrive in pieces.

use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatChunk, ChunkDecoder};
use llmpool_core::framing::EventCollector;
use llmpool_core::responses::{Item, Response};
use llmpool_core::translate::ChunkToEventTranslator;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::envelope;

/// The number of pieces into which a long text is cut.
const MAX_PIECES: usize = 16;

/// Calls are put together from pieces of any length. The first line is the name, the rest are the arguments.
pub fn check_calls(text: &str) {
    let (name, arguments) = text.split_once('\n').unwrap_or(("f", text));
    // At most a few pieces, so that long inputs take no longer than their decoding.
    let size = text.len() % 5 + 1 + text.len() / MAX_PIECES;
    if !name.is_empty() {
        check_names(name, size);
    }
    check_end(arguments, size);
}

/// Asserts that a name is read in pieces, and as the whole name so far in each piece.
fn check_names(name: &str, size: usize) {
    let pieces = pieces(name, size);
    let (mut joined, mut so_far) = (String::new(), String::new());
    let mut longer = Vec::new();
    for piece in &pieces {
        so_far += piece;
        longer.push(so_far.clone());
        // A piece that begins with the name so far takes its place.
        joined = if piece.starts_with(&joined) {
            String::new()
        } else {
            joined
        } + piece;
    }
    let delta = |id: Option<&str>, name: &str, arguments: &str| json!({"index": 0, "id": id, "function": {"name": name, "arguments": arguments}});
    for (pieces, expected) in [
        (pieces, &joined),
        (longer.iter().map(String::as_str).collect(), &so_far),
    ] {
        for id in [Some("a"), None] {
            let mut deltas: Vec<_> = pieces.iter().map(|piece| delta(id, piece, "")).collect();
            deltas.push(delta(id, "", "{}"));
            assert_eq!(calls(deltas), [(expected.clone(), "{}".to_owned())]);
        }
    }
}

/// Asserts that another call begins after complete arguments, and only then.
fn check_end(arguments: &str, size: usize) {
    let verdict = serde_json::from_str::<IgnoredAny>(arguments);
    let is_object = arguments
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .starts_with('{');
    let is_complete = match &verdict {
        Ok(_) => is_object,
        Err(error) if error.is_eof() => false,
        // Only brackets and strings are read, so other mistakes are not found.
        Err(_) => return,
    };
    let delta = |arguments: &str| json!({"function": {"name": "f", "arguments": arguments}});
    let mut deltas: Vec<_> = pieces(arguments, size).into_iter().map(delta).collect();
    deltas.push(delta("{}"));
    let arguments_of: Vec<_> = calls(deltas)
        .into_iter()
        .map(|(_, arguments)| arguments)
        .collect();
    if is_complete {
        assert_eq!(arguments_of, [arguments, "{}"]);
    } else {
        assert_eq!(arguments_of, [arguments.to_owned() + "{}"]);
    }
}

/// Returns the text in pieces of `size` characters.
fn pieces(text: &str, size: usize) -> Vec<&str> {
    let mut starts: Vec<_> = text.char_indices().map(|(at, _)| at).step_by(size).collect();
    starts.push(text.len());
    starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

/// Returns the names and arguments of the calls that consist of these deltas.
fn calls(deltas: Vec<Value>) -> Vec<(String, String)> {
    let (mut assembler, mut translator) = (Assembler::new(), ChunkToEventTranslator::new(envelope()));
    for delta in deltas {
        let chunk = chunk(&json!({"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}));
        translator.push(chunk.clone());
        assembler.push(chunk);
    }
    translator.push(chunk(
        &json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    ));
    translator.finish();
    let completion = assembler.finish();
    let calls = completion
        .choices
        .iter()
        .flat_map(|choice| &choice.message.tool_calls);
    let calls: Vec<_> = calls
        .map(|call| (call.name().to_owned(), call.arguments().to_owned()))
        .collect();
    assert_eq!(translated_calls(translator), calls);
    calls
}

/// Returns the names and arguments of the calls in the response of translated events.
fn translated_calls(mut translator: ChunkToEventTranslator) -> Vec<(String, String)> {
    let mut collector = EventCollector::new(ApiFormat::Responses);
    while let Some(event) = translator.next_event() {
        let data = serde_json::to_vec(&event).unwrap_or_default();
        assert!(collector.push(&data).is_ok());
    }
    let response = collector.finish().and_then(|json| Response::decode(&json).ok());
    let items = response.map(|response| response.output).unwrap_or_default();
    let calls = items.into_iter().filter_map(|item| match item {
        Item::FunctionCall(call) => Some((call.name, call.arguments)),
        _ => None,
    });
    calls.collect()
}

fn chunk(json: &Value) -> ChatChunk {
    let Ok(chunk) = ChunkDecoder::new().decode(json.to_string().as_bytes()) else {
        panic!("a chunk cannot be decoded: {json}")
    };
    chunk
}
