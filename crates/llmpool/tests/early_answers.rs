//! Answers that come before the request is written, and answers with many headers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{Error as IoError, ErrorKind as IoErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures_core::future::BoxFuture;
use llmpool::chat::ChatRequest;
use llmpool::transport::{Connect, ConnectError, Connected};
use llmpool::{
    ApiKeyPool, ChatResponse, Error, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, TargetSettings,
};
use support::{Action, ScriptedProvider, answer, completion, error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

async fn call(connector: Option<Arc<dyn Connect>>, url: &str, bytes: usize) -> Result<ChatResponse, Error> {
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    let settings = TargetSettings {
        max_retries: 3,
        ..TargetSettings::default()
    };
    let mut builder = OpenAiCompatible::builder(&pool, "m", url).settings(settings);
    if let Some(connector) = connector {
        builder = builder.connector(connector);
    }
    builder
        .build()
        .unwrap()
        .chat(&ChatRequest::user("x".repeat(bytes)))
        .await
}

/// Opens connections whose other end answers with `answers[n]` on connection `n`, and stops reading after the first write.
struct EarlyAnswers {
    answers: Vec<Vec<u8>>,
    failure: IoErrorKind,
    connections: AtomicUsize,
}

struct EarlyAnswer {
    answer: Vec<u8>,
    failure: IoErrorKind,
    writes: usize,
    reader: Option<Waker>,
}

impl EarlyAnswers {
    fn new(failure: IoErrorKind, answers: Vec<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            answers,
            failure,
            connections: AtomicUsize::new(0),
        })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Connect for EarlyAnswers {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let connection = self.connections.fetch_add(1, Ordering::SeqCst);
        let io = EarlyAnswer {
            answer: self.answers[connection.min(self.answers.len() - 1)].clone(),
            failure: self.failure,
            writes: 0,
            reader: None,
        };
        Box::pin(async { Ok(Connected::direct(io)) })
    }
}

impl AsyncRead for EarlyAnswer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.writes < 2 {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = self.answer.len().min(buf.remaining());
        buf.put_slice(&self.answer.drain(..length).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EarlyAnswer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.writes += 1;
        if self.writes == 1 {
            return Poll::Ready(Ok(buf.len().min(100)));
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(IoError::from(self.failure)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn answer_before_the_request_is_written_decides() {
    for failure in [IoErrorKind::BrokenPipe, IoErrorKind::ConnectionReset] {
        let early = EarlyAnswers::new(failure, vec![error(413, "", "too_large")]);
        let failed = call(Some(early.clone()), "http://early/v1", 1 << 20)
            .await
            .unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Attempt(FailureKind::TooLarge));
        assert_eq!(failed.provider_message(), Some("words of the provider"));
        assert_eq!(early.connections(), 1);

        let early = EarlyAnswers::new(failure, vec![error(401, "", "invalid_api_key"), completion("ok")]);
        let answered = call(Some(early.clone()), "http://early/v1", 1 << 20)
            .await
            .unwrap();
        assert_eq!(
            (answered.text(), answered.report.upstream_requests()),
            ("ok".into(), 2)
        );
        assert_eq!(answered.report.attempts[0].failure, Some(FailureKind::InvalidKey));

        let early = EarlyAnswers::new(failure, vec![error(429, "", "insufficient_quota")]);
        let failed = call(Some(early.clone()), "http://early/v1", 1 << 20)
            .await
            .unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
        assert_eq!(early.connections(), 2, "one request a key");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_closes_early_without_an_answer_is_lost() {
    for answer in [Vec::new(), b"HTTP/1.1 413 X\r\ncont".to_vec()] {
        let early = EarlyAnswers::new(IoErrorKind::BrokenPipe, vec![answer, completion("ok")]);
        let answered = call(Some(early), "http://early/v1", 1 << 20).await.unwrap();
        assert_eq!(
            answered.report.attempts[0].failure,
            Some(FailureKind::ConnectionLost)
        );
    }
    let early = EarlyAnswers::new(IoErrorKind::Other, vec![error(413, "", "too_large"), Vec::new()]);
    let failed = call(Some(early.clone()), "http://early/v1", 1 << 20)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Attempt(FailureKind::ConnectionLost));
    assert_eq!(early.connections(), 4, "other write errors are not absorbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_of_a_server_that_does_not_read_the_body_decides() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let served = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            served.fetch_add(1, Ordering::SeqCst);
            let mut head = [0; 256];
            socket.read_exact(&mut head).await.unwrap();
            socket.write_all(&error(413, "", "too_large")).await.unwrap();
        }
    });
    let failed = call(None, &url, 20 << 20).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Attempt(FailureKind::TooLarge));
    assert_eq!(failed.provider_message(), Some("words of the provider"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

fn headers(count: usize, length: usize) -> String {
    (0..count)
        .map(|number| format!("x-h{number}: {}\r\n", "v".repeat(length)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn answers_with_many_headers_are_read() {
    let body = String::from_utf8(completion("ok")).unwrap();
    let body = body.split_once("\r\n\r\n").unwrap().1.to_owned();
    for (count, length) in [(90, 1000), (250, 260), (1000, 100)] {
        let bytes = answer(200, &headers(count, length), &body);
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let answered = call(Some(script.clone()), "http://early/v1", 10).await.unwrap();
        assert_eq!((answered.text(), script.requests()), ("ok".into(), 1), "{count}");
    }
    let bytes = error(413, &headers(250, 10), "too_large");
    let early = EarlyAnswers::new(IoErrorKind::BrokenPipe, vec![bytes]);
    let failed = call(Some(early.clone()), "http://early/v1", 1 << 20)
        .await
        .unwrap_err();
    assert_eq!(failed.provider_message(), Some("words of the provider"));
}

#[tokio::test(start_paused = true)]
async fn answer_with_too_many_headers_is_bought_once() {
    for (count, length) in [(2000, 10), (500, 1000)] {
        let bytes = answer(200, &headers(count, length), "{}");
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let failed = call(Some(script.clone()), "http://early/v1", 10)
            .await
            .unwrap_err();
        let text = failed.to_string();
        let expected = "the answer has more than 1024 headers, or more than 400 KiB of them; 1 attempt in";
        assert!(text.contains(expected), "{text}");
        assert_eq!(script.requests(), 1);
    }
}
