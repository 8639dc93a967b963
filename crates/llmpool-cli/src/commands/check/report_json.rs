//! The results of a check as JSON. The field names and values are stable.

use llmpool::FailureKind;
use llmpool::check::{
    CallCheck, Inconclusive, KeyCheck, LimitSnapshot, LimitSnapshots, ModelCheck, StreamUsage, Verdict,
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
        likely_meant,
        keys,
        one_quota,
    } = &model.keys;
    let one_quota: Vec<Vec<String>> = one_quota
        .iter()
        .map(|group| group.iter().map(ToString::to_string).collect())
        .collect();
    json!({
        "model": model.id,
        "url": url,
        "likely_base_url": likely_meant,
        "keys": keys.iter().map(|key| key_to_json(key, &model.name)).collect::<Vec<_>>(),
        "one_quota": one_quota,
        "call": model.call.as_ref().map(call_to_json),
    })
}

fn key_to_json(key: &KeyCheck, model: &str) -> Value {
    let (verdict, reason) = match key.verdict {
        Verdict::Accepted => ("accepted", None),
        Verdict::Refused(kind) => ("refused", Some(kind.as_str())),
        Verdict::CannotTell(reason) => ("cannot_tell", Some(reason_name(reason))),
        Verdict::Unreachable(kind) => ("unreachable", Some(kind.as_str())),
    };
    json!({
        "key": key.key.to_string(),
        "verdict": verdict,
        "why": reason,
        "status": key.status,
        "provider_message": key.says,
        "lists_model": key.lists(model),
        "limits": key.limits.map(limits_to_json),
        "elapsed_s": json_seconds(key.elapsed),
    })
}

fn reason_name(reason: Inconclusive) -> &'static str {
    match reason {
        Inconclusive::TakesAnyKey => "takes any key",
        Inconclusive::NoList => "no list",
        Inconclusive::MayNotList => "may not list",
        Inconclusive::Limited => "limited",
        Inconclusive::Broken => "broken",
        Inconclusive::Odd => "odd answer",
    }
}

fn call_to_json(call: &CallCheck) -> Value {
    let stream_options = match call.stream_options {
        StreamUsage::Unknown => None,
        StreamUsage::Told => Some("told"),
        StreamUsage::Ignored => Some("ignored"),
        StreamUsage::Refused => Some("refused"),
    };
    json!({
        "key": call.key.to_string(),
        "failure": call.failure.map(FailureKind::as_str),
        "status": call.status,
        "provider_message": call.says,
        "pieces": call.pieces,
        "stream_options": stream_options,
        "limits": call.limits.map(limits_to_json),
        "first_content_s": call.first_content.map(json_seconds),
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
