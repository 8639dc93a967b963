//! Builds the traffic of a plan from command line options, a trace or a traffic file.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Burst, LogNormal, Traffic};
use serde::Deserialize;

use super::plan_setup::PlanSetup;
use super::trace;
use crate::cli::{self, PlanArgs, TrafficArgs, non_empty};
use crate::exit;
use crate::problem::Problem;

const DEFAULT_SPAN: Duration = Duration::from_secs(600);
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Builds the traffic from the arguments, and adds the models that receive calls to the setup.
pub(super) fn from_args(args: &PlanArgs, setup: &mut PlanSetup) -> Result<Traffic, ExitCode> {
    let requested = non_empty(args.model.as_ref());
    let traffic = &args.traffic;
    let arrivals = if let Some(path) = &traffic.arrivals.traffic {
        return read_file(path, requested, setup);
    } else if let Some(path) = &traffic.arrivals.trace {
        Arrivals::Recorded(trace::read(path, requested, setup)?)
    } else {
        setup.plan_single(requested)?;
        arrivals(traffic.arrivals.callers, traffic.arrivals.rate, traffic.even)
            .map_err(|problem| problem.exit(exit::USAGE))?
    };
    Ok(with_arrivals(arrivals, traffic))
}

fn with_arrivals(arrivals: Arrivals, args: &TrafficArgs) -> Traffic {
    let recorded_span = match &arrivals {
        // One second more than the time of the last call, so that it is included.
        Arrivals::Recorded(calls) => calls.iter().map(|call| call.at).max().map(|last| {
            let second = Duration::from_secs(1);
            last.max(second) + second
        }),
        _ => None,
    };
    Traffic {
        arrivals,
        burst: args.burst.map(|(calls, every)| Burst { calls, every }),
        span: args.span.or(recorded_span).unwrap_or(DEFAULT_SPAN),
        latency: args.latency,
        prompt_tokens: args.prompt_tokens,
        output_tokens: args.answer_tokens,
        expected_output: args.max_tokens,
        patience: args.patience,
        seed: args.seed,
    }
}

fn arrivals(callers: Option<u32>, rate: Option<f64>, even: bool) -> Result<Arrivals, Problem> {
    match (callers, rate) {
        (Some(callers), None) if !even => Ok(Arrivals::Callers(callers)),
        (None, Some(per_second)) if even => Ok(Arrivals::Even { per_second }),
        (None, Some(per_second)) => Ok(Arrivals::Random { per_second }),
        _ => Err(Problem::new(
            "expected either \"rate\" (optionally with \"even\") or \"callers\"",
        )),
    }
}

/// The contents of a traffic file. Durations are in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrafficFile {
    rate: Option<f64>,
    #[serde(default)]
    even: bool,
    callers: Option<u32>,
    burst: Option<BurstEntry>,
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
    #[serde(default = "default_seed")]
    seed: u64,
    #[serde(default)]
    models: Vec<ModelShare>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BurstEntry {
    calls: u32,
    every: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelShare {
    model: String,
    share: f64,
}

fn default_seed() -> u64 {
    1
}

fn read_file(path: &Path, requested: Option<&str>, setup: &mut PlanSetup) -> Result<Traffic, ExitCode> {
    let file = parse_file(path).map_err(|problem| problem.exit(exit::USAGE))?;
    let invalid = |problem: Problem| problem.at(path.display()).exit(exit::USAGE);
    if file.models.is_empty() {
        setup.plan_single(requested)?;
    } else {
        add_models(&file.models, setup).map_err(invalid)?;
    }
    file.into_traffic().map_err(invalid)
}

fn parse_file(path: &Path) -> Result<TrafficFile, Problem> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::new(format!("cannot read {name}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        let (column, message) = trace::column_and_message(&error);
        Problem::new(message).at(format_args!("{name}:{}:{column}", error.line().max(1)))
    })
}

fn add_models(models: &[ModelShare], setup: &mut PlanSetup) -> Result<(), Problem> {
    let providers = setup.providers().map_err(|error| Problem::from(&error))?;
    for (index, ModelShare { model, share }) in models.iter().enumerate() {
        if !(share.is_finite() && *share > 0.0) {
            return Err(Problem::new(format!(
                "models[{index}].share: expected a number greater than 0"
            )));
        }
        match setup.add(&providers, model, *share) {
            Ok(added) if added == index => {}
            Ok(_) => {
                return Err(Problem::new(format!("models[{index}]: duplicate model {model}"))
                    .with_hint("remove one of the entries"));
            }
            Err(error) => return Err(Problem::from(&error).at(format_args!("models[{index}].model"))),
        }
    }
    Ok(())
}

impl TrafficFile {
    /// Converts the fields to traffic. Validates them with the parsers of the corresponding command line
    /// options.
    fn into_traffic(self) -> Result<Traffic, Problem> {
        let rate = parse_field("rate", self.rate, cli::parse_rate)?;
        let callers = parse_field("callers", self.callers, cli::parse_callers)?;
        let burst = self.burst.map(|burst| format!("{}@{}", burst.calls, burst.every));
        let burst = parse_field("burst", burst, cli::parse_burst)?;
        let distribution =
            |name, mean: Option<f64>, p95: Option<f64>, default: &str, parse: FieldParser<LogNormal>| {
                let mean = mean.map_or_else(|| default.to_owned(), |mean| mean.to_string());
                let text = p95.map_or_else(|| mean.clone(), |p95| format!("{mean}:{p95}"));
                parse(&text).map_err(|message| Problem::new(message).at(name))
            };
        Ok(Traffic {
            arrivals: arrivals(callers, rate, self.even)?,
            burst: burst.map(|(calls, every)| Burst { calls, every }),
            span: parse_field("for", self.span, cli::parse_seconds)?.unwrap_or(DEFAULT_SPAN),
            latency: distribution("latency", self.latency, self.latency_p95, "3", cli::parse_latency)?,
            prompt_tokens: distribution(
                "prompt_tokens",
                self.prompt_tokens,
                self.prompt_tokens_p95,
                "500",
                cli::parse_tokens,
            )?,
            output_tokens: distribution(
                "answer_tokens",
                self.answer_tokens,
                self.answer_tokens_p95,
                "300",
                cli::parse_tokens,
            )?,
            expected_output: self.max_tokens,
            patience: parse_field("patience", self.patience, cli::parse_seconds)?.unwrap_or(DEFAULT_PATIENCE),
            seed: self.seed,
        })
    }
}

/// A parser for the value of a command line option. An error is a message for the user.
type FieldParser<T> = fn(&str) -> Result<T, String>;

fn parse_field<T>(
    name: &str,
    value: Option<impl Display>,
    parse: FieldParser<T>,
) -> Result<Option<T>, Problem> {
    let parsed = value.map(|value| parse(&value.to_string()));
    parsed
        .transpose()
        .map_err(|message| Problem::new(message).at(name))
}
