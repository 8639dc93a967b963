//! What can be said to `llmpool plan`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use llmpool::forecast::LogNormal;

use super::{Source, seconds};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool plan --rate 20\n  llmpool plan -m openai/gpt-4o-mini --callers 64 --latency 0.3 --for 60\n  \
                        llmpool plan --rate 5 --burst 100@60 --prompt-tokens 2000:6000 --answer-tokens 300:900\n  \
                        llmpool plan --trace calls.jsonl --json\n\n\
                  MEAN:P95 stands for what differs from call to call, with 95 of 100 below P95.\n\
                  A line of a trace is {\"at\": SECONDS or \"2026-01-31T12:00:00Z\"}, and may say \"model\", \"prompt_tokens\",\n\
                  \"completion_tokens\", \"latency\" and \"caller\".\n\
                  A traffic file has the options as members, times in seconds, and the shares of several models:\n  \
                  {\"rate\": 20, \"burst\": {\"calls\": 100, \"every\": 60}, \"latency\": 3, \"latency_p95\": 8, \"for\": 600,\n   \
                  \"models\": [{\"model\": \"openai/gpt-4o-mini\", \"share\": 3}, {\"model\": \"openai/gpt-4o\", \"share\": 1}]}\n\n\
                  Nothing is sent, and the file's keys need not be there. The provider is taken to be honest and never to fail."
)]
pub(crate) struct Plan {
    /// The model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) calls: Calls,
    /// The longest wait for a turn that 99 of 100 calls should have: what is recommended is enough for it
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) target_wait: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is to come.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traffic")]
pub(crate) struct Calls {
    #[command(flatten)]
    pub(crate) who: Who,
    /// Let the calls of --rate come evenly instead of by chance
    #[arg(long, requires = "rate")]
    pub(crate) even: bool,
    /// So many more calls at once, so often, as in 100@60
    #[arg(long, value_name = "CALLS@SECONDS", value_parser = burst)]
    pub(crate) burst: Option<(u32, Duration)>,
    /// Tokens of a prompt
    #[arg(long, value_name = "N|MEAN:P95", default_value = "500", value_parser = tokens)]
    pub(crate) prompt_tokens: LogNormal,
    /// Tokens of an answer
    #[arg(long, value_name = "N|MEAN:P95", default_value = "300", value_parser = tokens)]
    pub(crate) answer_tokens: LogNormal,
    /// The max_tokens that calls name: limits of tokens reserve so many [default: what the model expects of answers]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u32>,
    /// How long an answer takes
    #[arg(long, value_name = "SECONDS|MEAN:P95", default_value = "3", value_parser = latency)]
    pub(crate) latency: LogNormal,
    /// For how long calls come [default: 600, or as long as the trace]
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) span: Option<Duration>,
    /// How long a call waits for its turn before it gives up
    #[arg(long, alias = "timeout", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) patience: Duration,
    /// Decides what happens by chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Who calls when.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// So many calls a second
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// So many callers, each of whom calls again as soon as he has his answer
    #[arg(long, value_name = "N", value_parser = callers)]
    pub(crate) callers: Option<u32>,
    /// Calls that were recorded: lines of JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// All of this as a JSON file, for one model or several
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "even", "burst", "prompt_tokens", "answer_tokens", "max_tokens", "latency", "span", "patience", "seed"
        ]
    )]
    pub(crate) traffic: Option<PathBuf>,
}

pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= 1e6);
    rate.ok_or_else(|| "give calls a second, more than 0 and at most a million".to_owned())
}

pub(crate) fn callers(text: &str) -> Result<u32, String> {
    let callers = text
        .parse()
        .ok()
        .filter(|callers| (1..=100_000).contains(callers));
    callers.ok_or_else(|| "give a whole number from 1 to 100000".to_owned())
}

pub(crate) fn burst(text: &str) -> Result<(u32, Duration), String> {
    let parsed = text.split_once('@').and_then(|(calls, every)| {
        let calls = calls
            .parse()
            .ok()
            .filter(|calls| (1..=1_000_000).contains(calls))?;
        Some((calls, seconds(every).ok()?))
    });
    parsed
        .ok_or_else(|| "give how many and how often, as in 100@60 for 100 calls every 60 seconds".to_owned())
}

pub(crate) fn tokens(text: &str) -> Result<LogNormal, String> {
    let is_count = |tokens: f64| (0.0..=1e8).contains(&tokens);
    spread(text, is_count, "give tokens, at most a hundred million")
}

pub(crate) fn latency(text: &str) -> Result<LogNormal, String> {
    let is_span = |span: f64| Duration::try_from_secs_f64(span).is_ok() && seconds(&span.to_string()).is_ok();
    spread(text, is_span, "give seconds, more than 0 and at most a year")
}

/// An amount, or its mean and what 95 of 100 stay below.
fn spread(text: &str, is_sane: impl Fn(f64) -> bool, otherwise: &str) -> Result<LogNormal, String> {
    let amount = |text: &str| text.parse().ok().filter(|amount| is_sane(*amount));
    let amount = |text: &str| amount(text).ok_or_else(|| otherwise.to_owned());
    match text.split_once(':') {
        None => amount(text).map(LogNormal::fixed),
        Some((mean, p95)) => LogNormal::with_p95(amount(mean)?, amount(p95)?)
            .ok_or_else(|| "P95 has to be at least the mean and at most 3.8 times as much".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_one_number_or_mean_and_tail() {
        assert_eq!(tokens("300"), Ok(LogNormal::fixed(300.0)));
        assert_eq!(latency("2.5:8"), Ok(LogNormal::with_p95(2.5, 8.0).unwrap()));
        assert_eq!(tokens("0"), Ok(LogNormal::fixed(0.0)));
        for wrong in ["", "x", "-1", "inf", "nan", "1:", ":2", "5:4", "1:9", "0:0"] {
            assert!(tokens(wrong).is_err() && latency(wrong).is_err(), "{wrong}");
        }
        assert!(latency("0").is_err());
    }
}
