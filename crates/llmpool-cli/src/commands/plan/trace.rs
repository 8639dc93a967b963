//! Recorded calls, a line of JSON each.

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

use super::setup::Setup;
use crate::{exit, say};

/// Calls that are further apart than this were hardly meant to be, in seconds.
const LONGEST: f64 = 1e9;

/// A line of a trace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Seconds since whenever, or a date as in RFC 3339.
    at: Value,
    model: Option<String>,
    prompt_tokens: Option<u32>,
    #[serde(alias = "answer_tokens")]
    completion_tokens: Option<u32>,
    /// In seconds.
    latency: Option<f64>,
    /// Whatever tells one from another.
    caller: Option<Value>,
}

/// The calls, from the first on. Those that name no model are for the one that was named, or the only one there is.
pub(super) fn read(
    path: &Path,
    named: Option<&str>,
    setup: &mut Setup,
) -> Result<Vec<RecordedCall>, ExitCode> {
    let name = path.display();
    let wrong = |problem: String| exit::with(exit::USAGE, &problem);
    let text =
        std::fs::read_to_string(path).map_err(|error| wrong(format!("{name} cannot be read: {error}")))?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    let read = lines.map(|(number, line)| {
        let number = number + 1;
        let read = line_of(line).map_err(|problem| wrong(format!("{name}:{number}{problem}")));
        read.map(|(at, line)| (number, at, line))
    });
    let lines = read.collect::<Result<Vec<_>, _>>()?;
    let first = lines.iter().map(|(_, at, _)| *at).fold(f64::INFINITY, f64::min);
    let last = lines
        .iter()
        .map(|(_, at, _)| *at)
        .fold(f64::NEG_INFINITY, f64::max);
    if lines.is_empty() || last - first > LONGEST {
        let problem =
            format!("{name} has no calls, or they are decades apart; a line is {{\"at\": SECONDS}}");
        return Err(wrong(problem));
    }
    if lines.iter().any(|(_, _, line)| line.model.is_none()) {
        setup.ask_one(named)?;
    }
    let providers = setup.providers().map_err(|error| exit::of(&error))?;
    let mut callers = BTreeMap::new();
    let recorded = lines.into_iter().map(|(number, at, line)| {
        let model = model(line.model.as_deref(), &providers, setup);
        let next = callers.len() as u64 + 1;
        let caller = line
            .caller
            .map_or(0, |caller| *callers.entry(caller.to_string()).or_insert(next));
        Ok(RecordedCall {
            at: Duration::from_secs_f64(at - first),
            prompt_tokens: line.prompt_tokens,
            output_tokens: line.completion_tokens,
            latency: line.latency.map(Duration::from_secs_f64),
            caller,
            model: model.map_err(|problem| wrong(format!("{name}:{number}: {problem}")))?,
        })
    });
    recorded.collect()
}

/// The column and what is wrong there; the line is known better elsewhere.
pub(super) fn defect(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!(":{}: {what}", error.column().max(1))
}

/// A line and when its call came, in seconds.
fn line_of(text: &str) -> Result<(f64, Line), String> {
    let line: Line = serde_json::from_str(text).map_err(|error| defect(&error))?;
    let at = instant(&line.at);
    let at = at.ok_or(": \"at\" has to be seconds, or a date as in \"2026-01-31T12:00:00Z\"")?;
    if line
        .latency
        .is_some_and(|latency| !(0.0..=LONGEST).contains(&latency))
    {
        return Err(": \"latency\" has to be seconds, at least 0".to_owned());
    }
    Ok((at, line))
}

fn instant(at: &Value) -> Option<f64> {
    match at {
        Value::Number(seconds) => seconds.as_f64().filter(|seconds| seconds.is_finite()),
        Value::String(date) => {
            let date = OffsetDateTime::parse(date, &Rfc3339).ok()?;
            // Nanoseconds since 1970, as exactly as an `f64` has them: to a quarter of a microsecond.
            Some(date.unix_timestamp_nanos() as f64 / 1e9)
        }
        _ => None,
    }
}

/// The place of a call's model among those that calls are for.
fn model(named: Option<&str>, providers: &Providers, setup: &mut Setup) -> Result<usize, String> {
    let Some(named) = named else { return Ok(0) };
    let place = setup.ask(providers, named, 1.0);
    place.map_err(|error| say::one_line(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_dates() {
        let at = |json: &str| instant(&serde_json::from_str(json).unwrap());
        assert_eq!(at("12.5"), Some(12.5));
        assert_eq!(at(r#""1970-01-01T00:01:00.250Z""#), Some(60.25));
        assert_eq!(at(r#""1970-01-01T02:00:00+02:00""#), Some(0.0));
        for wrong in [r#""yesterday""#, r#""12.5""#, "null", "[]"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
