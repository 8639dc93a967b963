//! A forecast in words, bars and JSON.

use std::fmt::Write;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Forecast, Piece, Traffic};
use llmpool::provider_file::KeyEntry;
use llmpool::{Counts, WaitReason};
use serde_json::{Value, json};

use super::advice::{Advice, Change};
use super::chart::Signs;
use super::setup::Setup;

/// More keys than these are not listed one by one.
const MOST_KEYS: usize = 20;

pub(super) struct Told<'a> {
    pub(super) setup: &'a Setup,
    pub(super) traffic: &'a Traffic,
    pub(super) forecast: &'a Forecast,
    pub(super) advice: &'a Advice,
    pub(super) target_wait: Duration,
}

impl Told<'_> {
    pub(super) fn as_text(&self, signs: Signs) -> String {
        let forecast = self.forecast;
        let mut text = format!(
            "{}: {}, {}\n\n",
            self.setup.id,
            keys(self.setup.keys()),
            self.calls()
        );
        let rows = [
            (
                "offered",
                format!(
                    "{} calls, {}",
                    forecast.offered,
                    a_second(forecast.offered as f64 / forecast.span.as_secs_f64())
                ),
            ),
            (
                "answered",
                format!("{} in time, {}", forecast.answered, a_second(forecast.goodput())),
            ),
            ("turned away", self.shed()),
            ("wait", waits(forecast)),
            ("waited for", waited_for(forecast)),
        ];
        for (name, says) in rows {
            let _ = writeln!(text, "{name:<12} {says}");
        }
        text.push_str(&self.keys());
        text.push('\n');
        text.push_str(&self.chart(signs));
        text.push('\n');
        text.push_str(&self.advice());
        text
    }

    fn calls(&self) -> String {
        let Traffic {
            arrivals,
            burst,
            span,
            latency,
            prompt_tokens,
            answer_tokens,
            ..
        } = self.traffic;
        let who = match arrivals {
            Arrivals::Random { per_second } => format!("{per_second} calls a second by chance"),
            Arrivals::Even { per_second } => format!("{per_second} calls a second evenly"),
            Arrivals::Callers(callers) => format!("{callers} callers"),
            Arrivals::Recorded(calls) => format!("{} recorded calls", calls.len()),
        };
        let burst = burst.map_or(String::new(), |burst| {
            format!(" and {} at once every {}", burst.calls, seconds(burst.every))
        });
        format!(
            "{who}{burst} for {}, {prompt_tokens} + {answer_tokens} tokens and {} each",
            seconds(*span),
            seconds(*latency)
        )
    }

    fn shed(&self) -> String {
        let shed = self.forecast.shed;
        if shed.total() == 0 {
            return "none".to_owned();
        }
        let reasons = [
            (shed.too_late, "would have waited too long"),
            (shed.queue_full, "found the queue full"),
            (shed.never, "need more tokens than a limit ever has"),
        ];
        let reasons = reasons.iter().filter(|(calls, _)| *calls > 0);
        let reasons: Vec<_> = reasons.map(|(calls, why)| format!("{calls} {why}")).collect();
        format!(
            "{}: {}",
            percent(shed.total() as f64 / self.forecast.offered as f64),
            reasons.join(", ")
        )
    }

    fn keys(&self) -> String {
        let served = &self.forecast.keys;
        if served.len() > MOST_KEYS {
            let (least, most) = (served.iter().min(), served.iter().max());
            let (least, most) = (least.copied().unwrap_or(0), most.copied().unwrap_or(0));
            return format!(
                "keys         each of {} served {least} to {most} calls\n",
                served.len()
            );
        }
        let entries = served.iter().zip(&self.setup.model.api_keys);
        let lines = entries.enumerate().map(|(at, (served, key))| {
            let used = self.used(key, *served).map_or(String::new(), |used| {
                format!(", {} of its requests a minute", percent(used))
            });
            format!("{:<12} {served} calls{used}\n", format!("key {}", at + 1))
        });
        lines.collect()
    }

    /// How much of the requests that a key may have it had.
    fn used(&self, key: &KeyEntry, served: u64) -> Option<f64> {
        let minutes = self.forecast.span.as_secs_f64() / 60.0;
        Some(served as f64 / minutes / key.limits.limits.per_minute()?)
    }

    fn chart(&self, signs: Signs) -> String {
        let pieces = &self.forecast.pieces;
        let each = self.forecast.span.as_secs_f64() / pieces.len() as f64;
        let row = |of: &dyn Fn(&Piece) -> f64, top: f64| signs.row(pieces.iter().map(of), top);
        let top = |of: &dyn Fn(&Piece) -> f64| pieces.iter().map(of).fold(0.0, f64::max);
        let (offered, served) = (
            |piece: &Piece| piece.offered as f64 / each,
            |piece: &Piece| piece.served as f64 / each,
        );
        let longest = |piece: &Piece| piece.longest_wait.as_secs_f64();
        // What came and what went on are drawn to one scale.
        let calls = top(&offered).max(top(&served));
        format!(
            "came         {}  up to {}\nserved       {}  up to {}\nlongest wait {}  up to {}\n",
            row(&offered, calls),
            a_second(top(&offered)),
            row(&served, calls),
            a_second(top(&served)),
            row(&longest, top(&longest)),
            seconds(Duration::from_secs_f64(top(&longest))),
        )
    }

    fn advice(&self) -> String {
        let goal = format!(
            "99 of 100 calls waiting at most {}, none turned away",
            seconds(self.target_wait)
        );
        match self.advice {
            Advice::Enough => format!("This is enough for {goal}.\n"),
            Advice::Unknown => {
                format!("These are too many calls to try what {goal} would take; make --for shorter.\n")
            }
            Advice::Elsewhere(unbound) => format!(
                "No number of keys and no rate give {goal}: {} stands in the way.\n",
                match unbound.shed.never {
                    0 => waited_for(unbound),
                    _ => "a limit of tokens".to_owned(),
                }
            ),
            Advice::Change(change) => format!(
                "For {goal}:\n  {} like the first, each with an account of its own (now {})\n  \
                 \"rate_limit_capacity\": {}, \"rate_limit_refill_rate\": {}{}\n  which gives {}\n",
                keys(change.keys),
                self.setup.keys(),
                change.capacity,
                change.refill_rate,
                self.present_rate(),
                waits(&change.forecast),
            ),
        }
    }

    fn present_rate(&self) -> String {
        let settings = &self.setup.model.settings;
        match (settings.rate_limit, settings.rpm) {
            (Some((capacity, rate)), _) => format!(" (now {capacity} and {rate})"),
            (None, Some(rpm)) => format!(" instead of \"rpm\": {rpm}"),
            (None, None) => " would do (now none, which does too)".to_owned(),
        }
    }

    pub(super) fn as_json(&self) -> Value {
        let forecast = self.forecast;
        let keys = forecast.keys.iter().zip(&self.setup.model.api_keys).enumerate();
        let keys = keys.map(
            |(at, (served, key))| json!({"key": at + 1, "calls": served, "use": self.used(key, *served)}),
        );
        let (recommended, enough) = match self.advice {
            Advice::Enough => (Value::Null, json!(true)),
            Advice::Change(change) => (as_json(change), json!(false)),
            Advice::Elsewhere(_) => (Value::Null, json!(false)),
            Advice::Unknown => (Value::Null, Value::Null),
        };
        json!({
            "model": self.setup.id,
            "span_seconds": forecast.span.as_secs_f64(),
            "offered": forecast.offered,
            "answered": forecast.answered,
            "goodput_per_second": forecast.goodput(),
            "shed": {
                "total": forecast.shed.total(),
                "rate": forecast.shed.total() as f64 / forecast.offered.max(1) as f64,
                "too_late": forecast.shed.too_late,
                "queue_full": forecast.shed.queue_full,
                "never": forecast.shed.never,
            },
            "wait_seconds": waits_as_json(forecast),
            "waited_for": shares(forecast).map(|(what, share)| json!({"limit": what, "share": share})).collect::<Vec<_>>(),
            "keys": keys.collect::<Vec<_>>(),
            "target_wait_seconds": self.target_wait.as_secs_f64(),
            "enough": enough,
            "recommended": recommended,
        })
    }
}

