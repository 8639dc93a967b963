//! The time that reading an answer takes grows no faster than the answer, whatever the provider sends.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "the test measures real time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChunkDecoder};
use llmpool_core::framing::{EventCollector, documents};
use llmpool_core::responses::{Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate::{
    ChunkToEventTranslator, EventToChunkTranslator, ResponseEnvelope, dropped_from_response,
};
use serde_json::{Value, json};

const SMALL: usize = 2_000;
const PARTS: usize = 8;
const LARGE: usize = PARTS * SMALL;

/// The most that the time of a large input may exceed the time of the same amount in small inputs. Quadratic time is 8 times as long, and
/// linear time up to twice as long, because the large input does not fit into the caches.
const MAX_GROWTH: u32 = 3;

/// More than any measured time.
const MAX_TIME: Duration = Duration::from_secs(3600);

/// Measures `run` with one large input and with the same amount in small inputs, until the shortest times of each fit. Both take about the
/// same time, so that a busy machine interrupts both.
fn assert_linear<T>(case: &str, input: impl Fn(usize) -> T, run: impl Fn(T)) {
    let time = |size: usize, count: usize| {
        let inputs: Vec<T> = (0..count).map(|_| input(size)).collect();
        let started = Instant::now();
        inputs.into_iter().for_each(&run);
        started.elapsed()
    };
    let (mut small, mut large) = (MAX_TIME, MAX_TIME);
    for _ in 0..8 {
        small = small.min(time(SMALL, PARTS));
        large = large.min(time(LARGE, 1));
        if large <= small * MAX_GROWTH {
            return;
        }
    }
    panic!("{case}: {small:?} in {PARTS} parts, {large:?} in one");
}

fn chunks(size: usize, choice: impl Fn(usize) -> Value) -> Vec<ChatChunk> {
    let chunk = |number| serde_json::from_value(json!({"choices": [choice(number)]})).unwrap();
    (0..size).map(chunk).collect()
}

fn assemble(chunks: Vec<ChatChunk>) {
    let mut assembler = Assembler::new();
    chunks.into_iter().for_each(|chunk| assembler.push(chunk));
    black_box(assembler.finish());
}

fn translate(chunks: Vec<ChatChunk>) {
    let mut translator =
        ChunkToEventTranslator::new(ResponseEnvelope::new(&ResponsesRequest::default(), "x", 0));
    for chunk in chunks {
        translator.push(chunk);
        while let Some(event) = translator.next_event() {
            black_box(event);
        }
    }
    translator.finish();
    while let Some(event) = translator.next_event() {
        black_box(event);
    }
}

// A18
#[test]
fn distinct_unknown_members_take_linear_time() {
    type Place = fn(Value) -> Value;
    let places: [(&str, Place); 6] = [
        ("choice", |mut fields| {
            fields["delta"] = json!({});
            fields
        }),
        ("delta", |fields| json!({"delta": fields})),
        ("call", |fields| json!({"delta": {"tool_calls": [fields]}})),
        (
            "function",
            |fields| json!({"delta": {"tool_calls": [{"function": fields}]}}),
        ),
        (
            "deprecated call",
            |fields| json!({"delta": {"function_call": fields}}),
        ),
        ("reasoning part", |mut fields| {
            fields["type"] = "thinking".into();
            fields["thinking"] = json!([]);
            json!({"delta": {"content": [fields]}})
        }),
    ];
    for (place, choice) in places {
        let input = |size| chunks(size, |number| choice(json!({format!("x{number}"): 1})));
        assert_linear(place, input, assemble);
    }
    let top = |size| {
        let chunk = |number| serde_json::from_value(json!({format!("x{number}"): 1})).unwrap();
        (0..size).map(chunk).collect()
    };
    assert_linear("chunk", top, assemble);
    let together = |size| {
        let fields = (0..size).map(|number| (format!("x{number}"), json!(1)));
        let delta: Value = fields.collect::<serde_json::Map<_, _>>().into();
        chunks(1, |_| json!({"delta": delta}))
    };
    assert_linear("all in one chunk", together, assemble);
}

// A19
#[test]
fn tool_calls_of_a_chat_take_linear_time() {
    let call = |by_index: bool, by_id: bool| {
        move |number: usize| {
            let mut call = json!({"function": {"name": "f", "arguments": "{}"}});
            if by_index {
                call["index"] = number.into();
            }
            if by_id {
                call["id"] = format!("call {number}").into();
            }
            json!({"delta": {"tool_calls": [call]}})
        }
    };
    for (by_index, by_id) in [(true, false), (false, true), (true, true), (false, false)] {
        let case = format!("index {by_index}, id {by_id}");
        assert_linear(&case, |size| chunks(size, call(by_index, by_id)), assemble);
        assert_linear(&case, |size| chunks(size, call(by_index, by_id)), translate);
    }
    let choices = |size: usize| {
        chunks(
            size,
            |number| json!({"index": size - number, "delta": {"content": "a"}}),
        )
    };
    assert_linear("choices in reverse order", choices, assemble);
}

/// Returns the events of a response with `size` calls.
fn call_events(size: usize, by_index: bool, by_id: bool) -> Vec<Value> {
    let mut events = Vec::new();
    for number in 0..size {
        let mut item = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""});
        let mut place = json!({});
        if by_id {
            item["id"] = format!("i{number}").into();
            place["item_id"] = item["id"].clone();
        }
        if by_index {
            place["output_index"] = number.into();
        }
        let event = |kind: &str, field: &str, value: Value| {
            let mut event = place.clone();
            event["type"] = kind.into();
            event[field] = value;
            event
        };
        events.push(event("response.output_item.added", "item", item.clone()));
        events.push(event(
            "response.function_call_arguments.delta",
            "delta",
            "{}".into(),
        ));
        item["arguments"] = "{}".into();
        events.push(event("response.output_item.done", "item", item));
    }
    events.push(json!({"type": "response.completed", "response": {"status": "completed", "output": []}}));
    events
}

