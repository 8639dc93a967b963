//! Providers whose responses are given byte by byte by a closure: on a loopback socket, or over pipes in paused time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each test file uses a part of it, and a failed unwrap is a failed test"
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
pub enum Action {
    /// Sends these bytes; the connection stays open.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Sends these bytes, then nothing until the client closes the connection.
    SendAndHang(Vec<u8>),
    /// Sends these bytes after a time; the connection stays open.
    SendAfter(Duration, Vec<u8>),
    /// Sends the first bytes, and the second ones after a pause; the connection stays open.
    SendInTwo(Vec<u8>, Duration, Vec<u8>),
    /// Sends the first bytes, then the second ones repeatedly with a pause before each, until the client closes the connection.
    Drip(Vec<u8>, Duration, Vec<u8>),
}

/// A request as the provider received it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub key: String,
    /// In lower case.
    pub head: String,
    pub body: serde_json::Value,
    pub connection: usize,
    pub at: Instant,
}

type Script = dyn Fn(usize, &ReceivedRequest) -> Action + Send + Sync;

/// A provider that responds over in-memory pipes, for tests in paused time.
pub struct ScriptedProvider {
    pub received: Arc<Mutex<Vec<ReceivedRequest>>>,
    pub connections: AtomicUsize,
    /// Buffer size of a connection in bytes.
    pub pipe: AtomicUsize,
    respond: Arc<Script>,
}

impl ScriptedProvider {
    pub fn new(respond: impl Fn(usize, &ReceivedRequest) -> Action + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            received: Arc::default(),
            connections: AtomicUsize::new(0),
            pipe: AtomicUsize::new(64 << 10),
            respond: Arc::new(respond),
        })
    }

    pub fn requests(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

impl Connect for ScriptedProvider {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let (ours, theirs) = tokio::io::duplex(self.pipe.load(Ordering::SeqCst));
        let connection = self.connections.fetch_add(1, Ordering::SeqCst);
        let (received, respond) = (self.received.clone(), self.respond.clone());
        tokio::spawn(async move { serve(theirs, connection, &received, &*respond).await });
        Box::pin(async move { Ok(Connected::direct(ours)) })
    }
}

pub struct Server {
    pub url: String,
    pub received: Arc<Mutex<Vec<ReceivedRequest>>>,
    pub connections: Arc<AtomicUsize>,
    pub closed: Arc<AtomicUsize>,
    pub changed: Arc<Notify>,
}

impl Server {
    /// Starts a server that handles request number `n`, from 0, with `respond(n, request)`.
    pub async fn start(respond: impl Fn(usize, &ReceivedRequest) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            received: Arc::default(),
            connections: Arc::default(),
            closed: Arc::default(),
            changed: Arc::default(),
        };
        let (received, connections) = (server.received.clone(), server.connections.clone());
        let (closed, changed) = (server.closed.clone(), server.changed.clone());
        let respond = Arc::new(respond);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let connection = connections.fetch_add(1, Ordering::SeqCst);
                let (received, closed, changed, respond) =
                    (received.clone(), closed.clone(), changed.clone(), respond.clone());
                tokio::spawn(async move {
                    serve(socket, connection, &received, &*respond).await;
                    closed.fetch_add(1, Ordering::SeqCst);
                    changed.notify_waiters();
                });
            }
        });
        server
    }

    pub fn requests(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Waits until `count` connections have ended.
    pub async fn wait_closed(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.closed.load(Ordering::SeqCst) >= count {
                return;
            }
            changed.await;
        }
    }
}

async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    received: &Mutex<Vec<ReceivedRequest>>,
    respond: &Script,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut buffer, connection).await {
        let number = {
            let mut received = received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        let (bytes, then) = match respond(number, &request) {
            Action::Send(bytes) => (bytes, None),
            Action::SendAndClose(bytes) => (bytes, Some(false)),
            Action::SendAndHang(bytes) => (bytes, Some(true)),
            Action::SendAfter(pause, bytes) => {
                tokio::time::sleep(pause).await;
                (bytes, None)
            }
            Action::SendInTwo(first, pause, then) => {
                if socket.write_all(&first).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
                (then, None)
            }
            Action::Drip(first, pause, drop) => {
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
) -> Option<ReceivedRequest> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let original = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let named = |name: &str| Some(head.find(name)? + name.len());
            let at = named("authorization: bearer ")
                .or_else(|| named("api-key: "))
                .unwrap();
            let key = original[at..].lines().next().unwrap().to_owned();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or("0", |rest| rest.lines().next().unwrap());
            let length: usize = length.trim().parse().unwrap();
            if buffer.len() >= end + 4 + length {
                let body = match &buffer[end + 4..end + 4 + length] {
                    [] => serde_json::Value::Null,
                    body => serde_json::from_slice(body).unwrap(),
                };
                buffer.drain(..end + 4 + length);
                return Some(ReceivedRequest {
                    key,
                    head,
                    body,
                    connection,
                    at: Instant::now(),
                });
            }
        }
        let mut part = [0; 16 << 10];
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&part[..read]),
        }
    }
}

/// Returns a JSON response with a `content-length`.
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

/// Returns events as HTTP chunks, one each, without the terminating chunk.
pub fn events(events: &[&str]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| {
            let event = format!("data: {event}\n\n");
            format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
        })
        .collect()
}

pub fn chunk_json(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    )
}

/// Returns the events of a complete stream: role, two words, finish reason, usage, `[DONE]`.
pub fn recorded() -> Vec<String> {
    vec![
        chunk_json(r#"{"role":"assistant","content":""}"#, "null"),
        chunk_json(r#"{"content":"Hello"}"#, "null"),
        chunk_json(r#"{"content":" world"}"#, "null"),
        chunk_json("{}", r#""stop""#),
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