fn as_json(change: &Change) -> Value {
    json!({
        "keys": change.keys,
        "rate_limit_capacity": change.capacity,
        "rate_limit_refill_rate": change.refill_rate,
        "wait_seconds": waits_as_json(&change.forecast),
    })
}

fn waits_as_json(forecast: &Forecast) -> Value {
    let wait = |part| forecast.wait(part).as_secs_f64();
    json!({"p50": wait(0.5), "p90": wait(0.9), "p99": wait(0.99), "max": wait(1.0)})
}

fn waits(forecast: &Forecast) -> String {
    let wait = |part| seconds(forecast.wait(part));
    format!(
        "p50 {}, p90 {}, p99 {}, at most {}",
        wait(0.5),
        wait(0.9),
        wait(0.99),
        wait(1.0)
    )
}

/// What calls waited for, and which share of all waiting that was.
fn shares(forecast: &Forecast) -> impl Iterator<Item = (&'static str, f64)> {
    let all: f64 = forecast
        .waited_for
        .iter()
        .map(|(_, waited)| waited.as_secs_f64())
        .sum();
    let share = move |(why, waited): &(WaitReason, Duration)| (words(*why), waited.as_secs_f64() / all);
    forecast.waited_for.iter().map(share)
}

fn waited_for(forecast: &Forecast) -> String {
    let shares: Vec<_> = shares(forecast)
        .map(|(what, share)| format!("{what} ({})", percent(share)))
        .collect();
    match &shares[..] {
        [] => "nothing".to_owned(),
        some => some.join(", "),
    }
}

fn words(why: WaitReason) -> &'static str {
    match why {
        WaitReason::Target(Counts::Requests) => "the model's rate of requests",
        WaitReason::Target(Counts::Tokens) => "the model's tokens a minute",
        WaitReason::Target(Counts::Day) => "the model's requests a day",
        WaitReason::TargetConcurrency => "the model's max_concurrency",
        WaitReason::KeyLimits(Counts::Requests) => "its keys' rates of requests",
        WaitReason::KeyLimits(Counts::Tokens) => "its keys' tokens a minute",
        WaitReason::KeyLimits(Counts::Day) => "its keys' requests a day",
        WaitReason::Concurrency => "its keys' max_concurrency",
        WaitReason::TargetRests | WaitReason::Keys(_) => "pauses",
    }
}

fn keys(count: usize) -> String {
    match count {
        1 => "1 key".to_owned(),
        several => format!("{several} keys"),
    }
}

fn a_second(rate: f64) -> String {
    format!("{rate:.1} a second")
}

fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

fn seconds(span: Duration) -> String {
    match span.as_secs_f64() {
        short if short < 10.0 => format!("{short:.2} s"),
        long => format!("{long:.0} s"),
    }
}
