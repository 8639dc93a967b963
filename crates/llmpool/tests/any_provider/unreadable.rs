//! Answers with status 200 in which nothing can be read.

use llmpool::ApiFormat;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::body::AnswerBody;
use crate::delivery::{Delivery, End, any_delivery};
use crate::provider::{Framing, Provider, any_provider};
use crate::wire::to_bytes;

/// Text of the provider, which no error may show unless it is asked for the provider's message.
pub const CANARY: &str = "CANARY";

#[derive(Clone, Debug)]
pub struct Unreadable {
    pub format: ApiFormat,
    pub body: Vec<u8>,
    pub delivery: Delivery,
}

pub fn any_unreadable() -> impl Strategy<Value = Unreadable> {
    let format = select(vec![ApiFormat::ChatCompletions, ApiFormat::Responses]);
    let body = prop_oneof![any_page(), any_text(), any_junk(), any_other_json(), any_error()];
    let whole = (format, body, any_delivery()).prop_map(|(format, body, delivery)| Unreadable {
        format,
        body,
        delivery,
    });
    prop_oneof![3 => whole, 2 => any_cut_answer(), 1 => any_empty_answer()]
}

fn any_page() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![
        "<!DOCTYPE html><html>",
        "\n\n<html lang=\"en\">",
        "<?xml version=\"1.0\"?>",
        "\u{feff}<html>",
        "<Error>",
        "<!-- a proxy --><html>",
    ]);
    let rest = vec(
        select(vec![
            "<title>",
            "</title>",
            "<p>",
            "{\"a\":1}",
            "\n",
            "data",
            "&amp;",
            CANARY,
        ]),
        0..20,
    );
    (start, rest)
        .prop_map(|(start, rest)| format!("{start}<head><title>{CANARY}{}", rest.concat()).into_bytes())
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let text = select(vec![
        "upstream connect error or disconnect/reset before headers",
        "no healthy upstream",
        "Not Found",
        "OK",
        "null",
        "\"text\"",
        "[DONE",
        "data",
    ]);
    (text, vec("[a-z \n]{0,9}", 0..9))
        .prop_map(|(text, rest)| format!("{text} {CANARY}{}", rest.concat()).into_bytes())
}

/// Returns bytes that begin as no answer begins.
fn any_junk() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(
        prop_oneof![any::<u8>(), select(b"{}[]\":,\n\r data".to_vec())],
        0..200,
    );
    (select(vec![0x1f_u8, 0x00, 0xff, b'x', b')', b'}']), bytes)
        .prop_map(|(first, bytes)| [&[first], CANARY.as_bytes(), &bytes].concat())
}

/// Returns JSON that is no answer.
fn any_other_json() -> impl Strategy<Value = Vec<u8>> {
    select(vec![
        json!([]),
        json!([CANARY]),
        json!(CANARY),
        json!({}),
        json!({"message": CANARY}),
        json!({"status": "ok", "data": [CANARY]}),
        json!({"object": "list", "data": [{"id": CANARY, "object": "model"}]}),
        json!({"id": CANARY, "choices": []}),
        json!({"id": CANARY, "choices": null}),
        json!({"id": CANARY, "choices": [{"index": 0}]}),
        json!({"id": CANARY, "object": "response", "status": "completed", "output": []}),
        json!({"id": CANARY, "object": "response", "status": "completed"}),
    ])
    .prop_map(|value| to_bytes(&value))
}

/// Returns an error object, as a document or as the first event of a stream.
fn any_error() -> impl Strategy<Value = Vec<u8>> {
    let error = select(vec![
        json!({"error": {"message": CANARY, "type": "server_error", "code": null}}),
        json!({"error": {"message": CANARY, "code": 502}}),
        json!({"error": CANARY}),
        json!({"errors": [{"message": CANARY}]}),
        json!([{"error": {"message": CANARY, "status": "INTERNAL"}}]),
        json!({"object": "error", "message": CANARY}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": CANARY}}),
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": CANARY}}}),
        json!({"id": "r", "object": "response", "status": "failed", "error": {"code": "server_error", "message": CANARY}, "output": []}),
    ]);
    (error, 0..5_u8).prop_map(|(error, framing)| in_framing(&error, framing))
}

fn in_framing(error: &Value, framing: u8) -> Vec<u8> {
    let json = String::from_utf8(to_bytes(error)).unwrap();
    match framing {
        0 => json,
        1 => serde_json::to_string_pretty(error).unwrap(),
        2 => format!("data: {json}\n\n"),
        3 => format!("event: error\r\ndata: {json}\r\n\r\ndata: [DONE]\r\n\r\n"),
        _ => format!(": PROCESSING\n\ndata: {json}\n\n"),
    }
    .into_bytes()
}

/// Returns an answer of which the end is missing.
fn any_cut_answer() -> impl Strategy<Value = Unreadable> {
    (any_provider(), any::<Index>()).prop_map(|(mut provider, cut)| {
        for choice in &mut provider.answer.choices {
            choice.text.insert(0, CANARY.to_owned());
        }
        let AnswerBody { bytes, .. } = provider.body();
        let end = first_end(&provider, &bytes);
        provider.delivery.end = End::Proper;
        Unreadable {
            format: provider.format,
            body: bytes[..cut.index(end)].to_vec(),
            delivery: provider.delivery,
        }
    })
}

/// Returns a number of bytes that is smaller than that of the shortest start that is complete.
fn first_end(provider: &Provider, bytes: &[u8]) -> usize {
    let find = |mark: &[u8]| bytes.windows(mark.len()).position(|bytes| bytes == mark);
    match provider.framing {
        Framing::Events | Framing::Lines | Framing::WholeAnswer | Framing::AnswersSoFar => {
            let marks: &[&[u8]] = if provider.is_chat() {
                &[b"\"finish_reason\":\""]
            } else {
                &[
                    b"response.completed",
                    b"response.incomplete",
                    b"\"status\":\"completed\"",
                    b"\"status\":\"incomplete\"",
                ]
            };
            marks.iter().filter_map(|mark| find(mark)).min().unwrap_or(1)
        }
        _ => bytes.iter().rposition(|byte| *byte == b'}').unwrap_or(1),
    }
}

/// Returns a stream that ends without content.
fn any_empty_answer() -> impl Strategy<Value = Unreadable> {
    let format = select(vec![ApiFormat::ChatCompletions, ApiFormat::Responses]);
    let body = select(vec![
        "",
        "\n\n",
        "\u{feff}",
        "data: [DONE]\n\n",
        "[DONE]",
        ": PROCESSING\n\n",
        "data:\n\ndata: [DONE]\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\ndata: [DONE]\n\n",
        "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
    ]);
    (format, body, any_delivery()).prop_map(|(format, body, delivery)| Unreadable {
        format,
        body: body.as_bytes().to_vec(),
        delivery,
    })
}
