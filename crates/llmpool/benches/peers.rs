//! llmpool under the load of `scripts/bench-peers`: callers that ask, wait for the answer, and ask again.
//!
//! A subject of that comparison is a process of its own. It reads its task as a line of JSON, gets ready, says `ready`, begins
//! when it reads another line, and ends with a line of JSON that says what became of every call.
//! `benches/peers/load.py` does the same for the others; nothing is computed in either, so that all are judged by the same
//! arithmetic.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench talks to the terminal, and a failed unwrap is a failed bench"
)]

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, KeyLimits, Limits, LlmInterface, OpenAiCompatible};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What a caller does after a failure before it asks again, as in `load.py`.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Some(task) = Task::read() else {
        // `cargo bench` alone: nobody reads what would be said.
        return println!("see scripts/bench-peers");
    };
    let target = task.target();
    // What is done once is not what is measured. It may fail: then the others will tell.
    let _ = ask(&target).await;
    println!("ready");
    line().unwrap();

    let begun = Instant::now();
    let callers: Vec<_> = (0..task.callers)
        .map(|_| tokio::spawn(caller(target.clone(), begun, task.span, task.latency)))
        .collect();
    let mut seen = Vec::new();
    for caller in callers {
        seen.push(caller.await.unwrap());
    }
    println!("{}", report(&seen));
}

/// What is to be done, as the other side of the pipe says it.
struct Task {
    url: String,
    keys: Vec<String>,
    /// What the provider gives to a key.
    per_minute: u32,
    callers: usize,
    /// Calls begin for so long …
    span: Duration,
    /// … and those asked at the very end may take so much longer.
    latency: Duration,
}

impl Task {
    fn read() -> Option<Self> {
        let task: Value = serde_json::from_str(&line()?).unwrap();
        let seconds = |name: &str| Duration::from_secs_f64(task[name].as_f64().unwrap());
        let whole = |name: &str| u32::try_from(task[name].as_u64().unwrap()).unwrap();
        let keys = task["keys"].as_array().unwrap().iter();
        Some(Self {
            url: task["url"].as_str().unwrap().to_owned(),
            keys: keys.map(|key| key.as_str().unwrap().to_owned()).collect(),
            per_minute: whole("per_second") * 60,
            callers: whole("callers") as usize,
            span: seconds("seconds"),
            latency: seconds("latency"),
        })
    }

    fn target(&self) -> OpenAiCompatible {
        let limits = KeyLimits {
            limits: Limits {
                rpm: Some(self.per_minute),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let keys = self.keys.iter().map(|key| (key.as_str().into(), limits));
        let pool = ApiKeyPool::with_limits("sim", keys).unwrap();
        OpenAiCompatible::builder(&pool, "m", &self.url).build().unwrap()
    }
}

/// What became of one caller's calls. Times are seconds since the load began.
#[derive(Default)]
struct Seen {
    /// When each answer was there, and how long it took.
    answers: Vec<(f64, f64)>,
    failed: u64,
    /// Whether the time was up before the last one ended.
    open: bool,
    first_error: Option<(f64, String)>,
}

async fn caller(target: OpenAiCompatible, begun: Instant, span: Duration, latency: Duration) -> Seen {
    let mut seen = Seen::default();
    while begun.elapsed() < span {
        let asked = Instant::now();
        let Ok(answer) = tokio::time::timeout_at(begun + span + latency, ask(&target)).await else {
            seen.open = true;
            break;
        };
        let ended = begun.elapsed().as_secs_f64();
        match answer {
            Ok(()) => seen.answers.push((ended, asked.elapsed().as_secs_f64())),
            Err(error) => {
                seen.failed += 1;
                seen.first_error.get_or_insert((ended, error));
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
    seen
}

async fn ask(target: &OpenAiCompatible) -> Result<(), String> {
    let answer = target.chat(&ChatRequest::user("hi")).await;
    answer
        .map(|_| ())
        .map_err(|error| format!("{:?}: {error}", error.kind()))
}

fn report(seen: &[Seen]) -> Value {
    let answers = seen.iter().enumerate().flat_map(|(caller, seen)| {
        let numbered = move |&(ended, took): &(f64, f64)| json!([caller, ended, took]);
        seen.answers.iter().map(numbered)
    });
    let first = seen
        .iter()
        .filter_map(|seen| seen.first_error.as_ref())
        .min_by(|a, b| a.0.total_cmp(&b.0));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "answers": answers.collect::<Vec<_>>(),
        "failed": seen.iter().map(|seen| seen.failed).collect::<Vec<_>>(),
        "open": seen.iter().filter(|seen| seen.open).count(),
        "first_error": first.map(|(after, text)| json!({"after": after, "text": text})),
    })
}

/// The next line of the other side, `None` where it says nothing more.
fn line() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap();
    (read > 0).then_some(line)
}
