//! From the command line or a file to traffic.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Burst, LogNormal, Traffic};
use serde::Deserialize;

use super::setup::Setup;
use super::trace;
use crate::cli::{self, Calls, Plan};
use crate::exit;

const USUAL_SPAN: Duration = Duration::from_secs(600);

/// What is to come, and which models of the setup it is for.
pub(super) fn read(plan: &Plan, setup: &mut Setup) -> Result<Traffic, ExitCode> {
    let named = plan.model.as_deref().filter(|model| !model.is_empty());
    let calls = &plan.calls;
    let wrong = |problem: String| exit::with(exit::USAGE, &problem);
    let arrivals = if let Some(path) = &calls.who.traffic {
        return from_file(path, named, setup);
    } else if let Some(path) = &calls.who.trace {
        Arrivals::Recorded(trace::read(path, named, setup)?)
    } else {
        setup.ask_one(named)?;
        arrivals(calls.who.callers, calls.who.rate, calls.even).map_err(wrong)?
    };
    Ok(of_calls(arrivals, calls))
}

fn of_calls(arrivals: Arrivals, calls: &Calls) -> Traffic {
    let span = match &arrivals {
        // The last one belongs to it.
        Arrivals::Recorded(recorded) => recorded.iter().map(|call| call.at).max().map(|last| {
            let second = Duration::from_secs(1);
            last.max(second) + second
        }),
        _ => None,
    };
    Traffic {
        arrivals,
        burst: calls.burst.map(|(calls, every)| Burst { calls, every }),
        span: calls.span.or(span).unwrap_or(USUAL_SPAN),
        latency: calls.latency,
        prompt_tokens: calls.prompt_tokens,
        output_tokens: calls.answer_tokens,
        expected_output: calls.max_tokens,
        patience: calls.patience,
        seed: calls.seed,
    }
}

fn arrivals(callers: Option<u32>, rate: Option<f64>, even: bool) -> Result<Arrivals, String> {
    match (callers, rate) {
        (Some(callers), None) if !even => Ok(Arrivals::Callers(callers)),
        (None, Some(per_second)) if even => Ok(Arrivals::Even { per_second }),
        (None, Some(per_second)) => Ok(Arrivals::Random { per_second }),
        _ => Err("say either rate, which may be even, or callers".to_owned()),
    }
}

/// What a traffic file says; times in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    rate: Option<f64>,
    #[serde(default)]
    even: bool,
    callers: Option<u32>,
    burst: Option<SaidBurst>,
    #[serde(rename = "for")]
    span: Option<f64>,
    latency: Option<f64>,
    latency_p95: Option<f64>,
    prompt_tokens: Option<f64>,
    prompt_tokens_p95: Option<f64>,
    answer_tokens: Option<f64>,
    answer_tokens_p95: Option<f64>,
    max_tokens: Option<u32>,
    patience: Option<f64>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default)]
    models: Vec<Share>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidBurst {
    calls: u32,
    every: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    model: String,
    share: f64,
}

fn one() -> u64 {
    1
}

fn from_file(path: &Path, named: Option<&str>, setup: &mut Setup) -> Result<Traffic, ExitCode> {
    let name = path.display();
    let wrong = |problem: String| exit::with(exit::USAGE, &format!("{name}{problem}"));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!(" cannot be read: {error}")))?;
    let said: Said = serde_json::from_str(&text)
        .map_err(|error| wrong(format!(":{}{}", error.line().max(1), trace::defect(&error))))?;
    if said.models.is_empty() {
        setup.ask_one(named)?;
    } else {
        ask(&said.models, setup).map_err(|problem| wrong(format!(": {problem}")))?;
    }
    said.traffic().map_err(|problem| wrong(format!(": {problem}")))
}

fn ask(models: &[Share], setup: &mut Setup) -> Result<(), String> {
    let providers = setup.providers().map_err(|error| error.to_string())?;
    for (at, Share { model, share }) in models.iter().enumerate() {
        if !(share.is_finite() && *share > 0.0) {
            return Err(format!("models[{at}].share: give a number above 0"));
        }
        let place = setup.ask(&providers, model, *share);
        match place {
            Ok(place) if place == at => {}
            Ok(_) => return Err(format!("models[{at}]: {model} is there twice; remove one")),
            Err(error) => return Err(format!("models[{at}].model: {error}")),
        }
    }
    Ok(())
}

impl Said {
    /// By the same rules as on the command line.
    fn traffic(self) -> Result<Traffic, String> {
        let rate = said("rate", self.rate, cli::rate)?;
        let callers = said("callers", self.callers, cli::callers)?;
        let burst = self.burst.map(|burst| format!("{}@{}", burst.calls, burst.every));
        let burst = said("burst", burst, cli::burst)?;
        let spread = |name, mean: Option<f64>, p95: Option<f64>, usual: &str, rule: Rule<LogNormal>| {
            let mean = mean.map_or_else(|| usual.to_owned(), |mean| mean.to_string());
            let both = p95.map_or_else(|| mean.clone(), |p95| format!("{mean}:{p95}"));
            rule(&both).map_err(|problem| format!("{name}: {problem}"))
        };
        Ok(Traffic {
            arrivals: arrivals(callers, rate, self.even)?,
            burst: burst.map(|(calls, every)| Burst { calls, every }),
            span: said("for", self.span, cli::seconds)?.unwrap_or(USUAL_SPAN),
            latency: spread("latency", self.latency, self.latency_p95, "3", cli::latency)?,
            prompt_tokens: spread(
                "prompt_tokens",
                self.prompt_tokens,
                self.prompt_tokens_p95,
                "500",
                cli::tokens,
            )?,
            output_tokens: spread(
                "answer_tokens",
                self.answer_tokens,
                self.answer_tokens_p95,
                "300",
                cli::tokens,
            )?,
            expected_output: self.max_tokens,
            patience: said("patience", self.patience, cli::seconds)?.unwrap_or(Duration::from_secs(30)),
            seed: self.seed,
        })
    }
}

/// What the command line makes of a text.
type Rule<T> = fn(&str) -> Result<T, String>;

fn said<T>(name: &str, value: Option<impl Display>, rule: Rule<T>) -> Result<Option<T>, String> {
    let checked = value.map(|value| rule(&value.to_string()));
    checked
        .transpose()
        .map_err(|problem| format!("{name}: {problem}"))
}
