//! Formats the results of `llmpool check` as JSON. The field names and their possible values are stable.

use llmpool::FailureKind;
use llmpool::check::{
    CallCheck, Inconclusive, KeyCheck, KeyCheckOutcome, LimitSnapshot, LimitSnapshots, ModelCheck,
    StreamUsage,
};
use serde_json::{Value, json};

use super::checked_model::CheckedModel;
use crate::format::json_seconds;

pub(super) fn render(models: &[CheckedModel]) -> Value {
    models.iter().map(model_to_json).collect()
}

fn model_to_json(model: &CheckedModel) -> Value {
    let ModelCheck {
        url,
        suggested_base_url,
        keys,
        likely_accounts,
        ..
    } = &model.keys;
    let likely_accounts: Vec<Vec<String>> = likely_accounts
        .iter()
        .map(|account| account.iter().map(ToString::to_string).collect())
        .collect();
    json!({
        "model": model.id,
        "url": url,
        "likely_base_url": suggested_base_url,
        "keys": keys.iter().map(|key| key_to_json(key, &model.name)).collect::<Vec<_>>(),
        "likely_accounts": likely_accounts,
        "call": model.call.as_ref().map(call_to_json),
    })
}

fn key_to_json(key: &KeyCheck, model: &str) -> Value {
    let (verdict, reason) = match key.outcome {
        KeyCheckOutcome::Accepted => ("accepted", None),
        KeyCheckOutcome::Rejected(kind) => ("refused", Some(kind.as_str())),
        KeyCheckOutcome::Inconclusive(reason) => ("cannot_tell", Some(reason_name(reason))),
        KeyCheckOutcome::Unreachable(kind) => ("unreachable", Some(kind.as_str())),
    };
    json!({
        "key": key.key.to_string(),
        "name": key.key.name(),
        "note": key.key.note(),
        "verdict": verdict,
        "why": reason,
        "status": key.status,
        "detail": key.detail,
        "provider_message": key.provider_message,
        "lists_model": key.lists(model),
        "limits": key.limits.map(limits_to_json),
        "elapsed_s": json_seconds(key.elapsed),
    })
}

fn reason_name(reason: Inconclusive) -> &'static str {
    match reason {
        Inconclusive::AcceptsAnyKey => "takes any key",
        Inconclusive::NoModelList => "no list",
        Inconclusive::ListingForbidden => "may not list",
        Inconclusive::RateLimited => "limited",
        Inconclusive::ServerError => "broken",
        Inconclusive::UnexpectedResponse => "odd answer",
    }
}

fn call_to_json(call: &CallCheck) -> Value {
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
        "detail": call.detail,
        "provider_message": call.provider_message,
        "pieces": call.content_events,
        "stream_options": stream_options,
        "limits": call.limits.map(limits_to_json),
        "first_content_s": call.time_to_first_content.map(json_seconds),
    })
}

fn limits_to_json(limits: LimitSnapshots) -> Value {
    let one = |snapshot: LimitSnapshot| {
        json!({
            "limit": snapshot.limit,
            "remaining": snapshot.remaining,
            "reset_s": snapshot.reset.map(json_seconds),
        })
    };
    json!({"requests": one(limits.requests), "tokens": one(limits.tokens)})
}
