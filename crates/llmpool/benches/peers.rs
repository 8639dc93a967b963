//! llmpool under the load of `scripts/bench-peers`: closed-loop callers, each with one call at a time.
//!
//! Each compared client runs in its own process. The process reads its task as one line of JSON, prints `ready`, starts the load
//! after the next line, and ends with one line of JSON with the result of every call. `benches/peers/load.py` does the same for
//! the other clients. Neither computes statistics, so that all results are evaluated by the same code.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints to the terminal, and a failed unwrap is a failed bench"
)]

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, KeyLimits, Limits, LlmInterface, OpenAiCompatible, RateLimit};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Pause of a caller after a failure, as in `load.py`.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Some(task) = Task::read() else {
        // Run by `cargo bench` without a task.
        return println!("see scripts/bench-peers");
    };
    let only_per_minute = std::env::args().nth(1).is_some_and(|settings| settings == "rpm");
    let target = task.target(only_per_minute);
    // Excludes one-time costs from the measurement. A failure shows in the measured calls too.
    let _ = call(&target).await;
    println!("ready");
    line().unwrap();

    let started = Instant::now();
    let callers: Vec<_> = (0..task.callers)
        .map(|_| tokio::spawn(caller(target.clone(), started, task.span, task.latency)))
        .collect();
    let mut results = Vec::new();
    for caller in callers {
        results.push(caller.await.unwrap());
    }
    println!("{}", report(&results));
}

/// The load, read from standard input.
struct Task {
    url: String,
    keys: Vec<String>,
    /// Requests per second that the provider admits per key, and the capacity of its buckets.
    per_second: u32,
    callers: usize,
    /// Time during which calls start.
    span: Duration,
    /// Additional time for the last calls to finish.
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
            per_second: whole("per_second"),
            callers: whole("callers") as usize,
            span: seconds("seconds"),
            latency: seconds("latency"),
        })
    }

    /// `only_per_minute`: whether the keys are limited to the provider's rate per minute, instead of having its buckets.
    fn target(&self, only_per_minute: bool) -> OpenAiCompatible {
        let limits = if only_per_minute {
            Limits {
                rpm: Some(self.per_second * 60),
                ..Limits::default()
            }
        } else {
            Limits {
                rate_limit: RateLimit::new(self.per_second, self.per_second.into()).ok(),
                ..Limits::default()
            }
        };
        let limits = KeyLimits {
            limits,
            ..KeyLimits::default()
        };
        let keys = self.keys.iter().map(|key| (key.as_str().into(), limits));
        let pool = ApiKeyPool::with_limits("sim", keys).unwrap();
        OpenAiCompatible::builder(&pool, "m", &self.url).build().unwrap()
    }
}

/// Results of one caller. Times are in seconds since the start of the load.
#[derive(Default)]
struct CallerResult {
    /// End and duration of each successful call.
    answers: Vec<(f64, f64)>,
    failed: u64,
    /// Whether the time ended during the last call.
    open: bool,
    first_error: Option<(f64, String)>,
}

async fn caller(
    target: OpenAiCompatible,
    started: Instant,
    span: Duration,
    latency: Duration,
) -> CallerResult {
    let mut results = CallerResult::default();
    while started.elapsed() < span {
        let call_started = Instant::now();
        let Ok(answer) = tokio::time::timeout_at(started + span + latency, call(&target)).await else {
            results.open = true;
            break;
        };
        let ended = started.elapsed().as_secs_f64();
        match answer {
            Ok(()) => results
                .answers
                .push((ended, call_started.elapsed().as_secs_f64())),
            Err(error) => {
                results.failed += 1;
                results.first_error.get_or_insert((ended, error));
                tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
    results
}

async fn call(target: &OpenAiCompatible) -> Result<(), String> {
    let answer = target.chat(&ChatRequest::user("hi")).await;
    answer
        .map(|_| ())
        .map_err(|error| format!("{:?}: {error}", error.kind()))
}

fn report(results: &[CallerResult]) -> Value {
    let answers = results.iter().enumerate().flat_map(|(caller, results)| {
        let numbered = move |&(ended, took): &(f64, f64)| json!([caller, ended, took]);
        results.answers.iter().map(numbered)
    });
    let first = results
        .iter()
        .filter_map(|results| results.first_error.as_ref())
        .min_by(|a, b| a.0.total_cmp(&b.0));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "answers": answers.collect::<Vec<_>>(),
        "failed": results.iter().map(|results| results.failed).collect::<Vec<_>>(),
        "open": results.iter().filter(|results| results.open).count(),
        "first_error": first.map(|(after, text)| json!({"after": after, "text": text})),
    })
}

/// Reads the next line of standard input; `None` at its end.
fn line() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).unwrap();
    (read > 0).then_some(line)
}
