//! Arguments of `llmpool plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use llmpool::forecast::LogNormal;

use super::shared::{ConfigFileArgs, parse_seconds};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool plan --rate 20\n  llmpool plan -m openai/gpt-4o-mini --callers 64 --latency 0.3 --for 60\n  \
                        llmpool plan --rate 5 --burst 100@60 --prompt-tokens 2000:6000 --answer-tokens 300:900\n  \
                        llmpool plan --trace calls.jsonl --json\n\n\
                  MEAN:P95 is a random value with this mean and 95th percentile.\n\
                  A trace line is {\"at\": SECONDS or \"2026-01-31T12:00:00Z\"} with optional \"model\", \"prompt_tokens\",\n\
                  \"completion_tokens\", \"latency\" and \"caller\".\n\
                  A traffic file has the options as fields, durations in seconds, and the shares of several models:\n  \
                  {\"rate\": 20, \"burst\": {\"calls\": 100, \"every\": 60}, \"latency\": 3, \"latency_p95\": 8, \"for\": 600,\n   \
                  \"models\": [{\"model\": \"openai/gpt-4o-mini\", \"share\": 3}, {\"model\": \"openai/gpt-4o\", \"share\": 1}]}\n\n\
                  No request is sent, and the keys of the provider file need not be set. The simulated provider\n\
                  enforces only the configured limits, and no call fails."
)]
pub(crate) struct PlanArgs {
    /// Model to simulate, given as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,
    /// Recommend limits that keep the 99th percentile of the queueing time at or below SECONDS
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub(crate) target_wait: Duration,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// The traffic to simulate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traffic")]
pub(crate) struct TrafficArgs {
    #[command(flatten)]
    pub(crate) arrivals: ArrivalArgs,
    /// With --rate, space calls evenly instead of randomly
    #[arg(long, requires = "rate")]
    pub(crate) even: bool,
    /// Add bursts of simultaneous calls: 100@60 adds 100 calls every 60 seconds
    #[arg(long, value_name = "CALLS@SECONDS", value_parser = parse_burst)]
    pub(crate) burst: Option<(u32, Duration)>,
    /// Tokens per prompt
    #[arg(long, value_name = "N|MEAN:P95", default_value = "500", value_parser = parse_tokens)]
    pub(crate) prompt_tokens: LogNormal,
    /// Tokens per answer
    #[arg(long, value_name = "N|MEAN:P95", default_value = "300", value_parser = parse_tokens)]
    pub(crate) answer_tokens: LogNormal,
    /// max_tokens of each call, which token limits reserve [default: the model's expected output tokens]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// Duration of each call
    #[arg(long, value_name = "SECONDS|MEAN:P95", default_value = "3", value_parser = parse_latency)]
    pub(crate) latency: LogNormal,
    /// Duration of the simulated traffic [default: 600, or the duration of the trace]
    #[arg(long = "for", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) span: Option<Duration>,
    /// Reject calls that would wait in the queue for longer than SECONDS
    #[arg(long, alias = "timeout", value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub(crate) patience: Duration,
    /// Seed of the random number generator
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// How calls arrive. Exactly one of these arguments is required.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ArrivalArgs {
    /// Average number of calls per second
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Number of callers; each caller sends its next call when its previous call has ended
    #[arg(long, value_name = "N", value_parser = parse_callers)]
    pub(crate) callers: Option<u32>,
    /// Replay recorded calls from a JSON Lines file
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Read all traffic options from a JSON file, which can describe several models
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "even", "burst", "prompt_tokens", "answer_tokens", "max_tokens", "latency", "span", "patience", "seed"
        ]
    )]
    pub(crate) traffic: Option<PathBuf>,
}

/// Parses a rate in calls per second, greater than 0 and at most 1,000,000.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| "expected calls per second greater than 0 and at most 1000000".to_owned())
}

/// Parses a number of callers, from 1 to 100,000 inclusive.
pub(crate) fn parse_callers(text: &str) -> Result<u32, String> {
    let callers = text
        .parse()
        .ok()
        .filter(|callers| (1..=100_000).contains(callers));
    callers.ok_or_else(|| "expected an integer from 1 to 100000".to_owned())
}

/// Parses a burst such as `100@60`. Returns the number of calls in each burst (100) and the interval between
/// bursts (60 seconds).
pub(crate) fn parse_burst(text: &str) -> Result<(u32, Duration), String> {
    let parsed = text.split_once('@').and_then(|(calls, every)| {
        let calls = calls
            .parse()
            .ok()
            .filter(|calls| (1..=1_000_000).contains(calls))?;
        Some((calls, parse_seconds(every).ok()?))
    });
    parsed.ok_or_else(|| "expected CALLS@SECONDS, such as 100@60 for 100 calls every 60 seconds".to_owned())
}

/// Parses a number of tokens per call, from 0 to 100,000,000: either a fixed number, or `MEAN:P95` for a
/// log-normal distribution with this mean and 95th percentile.
pub(crate) fn parse_tokens(text: &str) -> Result<LogNormal, String> {
    let is_valid = |tokens: f64| (0.0..=1e8).contains(&tokens);
    parse_distribution(text, is_valid, "expected a number of tokens from 0 to 100000000")
}

/// Parses a duration in seconds, greater than 0 and at most a year: either a fixed number, or `MEAN:P95` for
/// a log-normal distribution with this mean and 95th percentile.
pub(crate) fn parse_latency(text: &str) -> Result<LogNormal, String> {
    let is_valid =
        |span: f64| Duration::try_from_secs_f64(span).is_ok() && parse_seconds(&span.to_string()).is_ok();
    parse_distribution(
        text,
        is_valid,
        "expected a number of seconds greater than 0 and at most a year",
    )
}

/// Parses either a fixed number, or `MEAN:P95` for a log-normal distribution with this mean and 95th
/// percentile. If a number does not satisfy `is_valid`, the error is `expected`.
fn parse_distribution(
    text: &str,
    is_valid: impl Fn(f64) -> bool,
    expected: &str,
) -> Result<LogNormal, String> {
    let number = |text: &str| text.parse().ok().filter(|number| is_valid(*number));
    let number = |text: &str| number(text).ok_or_else(|| expected.to_owned());
    match text.split_once(':') {
        None => number(text).map(LogNormal::fixed),
        Some((mean, p95)) => LogNormal::with_p95(number(mean)?, number(p95)?)
            .ok_or_else(|| "P95 must be between 1 and 3.8 times the mean".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_is_a_number_or_mean_and_p95() {
        assert_eq!(parse_tokens("300"), Ok(LogNormal::fixed(300.0)));
        assert_eq!(parse_latency("2.5:8"), Ok(LogNormal::with_p95(2.5, 8.0).unwrap()));
        assert_eq!(parse_tokens("0"), Ok(LogNormal::fixed(0.0)));
        for invalid in ["", "x", "-1", "inf", "nan", "1:", ":2", "5:4", "1:9", "0:0"] {
            assert!(
                parse_tokens(invalid).is_err() && parse_latency(invalid).is_err(),
                "{invalid}"
            );
        }
        assert!(parse_latency("0").is_err());
    }
}
