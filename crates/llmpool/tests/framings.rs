//! Answers in another framing than the request asked for: read with one request, and converted. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use llmpool::chat::ChatRequest;
use llmpool::responses::ResponsesRequest;
use llmpool::{
    ApiKeyPool, Conversion, Error, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, TargetSettings,
    Timeouts, UsageSource,
};
use serde_json::{Value, json};
use support::{Action, COMPLETION, ScriptedProvider, chunk_json, recorded};
use tokio::time::Instant;

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"ok","annotations":[]}]}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}"#;

fn target(script: &Arc<ScriptedProvider>, base_url: &str) -> OpenAiCompatible {
    let settings = TargetSettings {
        max_retries: 3,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", base_url)
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

/// Returns a response with status 200 whose body ends with the connection.
fn response(content_type: &str, body: &[u8]) -> Vec<u8> {
    let label = match content_type {
        "" => String::new(),
        label => format!("content-type: {label}\r\n"),
    };
    let head = format!("HTTP/1.1 200 OK\r\n{label}connection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn sse(events: &[String]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// What a call returned, in whatever way it was made.
#[derive(Debug, PartialEq)]
struct Outcome {
    text: String,
    tokens: Option<u64>,
    converted: Option<Conversion>,
}

/// Sends a request of each kind to a provider that answers with `body`. Returns the outcomes of the plain and the
/// streamed call, after it has checked that the raw calls return the same.
async fn answers(content_type: &str, body: &str) -> [Result<Outcome, Error>; 2] {
    let bytes = response(content_type, body.as_bytes());
    let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
    let target = target(&script, "http://scripted/v1");
    let request = ChatRequest::user("hi");
    let plain = target.chat(&request).await.map(|answer| Outcome {
        text: answer.text(),
        tokens: answer.report.usage.as_ref().unwrap().total_tokens(),
        converted: answer.report.converted,
    });
    let streamed = match target.chat_stream(&request).await {
        Ok(stream) => stream.into_response().await,
        Err(error) => Err(error),
    };
    let streamed = streamed.map(|answer| Outcome {
        text: answer.text(),
        tokens: answer.report.usage.as_ref().unwrap().total_tokens(),
        converted: answer.report.converted,
    });
    assert_eq!(script.requests(), 2, "{body}");
    let raw = target
        .raw_chat(Bytes::from_static(br#"{"model":"m"}"#))
        .await
        .map(|answer| {
            let document: Value = serde_json::from_slice(&answer.body).unwrap();
            let text = document["choices"][0]["message"]["content"].as_str().unwrap();
            (text.to_owned(), answer.report.converted)
        });
    assert_eq!(
        raw.ok(),
        plain
            .as_ref()
            .ok()
            .map(|plain| (plain.text.clone(), plain.converted))
    );
    let body = Bytes::from_static(br#"{"model":"m","stream":true}"#);
    let raw = match target.raw_chat_stream(body).await {
        Ok(mut stream) => {
            let mut text = String::new();
            while let Some(event) = stream.next().await {
                let data = event.unwrap().event.data;
                let chunk: Value = serde_json::from_slice(&data).unwrap_or_default();
                text += chunk["choices"][0]["delta"]["content"].as_str().unwrap_or("");
            }
            Some((text, stream.report().converted))
        }
        Err(_) => None,
    };
    let expected = streamed.as_ref().ok();
    assert_eq!(
        raw,
        expected.map(|streamed| (streamed.text.clone(), streamed.converted))
    );
    assert_eq!(target.key_status()[0].in_flight, 0);
    [plain, streamed]
}

#[tokio::test(start_paused = true)]
async fn framing_is_decided_by_what_comes() {
    use Conversion::{AnswersToDeltas, DocumentToEvents, EventsToDocument, Trimmed};
    let to_events = Some(DocumentToEvents);
    let to_document = Some(EventsToDocument);
    // The first event has text, so that its loss is noticed.
    let first = chunk_json(r#"{"role":"assistant","content":"Hello"}"#, "null");
    let events = [&[first], &recorded()[2..]].concat();
    let stream = sse(&events);
    let chunk = |text: &str, finish: &str| {
        let usage = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
        let choice = format!(r#"{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}"#);
        format!(r#"{{"id":"c","choices":[{choice}],{usage}}}"#)
    };
    let lines = format!("{}\n{}\n", chunk("o", "null"), chunk("k", r#""stop""#));
    let spread: Value = serde_json::from_str(COMPLETION).unwrap();
    let spread = serde_json::to_string_pretty(&spread).unwrap();
    let mut cases = vec![
        (COMPLETION.to_owned(), "ok", None, to_events),
        (spread, "ok", None, to_events),
        (
            format!("{COMPLETION}\n\n[DONE]\n"),
            "ok",
            Some(Trimmed),
            to_events,
        ),
        (
            format!("{COMPLETION}\n\ndata: [DONE]\n\n"),
            "ok",
            Some(Trimmed),
            to_events,
        ),
        (format!("\u{feff}{COMPLETION}"), "ok", Some(Trimmed), to_events),
        (format!("\n\n\n{COMPLETION}"), "ok", None, to_events),
        (lines.replace('\n', "\r"), "ok", to_document, to_events),
        (lines, "ok", to_document, to_events),
        (stream.clone(), "Hello world", to_document, None),
        (stream.replace('\n', "\r\n"), "Hello world", to_document, None),
        (format!("\u{feff}{stream}"), "Hello world", to_document, None),
        (format!("\n\n\u{feff}{stream}"), "Hello world", to_document, None),
        (
            format!(": PROCESSING\n\n{stream}"),
            "Hello world",
            to_document,
            None,
        ),
        (
            sse(&[COMPLETION.to_owned(), "[DONE]".to_owned()]),
            "ok",
            to_document,
            Some(AnswersToDeltas),
        ),
        (
            sse(&[COMPLETION.to_owned()]),
            "ok",
            to_document,
            Some(AnswersToDeltas),
        ),
    ];
    let first_line = events[0].clone();
    let data = sse(&events[1..]);
    let replayed = |body: String| (body, "ok", to_document, to_events);
    let replayed_list = replayed(format!("[{},{}]", chunk("o", "null"), chunk("k", r#""stop""#)));
    let trimmed = |body: String| (body, "ok", Some(Trimmed), to_events);
    let (first_event, later) = stream.split_once("\n\n").unwrap();
    cases.extend([
        trimmed(format!("{COMPLETION}\n: keep-alive\n")),
        trimmed(format!("{COMPLETION}\0")),
        trimmed(format!("{COMPLETION}\nnull\n")),
        trimmed(format!("[{COMPLETION}]")),
        replayed_list,
        (
            format!("data: ping\n\n{stream}"),
            "Hello world",
            to_document,
            None,
        ),
        (
            format!("{first_event}\n\nevent: ping\ndata: 2026-01-01T00:00:00Z\n\n{later}"),
            "Hello world",
            to_document,
            None,
        ),
        replayed(format!("{COMPLETION}\n{COMPLETION}\n")),
        (
            format!("{first_line}\n\n{data}"),
            "Hello world",
            to_document,
            to_events,
        ),
        (format!("trace: 7\n\n{stream}"), "Hello world", to_document, None),
        (format!("x\r{stream}"), "Hello world", to_document, None),
        (format!(" \t{stream}"), "Hello world", to_document, None),
        (
            format!("\u{feff}\u{feff}{stream}"),
            "Hello world",
            to_document,
            None,
        ),
    ]);
    cases.push((
        stream.trim_end().trim_end_matches("data: [DONE]").to_owned(),
        "Hello world",
        to_document,
        None,
    ));
    for (body, text, plain_conversion, stream_conversion) in &cases {
        for label in ["application/json", "text/event-stream", "text/plain", ""] {
            let [plain, streamed] = answers(label, body).await;
            let expected = |converted| Outcome {
                text: (*text).to_owned(),
                tokens: Some(5),
                converted,
            };
            assert_eq!(
                plain.unwrap(),
                expected(*plain_conversion),
                "plain, {label}: {body}"
            );
            assert_eq!(
                streamed.unwrap(),
                expected(*stream_conversion),
                "streamed, {label}: {body}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stream_is_streamed_whatever_its_label() {
    let recorded = recorded();
    let (first, rest) = recorded.split_at(3);
    let first = response("application/json", sse(first).as_bytes());
    let rest = sse(rest).into_bytes();
    let script = ScriptedProvider::new(move |_, _| {
        Action::SendInTwo(first.clone(), Duration::from_secs(30), rest.clone())
    });
    let target = target(&script, "http://scripted/v1");
    let started = Instant::now();
    let mut stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn errors_in_any_framing_are_errors() {
    let error = json!({"error": {"message": "m", "code": "insufficient_quota"}}).to_string();
    let listed = json!({"errors": [{"message": "m", "code": "insufficient_quota"}]}).to_string();
    for body in [
        error.clone(),
        format!("{error}\n[DONE]"),
        sse(std::slice::from_ref(&error)),
        listed.clone(),
        sse(std::slice::from_ref(&listed)),
        error.replace("\"m\"", "\"\\ud83d\""),
        sse(&[error.replace("\"m\"", "\"\\ud83d\"")]),
    ] {
        let bytes = response("", body.as_bytes());
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
        let target = target(&script, "http://scripted/v1");
        let request = ChatRequest::user("hi");
        let plain = target.chat(&request).await.unwrap_err();
        assert_eq!(plain.kind(), ErrorKind::Attempt(FailureKind::NoQuota), "{body}");
        let script = script.clone();
        let other = self::target(&script, "http://scripted/v1");
        let streamed = other.chat_stream(&request).await.unwrap_err();
        assert_eq!(
            streamed.kind(),
            ErrorKind::Attempt(FailureKind::NoQuota),
            "{body}"
        );
    }
}

/// Makes a plain and a streamed call, which both fail. Returns their errors and the number of requests.
async fn failures(base_url: &str, body: &[u8]) -> ([Error; 2], usize) {
    let bytes = response("text/html", body);
    let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
    let target = target(&script, base_url);
    let request = ChatRequest::user("hi");
    let plain = target.chat(&request).await.unwrap_err();
    let streamed = match target.chat_stream(&request).await {
        Ok(stream) => stream.into_response().await.unwrap_err(),
        Err(error) => error,
    };
    ([plain, streamed], script.requests())
}

#[tokio::test(start_paused = true)]
async fn body_without_an_answer_fails_after_one_request_and_says_what_it_is() {
    let page = b"<!doctype html><title>\n  Wel&amp;come \x07</title>";
    for (base_url, body, detail, message, help) in [
        (
            "http://scripted",
            &page[..],
            "an HTML page (is /v1 missing in base_url?)",
            Some("Wel&come"),
            Some("set base_url to http://scripted/v1"),
        ),
        ("http://scripted/v1", page, "an HTML page", Some("Wel&come"), None),
        ("http://scripted/v1", b"<Error/>", "an XML document", None, None),
        (
            "http://scripted/v1",
            b"no healthy upstream",
            "plain text",
            Some("no healthy upstream"),
            None,
        ),
        (
            "http://scripted/v1",
            b"[1, 2]",
            "a JSON value that is not an object",
            None,
            None,
        ),
    ] {
        let (errors, requests) = failures(base_url, body).await;
        for error in errors {
            let text = error.to_string();
            assert_eq!(
                error.kind(),
                ErrorKind::Attempt(FailureKind::UnusableAnswer),
                "{text}"
            );
            assert!(
                text.contains(&format!("unusable answer: {detail}; 1 attempt")),
                "{text}"
            );
            assert_eq!(error.provider_message(), message);
            assert!(message.is_none_or(|message| !text.contains(message)));
            assert_eq!((error.status(), error.help()), (Some(200), help));
        }
        assert_eq!(requests, 2, "one for each call");
    }
    let endless = [&page[..], &b"<p>".repeat(5 << 20)].concat();
    let (errors, requests) = failures("http://scripted/v1", &endless).await;
    assert!(
        errors
            .iter()
            .all(|error| error.provider_message() == Some("Wel&come"))
    );
    assert_eq!(requests, 2);
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_cut_off_is_requested_again() {
    for (body, detail) in [
        (&b""[..], "an empty body"),
        (&COMPLETION.as_bytes()[..90], "broken JSON"),
    ] {
        let (errors, requests) = failures("http://scripted/v1", body).await;
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
            assert!(error.to_string().contains(detail), "{error}");
        }
        assert_eq!(requests, 8);
    }
}

/// A server that leaves the connection open after a complete document.
#[tokio::test(start_paused = true)]
async fn complete_document_on_an_open_connection_is_read() {
    let without_usage = COMPLETION.split(r#","usage""#).next().unwrap().to_owned() + "}";
    let without_reason = COMPLETION.replace(r#","finish_reason":"stop""#, "");
    assert_ne!(without_reason, COMPLETION);
    let null_usage = without_usage.replace("\"id\"", "\"usage\":null,\"id\"");
    assert_ne!(null_usage, without_usage);
    let line = |text: &str, rest: &str| {
        format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}}{rest}}}"#)
    };
    let usage = r#","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}"#;
    let lines = format!("{}\n{}\n", line("o", "}]"), line("k", usage));
    let provider = |document: String| (document, 200, UsageSource::Provider);
    for (document, elapsed, source) in [
        provider(COMPLETION.to_owned()),
        provider(format!("{COMPLETION}\n")),
        provider(format!("{COMPLETION}\n[DONE]\n")),
        provider(format!("{COMPLETION}\n\ndata: [DONE]\n\n")),
        provider(lines),
        (without_usage, 2000, UsageSource::Estimated),
        (null_usage, 2000, UsageSource::Estimated),
        provider(without_reason),
    ] {
        let chunk = format!("{:x}\r\n{document}\r\n", document.len());
        let bytes = [
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk.as_bytes(),
        ]
        .concat();
        let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(bytes.clone()));
        let target = target(&script, "http://scripted/v1");
        let request = ChatRequest::user("hi");
        let started = Instant::now();
        let plain = target.chat(&request).await.unwrap();
        assert_eq!(started.elapsed().as_millis(), elapsed);
        let started = Instant::now();
        let streamed = target.chat_stream(&request).await.unwrap();
        let streamed = streamed.into_response().await.unwrap();
        assert_eq!(started.elapsed().as_millis(), elapsed);
        for answer in [plain, streamed] {
            assert_eq!((&*answer.text(), answer.report.usage_source), ("ok", source));
        }
        assert_eq!(script.requests(), 2);
    }
}

/// Makes a plain and a streamed call, and checks that each reads its answer with one request.
async fn assert_answer_is_read_once(script: &Arc<ScriptedProvider>) {
    let target = target(script, "http://scripted/v1");
    let request = ChatRequest::user("hi");
    assert_eq!(target.chat(&request).await.unwrap().text(), "ok");
    let stream = target.chat_stream(&request).await.unwrap();
    assert_eq!(stream.into_response().await.unwrap().text(), "ok");
    assert_eq!(script.requests(), 2);
}

/// The pause comes after a bracket that is not the last one.
#[tokio::test(start_paused = true)]
async fn document_with_a_pause_in_the_middle_is_read_to_its_end() {
    let middle = COMPLETION.find("},").unwrap() + 1;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", COMPLETION.len());
    let first = [head.as_bytes(), &COMPLETION.as_bytes()[..middle]].concat();
    let rest = COMPLETION.as_bytes()[middle..].to_vec();
    let script = ScriptedProvider::new(move |_, _| {
        Action::SendInTwo(first.clone(), Duration::from_secs(5), rest.clone())
    });
    assert_answer_is_read_once(&script).await;
}

/// The pause comes after a document that is only the first of the chunks of a stream.
#[tokio::test(start_paused = true)]
async fn chunks_on_lines_with_a_pause_between_are_read_to_their_end() {
    let line = |text: &str, finish: &str| {
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{finish}}}],"usage":null}}"#
        ) + "\n"
    };
    let first = response("application/json", line("o", "null").as_bytes());
    let rest = line("k", r#""stop""#).into_bytes();
    let length = first.len() + rest.len() - first.windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4;
    let label = format!("content-length: {length}");
    let first = String::from_utf8(first)
        .unwrap()
        .replace("connection: close", &label);
    let script = ScriptedProvider::new(move |_, _| {
        Action::SendInTwo(first.clone().into(), Duration::from_secs(5), rest.clone())
    });
    assert_answer_is_read_once(&script).await;
}

/// Both choices are waited for, although the first has ended long before the second.
#[tokio::test(start_paused = true)]
async fn stream_in_place_of_a_document_has_all_choices() {
    let event = |index: u32| {
        let choice = json!({"index": index, "delta": {"content": "ok"}, "finish_reason": "stop"});
        sse(&[json!({"id": "c", "choices": [choice]}).to_string()])
    };
    let (first, second) = (response("text/event-stream", event(0).as_bytes()), event(1));
    let script = ScriptedProvider::new(move |_, _| {
        Action::SendInTwo(first.clone(), Duration::from_secs(10), second.clone().into())
    });
    let body = Bytes::from_static(br#"{"model":"m","n":2}"#);
    let answer = target(&script, "http://scripted/v1")
        .raw_chat(body)
        .await
        .unwrap();
    let document: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["choices"].as_array().unwrap().len(), 2);
    assert_eq!(script.requests(), 1);
}

/// A plain request is answered with the begin of a stream, and then nothing follows.
#[tokio::test(start_paused = true)]
async fn silent_stream_in_place_of_a_document_is_an_idle_timeout() {
    let bytes = response("text/event-stream", b": PROCESSING\n\n");
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(bytes.clone()));
    for (idle, expected) in [
        (Some(Duration::from_secs(30)), FailureKind::IdleTimeout),
        (None, FailureKind::DeadlineExceeded),
    ] {
        let timeouts = Timeouts {
            idle,
            total: Some(Duration::from_secs(60)),
            ..Timeouts::default()
        };
        let settings = TargetSettings {
            timeouts,
            max_retries: 0,
            ..TargetSettings::default()
        };
        let target =
            OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
                .settings(settings)
                .connector(script.clone())
                .build()
                .unwrap();
        let started = Instant::now();
        let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(expected));
        let limit = idle.unwrap_or(Duration::from_secs(60));
        assert_eq!(started.elapsed().as_secs(), limit.as_secs());
    }
}

/// Raw answers are not decoded, so that only their framing shows that they are cut off.
#[tokio::test(start_paused = true)]
async fn document_that_ends_after_an_inner_bracket_is_an_error() {
    for cut in [COMPLETION.find("},").unwrap() + 1, COMPLETION.len() - 1] {
        let bytes = response("", &COMPLETION.as_bytes()[..cut]);
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
        let target = target(&script, "http://scripted/v1");
        let error = target.raw_chat(Bytes::from_static(br#"{"model":"m"}"#)).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("broken JSON"), "{error}");
    }
}

/// The connection closes before the announced length, after a complete document.
#[tokio::test(start_paused = true)]
async fn document_that_is_complete_before_the_connection_is_lost_is_read() {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        COMPLETION.len() + 2
    );
    let bytes = [head.as_bytes(), COMPLETION.as_bytes()].concat();
    let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
    assert_answer_is_read_once(&script).await;
}

/// A plain request that is answered with a stream whose connection stays open.
#[tokio::test(start_paused = true)]
async fn stream_in_place_of_a_document_ends_with_its_last_event() {
    let body = sse(&recorded());
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let bytes = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        chunk.as_bytes(),
    ]
    .concat();
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(bytes.clone()));
    let started = Instant::now();
    let answer = target(&script, "http://scripted/v1")
        .chat(&ChatRequest::user("hi"))
        .await
        .unwrap();
    assert_eq!(answer.text(), "Hello world");
    assert_eq!((started.elapsed().as_millis(), script.requests()), (50, 1));
}

#[tokio::test(start_paused = true)]
async fn responses_are_read_in_any_framing() {
    let completed = json!({"type": "response.completed", "sequence_number": 9, "response": serde_json::from_str::<Value>(RESPONSE).unwrap()});
    let delta = r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"ok"}"#;
    let stream = sse(&[delta.to_owned(), completed.to_string()]);
    let unlabelled = RESPONSE.replace(r#""object":"response","#, "");
    for body in [
        RESPONSE.to_owned(),
        stream,
        sse(&[RESPONSE.to_owned()]),
        sse(&[unlabelled, "[DONE]".to_owned()]),
    ] {
        let bytes = response("text/plain", body.as_bytes());
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
        let pool = ApiKeyPool::new("p", ["k"]).unwrap();
        let native = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
            .connector(script.clone())
            .build_responses()
            .unwrap();
        let request = ResponsesRequest::user("hi");
        let answer = native.create_response(&request).await.unwrap();
        assert_eq!(answer.response.text(), "ok", "{body}");
        let mut events = native.create_response_stream(&request).await.unwrap();
        let mut text = String::new();
        while let Some(event) = events.next().await {
            let event = serde_json::to_value(event.unwrap()).unwrap();
            if event["type"] == "response.output_text.delta" {
                text += event["delta"].as_str().unwrap();
            }
        }
        assert_eq!(text, "ok", "{body}");
        assert_eq!(script.requests(), 2, "{body}");
    }
}
