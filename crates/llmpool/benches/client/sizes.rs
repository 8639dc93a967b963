//! The time that large answers take, for each of two sizes: `client sizes`. The time per byte must not grow.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, LlmInterface, OpenAiCompatible};
use serde_json::{Value, json};

/// The number of times that each answer is read. The shortest time counts.
const REPEATS: usize = 3;

type Delta = fn(usize) -> Value;

/// Prints a line for each kind of answer: the two sizes, and the nanoseconds per byte of each.
pub(crate) fn print() {
    let arguments: Delta =
        |_| json!({"tool_calls": [{"index": 0, "function": {"arguments": "0123456789abcdef"}}]});
    let cases: [(&str, [usize; 2], Delta); 4] = [
        (
            "text chunks",
            [100_000, 1_000_000],
            |_| json!({"content": " word"}),
        ),
        (
            "tool calls",
            [20_000, 40_000],
            |number| json!({"tool_calls": [{"index": number, "id": format!("c{number}"), "function": {"name": "f", "arguments": "{}"}}]}),
        ),
        (
            "unknown members",
            [20_000, 40_000],
            |number| json!({format!("m{number}"): 1}),
        ),
        ("pieces of arguments", [131_072, 1_310_720], arguments),
    ];
    println!("| answer | events | bytes | ns per byte | events | bytes | ns per byte |");
    println!("|---|---|---|---|---|---|---|");
    for (name, sizes, delta) in cases {
        let cells = sizes.map(|size| {
            let body = stream_of(size, delta);
            let nanoseconds = shortest_time(&body).as_nanos() as f64 / body.len() as f64;
            format!("{size} | {} | {nanoseconds:.1}", body.len())
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
}

fn stream_of(size: usize, delta: Delta) -> Vec<u8> {
    let event = |choice: Value| format!("data: {}\n\n", json!({"id": "c", "choices": [choice]}));
    let mut body: Vec<u8> = (0..size)
        .flat_map(|number| event(json!({"index": 0, "delta": delta(number)})).into_bytes())
        .collect();
    body.extend(event(json!({"index": 0, "delta": {}, "finish_reason": "stop"})).bytes());
    body.extend(b"data: [DONE]\n\n");
    body
}

fn shortest_time(body: &[u8]) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| (0..REPEATS).for_each(|_| answer_one(&listener, body)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let times = (0..REPEATS).map(|_| {
            let pool = ApiKeyPool::new("p", ["k"]).unwrap();
            let target = OpenAiCompatible::new(&pool, "m", &url).unwrap();
            runtime.block_on(async {
                let started = Instant::now();
                let stream = target.chat_stream(&ChatRequest::user("hi")).await.unwrap();
                stream.into_response().await.unwrap();
                started.elapsed()
            })
        });
        times.min().unwrap()
    })
}

fn answer_one(listener: &TcpListener, body: &[u8]) {
    let (socket, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&socket);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    (&socket).write_all(head.as_bytes()).unwrap();
    (&socket).write_all(body).unwrap();
}
