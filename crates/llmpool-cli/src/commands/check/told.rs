//! What a check found, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use llmpool::FailureKind;
use llmpool::check::{
    CallCheck, Inconclusive, KeyCheck, KeyCheckOutcome, LimitSnapshot, LimitSnapshots, ModelCheck,
    StreamUsage,
};
use serde_json::{Value, json};

use super::Checked;
use crate::say;
use crate::table::Table;
use crate::terminal::{Look, Screen};

pub(super) fn as_text(checked: &[Checked], screen: Screen) -> String {
    let paint = screen.paint;
    let mut text = String::new();
    let mut counts = [0_usize; 4];
    for Checked {
        id, name, keys, call, ..
    } in checked
    {
        let _ = writeln!(text, "{}  {}", paint.paint(Look::Strong, id), keys.url);
        let mut table = Table::new(screen);
        for key in &keys.keys {
            let place = place(key.outcome);
            counts[place] += 1;
            table.row([
                (Look::Plain, key.key.to_string()),
                (LOOKS[place], word(key.outcome).to_owned()),
                (Look::Plain, remarks(key, name)),
            ]);
        }
        text += &table.draw(2);
        for kin in &keys.shared_accounts {
            let kin: Vec<_> = kin.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "  {} {} are one quota: together they give what one of them does",
                paint.paint(Look::Doubtful, "warning:"),
                kin.join(", ")
            );
        }
        if let Some(meant) = &keys.suggested_base_url {
            let _ = writeln!(
                text,
                "  {} no list of models is there; perhaps base_url should be {meant}",
                paint.paint(Look::Hint, "hint:")
            );
        }
        if let Some(call) = call {
            let _ = writeln!(text, "  call with {}: {}", call.key, of_call(call));
        }
    }
    let words = WORDS.iter().zip(LOOKS).zip(counts);
    let counts = words.map(|((word, look), count)| {
        let look = if count == 0 { Look::Plain } else { look };
        paint.paint(look, format!("{count} {word}")).to_string()
    });
    let _ = writeln!(text, "{}", counts.collect::<Vec<_>>().join(", "));
    text
}

const WORDS: [&str; 4] = ["accepted", "refused", "cannot tell", "unreachable"];
const LOOKS: [Look; 4] = [Look::Good, Look::Bad, Look::Doubtful, Look::Bad];

fn place(verdict: KeyCheckOutcome) -> usize {
    match verdict {
        KeyCheckOutcome::Accepted => 0,
        KeyCheckOutcome::Rejected(_) => 1,
        KeyCheckOutcome::Inconclusive(_) => 2,
        KeyCheckOutcome::Unreachable(_) => 3,
    }
}

fn word(verdict: KeyCheckOutcome) -> &'static str {
    WORDS[place(verdict)]
}

fn remarks(key: &KeyCheck, model: &str) -> String {
    let why = match key.outcome {
        KeyCheckOutcome::Accepted => None,
        KeyCheckOutcome::Rejected(kind) | KeyCheckOutcome::Unreachable(kind) => {
            Some(kind.as_str().to_owned())
        }
        KeyCheckOutcome::Inconclusive(doubt) => Some(why(doubt).to_owned()),
    };
    let listed = match key.lists(model) {
        Some(false) => Some("the model is not in its list".to_owned()),
        Some(true) | None => None,
    };
    let status = key.status.map(|status| format!("{status}"));
    let status = status.filter(|_| key.outcome != KeyCheckOutcome::Accepted);
    let says = key
        .provider_message
        .as_deref()
        .map(|words| format!("\"{}\"", say::one_line(words)));
    let took = Some(format!("{:.2}s", key.elapsed.as_secs_f64()));
    // A header that says nothing readable is no limit.
    let limits = key.limits.map(limits).filter(|limits| !limits.is_empty());
    let remarks = [why, listed, status, says, limits, took];
    remarks.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn why(doubt: Inconclusive) -> &'static str {
    match doubt {
        Inconclusive::AcceptsAnyKey => "the list is shown for any key; --call finds out",
        Inconclusive::NoModelList => "there is no list at this URL; is base_url right? --call finds out",
        Inconclusive::ListingForbidden => "it may not list models, but perhaps call them; --call finds out",
        Inconclusive::RateLimited => "its rate is used up at the moment",
        Inconclusive::ServerError => "the provider is in trouble",
        Inconclusive::UnexpectedResponse => "the answer is no list of models; is base_url right?",
    }
}

