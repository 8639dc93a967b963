//! Reads a trace, which is a JSON Lines file of recorded calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::Providers;
use llmpool::forecast::RecordedCall;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::plan_setup::PlanSetup;
use crate::exit;
use crate::problem::{self, Problem};

/// Maximum duration of a trace, and of a call in it, in seconds: about 30 years. A longer duration is a
/// mistake in the trace.
const MAX_SECONDS: f64 = 1e9;

/// A line of a trace, which describes one recorded call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceLine {
    /// The time of the call: a number of seconds since an arbitrary origin, or an RFC 3339 date.
    at: Value,
    model: Option<String>,
    prompt_tokens: Option<u32>,
    #[serde(alias = "answer_tokens")]
    completion_tokens: Option<u32>,
    /// The duration of the call, in seconds.
    latency: Option<f64>,
    /// Identifies the caller. Any JSON value is allowed.
    caller: Option<Value>,
    /// The one-based line number in the trace.
    #[serde(skip)]
    number: usize,
    /// The time of the call (`at`), converted to seconds.
    #[serde(skip)]
    seconds: f64,
}

/// Reads a trace, and adds its models to the setup. Calls without a model go to the requested model, or to
/// the only configured model if none was requested.
pub(super) fn read(
    path: &Path,
    requested: Option<&str>,
    setup: &mut PlanSetup,
) -> Result<Vec<RecordedCall>, ExitCode> {
    let lines = parse_file(path).map_err(|problem| problem.exit(exit::USAGE))?;
    if lines.iter().any(|line| line.model.is_none()) {
        setup.plan_single(requested)?;
    }
    let providers = setup.providers().map_err(problem::exit_with)?;
    let start = lines
        .iter()
        .map(|line| line.seconds)
        .fold(f64::INFINITY, f64::min);
    let mut callers = BTreeMap::new();
    let calls = lines.into_iter().map(|line| {
        let model = model_index(line.model.as_deref(), &providers, setup)
            .map_err(|problem| problem.at(location(path, line.number)).exit(exit::USAGE))?;
        let next_caller = callers.len() as u64 + 1;
        let caller = line.caller.map_or(0, |caller| {
            *callers.entry(caller.to_string()).or_insert(next_caller)
        });
        Ok(RecordedCall {
            at: Duration::from_secs_f64(line.seconds - start),
            prompt_tokens: line.prompt_tokens,
            output_tokens: line.completion_tokens,
            latency: line.latency.map(Duration::from_secs_f64),
            caller,
            model,
        })
    });
    calls.collect()
}

fn parse_file(path: &Path) -> Result<Vec<TraceLine>, Problem> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::new(format!("cannot read {name}: {error}")))?;
    let mut lines = Vec::new();
    for (index, text) in text.lines().enumerate() {
        if !text.trim().is_empty() {
            lines.push(parse_line(text, index + 1, path)?);
        }
    }
    let example = "a line is {\"at\": SECONDS}";
    let Some((first, last)) = time_range(&lines) else {
        return Err(Problem::new(format!("{name} has no calls")).with_hint(example));
    };
    if last - first > MAX_SECONDS {
        return Err(
            Problem::new(format!("{name} spans more than 30 years")).with_hint("correct the times in \"at\"")
        );
    }
    Ok(lines)
}

fn time_range(lines: &[TraceLine]) -> Option<(f64, f64)> {
    let times = lines.iter().map(|line| line.seconds);
    Some((times.clone().reduce(f64::min)?, times.reduce(f64::max)?))
}

fn parse_line(text: &str, number: usize, path: &Path) -> Result<TraceLine, Problem> {
    let mut line: TraceLine = serde_json::from_str(text).map_err(|error| {
        let (column, message) = column_and_message(&error);
        Problem::new(message).at(format_args!("{}:{column}", location(path, number)))
    })?;
    let invalid = |message: &str| Problem::new(message).at(location(path, number));
    line.number = number;
    line.seconds = parse_time(&line.at).ok_or_else(|| {
        invalid("\"at\" must be a number of seconds or a date such as \"2026-01-31T12:00:00Z\"")
    })?;
    if line
        .latency
        .is_some_and(|latency| !(0.0..=MAX_SECONDS).contains(&latency))
    {
        return Err(invalid("\"latency\" must be a number of seconds from 0 up"));
    }
    Ok(line)
}

fn location(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.display())
}

/// Splits a JSON error into its one-based column and its message without the position.
pub(super) fn column_and_message(error: &serde_json::Error) -> (usize, String) {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    (error.column().max(1), message.to_owned())
}

/// Parses a number of seconds, or an RFC 3339 date. Returns a date as seconds since 1970, and `None` for an
/// invalid value.
fn parse_time(at: &Value) -> Option<f64> {
    match at {
        Value::Number(seconds) => seconds.as_f64().filter(|seconds| seconds.is_finite()),
        Value::String(date) => {
            let date = OffsetDateTime::parse(date, &Rfc3339).ok()?;
            // An `f64` holds seconds since 1970 to a quarter of a microsecond.
            Some(date.unix_timestamp_nanos() as f64 / 1e9)
        }
        _ => None,
    }
}

/// Returns the index of the call's model in the planned models. Adds the model to the planned models if it is
/// new. Returns 0 if the call names no model.
fn model_index(name: Option<&str>, providers: &Providers, setup: &mut PlanSetup) -> Result<usize, Problem> {
    let Some(name) = name else { return Ok(0) };
    let index = setup.add(providers, name, 1.0);
    index.map_err(|error| Problem::from(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_seconds_or_a_date() {
        let at = |json: &str| parse_time(&serde_json::from_str(json).unwrap());
        assert_eq!(at("12.5"), Some(12.5));
        assert_eq!(at(r#""1970-01-01T00:01:00.250Z""#), Some(60.25));
        assert_eq!(at(r#""1970-01-01T02:00:00+02:00""#), Some(0.0));
        for invalid in [r#""yesterday""#, r#""12.5""#, "null", "[]"] {
            assert_eq!(at(invalid), None, "{invalid}");
        }
    }
}
