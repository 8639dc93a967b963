//! A provider whose every byte is written down: given by a closure, on a loopback socket or in paused time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each file uses its own part, and a failed unwrap is a failed test"
)]

pub mod honest;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::transport::{Connect, ConnectError, Connected};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the server does with one request.
pub enum Play {
    /// Sends these bytes; the connection stays open.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends these bytes, then nothing more, until the client goes away.
    SendAndHang(Vec<u8>),
    /// Sends these bytes after a time; the connection stays open.
    SendAfter(Duration, Vec<u8>),
    /// Sends these bytes, and after a time those; the connection stays open.
    SendInTwo(Vec<u8>, Duration, Vec<u8>),
    /// Sends these bytes, and then those again and again with a pause before each, until the client goes away.
    Drip(Vec<u8>, Duration, Vec<u8>),
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub key: String,
    /// In lower case.
    pub head: String,
    pub body: serde_json::Value,
    pub connection: usize,
    pub at: Instant,
}

type Script = dyn Fn(usize, &Seen) -> Play + Send + Sync;

/// A provider without a socket, for tests in paused time: it answers over pipes.
pub struct Scripted {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: AtomicUsize,
    /// How many bytes a connection holds on their way.
    pub pipe: AtomicUsize,
    play: Arc<Script>,
}

impl Scripted {
    pub fn new(play: impl Fn(usize, &Seen) -> Play + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            seen: Arc::default(),
            connections: AtomicUsize::new(0),
            pipe: AtomicUsize::new(64 << 10),
            play: Arc::new(play),
        })
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Connect for Scripted {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let (ours, theirs) = tokio::io::duplex(self.pipe.load(Ordering::SeqCst));
        let connection = self.connections.fetch_add(1, Ordering::SeqCst);
        let (seen, play) = (self.seen.clone(), self.play.clone());
        tokio::spawn(async move { serve(theirs, connection, &seen, &*play).await });
        Box::pin(async move { Ok(Connected::direct(ours)) })
    }
}

pub struct Server {
    pub url: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<AtomicUsize>,
    pub gone: Arc<AtomicUsize>,
    pub changed: Arc<Notify>,
}

impl Server {
    /// Starts a server that answers request number `n` (from 0) with `play(n, request)`.
    pub async fn start(play: impl Fn(usize, &Seen) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            seen: Arc::default(),
            connections: Arc::default(),
            gone: Arc::default(),
            changed: Arc::default(),
        };
        let (seen, connections) = (server.seen.clone(), server.connections.clone());
        let (gone, changed) = (server.gone.clone(), server.changed.clone());
        let play = Arc::new(play);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (seen, gone, changed, play) = (seen.clone(), gone.clone(), changed.clone(), play.clone());
                tokio::spawn(async move {
                    serve(socket, connection, &seen, &*play).await;
                    gone.fetch_add(1, Ordering::SeqCst);
                    changed.notify_waiters();
                });
            }
        });
        server
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits until `count` connections have ended.
    pub async fn gone(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.gone.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    seen: &Mutex<Vec<Seen>>,
    play: &Script,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut buffer, connection).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let (bytes, then) = match play(number, &request) {
            Play::Send(bytes) => (bytes, None),
            Play::SendAndClose(bytes) => (bytes, Some(false)),
            Play::SendAndHang(bytes) => (bytes, Some(true)),
            Play::SendAfter(pause, bytes) => {
                tokio::time::sleep(pause).await;
                (bytes, None)
            }
            Play::SendInTwo(first, pause, then) => {
                if socket.write_all(&first).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
                (then, None)
            }
            Play::Drip(first, pause, drop) => {
                let mut next = first;
                while socket.write_all(&next).await.is_ok() {
                    tokio::time::sleep(pause).await;
                    next.clone_from(&drop);
                }
                return;
            }
        };
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            None => {}
            Some(true) => {
                let _ = socket.read(&mut [0; 16]).await;
                return;
            }
            Some(false) => return,
        }
    }
}

async fn read_request(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let original = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let named = |name: &str| Some(head.find(name)? + name.len());
            let at = named("authorization: bearer ")
                .or_else(|| named("api-key: "))
                .unwrap();
            let key = original[at..].lines().next().unwrap().to_owned();
            let length = head
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .lines()
                .next()
                .unwrap();
            let length: usize = length.trim().parse().unwrap();
            if buffer.len() >= end + 4 + length {
                let body = serde_json::from_slice(&buffer[end + 4..end + 4 + length]).unwrap();
                buffer.drain(..end + 4 + length);
                return Some(Seen {
                    key,
                    head,
                    body,
                    connection,
                    at: Instant::now(),
                });
            }
        }
        let mut piece = [0; 16 << 10];
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

/// An answer with a length.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

pub const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;

pub fn completion(text: &str) -> Vec<u8> {
    answer(
        200,
        "x-request-id: req-1\r\n",
        &format!(
            r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}}"#
        ),
    )
}

pub fn error(status: u16, headers: &str, code: &str) -> Vec<u8> {
    answer(
        status,
        headers,
        &format!(
            r#"{{"error":{{"message":"words of the provider","type":null,"param":null,"code":"{code}"}}}}"#
        ),
    )
}

pub const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// A stream's body in HTTP chunks, one event each, without the last one.
pub fn events(events: &[&str]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| {
            let event = format!("data: {event}\n\n");
            format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
        })
        .collect()
}

pub fn piece(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    )
}

/// A whole recorded stream: role, two words, finish, usage, `[DONE]`.
pub fn recorded() -> Vec<String> {
    vec![
        piece(r#"{"role":"assistant","content":""}"#, "null"),
        piece(r#"{"content":"Hello"}"#, "null"),
        piece(r#"{"content":" world"}"#, "null"),
        piece("{}", r#""stop""#),
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#.to_owned(),
        "[DONE]".to_owned(),
    ]
}

pub fn stream_of(recorded: &[String]) -> Vec<u8> {
    let recorded: Vec<&str> = recorded.iter().map(String::as_str).collect();
    let mut bytes = STREAM_HEAD.as_bytes().to_vec();
    bytes.extend(events(&recorded));
    bytes.extend(b"0\r\n\r\n");
    bytes
}
