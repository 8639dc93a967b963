//! A provider with fixed responses, in a separate process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Pause between events. Long enough for a client under callgrind to finish the previous event.
const PACE: Duration = Duration::from_millis(2);

const PLAIN: &str = r#"{"id":"chatcmpl-AYNHwS2d0lyPbcMKDzNcBzVJvGpVq","object":"chat.completion","created":1732741820,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"A token bucket lets short bursts through and holds the long run to a steady rate, which is how most providers count.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":29,"completion_tokens":26,"total_tokens":55,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_0705bf87c0"}"#;

/// The same answer with a ticket as JSON.
fn ticket() -> String {
    let text = r#"{\"summary\":\"The customer waits for a refund of 40 euros since Monday.\",\"urgency\":\"high\",\"tags\":[\"refund\",\"money\"]}"#;
    PLAIN.replace(
        "A token bucket lets short bursts through and holds the long run to a steady rate, which is how most providers count.",
        text,
    )
}

/// The server process; killed when this value is dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) port: u16,
}

impl Running {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            process,
            port: line.trim().parse().unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    for connection in listener.incoming() {
        let connection = connection.unwrap();
        connection.set_nodelay(true).unwrap();
        std::thread::spawn(move || answer_all(&connection));
    }
}

fn answer_all(connection: &TcpStream) {
    let mut reader = BufReader::new(connection);
    while let Some((path, length)) = head(&mut reader) {
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        // The path has the pace and the number of events: /paced/200/..., /burst/200/...
        let mut parts = path.trim_start_matches('/').split('/');
        let (kind, count) = (parts.next().unwrap(), parts.next().unwrap_or("0"));
        let count: usize = count.parse().unwrap_or(0);
        let events: Box<dyn Iterator<Item = String>> = if path.ends_with("/responses") {
            Box::new(response_events(count))
        } else {
            Box::new(events(count))
        };
        let written = match kind {
            "paced" => paced(connection, events),
            "burst" => burst(connection, events),
            "ticket" => document(connection, &ticket()),
            _ => document(connection, PLAIN),
        };
        if written.is_err() {
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            return Some((path, length));
        }
    }
}

fn document(mut connection: &TcpStream, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: Wed, 27 Nov 2024 21:10:20 GMT\r\n\
         x-request-id: req_4d7c1f0a9b3e\r\nopenai-processing-ms: 512\r\nx-ratelimit-limit-requests: 10000\r\n\
         x-ratelimit-remaining-requests: 9999\r\nx-ratelimit-reset-requests: 8.64s\r\n\r\n",
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes())
}

fn event(text: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-AYNHwS2d0lyPbcMKDzNcBzVJvGpVq\",\"object\":\"chat.completion.chunk\",\"created\":1732741820,\
         \"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0705bf87c0\",\"choices\":\
         [{{\"index\":0,\"delta\":{{{text}}},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
    )
}

fn events(count: usize) -> impl Iterator<Item = String> {
    let usage = "data: {\"id\":\"chatcmpl-AYNHwS2d0lyPbcMKDzNcBzVJvGpVq\",\"choices\":[],\"usage\":{\"prompt_tokens\":29,\
                 \"completion_tokens\":26,\"total_tokens\":55}}\n\n";
    (0..count)
        .map(|number| event(&format!("\"content\":\" word{:04}\"", number % 10_000), "null"))
        .chain([
            event("", "\"stop\""),
            usage.to_owned(),
            "data: [DONE]\n\n".to_owned(),
        ])
}

fn response_event(kind: &str, number: usize, members: &str) -> String {
    format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{members}}}\n\n")
}

/// Returns the events of a Responses stream with `count` text deltas.
fn response_events(count: usize) -> impl Iterator<Item = String> {
    const ID: &str = "msg_67c9fdcf37fc8190ba82116e33fb28c507b8b0ad4e5eb654";
    let response = |status: &str, more: &str| {
        format!(
            "\"response\":{{\"id\":\"resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654\",\"object\":\"response\",\"created_at\":1732741820,\
             \"status\":\"{status}\",\"model\":\"gpt-4o-mini-2024-07-18\",{more}}}"
        )
    };
    let added = format!(
        "\"output_index\":0,\"item\":{{\"id\":\"{ID}\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}"
    );
    let done = response(
        "completed",
        "\"output\":[],\"usage\":{\"input_tokens\":29,\"output_tokens\":26,\"total_tokens\":55}",
    );
    let in_progress = response("in_progress", "\"output\":[],\"usage\":null");
    let first = [
        response_event("response.created", 0, &in_progress),
        response_event("response.in_progress", 1, &in_progress),
        response_event("response.output_item.added", 2, &added),
    ];
    let pieces = (0..count).map(|number| {
        let delta = format!(
            "\"item_id\":\"{ID}\",\"output_index\":0,\"content_index\":0,\"delta\":\" word{:04}\",\"logprobs\":[],\"obfuscation\":\"aSd93kdLsk2\"",
            number % 10_000
        );
        response_event("response.output_text.delta", number + 3, &delta)
    });
    let last = response_event("response.completed", count + 3, &done);
    first.into_iter().chain(pieces).chain([last])
}

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\
                           date: Wed, 27 Nov 2024 21:10:20 GMT\r\nx-request-id: req_4d7c1f0a9b3e\r\n\r\n";

fn paced(mut connection: &TcpStream, events: impl Iterator<Item = String>) -> std::io::Result<()> {
    connection.write_all(STREAM_HEAD.as_bytes())?;
    for event in events {
        std::thread::sleep(PACE);
        connection.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
    }
    connection.write_all(b"0\r\n\r\n")
}

/// Writes each event as a separate HTTP chunk, all in one write.
fn burst(mut connection: &TcpStream, events: impl Iterator<Item = String>) -> std::io::Result<()> {
    let mut answer = STREAM_HEAD.to_owned();
    for event in events {
        answer.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    answer.push_str("0\r\n\r\n");
    connection.write_all(answer.as_bytes())
}
