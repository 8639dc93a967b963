//! Connections of streams that end or are dropped, in paused time: kept where the end of the body is near.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, ChatStream, LlmInterface, OpenAiCompatible, TargetSettings};
use support::{Action, STREAM_HEAD, ScriptedProvider, events, recorded};
use tokio::time::Instant;

const BODY_END: &[u8] = b"0\r\n\r\n";

fn target(script: &Arc<ScriptedProvider>) -> OpenAiCompatible {
    let settings = TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    };
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