fn limits(sights: LimitSnapshots) -> String {
    let of = |sight: LimitSnapshot, what: &str| {
        let left = match (sight.remaining, sight.limit) {
            (Some(left), Some(limit)) => format!("{left} of {limit} {what} left"),
            (Some(left), None) => format!("{left} {what} left"),
            (None, Some(limit)) => format!("limit of {limit} {what}"),
            (None, None) => return None,
        };
        Some(left)
    };
    let limits = [of(sights.requests, "requests"), of(sights.tokens, "tokens")];
    limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn of_call(call: &CallCheck) -> String {
    let streamed = match (call.failure, call.content_events) {
        (Some(kind), _) => kind.as_str().to_owned(),
        (None, 0) => "an answer without content".to_owned(),
        (None, 1) => "streamed in 1 piece".to_owned(),
        (None, pieces) => format!("streamed in {pieces} pieces"),
    };
    let says = call
        .provider_message
        .as_deref()
        .map(|words| format!("\"{}\"", say::one_line(words)));
    let usage = match call.stream_usage {
        StreamUsage::Unknown => None,
        StreamUsage::Reported => Some("stream_options taken, usage told".to_owned()),
        StreamUsage::Ignored => Some("stream_options taken, no usage told".to_owned()),
        StreamUsage::Rejected => Some("stream_options not supported".to_owned()),
    };
    let told = call.limits.map(limits).filter(|limits| !limits.is_empty());
    let limits = match (call.failure, told) {
        (_, Some(told)) => Some(told),
        (None, None) => Some("no limits told".to_owned()),
        (Some(_), None) => None,
    };
    let first = call
        .time_to_first_content
        .map(|first| format!("first content {:.2}s", first.as_secs_f64()));
    let parts = [Some(streamed), says, usage, limits, first];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Whether a call was refused because of its key.
pub(super) fn is_refusal(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::InvalidKey | FailureKind::PermissionDenied | FailureKind::NoQuota
    )
}

pub(super) fn as_json(checked: &[Checked]) -> Value {
    checked.iter().map(model_as_json).collect()
}

fn model_as_json(
    Checked {
        id, name, keys, call, ..
    }: &Checked,
) -> Value {
    let ModelCheck {
        url,
        suggested_base_url,
        keys,
        shared_accounts,
        ..
    } = keys;
    let one_quota: Vec<Vec<String>> = shared_accounts
        .iter()
        .map(|kin| kin.iter().map(ToString::to_string).collect())
        .collect();
    json!({
        "model": id,
        "url": url,
        "likely_base_url": suggested_base_url,
        "keys": keys.iter().map(|key| key_as_json(key, name)).collect::<Vec<_>>(),
        "one_quota": one_quota,
        "call": call.as_ref().map(call_as_json),
    })
}

fn key_as_json(key: &KeyCheck, model: &str) -> Value {
    let why = match key.outcome {
        KeyCheckOutcome::Accepted => None,
        KeyCheckOutcome::Rejected(kind) | KeyCheckOutcome::Unreachable(kind) => Some(kind.as_str()),
        KeyCheckOutcome::Inconclusive(doubt) => Some(doubt_as_str(doubt)),
    };
    json!({
        "key": key.key.to_string(),
        "verdict": word(key.outcome).replace(' ', "_"),
        "why": why,
        "status": key.status,
        "provider_message": key.provider_message,
        "lists_model": key.lists(model),
        "limits": key.limits.map(limits_as_json),
        "elapsed_s": in_seconds(key.elapsed),
    })
}

fn doubt_as_str(doubt: Inconclusive) -> &'static str {
    match doubt {
        Inconclusive::AcceptsAnyKey => "takes any key",
        Inconclusive::NoModelList => "no list",
        Inconclusive::ListingForbidden => "may not list",
        Inconclusive::RateLimited => "limited",
        Inconclusive::ServerError => "broken",
        Inconclusive::UnexpectedResponse => "odd answer",
    }
}

fn call_as_json(call: &CallCheck) -> Value {
    let stream_options = match call.stream_usage {
        StreamUsage::Unknown => None,
        StreamUsage::Reported => Some("told"),
        StreamUsage::Ignored => Some("ignored"),
        StreamUsage::Rejected => Some("refused"),
    };
    json!({
        "key": call.key.to_string(),
        "failure": call.failure.map(FailureKind::as_str),
        "status": call.status,
        "provider_message": call.provider_message,
        "pieces": call.content_events,
        "stream_options": stream_options,
        "limits": call.limits.map(limits_as_json),
        "first_content_s": call.time_to_first_content.map(in_seconds),
    })
}

fn limits_as_json(sights: LimitSnapshots) -> Value {
    let of = |sight: LimitSnapshot| {
        json!({
            "limit": sight.limit,
            "remaining": sight.remaining,
            "reset_s": sight.reset.map(in_seconds),
        })
    };
    json!({"requests": of(sights.requests), "tokens": of(sights.tokens)})
}

/// To the millisecond.
fn in_seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}
