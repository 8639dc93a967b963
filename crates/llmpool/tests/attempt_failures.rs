//! What a failed attempt reports: its cause, the status and the request ID of its response. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::chat::ChatRequest;
use llmpool::transport::{Connect, ConnectError, Connected};
use llmpool::{
    ApiKeyPool, CallOptions, Error, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, TargetSettings,
    Timeouts,
};
use support::{
    Action, STREAM_HEAD, ScriptedProvider, answer, chunk_json, error, events, recorded, stream_of,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

fn target(connector: Arc<dyn Connect>, max_retries: u32) -> OpenAiCompatible {
    target_with_key("k", connector, max_retries)
}

fn target_with_key(key: &str, connector: Arc<dyn Connect>, max_retries: u32) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", [key]).unwrap();
    let settings = TargetSettings {
        max_retries,
        timeouts: Timeouts {
            first_content: Some(20 * SECOND),
            idle: Some(10 * SECOND),
            ..Timeouts::default()
        },
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(connector)
        .build()
        .unwrap()
}

/// Makes one attempt that is answered with `action`, and returns the error of the call.
async fn failure_of(
    action: impl Fn() -> Action + Send + Sync + 'static,
    stream: bool,
    timeout: Option<Duration>,
) -> Error {
    let target = target(ScriptedProvider::new(move |_, _| action()), 0);
    let options = CallOptions {
        timeout,
        ..CallOptions::default()
    };
    let request = ChatRequest::user("hi");
    if !stream {
        return target.chat_with(&request, &options).await.unwrap_err();
    }
    match target.chat_stream_with(&request, &options).await {
        Ok(stream) => stream.into_response().await.unwrap_err(),
        Err(error) => error,
    }
}

fn stream_with_id(data: &[&str]) -> Vec<u8> {
    let data: Vec<String> = data.iter().map(|data| (*data).to_owned()).collect();
    let stream = String::from_utf8(stream_of(&data)).unwrap();
    stream
        .replacen("OK\r\n", "OK\r\nx-request-id: req-7\r\n", 1)
        .into_bytes()
}

#[tokio::test(start_paused = true)]
async fn failed_attempts_report_status_and_request_id() {
    let id = "x-request-id: req-7\r\n";
    let reported = r#"{"error":{"message":"m","code":"odd"}}"#;
    for (bytes, stream, status, kind) in [
        (error(500, id, "odd"), true, 500, FailureKind::ServerError),
        (stream_with_id(&[reported]), true, 200, FailureKind::ServerError),
        (
            stream_with_id(&["[DONE]"]),
            true,
            200,
            FailureKind::InvalidResponse,
        ),
        (answer(200, id, reported), false, 200, FailureKind::ServerError),
        (
            answer(200, id, "nonsense"),
            false,
            200,
            FailureKind::UnusableAnswer,
        ),
    ] {
        let error = failure_of(move || Action::Send(bytes.clone()), stream, None).await;
        assert_eq!(error.kind(), ErrorKind::Attempt(kind));
        assert_eq!(
            (error.status(), error.request_id()),
            (Some(status), Some("req-7"))
        );
        let attempt = &error.report().attempts[0];
        assert_eq!(
            (attempt.status, attempt.request_id.as_deref()),
            (Some(status), Some("req-7"))
        );
    }
}

/// The body of an error is awaited for five seconds.
#[tokio::test(start_paused = true)]
async fn late_body_of_an_error_still_tells_the_cause() {
    let bytes = error(400, "", "context_length_exceeded");
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    for (seconds, kind) in [(4, FailureKind::ContextLength), (6, FailureKind::InvalidRequest)] {
        let (head, body) = (bytes[..head].to_vec(), bytes[head..].to_vec());
        let action = move || Action::SendInTwo(head.clone(), seconds * SECOND, body.clone());
        let error = failure_of(action, false, None).await;
        assert_eq!(error.kind(), ErrorKind::Attempt(kind), "{seconds} s");
    }
}

/// The provider would send the same again, and be paid again.
#[tokio::test(start_paused = true)]
async fn answer_above_a_size_limit_is_bought_once() {
    let event = chunk_json(&format!(r#"{{"content":"{}"}}"#, "x".repeat(20 << 20)), "null");
    let bytes = stream_of(&[event]);
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let target = target(script.clone(), 3);
    let error = match target.chat_stream(&ChatRequest::user("hi")).await {
        Ok(stream) => stream.into_response().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::UnusableAnswer));
    let text = error.to_string();
    assert!(
        text.contains("an event is larger than 16 MiB; 1 attempt in"),
        "{text}"
    );
    assert!(!error.is_temporary());
    assert_eq!(script.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn stream_that_begins_with_an_unreadable_event_is_requested_again() {
    let script = ScriptedProvider::new(|number, _| {
        Action::Send(match number {
            0 => stream_of(&[vec!["{nonsense".to_owned()], recorded()].concat()),
            _ => stream_of(&recorded()),
        })
    });
    let target = target(script.clone(), 1);
    let stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
    assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
    assert_eq!(script.requests(), 2);
}

/// Only a provider that refuses `stream_options` is asked without it.
#[tokio::test(start_paused = true)]
async fn stream_that_fails_for_another_reason_is_requested_with_its_usage() {
    let script = ScriptedProvider::new(|number, received| {
        assert_eq!(received.body["stream_options"]["include_usage"], true);
        Action::Send(match number {
            0 => error(500, "", "x"),
            _ => stream_of(&recorded()),
        })
    });
    let target = target(script.clone(), 1);
    for _ in 0..2 {
        target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
    }
    assert_eq!(script.requests(), 3);
}

struct Unreachable;

impl Connect for Unreachable {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(async { Err(ConnectError::new("no route to host")) })
    }
}

#[tokio::test(start_paused = true)]
async fn failed_connection_states_its_cause() {
    let target = target(Arc::new(Unreachable), 0);
    let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::Connect));
    assert!(
        error
            .to_string()
            .contains("p/m: connection failed: no route to host; 1 attempt in"),
        "{error}"
    );
    assert_eq!(error.provider_message(), None);
}

struct Silent;

impl Connect for Silent {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(std::future::pending())
    }

    fn proxy_of(&self, origin: &http::Uri) -> Option<String> {
        (origin.port_u16() == Some(81)).then(|| "proxy 10.0.0.1:3128 (HTTPS_PROXY)".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn connection_timeout_names_the_host_or_the_proxy() {
    for (url, timeout, kind, text) in [
        (
            "http://u.example/v1?key=SECRET",
            None,
            FailureKind::ConnectTimeout,
            "no connection to u.example:80 within 5.0 s",
        ),
        (
            "https://u.example/v1",
            Some(2 * SECOND),
            FailureKind::DeadlineExceeded,
            "no connection to u.example:443 within 2.0 s",
        ),
        (
            "http://u.example:81/v1",
            None,
            FailureKind::ConnectTimeout,
            "no connection to proxy 10.0.0.1:3128 (HTTPS_PROXY) within 5.0 s",
        ),
    ] {
        let pool = ApiKeyPool::new("p", ["k"]).unwrap();
        let settings = TargetSettings {
            max_retries: 0,
            ..TargetSettings::default()
        };
        let builder = OpenAiCompatible::builder(&pool, "m", url).settings(settings);
        let target = builder.connector(Arc::new(Silent)).build().unwrap();
        let options = CallOptions {
            timeout,
            ..CallOptions::default()
        };
        let request = ChatRequest::user("hi");
        let error = target.chat_with(&request, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(kind));
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_that_is_not_http_is_told_from_a_lost_connection() {
    let settings_frame = b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    let (wrong, invalid) = (FailureKind::WrongEndpoint, FailureKind::InvalidResponse);
    for (answer, kind, text) in [
        (
            &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
            wrong,
            "not HTTP, but begins with `SSH-2.0-`",
        ),
        (
            b"220 mail.example ESMTP\r\n\r\n",
            wrong,
            "not HTTP, but begins with `220 mail`",
        ),
        (
            b"{\"id\":\"c1\",\"choices\":[]}",
            wrong,
            "not HTTP, but begins with `{\"id\":\"c`",
        ),
        (
            b"ICY 200 OK\r\n\r\n",
            wrong,
            "not HTTP, but begins with `ICY 200 `",
        ),
        (b"\xff\xfe\x01\x02\x03\x04\x05\x06\r\n\r\n", wrong, "not HTTP"),
        (settings_frame, wrong, "HTTP/2"),
        (
            b"HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            invalid,
            "an HTTP header that cannot be read",
        ),
        (
            b"HTTP/1.1 200 OK\r\na: \0\r\n\r\n",
            invalid,
            "an HTTP header that cannot be read",
        ),
    ] {
        for stream in [false, true] {
            let no_http = || Action::SendAndClose(answer.to_vec());
            let error = failure_of(no_http, stream, None).await;
            assert_eq!(error.kind(), ErrorKind::Attempt(kind), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(answer.to_vec()));
        let target = target(script.clone(), 2);
        target.chat(&ChatRequest::user("hi")).await.unwrap_err();
        assert_eq!(script.requests(), if kind == wrong { 1 } else { 3 }, "{text}");
    }
    let half_a_head = || Action::SendAndClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec());
    for stream in [false, true] {
        let error = failure_of(half_a_head, stream, None).await;
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::ConnectionLost));
    }
}

/// Opens connections whose other end speaks first, as that of SSH or SMTP does.
struct Greeting;

impl Connect for Greeting {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(async {
            let (ours, mut theirs) = tokio::io::duplex(64 << 10);
            theirs.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let _ = theirs.read_to_end(&mut request).await;
            });
            Ok(Connected::direct(ours))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn peer_that_speaks_first_is_named() {
    let target = target(Arc::new(Greeting), 2);
    let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Attempt(FailureKind::WrongEndpoint),
        "{error}"
    );
    assert!(error.to_string().contains("begins with `SSH-2.0-`"), "{error}");
}

/// The deadline of the call comes before the idle and the first-content timeout.
#[tokio::test(start_paused = true)]
async fn timeout_of_the_call_is_named_where_it_is_the_first() {
    let half_a_body =
        || Action::SendAndHang(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"choices\":".to_vec());
    let nothing = || Action::SendAndHang(Vec::new());
    for (action, stream) in [
        (half_a_body as fn() -> Action, false),
        (nothing, false),
        (nothing, true),
    ] {
        let error = failure_of(action, stream, Some(5 * SECOND)).await;
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    }
    let error = failure_of(half_a_body, false, Some(60 * SECOND)).await;
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::IdleTimeout));
}

/// A stream that sends a lot before its first content is returned to the caller, and is not bought again when it fails.
#[tokio::test(start_paused = true)]
async fn long_start_of_a_stream_counts_as_content() {
    for (kilobytes, requests) in [(900, 2), (1200, 1)] {
        let role = chunk_json(r#"{"role":"assistant","content":""}"#, "null");
        let padding = format!(
            r#"{},"padding":"{}"}}"#,
            &role[..role.len() - 1],
            "x".repeat(100 << 10)
        );
        let padded = vec![padding.as_str(); kilobytes / 100];
        let bytes = [STREAM_HEAD.as_bytes(), &events(&padded)].concat();
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
        let target = target(script.clone(), 1);
        let failed = match target.chat_stream(&ChatRequest::user("hi")).await {
            Ok(stream) => stream.into_response().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(script.requests(), requests, "{kilobytes} KiB: {failed}");
    }
}

/// Each key names another time, and the call may retry once. The key that failed first is available first.
#[tokio::test(start_paused = true)]
async fn failed_call_states_when_the_first_key_is_available() {
    let waits = ["40", "100"];
    let script = ScriptedProvider::new(move |number, _| {
        let wait = format!("retry-after: {}\r\n", waits[number]);
        Action::Send(error(429, &wait, "rate_limit_exceeded"))
    });
    let target = OpenAiCompatible::builder(
        &ApiKeyPool::new("p", ["a", "b"]).unwrap(),
        "m",
        "http://scripted/v1",
    )
    .connector(script)
    .build()
    .unwrap();
    let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(error.report().attempts.len(), 2);
    assert_eq!(
        error.retry_in().map(|wait| wait.as_secs_f64().round()),
        Some(40.0)
    );
}

/// Redirects are not followed: the request contains the key.
#[tokio::test(start_paused = true)]
async fn redirect_names_its_location_and_is_asked_once() {
    for status in [301, 302, 307, 308] {
        let bytes = answer(
            status,
            "location: https://h.example/v2/KEY-7/sk-canary-secret?key=SECRET\r\n",
            "moved",
        );
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let error = target_with_key("KEY-7", script.clone(), 3)
            .chat(&ChatRequest::user("hi"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::WrongEndpoint));
        let text = error.to_string();
        let expected = "wrong endpoint: redirected to https://h.example/v2/[key]/[key]; 1 attempt in";
        assert!(text.contains(expected), "{text}");
        let help = "set base_url to that URL without the endpoint, if it belongs to the provider";
        assert_eq!((error.help(), error.status()), (Some(help), Some(status)));
        assert_eq!(script.requests(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn complaint_about_a_missing_scheme_is_explained() {
    let nginx = "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>";
    let go = "Client sent an HTTP request to an HTTPS server.\n";
    let alert = b"\x15\x03\x01\x00\x02\x02\x46".to_vec();
    for bytes in [answer(400, "", nginx), answer(400, "", go), alert] {
        let script = ScriptedProvider::new(move |_, _| Action::SendAndClose(bytes.clone()));
        let error = target(script.clone(), 3)
            .chat(&ChatRequest::user("hi"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::WrongEndpoint));
        assert!(
            error
                .to_string()
                .contains("scripted:80 expects TLS; 1 attempt in"),
            "{error}"
        );
        assert_eq!(error.help(), Some("use https:// in base_url"));
        assert_eq!(script.requests(), 1);
    }
}