// A20
#[test]
fn tool_calls_of_a_response_take_linear_time() {
    for (by_index, by_id) in [(true, false), (false, true), (true, true), (false, false)] {
        let case = format!("index {by_index}, id {by_id}");
        let decoded = |size| {
            let events = call_events(size, by_index, by_id).into_iter();
            events
                .map(|event| serde_json::from_value(event).unwrap())
                .collect()
        };
        assert_linear(&case, decoded, |events: Vec<ResponseEvent>| {
            let mut translator = EventToChunkTranslator::new();
            for event in events {
                translator.push(event).unwrap();
                while let Some(chunk) = translator.next_chunk() {
                    black_box(chunk);
                }
            }
        });
    }
    let encoded = |size| -> Vec<String> {
        let events = call_events(size, true, true).into_iter();
        events.map(|event| event.to_string()).collect()
    };
    assert_linear("collected", encoded, |events| {
        let mut collector = EventCollector::new(ApiFormat::Responses);
        for event in events {
            collector.push(event.as_bytes()).unwrap();
        }
        black_box(collector.finish());
    });
}

#[test]
fn translated_extras_take_linear_time() {
    let call = |number: usize| json!({"index": number, "id": format!("c{number}"), "function": {"name": "f", "arguments": "{}"}});
    for (case, first) in [
        ("echoed field without message", json!({"extra_content": 1})),
        ("annotations without text", json!({"annotations": [{}]})),
    ] {
        let input = |size| {
            chunks(size, |number| {
                let mut delta = if number == 0 { first.clone() } else { json!({}) };
                delta["tool_calls"] = json!([call(number)]);
                json!({"delta": delta})
            })
        };
        assert_linear(case, input, translate);
    }
    let waiting = |size| {
        chunks(
            size,
            |_| json!({"delta": {"annotations": [{}], "reasoning": "r"}}),
        )
    };
    assert_linear("waiting annotations", waiting, translate);
    let encrypted = |format: &'static str| {
        move |size| {
            chunks(size, |number| {
                let delta = match number {
                    _ if number < size / 2 && number % 2 == 0 => json!({"reasoning": "r"}),
                    _ if number < size / 2 => json!({"content": "t"}),
                    _ => {
                        json!({"content": "t", "reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "format": format}]})
                    }
                };
                json!({"delta": delta})
            })
        }
    };
    assert_linear("own blocks", encrypted("openai-responses-v1"), translate);
    assert_linear("foreign blocks", encrypted("other"), translate);
    let wide = |size| {
        let members = (0..size).map(|number| (format!("x{number}"), json!(1)));
        let mut block: Value = members.collect::<serde_json::Map<_, _>>().into();
        block["type"] = "reasoning.text".into();
        block["index"] = 0.into();
        chunks(2, |_| json!({"delta": {"reasoning_details": [block]}}))
    };
    assert_linear("wide block", wide, assemble);
    for is_same in [true, false] {
        let fragments = move |size| {
            chunks(size, move |number| {
                let index = if is_same { 0 } else { number };
                json!({"delta": {"reasoning_details": [{"type": "reasoning.text", "index": index, "text": "t"}]}})
            })
        };
        assert_linear("fragments assembled", fragments, assemble);
        assert_linear("fragments translated", fragments, translate);
    }
}

#[test]
fn reports_of_left_out_output_take_linear_time() {
    let items: [fn(usize) -> Value; 4] = [
        |_| json!({"type": "web_search_call"}),
        |number| json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "extra_content": number}),
        |number| json!({"type": "message", "role": "assistant", "phase": format!("p{number}"), "extra_content": number}),
        |number| json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}], "x": number}),
    ];
    for item in items {
        let events = |size: usize| -> Vec<ResponseEvent> {
            let output: Vec<Value> = (0..size).map(item).collect();
            let done = output.iter().enumerate().map(|(index, item)| {
                json!({"type": "response.output_item.done", "output_index": index, "item": item})
            });
            let mut events: Vec<Value> = done.collect();
            events.push(
                json!({"type": "response.completed", "response": {"status": "completed",
                "output": output, "text": {}}}),
            );
            events
                .into_iter()
                .map(|event| serde_json::from_value(event).unwrap())
                .collect()
        };
        let case = item(0)["type"].to_string();
        assert_linear(&case, events, |events| {
            let mut translator = EventToChunkTranslator::new();
            // A response with searches alone has no output.
            for event in events {
                drop(translator.push(event));
                while let Some(chunk) = translator.next_chunk() {
                    black_box(chunk);
                }
            }
            black_box(translator.dropped_output());
        });
    }
    let members = |size: usize| {
        let members = (0..size).map(|number| (format!("x{number}"), json!(1)));
        let mut response: Value = members.collect::<serde_json::Map<_, _>>().into();
        response["output"] = json!([]);
        serde_json::from_value::<Response>(response).unwrap()
    };
    assert_linear("members", members, |response| {
        black_box(dropped_from_response(&response));
    });
}

