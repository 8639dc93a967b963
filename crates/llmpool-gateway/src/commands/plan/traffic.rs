//! From the command line and a trace to traffic.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Burst, Recorded, Traffic};
use serde::Deserialize;
use serde_json::Value;

use crate::cli::{Calls, Who};
use crate::exit;

const USUAL_SPAN: Duration = Duration::from_secs(600);

pub(super) fn read(calls: &Calls) -> Result<Traffic, ExitCode> {
    let arrivals = match &calls.who {
        Who {
            trace: Some(path), ..
        } => Arrivals::Recorded(trace(path, calls)?),
        Who {
            callers: Some(callers),
            ..
        } => Arrivals::Callers(*callers),
        Who { rate, .. } => {
            let per_second = rate.unwrap_or(1.0);
            if calls.even {
                Arrivals::Even { per_second }
            } else {
                Arrivals::Random { per_second }
            }
        }
    };
    let span = match &arrivals {
        // The last one belongs to it.
        Arrivals::Recorded(recorded) => recorded.iter().map(|call| call.at).max().map(|last| {
            let second = Duration::from_secs(1);
            last.max(second) + second
        }),
        _ => None,
    };
    Ok(Traffic {
        arrivals,
        burst: calls.burst.map(|(calls, every)| Burst { calls, every }),
        span: calls.span.or(span).unwrap_or(USUAL_SPAN),
        latency: calls.latency,
        prompt_tokens: calls.prompt_tokens,
        answer_tokens: calls.answer_tokens,
        expected_answer: None,
        patience: calls.patience,
        seed: calls.seed,
    })
}

/// A line of a trace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// In seconds since whenever.
    at: f64,
    prompt_tokens: Option<u32>,
    answer_tokens: Option<u32>,
    /// In seconds.
    latency: Option<f64>,
    /// Whatever tells one from another.
    caller: Option<Value>,
}

fn trace(path: &Path, calls: &Calls) -> Result<Vec<Recorded>, ExitCode> {
    let name = path.display();
    let wrong = |problem: String| exit::with(exit::USAGE, &problem);
    let text =
        std::fs::read_to_string(path).map_err(|error| wrong(format!("{name} cannot be read: {error}")))?;
    let mut lines = Vec::new();
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let at = format!("{name}:{}", number + 1);
        let line: Line =
            serde_json::from_str(line).map_err(|error| wrong(format!("{at}{}", defect(&error))))?;
        if !line.at.is_finite()
            || line
                .latency
                .is_some_and(|latency| !(0.0..=1e9).contains(&latency))
        {
            return Err(wrong(format!(
                "{at}: times are seconds, and a latency is at least 0"
            )));
        }
        lines.push(line);
    }
    let first = lines.iter().map(|line| line.at).fold(f64::INFINITY, f64::min);
    let last = lines.iter().map(|line| line.at).fold(0.0, f64::max);
    if lines.is_empty() || last - first > 1e9 {
        let problem =
            format!("{name} has no calls, or they are decades apart; a line is {{\"at\": SECONDS}}");
        return Err(wrong(problem));
    }
    let mut callers = BTreeMap::new();
    let recorded = lines.into_iter().map(|line| {
        let caller = line.caller.map_or(0, |caller| {
            let next = callers.len() as u64 + 1;
            *callers.entry(caller.to_string()).or_insert(next)
        });
        Recorded {
            at: Duration::from_secs_f64(line.at - first),
            prompt_tokens: line.prompt_tokens.unwrap_or(calls.prompt_tokens),
            answer_tokens: line.answer_tokens.unwrap_or(calls.answer_tokens),
            latency: line.latency.map_or(calls.latency, Duration::from_secs_f64),
            caller,
        }
    });
    Ok(recorded.collect())
}

/// The column and what is wrong there; the line is known better here.
fn defect(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!(":{}: {what}", error.column().max(1))
}
