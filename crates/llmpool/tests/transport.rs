//! Connections that close just before a request, and streams that are always ready.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::chat::ChatRequest;
use llmpool::transport::{BoxIo, Connect, ConnectError, Connected};
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, TargetSettings,
};
use support::{Action, ScriptedProvider, chunk_json, completion, events};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn target(connector: Arc<dyn Connect>) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    let settings = TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(connector)
        .build()
        .unwrap()
}

/// Opens connections that report being open for `reads` more reads, and then being closed.
struct ClosingConnector {
    inner: Arc<ScriptedProvider>,
    reads: Arc<AtomicU32>,
    /// Number of connections that can be opened.
    connections: usize,
}

struct ClosingIo {
    io: BoxIo,
    reads: Arc<AtomicU32>,
}

/// The connection stays open.
const OPEN: u32 = u32::MAX;

impl Connect for ClosingConnector {
    fn connect(&self, origin: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        if self.inner.connections.load(Ordering::SeqCst) == self.connections {
            return Box::pin(async { Err(ConnectError::new("refused")) });
        }
        let (connected, reads) = (self.inner.connect(origin), self.reads.clone());
        reads.store(OPEN, Ordering::SeqCst);
        Box::pin(async move {
            let io = connected.await?.io;
            Ok(Connected::direct(ClosingIo { io, reads }))
        })
    }
}

impl AsyncRead for ClosingIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.reads.load(Ordering::SeqCst) {
            OPEN => Pin::new(&mut self.io).poll_read(cx, buf),
            0 => Poll::Ready(Ok(())),
            left => {
                self.reads.store(left - 1, Ordering::SeqCst);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ClosingIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn connection_closed_after_the_pool_check_is_replaced() {
    for reads in 0..2 {
        let inner = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
        let connector = Arc::new(ClosingConnector {
            inner: inner.clone(),
            reads: Arc::new(AtomicU32::new(OPEN)),
            connections: 2,
        });
        let target = target(connector.clone());
        let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
        target.chat_with(&request, &options).await.unwrap();
        connector.reads.store(reads, Ordering::SeqCst);
        let answer = target.chat_with(&request, &options).await.unwrap();
        assert_eq!(
            (answer.text(), answer.report.upstream_requests()),
            ("ok".into(), 1),
            "{reads} reads"
        );
        assert_eq!(inner.connections.load(Ordering::SeqCst), 2, "{reads} reads");
    }
}

/// The request is on no connection when the next connection cannot be opened.
#[tokio::test]
async fn request_that_was_never_written_is_no_attempt() {
    let inner = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let connector = Arc::new(ClosingConnector {
        inner: inner.clone(),
        reads: Arc::new(AtomicU32::new(OPEN)),
        connections: 1,
    });
    let target = target(connector.clone());
    let request = ChatRequest::user("hi");
    target.chat(&request).await.unwrap();
    connector.reads.store(1, Ordering::SeqCst);
    let error = target.chat(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::Connect));
    let report = error.report();
    assert_eq!((report.attempts.len(), report.unsent.len()), (0, 1));
}

// The main future of a runtime has a cooperative budget too: once it is used up, IO returns pending until the future yields.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_that_is_always_ready_yields_to_the_runtime() {
    let script = ScriptedProvider::new(|_, _| {
        let piece = chunk_json(r#"{"content":"a word "}"#, "null");
        let mut bytes = support::STREAM_HEAD.as_bytes().to_vec();
        bytes.extend(events(&vec![piece.as_str(); 600]));
        bytes.extend(events(&["[DONE]"]));
        bytes.extend(b"0\r\n\r\n");
        Action::Send(bytes)
    });
    script.pipe.store(200, Ordering::SeqCst);
    let target = target(script);
    let stream = target.chat_stream(&ChatRequest::user("hi")).await;
    let mut stream = stream.unwrap();
    let mut chunks = 0;
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
        chunks += 1;
        // As slow as the provider, without yielding.
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(chunks, 600);
}
