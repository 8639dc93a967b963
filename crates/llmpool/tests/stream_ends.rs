//! Connections of streams that end or are dropped, in paused time: kept where the end of the body is near.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use llmpool::chat::{ChatCompletion, ChatRequest};
use llmpool::{
    ApiFormat, ApiKeyPool, ChatStream, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible,
    TargetSettings, UsageSource,
};
use support::{
    Action, COMPLETION, STREAM_HEAD, ScriptedProvider, answer, chunk_json, events, recorded, stream_of,
};
use tokio::time::Instant;

const BODY_END: &[u8] = b"0\r\n\r\n";

fn target(script: &Arc<ScriptedProvider>) -> OpenAiCompatible {
    let settings = TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    };
    built(script, settings)
}

fn built(script: &Arc<ScriptedProvider>, settings: TargetSettings) -> OpenAiCompatible {
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

/// Returns the first `count` events of a complete stream, and the remaining ones with the end of the body.
fn split_at(count: usize) -> (Vec<u8>, Vec<u8>) {
    let recorded = recorded();
    let recorded: Vec<&str> = recorded.iter().map(String::as_str).collect();
    let (first, rest) = recorded.split_at(count);
    let first = [STREAM_HEAD.as_bytes(), &events(first)].concat();
    (first, [&events(rest)[..], BODY_END].concat())
}

/// Makes two streamed calls one after another. Returns the number of connections that they opened.
async fn connections_of_two(
    respond: impl Fn() -> Action + Send + Sync + 'static,
    read: impl AsyncFn(ChatStream),
) -> usize {
    let script = ScriptedProvider::new(move |_, _| respond());
    let target = target(&script);
    for _ in 0..2 {
        read(target.chat_stream(&ChatRequest::user("hi")).await.unwrap()).await;
        assert_eq!(target.key_status()[0].in_flight, 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    script.connections.load(Ordering::SeqCst)
}

/// Reads up to the finish reason and drops the stream.
async fn until_finished(mut stream: ChatStream) {
    while stream.next().await.unwrap().unwrap().choices[0]
        .finish_reason
        .is_none()
    {}
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn stream_dropped_at_its_finish_reason_keeps_the_connection() {
    let at_once = || {
        let (first, rest) = split_at(4);
        Action::Send([first, rest].concat())
    };
    assert_eq!(connections_of_two(at_once, until_finished).await, 1);
    for (pause, connections) in [(40, 1), (60, 2)] {
        let late = move || {
            let (first, rest) = split_at(4);
            Action::SendInTwo(first, Duration::from_millis(pause), rest)
        };
        assert_eq!(
            connections_of_two(late, until_finished).await,
            connections,
            "{pause} ms"
        );
    }
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn stream_dropped_in_the_middle_closes_the_connection() {
    // The whole answer has arrived, so that its end costs nothing.
    let arrived = || {
        let (first, rest) = split_at(2);
        Action::Send([first, rest].concat())
    };
    assert_eq!(connections_of_two(arrived, async |stream| drop(stream)).await, 1);
    let unfinished = || {
        let (first, rest) = split_at(2);
        Action::SendInTwo(first, Duration::from_millis(1), rest)
    };
    assert_eq!(
        connections_of_two(unfinished, async |stream| drop(stream)).await,
        2
    );
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn body_that_goes_on_after_the_last_event_is_closed() {
    for (surplus, connections) in [(60 << 10, 1), (66 << 10, 2)] {
        let long = move || {
            let (first, rest) = split_at(6);
            let surplus = events(&[&"x".repeat(surplus)]);
            Action::Send([first, surplus, rest].concat())
        };
        let dropped = async |stream| until_finished(stream).await;
        assert_eq!(connections_of_two(long, dropped).await, connections, "{surplus}");
        let read = async |stream: ChatStream| drop(stream.into_response().await.unwrap());
        assert_eq!(connections_of_two(long, read).await, connections, "{surplus}");
    }
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn stream_waits_50_ms_for_the_end_of_its_body() {
    for (pause, elapsed, connections) in [(40, 40, 1), (900, 50, 2)] {
        let late = move || {
            let (first, rest) = split_at(6);
            Action::SendInTwo(first, Duration::from_millis(pause), rest)
        };
        let read = async |stream: ChatStream| {
            let started = Instant::now();
            assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
            assert_eq!(started.elapsed().as_millis(), elapsed);
        };
        assert_eq!(connections_of_two(late, read).await, connections, "{pause} ms");
    }
}

/// A server that leaves the connection open after a complete answer.
#[tokio::test(start_paused = true)]
async fn complete_answer_waits_briefly_for_its_usage_and_its_end() {
    let text = |finish: &str| chunk_json(r#"{"content":"ok"}"#, finish);
    let usage = r#"{"choices":[],"usage":{"total_tokens":9}}"#.to_owned();
    let with_usage =
        |chunk: String| format!(r#"{},"usage":{{"total_tokens":9}}}}"#, &chunk[..chunk.len() - 1]);
    let finish = text(r#""stop""#);
    for (sent, later, elapsed, tokens) in [
        (vec![finish.clone(), usage.clone()], None, 200, Some(9)),
        (vec![with_usage(finish.clone())], None, 200, Some(9)),
        (vec![finish.clone()], None, 2000, None),
        (vec![finish.clone()], Some((1500, usage.clone())), 1700, Some(9)),
        (vec![finish.clone()], Some((2500, usage.clone())), 2000, None),
        (
            vec![finish.clone(), usage.clone()],
            Some((150, "\n\n: comment".to_owned())),
            200,
            Some(9),
        ),
        (
            vec![finish.clone(), usage.clone()],
            Some((150, "[DONE]".to_owned())),
            200,
            Some(9),
        ),
    ] {
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        let first = [STREAM_HEAD.as_bytes(), &events(&sent)].concat();
        let case = format!("{sent:?}, {later:?}");
        let script = ScriptedProvider::new(move |_, _| match &later {
            None => Action::SendAndHang(first.clone()),
            Some((pause, data)) => {
                Action::SendInTwo(first.clone(), Duration::from_millis(*pause), events(&[data]))
            }
        });
        let started = Instant::now();
        let stream = target(&script)
            .chat_stream(&ChatRequest::user("hi"))
            .await
            .unwrap();
        let answer = stream.into_response().await.unwrap();
        assert_eq!(started.elapsed().as_millis(), elapsed, "{case}");
        assert_eq!(answer.text(), "ok");
        let reported = answer.report.usage_source == UsageSource::Provider;
        let total = answer.report.usage.unwrap().total_tokens();
        assert_eq!(total.filter(|_| reported), tokens, "{case}");
    }
}

/// Sends `sent` to a request for two choices, and then closes the body or falls silent. Returns the kind of the error
/// and the texts that arrived.
async fn two_choices(sent: &[&str], is_closed: bool) -> (Option<ErrorKind>, Vec<String>) {
    let mut bytes = [STREAM_HEAD.as_bytes(), &events(sent)].concat();
    if is_closed {
        bytes.extend(BODY_END);
    }
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(bytes.clone()));
    let request = ChatRequest {
        n: Some(2),
        ..ChatRequest::user("hi")
    };
    let stream = target(&script).chat_stream(&request).await.unwrap();
    let texts = |completion: &ChatCompletion| {
        let choices = completion.choices.iter();
        choices.map(|choice| choice.message.text().into_owned()).collect()
    };
    match stream.into_response().await {
        Ok(answer) => (None, texts(&answer.completion)),
        Err(error) => (Some(error.kind()), texts(error.partial().unwrap())),
    }
}

#[tokio::test(start_paused = true)]
async fn answer_of_two_choices_ends_when_both_have_finished() {
    let choice = |index: u32, finish: &str| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"ok"}},"finish_reason":{finish}}}]}}"#)
    };
    let (first, second) = (choice(0, r#""stop""#), choice(1, r#""stop""#));
    let begun = choice(1, "null");
    let one = vec!["ok".to_owned()];
    let both = vec!["ok".to_owned(), "ok".to_owned()];
    let (idle, truncated) = (
        Some(ErrorKind::Attempt(FailureKind::IdleTimeout)),
        Some(ErrorKind::Attempt(FailureKind::Truncated)),
    );
    for (sent, silent, closed, texts) in [
        (vec![&*first], idle, truncated, &one),
        (vec![&*first, &*begun], idle, truncated, &both),
        (vec![&*first, &*second], None, None, &both),
        (vec![&*first, "[DONE]"], None, None, &one),
    ] {
        assert_eq!(
            two_choices(&sent, false).await,
            (silent, texts.clone()),
            "{sent:?}"
        );
        assert_eq!(
            two_choices(&sent, true).await,
            (closed, texts.clone()),
            "{sent:?}"
        );
    }
}

/// Only the empty line after the last event is missing.
#[tokio::test(start_paused = true)]
async fn last_event_needs_no_empty_line_if_it_is_complete() {
    let finish = chunk_json(r#"{"content":"ok"}"#, r#""stop""#);
    for (data, requests) in [(&*finish, 1), (&finish[..finish.len() - 1], 4)] {
        let bytes = events(&[data]);
        let event = &bytes[bytes.windows(6).position(|six| six == b"data: ").unwrap()..];
        let event = event.trim_ascii_end();
        let body = [
            format!("{:x}\r\n", event.len()).as_bytes(),
            event,
            b"\r\n",
            BODY_END,
        ]
        .concat();
        let bytes = [STREAM_HEAD.as_bytes(), &body].concat();
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let settings = TargetSettings {
            max_retries: 3,
            ..TargetSettings::default()
        };
        let target = built(&script, settings);
        let answer = match target.chat_stream(&ChatRequest::user("hi")).await {
            Ok(stream) => stream.into_response().await,
            Err(error) => Err(error),
        };
        assert_eq!(answer.is_ok(), requests == 1, "{data}");
        assert_eq!(script.requests(), requests, "{data}");
    }
}

/// Nothing of the answer is missing when an event after its end cannot be read.
#[tokio::test(start_paused = true)]
async fn unreadable_event_after_a_complete_answer_is_skipped() {
    let mut sent = recorded();
    let end = sent.len() - 1;
    sent.insert(end, "{broken".to_owned());
    let bytes = stream_of(&sent);
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let (target, request) = (target(&script), ChatRequest::user("hi"));
    let streamed = target.chat_stream(&request).await.unwrap();
    assert_eq!(streamed.into_response().await.unwrap().text(), "Hello world");
    assert_eq!(target.chat(&request).await.unwrap().text(), "Hello world");
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn blank_events_are_ignored() {
    let mut recorded = recorded();
    for position in [0, 2, 5] {
        recorded.insert(position, String::new());
    }
    let script = ScriptedProvider::new(move |_, _| Action::Send(stream_of(&recorded)));
    let stream = target(&script)
        .chat_stream(&ChatRequest::user("hi"))
        .await
        .unwrap();
    assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn stream_may_be_dropped_outside_of_the_runtime() {
    let (first, _) = split_at(4);
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(first.clone()));
    let target = target(&script);
    let mut stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
    while stream.next().await.unwrap().unwrap().choices[0]
        .finish_reason
        .is_none()
    {}
    std::thread::spawn(move || drop(stream)).join().unwrap();
    assert_eq!(target.key_status()[0].in_flight, 0);
}

/// Such as that of a proxy that could not record the usage.
#[tokio::test(start_paused = true)]
async fn error_event_after_a_complete_answer_loses_nothing() {
    let error = r#"{"error":{"message":"failed to record usage"}}"#;
    for (at, ends_well) in [(6, true), (5, true), (4, true), (3, false)] {
        let mut sent = recorded();
        sent.insert(at.min(sent.len() - 1), error.to_owned());
        let bytes = stream_of(&sent);
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let settings = TargetSettings {
            max_retries: 2,
            ..TargetSettings::default()
        };
        let (target, request) = (built(&script, settings), ChatRequest::user("hi"));
        let stream = target.chat_stream(&request).await.unwrap();
        let streamed = stream.into_response().await;
        assert_eq!(streamed.is_ok(), ends_well, "{at}");
        assert_eq!(script.requests(), 1, "{at}");
        let plain = target.chat(&request).await;
        assert_eq!(plain.is_ok(), ends_well, "{at}");
        assert_eq!(script.requests(), if ends_well { 2 } else { 4 }, "{at}");
        for answer in [streamed, plain].into_iter().flatten() {
            assert_eq!(answer.text(), "Hello world");
            assert_eq!(answer.report.usage_source, UsageSource::Provider);
        }
        let body = Bytes::from_static(br#"{"model":"m","stream":true}"#);
        let mut raw = target.raw_chat_stream(body).await.unwrap();
        let mut data = Vec::new();
        while let Some(Ok(event)) = raw.next().await {
            data.push(String::from_utf8(event.event.data.to_vec()).unwrap());
        }
        let expected = if ends_well { &sent[..] } else { &sent[..at] };
        assert_eq!(data, expected, "raw streams pass it on");
    }
}

#[tokio::test(start_paused = true)]
async fn error_after_a_complete_answer_loses_nothing_in_any_framing() {
    let error = r#"{"error":{"message":"failed to record usage"}}"#;
    let part = r#"{"type":"output_text","text":"ok","annotations":[]}"#;
    let message = format!(r#"{{"type":"message","id":"m","role":"assistant","content":[{part}]}}"#);
    let response = format!(r#"{{"id":"r","object":"response","status":"completed","output":[{message}]}}"#);
    let completed = format!(r#"{{"type":"response.completed","response":{response}}}"#);
    let failed = r#"{"type":"error","code":"server_error","message":"m"}"#;
    let lines = |first: &str, second: &str| answer(200, "", &format!("{first}\n{second}\n"));
    for (api, bytes, is_read) in [
        (ApiFormat::ChatCompletions, lines(COMPLETION, error), true),
        (ApiFormat::ChatCompletions, lines(error, COMPLETION), false),
        (ApiFormat::Responses, lines(&response, error), true),
        (
            ApiFormat::Responses,
            stream_of(&[completed, failed.to_owned()]),
            true,
        ),
    ] {
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let settings = TargetSettings {
            api,
            max_retries: 0,
            ..TargetSettings::default()
        };
        let (target, request) = (built(&script, settings), ChatRequest::user("hi"));
        let plain = target.chat(&request).await;
        let streamed = match target.chat_stream(&request).await {
            Ok(stream) => stream.into_response().await,
            Err(error) => Err(error),
        };
        for answer in [plain, streamed] {
            assert_eq!(answer.is_ok(), is_read, "{api:?}: {answer:?}");
            assert!(answer.is_err() || answer.unwrap().text() == "ok");
        }
    }
}

/// The chunk with the usage and no choices is the last one of a stream.
#[tokio::test(start_paused = true)]
async fn provider_that_ignores_the_number_of_choices_ends_with_the_usage() {
    let choice = |index: u32, finish: &str| {
        format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"ok"}},"finish_reason":{finish}}}]}}"#)
    };
    let usage = r#"{"choices":[],"usage":{"total_tokens":9}}"#;
    let (first, second) = (choice(0, r#""stop""#), choice(1, "null"));
    let idle = Some(ErrorKind::Attempt(FailureKind::IdleTimeout));
    for (sent, outcome, elapsed) in [
        (&[&*first, usage][..], None, 200),
        (&[&first, usage, &second], idle, 60_000),
        (&[&second, usage], idle, 60_000),
    ] {
        let started = Instant::now();
        let (kind, _) = two_choices(sent, false).await;
        assert_eq!(kind, outcome, "{sent:?}");
        assert_eq!(started.elapsed().as_millis(), elapsed, "{sent:?}");
    }
}
