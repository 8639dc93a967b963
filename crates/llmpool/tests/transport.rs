//! Connections that end or hesitate at the worst moment.
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
use llmpool::{ApiKeyPool, CallOptions, LlmInterface, OpenAiCompatible, TargetSettings};
use support::{Play, Scripted, completion, events, piece};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fn target(connector: Arc<dyn Connect>) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    let settings = TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    };
    OpenAiCompatible::with_connector(&pool, "m", "http://scripted/v1", settings, connector).unwrap()
}

/// Connections that look alive so many times more, and are closed at the next look.
struct ClosingBehindOurBack {
    inner: Arc<Scripted>,
    looks: Arc<AtomicU32>,
}

struct Io {
    io: BoxIo,
    looks: Arc<AtomicU32>,
}

const NORMAL: u32 = u32::MAX;

impl Connect for ClosingBehindOurBack {
    fn connect(&self, origin: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let (connected, looks) = (self.inner.connect(origin), self.looks.clone());
        looks.store(NORMAL, Ordering::SeqCst);
        Box::pin(async move {
            let io = connected.await?.io;
            Ok(Connected::direct(Io { io, looks }))
        })
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.looks.load(Ordering::SeqCst) {
            NORMAL => Pin::new(&mut self.io).poll_read(cx, buf),
            0 => Poll::Ready(Ok(())),
            left => {
                self.looks.store(left - 1, Ordering::SeqCst);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Io {
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
async fn a_connection_that_ends_between_the_look_and_the_request_is_replaced() {
    for looks in 0..2 {
        let inner = Scripted::new(|_, _| Play::Send(completion("ok")));
        let connector = Arc::new(ClosingBehindOurBack {
            inner: inner.clone(),
            looks: Arc::new(AtomicU32::new(NORMAL)),
        });
        let target = target(connector.clone());
        let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
        target.chat_with(&request, &options).await.unwrap();
        connector.looks.store(looks, Ordering::SeqCst);
        let answer = target.chat_with(&request, &options).await.unwrap();
        assert_eq!(
            (answer.text(), answer.report.upstream_requests()),
            ("ok".into(), 1),
            "{looks} looks"
        );
        assert_eq!(inner.connections.load(Ordering::SeqCst), 2, "{looks} looks");
    }
}

/// In a runtime's main future the runtime asks to yield, and comes back only after it was let go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_always_ready_does_not_starve_its_reader() {
    let script = Scripted::new(|_, _| {
        let piece = piece(r#"{"content":"a word "}"#, "null");
        let mut bytes = support::STREAM_HEAD.as_bytes().to_vec();
        bytes.extend(events(&vec![piece.as_str(); 600]));
        bytes.extend(events(&["[DONE]"]));
        bytes.extend(b"0\r\n\r\n");
        Play::Send(bytes)
    });
    script.pipe.store(200, Ordering::SeqCst);
    let target = target(script);
    let stream = target.chat_stream(&ChatRequest::user("hi")).await;
    let mut stream = stream.unwrap();
    let mut chunks = 0;
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
        chunks += 1;
        // As slow as the provider, without giving way.
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(chunks, 600);
}
