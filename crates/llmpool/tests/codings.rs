//! Answers with a content coding, which no request asks for: decoded, or refused with the reason. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "support/encoders.rs"]
mod encoders;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use encoders::{FORMATS, Format, encoded, flushed};
use http::{HeaderValue, header};
use llmpool::chat::ChatRequest;
use llmpool::check::KeyCheckOutcome;
use llmpool::embeddings::EmbeddingRequest;
use llmpool::{
    ApiKeyPool, ChatResponse, EmbeddingInterface, Error, ErrorKind, FailureKind, LlmInterface,
    OpenAiCompatible, TargetSettings,
};
use support::{Action, COMPLETION, ScriptedProvider, answer, chunk_json, completion, recorded};
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(20);
const UNUSABLE: ErrorKind = ErrorKind::Attempt(FailureKind::UnusableAnswer);
const LOST: ErrorKind = ErrorKind::Attempt(FailureKind::ConnectionLost);

fn target(script: &Arc<ScriptedProvider>) -> OpenAiCompatible {
    let mut settings = TargetSettings {
        max_retries: 1,
        retry_delay: Duration::from_millis(1),
        ..TargetSettings::default()
    };
    let other = HeaderValue::from_static("gzip, br");
    settings.headers.insert(header::ACCEPT_ENCODING, other);
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

const DOCUMENT: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Returns the head of a response with this status and values of `content-type` and `content-encoding`, up to the
/// headers that say how long the body is.
fn head(status: u16, label: &str, coding: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: {label}\r\ncontent-encoding: {coding}\r\n")
}

fn labelled(status: u16, label: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{}content-length: {}\r\n\r\n",
        head(status, label, coding),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn response(status: u16, coding: &str, body: &[u8]) -> Vec<u8> {
    labelled(status, DOCUMENT, coding, body)
}

/// Returns the HTTP chunks of a body, without the terminating chunk.
fn chunks(pieces: &[Vec<u8>]) -> Vec<u8> {
    let chunk = |piece: &Vec<u8>| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    pieces.iter().flat_map(chunk).collect()
}

/// Returns a stream of [`recorded`] events with a flush after each, cut after event number `count`.
fn stream_cut_at(coding: &str, format: Format, count: usize) -> (Vec<u8>, Vec<u8>) {
    let events: Vec<String> = recorded()
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let events: Vec<&[u8]> = events.iter().map(String::as_bytes).collect();
    let pieces = flushed(format, &events);
    let head = head(200, EVENTS, coding) + "transfer-encoding: chunked\r\n\r\n";
    let (first, rest) = pieces.split_at(count);
    (
        [head.as_bytes(), &chunks(first)].concat(),
        [&chunks(rest)[..], b"0\r\n\r\n"].concat(),
    )
}

fn stream(coding: &str, format: Format) -> Vec<u8> {
    let (first, rest) = stream_cut_at(coding, format, 3);
    [first, rest].concat()
}

/// Makes a plain or a streamed call that is answered with `bytes`. Returns the number of requests, too.
async fn call(streamed: bool, bytes: Vec<u8>) -> (Result<ChatResponse, Error>, usize) {
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let (target, request) = (target(&script), ChatRequest::user("hi"));
    let outcome = match streamed {
        false => target.chat(&request).await,
        true => match target.chat_stream(&request).await {
            Ok(stream) => stream.into_response().await,
            Err(error) => Err(error),
        },
    };
    assert_eq!(target.key_status()[0].in_flight, 0);
    (outcome, script.requests())
}

async fn failure_of(streamed: bool, bytes: Vec<u8>) -> (Error, usize) {
    let (outcome, requests) = call(streamed, bytes).await;
    (outcome.unwrap_err(), requests)
}

#[tokio::test(start_paused = true)]
async fn every_request_asks_for_no_coding() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let (target, request) = (target(&script), ChatRequest::user("hi"));
    target.chat(&request).await.unwrap();
    target
        .chat_stream(&request)
        .await
        .unwrap()
        .into_response()
        .await
        .unwrap();
    let _ = target.embed(&EmbeddingRequest::new("x")).await;
    let _ = target.list_models().await;
    target.check_keys(PAUSE).await;
    let received = script.received.lock().unwrap();
    assert!(received.len() >= 5, "{}", received.len());
    for request in received.iter() {
        let lines: Vec<&str> = request
            .head
            .lines()
            .filter(|line| line.starts_with("accept-encoding"))
            .collect();
        assert_eq!(lines, ["accept-encoding: identity"], "{}", request.head);
    }
}

#[tokio::test(start_paused = true)]
async fn plain_answers_of_every_coding_are_decoded() {
    let odd = [
        ("x-gzip", Format::Gzip),
        (" GZip ", Format::Gzip),
        ("identity, br", Format::Brotli),
    ];
    for (coding, format) in FORMATS.into_iter().chain(odd) {
        let bytes = response(200, coding, &encoded(format, COMPLETION.as_bytes()));
        let (outcome, requests) = call(false, bytes.clone()).await;
        let answer = outcome.unwrap();
        assert_eq!((&*answer.text(), requests), ("ok", 1), "{coding:?}");
        assert_eq!(answer.report.usage.as_ref().unwrap().total_tokens(), Some(5));

        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let target = target(&script);
        let raw = target.raw_chat(Bytes::from_static(br#"{"model":"m"}"#)).await;
        assert_eq!(raw.unwrap().body, COMPLETION, "{coding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn events_arrive_with_the_bytes_of_their_flush() {
    for (coding, format) in FORMATS {
        let parts = stream_cut_at(coding, format, 2);
        let script =
            ScriptedProvider::new(move |_, _| Action::SendInTwo(parts.0.clone(), PAUSE, parts.1.clone()));
        let (target, started) = (target(&script), Instant::now());
        let stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO, "{format:?}");
        let answer = stream.into_response().await.unwrap();
        assert_eq!(started.elapsed(), PAUSE, "{format:?}");
        assert_eq!(answer.text(), "Hello world", "{format:?}");
        assert_eq!(answer.report.usage.as_ref().unwrap().total_tokens(), Some(5));
        assert_eq!(script.requests(), 1, "{format:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_and_frames_are_joined() {
    let (begun, rest) = COMPLETION.as_bytes().split_at(50);
    for (coding, format) in [("gzip", Format::Gzip), ("zstd", Format::Zstd)] {
        let two = [encoded(format, begun), encoded(format, rest)].concat();
        let (outcome, _) = call(false, response(200, coding, &two)).await;
        assert_eq!(outcome.unwrap().text(), "ok", "{coding}");
    }
    // The magic number of a skippable frame, its length, and its content.
    let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let frames = [
        &skipped[..],
        &encoded(Format::Zstd, COMPLETION.as_bytes()),
        &skipped,
    ]
    .concat();
    let (outcome, _) = call(false, response(200, "zstd", &frames)).await;
    assert_eq!(outcome.unwrap().text(), "ok");
}

#[tokio::test(start_paused = true)]
async fn error_bodies_are_decoded() {
    let body = r#"{"error":{"message":"words of the provider","code":"insufficient_quota"}}"#;
    for (coding, format) in FORMATS {
        let bytes = response(429, coding, &encoded(format, body.as_bytes()));
        for streamed in [false, true] {
            let (error, _) = failure_of(streamed, bytes.clone()).await;
            assert_eq!(
                error.report().attempts[0].failure,
                Some(FailureKind::NoQuota),
                "{format:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn status_decides_if_an_error_body_cannot_be_decoded() {
    for coding in ["gzip", "deflate", "br", "zstd", "zz", "gzip, br"] {
        let (error, _) = failure_of(false, response(401, coding, b"junk")).await;
        let attempt = &error.report().attempts[0];
        assert_eq!(attempt.failure, Some(FailureKind::InvalidKey), "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn identity_is_no_coding() {
    for coding in ["identity", "", " , ", "Identity"] {
        let (outcome, _) = call(false, response(200, coding, COMPLETION.as_bytes())).await;
        assert_eq!(outcome.unwrap().text(), "ok", "{coding:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_codings_are_refused_once() {
    for (coding, text) in [
        ("gzip, br", "two content codings (gzip, br)"),
        (
            "gzip\r\ncontent-encoding: zstd",
            "two content codings (gzip, zstd)",
        ),
        ("a, b, c, d", "several content codings"),
        ("zz", "content coding zz is not supported"),
        ("sk-123456", "content coding is not supported"),
        ("aaaaaaaaaaaaaaaaa", "content coding is not supported"),
        ("gzip, sk-123456", "two content codings"),
        ("\u{e9}", "content coding is not supported"),
    ] {
        for streamed in [false, true] {
            let bytes = response(200, coding, &encoded(Format::Gzip, COMPLETION.as_bytes()));
            let (error, requests) = failure_of(streamed, bytes).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{coding}: {error}");
            let error = error.to_string();
            assert!(
                error.contains(text) && !error.contains("123456") && !error.contains("aaaa"),
                "{error}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn plain_bodies_that_claim_a_coding_are_read() {
    let events: String = recorded()
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    for coding in ["gzip", "deflate", "br", "zstd", "utf-8", "gzip, br"] {
        let (outcome, requests) = call(false, response(200, coding, COMPLETION.as_bytes())).await;
        assert_eq!((&*outcome.unwrap().text(), requests), ("ok", 1), "{coding}");
    }
    for coding in ["gzip", "zstd", "utf-8"] {
        let (outcome, requests) = call(true, labelled(200, EVENTS, coding, events.as_bytes())).await;
        assert_eq!(
            (&*outcome.unwrap().text(), requests),
            ("Hello world", 1),
            "{coding}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn body_that_cannot_be_decoded_is_refused_once() {
    for (coding, start) in [
        ("gzip", &[0x1f, 0x8b, 9][..]),
        ("deflate", &[7]),
        // The header of a stream with a window of 2^30 bytes.
        ("br", &[0x11, 30, 3]),
        ("zstd", &[0x28, 0xb5, 0x2f, 0xfe]),
    ] {
        for streamed in [false, true] {
            let body = [start, COMPLETION.as_bytes()].concat();
            let (error, requests) = failure_of(streamed, response(200, coding, &body)).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{coding}: {error}");
            let text = format!("a {coding} body that cannot be decoded");
            assert!(error.to_string().contains(&text), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn body_that_expands_100_times_is_refused_once() {
    let spaces = vec![b' '; 8 << 20];
    let answer = [&spaces[..900 << 10], COMPLETION.as_bytes()].concat();
    let content = chunk_json(r#"{"content":"Hello"}"#, "null");
    let events = [format!("data: {content}\n\n:").as_bytes(), &spaces].concat();
    for (coding, format) in FORMATS {
        let (outcome, _) = call(false, response(200, coding, &encoded(format, &answer))).await;
        assert_eq!(outcome.unwrap().text(), "ok", "{format:?}");
        for (streamed, bomb) in [(false, &spaces), (true, &spaces), (true, &events)] {
            let (error, requests) = failure_of(streamed, response(200, coding, &encoded(format, bomb))).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{format:?}: {error}");
            let text = format!("a {coding} body expands to more than 100 times its size");
            assert!(error.to_string().contains(&text), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_count_decoded_bytes() {
    // Encoded, an event of 17 MiB is smaller than the limit of 16 MiB.
    let mut state = 1_u32;
    let mut text = Vec::new();
    while text.len() < 17 << 20 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let letter = b'a' + u8::try_from(state >> 28).unwrap();
        text.extend_from_slice(&[letter, b'a' + letter % 7]);
        text.extend_from_slice(b"abcdefghijklmnop");
    }
    let body = encoded(Format::Zstd, &[b"data: ", &text[..]].concat());
    assert!(body.len() < 4 << 20);
    let (error, requests) = failure_of(true, labelled(200, EVENTS, "zstd", &body)).await;
    assert_eq!((error.kind(), requests), (UNUSABLE, 1));
    assert!(error.to_string().contains("16 MiB"), "{error}");
}

/// Returns a zstd frame with this descriptor, and the bytes that say how large its window is.
fn zstd_frame(descriptor: u8, sizes: &[u8]) -> Vec<u8> {
    let body = COMPLETION.as_bytes();
    let last_raw_block = u32::try_from(body.len() << 3 | 1).unwrap().to_le_bytes();
    [
        &[0x28, 0xb5, 0x2f, 0xfd, descriptor],
        sizes,
        &last_raw_block[..3],
        body,
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn windows_of_zstd_bodies_are_limited() {
    // The window is 2^(10 + exponent), and eighths of it.
    let window = |exponent: u8, eighths: u8| zstd_frame(0, &[exponent << 3 | eighths]);
    let single_segment = |size: u32| zstd_frame(0b1010_0000, &size.to_le_bytes());
    let (outcome, _) = call(false, response(200, "zstd", &window(13, 0))).await;
    assert_eq!(outcome.unwrap().text(), "ok");
    for frame in [window(13, 1), window(21, 0), single_segment((8 << 20) + 1)] {
        for streamed in [false, true] {
            let (error, requests) = failure_of(streamed, response(200, "zstd", &frame)).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{error}");
            let text = "a zstd body needs a window of more than 8 MiB";
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cut_bodies_are_lost_connections() {
    for (coding, format) in FORMATS {
        let whole = encoded(format, COMPLETION.as_bytes());
        for length in [1, whole.len() / 2] {
            let (error, requests) = failure_of(false, response(200, coding, &whole[..length])).await;
            assert_eq!((error.kind(), requests), (LOST, 2), "{format:?}: {error}");
            let text = format!("a {coding} body that is cut off");
            assert!(error.to_string().contains(&text), "{error}");
        }
        let (first, _) = stream_cut_at(coding, format, 3);
        let (error, requests) = failure_of(true, [&first[..], b"0\r\n\r\n"].concat()).await;
        assert_eq!((error.kind(), requests), (LOST, 1), "{format:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_after_a_complete_answer_loses_nothing() {
    for (coding, format) in FORMATS {
        // An empty block after the answer: all bytes of the answer, but not the end of the body.
        let pieces = flushed(format, &[COMPLETION.as_bytes(), b" "]);
        let (outcome, requests) = call(false, response(200, coding, &pieces[0])).await;
        assert_eq!((&*outcome.unwrap().text(), requests), ("ok", 1), "{format:?}");
        let (first, rest) = stream_cut_at(coding, format, 5);
        drop(rest);
        let (outcome, _) = call(true, [&first[..], b"0\r\n\r\n"].concat()).await;
        assert_eq!(outcome.unwrap().text(), "Hello world", "{format:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_after_the_end_of_a_body_are_ignored() {
    for (coding, format) in FORMATS {
        let body = [
            &encoded(format, COMPLETION.as_bytes())[..],
            b"\0\0\0\0\0\0\0\0\0\0\0\0",
        ]
        .concat();
        let (outcome, requests) = call(false, response(200, coding, &body)).await;
        assert_eq!((&*outcome.unwrap().text(), requests), ("ok", 1), "{format:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_stream_keeps_its_connection_if_its_end_is_near() {
    for (coding, format) in FORMATS {
        for (pause, connections) in [(0, 1), (40, 1), (60, 2)] {
            let parts = stream_cut_at(coding, format, 4);
            let script = ScriptedProvider::new(move |_, _| {
                Action::SendInTwo(parts.0.clone(), Duration::from_millis(pause), parts.1.clone())
            });
            let target = target(&script);
            for _ in 0..2 {
                let mut stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
                while stream.next().await.unwrap().unwrap().choices[0]
                    .finish_reason
                    .is_none()
                {}
                drop(stream);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let opened = script.connections.load(Ordering::SeqCst);
            assert_eq!(opened, connections, "{format:?}, {pause} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn check_reads_encoded_lists_and_names_codings() {
    let list = br#"{"object":"list","data":[{"id":"m","object":"model"}]}"#;
    let check = |bytes: Vec<u8>| async {
        let script = ScriptedProvider::new(move |_, received| {
            let is_valid = received.key == "k";
            Action::Send(if is_valid {
                bytes.clone()
            } else {
                answer(401, "", "{}")
            })
        });
        let mut check = target(&script).check_keys(PAUSE).await;
        check.keys.remove(0)
    };
    for (coding, format) in FORMATS {
        let key = check(response(200, coding, &encoded(format, list))).await;
        assert_eq!(key.outcome, KeyCheckOutcome::Accepted, "{format:?}");
        assert_eq!(key.lists("m"), Some(true), "{format:?}");
    }
    let key = check(response(200, "zz", &encoded(Format::Gzip, list))).await;
    assert_eq!(key.detail.as_deref(), Some("content coding zz is not supported"));
}

#[tokio::test(start_paused = true)]
async fn stream_of_a_plain_document_and_its_opposite_are_decoded() {
    for (coding, format) in FORMATS {
        let document = response(200, coding, &encoded(format, COMPLETION.as_bytes()));
        let (outcome, requests) = call(true, document).await;
        assert_eq!((&*outcome.unwrap().text(), requests), ("ok", 1), "{format:?}");
        let (outcome, requests) = call(false, stream(coding, format)).await;
        assert_eq!(
            (&*outcome.unwrap().text(), requests),
            ("Hello world", 1),
            "{format:?}"
        );
    }
}

/// Returns the response of a server that names no content coding, or names one as a transfer coding.
fn unnamed(status: u16, transfer: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\ntransfer-encoding: {transfer}\r\n\r\n{:x}\r\n",
        body.len()
    );
    [head.as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

#[tokio::test(start_paused = true)]
async fn coding_that_the_head_does_not_name_is_found() {
    let events: String = recorded()
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    for format in [Format::Gzip, Format::Zstd] {
        for transfer in ["chunked", "gzip, chunked"] {
            for (streamed, body, text) in [
                (false, COMPLETION, "ok"),
                (true, COMPLETION, "ok"),
                (true, &events, "Hello world"),
                (false, &events, "Hello world"),
            ] {
                let bytes = unnamed(200, transfer, &encoded(format, body.as_bytes()));
                let (outcome, requests) = call(streamed, bytes).await;
                assert_eq!((&*outcome.unwrap().text(), requests), (text, 1), "{format:?}");
            }
        }
        let body = r#"{"error":{"message":"m","code":"insufficient_quota"}}"#;
        let (error, _) = failure_of(false, unnamed(429, "chunked", &encoded(format, body.as_bytes()))).await;
        assert_eq!(error.report().attempts[0].failure, Some(FailureKind::NoQuota));
        let bomb = encoded(format, &vec![b' '; 8 << 20]);
        let (error, requests) = failure_of(true, unnamed(200, "chunked", &bomb)).await;
        assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{format:?}: {error}");
        assert!(error.to_string().contains("more than 100 times"), "{error}");
    }
}

/// The first bytes may come one at a time.
#[tokio::test(start_paused = true)]
async fn coding_is_found_however_its_first_bytes_are_cut() {
    for format in [Format::Gzip, Format::Zstd] {
        let body = encoded(format, COMPLETION.as_bytes());
        let cut = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        for length in 1..5 {
            let (first, rest) = body.split_at(length);
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let parts = (
                [&head[..], &cut(first)].concat(),
                [&cut(rest)[..], b"0\r\n\r\n"].concat(),
            );
            let script =
                ScriptedProvider::new(move |_, _| Action::SendInTwo(parts.0.clone(), PAUSE, parts.1.clone()));
            let answer = target(&script).chat(&ChatRequest::user("hi")).await.unwrap();
            assert_eq!((&*answer.text(), script.requests()), ("ok", 1), "{format:?}");
        }
    }
    for text in ["(", "\x1f", "(\u{b5}", "(no)", "\x1f(no)"] {
        let (error, requests) = failure_of(true, unnamed(200, "chunked", text.as_bytes())).await;
        assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{text:?}");
        assert!(error.to_string().contains("plain text"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn coding_that_is_named_twice_is_undone_once() {
    for (coding, format) in [
        ("gzip, gzip", Format::Gzip),
        ("gzip\r\ncontent-encoding: x-gzip", Format::Gzip),
        ("zstd, zstd", Format::Zstd),
    ] {
        let once = encoded(format, COMPLETION.as_bytes());
        for streamed in [false, true] {
            let (outcome, requests) = call(streamed, response(200, coding, &once)).await;
            assert_eq!((&*outcome.unwrap().text(), requests), ("ok", 1), "{coding}");
            let (error, requests) =
                failure_of(streamed, response(200, coding, &encoded(format, &once))).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{coding}: {error}");
            assert!(error.to_string().contains("two content codings ("), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn utf_16_is_named() {
    let encode = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = format!("\u{feff}{COMPLETION}");
        text.encode_utf16().flat_map(order).collect()
    };
    for body in [encode(u16::to_le_bytes), encode(u16::to_be_bytes)] {
        for streamed in [false, true] {
            let (error, requests) = failure_of(streamed, unnamed(200, "chunked", &body)).await;
            assert_eq!((error.kind(), requests), (UNUSABLE, 1), "{error}");
            assert!(error.to_string().contains("UTF-16 text"), "{error}");
        }
    }
}
