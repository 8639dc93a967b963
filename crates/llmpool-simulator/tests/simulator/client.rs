//! An HTTP client that exposes chunk boundaries, exact lengths, and how a connection ended.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use End::Complete;

/// Timeout of every wait. A test that reaches it has failed.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Client<S = TcpStream> {
    socket: BufReader<S>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The chunks of a chunked body; one piece for any other body.
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) end: End,
}

/// The end of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Cut,
    Reset,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            socket: BufReader::new(stream),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, key: &str, body: &str) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.write(request.as_bytes()).await;
    }

    pub(crate) async fn chat(&mut self, key: &str, extra: &Value) {
        self.send("POST", "/v1/chat/completions", key, &chat_body(extra))
            .await;
    }

    /// Returns status and headers, or how the connection ended without them.
    pub(crate) async fn head(&mut self) -> Result<(u16, Vec<(String, String)>), End> {
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                return Ok((status, headers));
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) async fn reply(&mut self) -> Result<Reply, End> {
        let (status, headers) = self.head().await?;
        let mut reply = Reply {
            status,
            headers,
            pieces: Vec::new(),
            end: Complete,
        };
        reply.end = match reply
            .header("content-length")
            .map(|length| length.parse().unwrap())
        {
            Some(length) => self.exactly(length, &mut reply.pieces).await,
            None => self.chunks(&mut reply.pieces).await,
        };
        Ok(reply)
    }

    /// Reads one chunk; `None` at the end of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, End> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
        let mut pieces = Vec::new();
        match self.exactly(size, &mut pieces).await {
            Complete => {}
            end => return Err(end),
        }
        self.line().await?;
        Ok(if size == 0 { None } else { pieces.pop() })
    }

    /// Returns how the connection ends. Panics if another byte arrives.
    pub(crate) async fn end(&mut self) -> End {
        self.line().await.unwrap_err()
    }

    /// Returns whether no byte arrives within 60 ms.
    pub(crate) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(60), self.socket.fill_buf())
            .await
            .is_err()
    }

    async fn chunks(&mut self, pieces: &mut Vec<Vec<u8>>) -> End {
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => pieces.push(chunk),
                Ok(None) => return Complete,
                Err(end) => return end,
            }
        }
    }

    async fn exactly(&mut self, length: usize, pieces: &mut Vec<Vec<u8>>) -> End {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.socket).take(length as u64);
        let read = tokio::time::timeout(TIMEOUT, limited.read_to_end(&mut bytes))
            .await
            .expect("no bytes from the server");
        let end = match read {
            Ok(_) if bytes.len() == length => Complete,
            Ok(_) => End::Cut,
            Err(_) => End::Reset,
        };
        pieces.push(bytes);
        end
    }

    async fn line(&mut self) -> Result<String, End> {
        let mut line = String::new();
        match tokio::time::timeout(TIMEOUT, self.socket.read_line(&mut line))
            .await
            .expect("no bytes from the server")
        {
            Ok(_) if line.ends_with("\r\n") => Ok(line.trim_end().to_owned()),
            Ok(_) => {
                assert_eq!(line, "", "the connection ended inside a line");
                Err(End::Cut)
            }
            Err(_) => Err(End::Reset),
        }
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }
}

/// Sends a chat request on a new connection.
pub(crate) async fn chat(addr: SocketAddr, key: &str, extra: Value) -> Result<Reply, End> {
    let mut client = Client::connect(addr).await;
    client.chat(key, &extra).await;
    client.reply().await
}

/// Sends a request with a body on a new connection.
pub(crate) async fn post(addr: SocketAddr, path: &str, key: &str, body: &Value) -> Result<Reply, End> {
    let mut client = Client::connect(addr).await;
    client.send("POST", path, key, &body.to_string()).await;
    client.reply().await
}

/// Sends a request without a body on a new connection.
pub(crate) async fn request(addr: SocketAddr, method: &str, path: &str, key: &str) -> Reply {
    let mut client = Client::connect(addr).await;
    client.send(method, path, key, "").await;
    client.reply().await.unwrap()
}

pub(crate) fn stream() -> Value {
    json!({"stream": true})
}

pub(crate) fn chat_body(extra: &Value) -> String {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "PROMPT-CANARY"}]});
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    body.to_string()
}