// P3, P6
#[test]
fn pieces_of_one_text_take_linear_time() {
    let text = |size| chunks(size, |_| json!({"delta": {"content": "word "}}));
    assert_linear("text", text, assemble);
    let part = |size| {
        chunks(
            size,
            |_| json!({"delta": {"content": [{"type": "text", "text": "word "}]}}),
        )
    };
    assert_linear("text parts", part, assemble);
    let arguments = |size| {
        chunks(size, |number| {
            let piece = if number == 0 {
                "{\"a\":\""
            } else {
                "some more text \\\""
            };
            json!({"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": piece}}]}})
        })
    };
    assert_linear("arguments", arguments, assemble);
    assert_linear("arguments", arguments, translate);
    let name = |size| {
        chunks(
            size,
            |_| json!({"delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}}),
        )
    };
    assert_linear("name", name, assemble);
}

// A21, P7
#[test]
fn documents_take_linear_time() {
    let calls = |size| {
        let call = json!({"id": "a", "function": {"name": "f", "arguments": "{}"}}).to_string();
        format!(
            r#"{{"choices":[{{"message":{{"tool_calls":[{}]}}}}]}}"#,
            vec![call; size].join(",")
        )
    };
    assert_linear("calls", calls, |body| {
        black_box(ChatCompletion::decode(body.as_bytes()).unwrap());
    });
    for (case, piece) in [
        ("halves", &br"\ud800"[..]),
        ("invalid UTF-8", b"\xff"),
        ("control characters", b"\n"),
    ] {
        let body = |size: usize| {
            let mut body = br#"{"choices":[{"delta":{"content":""#.to_vec();
            body.extend(piece.repeat(size));
            body.extend(br#""}}]}"#);
            body
        };
        assert_linear(case, body, |body| {
            black_box(ChunkDecoder::new().decode(&body).unwrap());
        });
    }
    let numbers = |size| format!(r#"{{"choices":[],"x":[{}1]}}"#, "NaN,".repeat(size));
    assert_linear("numbers", numbers, |body| {
        black_box(ChunkDecoder::new().decode(body.as_bytes()).unwrap());
    });
    for piece in ["{}\n", "{\"a\":[", "{\"\\\"", "\u{feff}", "{}[DONE]"] {
        let body = |size: usize| Bytes::from(piece.repeat(size));
        assert_linear(piece, body, |body| {
            black_box(documents(&body));
        });
    }
}

#[cfg(feature = "structured")]
#[test]
fn replies_with_many_brackets_take_linear_time() {
    use llmpool_core::structured::ReplySchema;

    let pieces = [
        "{",
        "[",
        "{\"a\":",
        "[1,",
        "{\"a\":{\"b\":1},",
        "{} ",
        "[[],",
        "{x",
        "\"{",
        "```\n{",
        "[1,x] ",
        "\n{x:\n",
    ];
    let schemas = (
        ReplySchema::of::<u8>().unwrap(),
        ReplySchema::of::<Vec<u8>>().unwrap(),
    );
    for piece in pieces {
        assert_linear(
            piece,
            |size| piece.repeat(size),
            |text| {
                black_box(schemas.0.parse_text::<u8>(&text).unwrap_err());
                black_box(schemas.1.parse_text::<Vec<u8>>(&text).ok());
            },
        );
    }
}

#[cfg(feature = "structured")]
#[test]
fn fields_of_hostile_replies_take_linear_time() {
    use llmpool_core::structured::{FinishedFields, ReplySchema};

    let long_name = format!("{{\"{}\":[", "a".repeat(SMALL));
    let cases = [
        ("", "{"),
        ("", "["),
        ("", "[1] "),
        ("", "{} "),
        ("", "{x} "),
        ("{\"a\":\"", "\\n"),
        ("{\"a\":", "\n"),
        ("{\"a\":", "1"),
        ("{\"a\":[", "{\"b\":[]},"),
        (&long_name, "1,"),
        ("{\"a\":[[[[[[[[", "1,"),
    ];
    let schema = ReplySchema::of::<Vec<u8>>().unwrap();
    for (start, piece) in cases {
        assert_linear(
            piece,
            |size| format!("{start}{}", piece.repeat(size)),
            |text| {
                let mut fields = FinishedFields::new(&schema);
                fields.push(&text);
                black_box(fields.count());
                let mut fields = FinishedFields::new(&schema);
                text.char_indices()
                    .for_each(|(at, letter)| fields.push(&text[at..at + letter.len_utf8()]));
                black_box(fields.count());
            },
        );
    }
}
