//! Formats a plan as JSON. The field names are stable. Unknown values are `null`.

use llmpool::forecast::{Forecast, Utilization};
use serde_json::{Value, json};

use super::advice::{Advice, Change};
use super::chart::{Interval, intervals};
use super::limit_labels::{json_name, wait_shares};
use super::plan_report::{ModelPlan, PlanReport};

/// Maximum number of time intervals in the field `over_time`.
const INTERVALS: usize = 60;

pub(super) fn render(report: &PlanReport) -> Value {
    let models = report.setup.planned.iter().zip(&report.models);
    let models = models.map(|(planned, model)| model_to_json(&planned.id, model));
    json!({
        "span_seconds": report.traffic.span.as_secs_f64(),
        "seed": report.traffic.seed,
        "target_wait_seconds": report.target_wait.as_secs_f64(),
        "models": models.collect::<Vec<_>>(),
    })
}

fn model_to_json(id: &str, model: &ModelPlan) -> Value {
    let ModelPlan { forecast, advice } = model;
    let (enough, recommended) = match advice {
        Advice::Sufficient { keys } => (json!(true), json!({"keys": keys})),
        Advice::Change(change) => (json!(false), change_to_json(change)),
        Advice::OtherLimit(_) => (json!(false), Value::Null),
        Advice::Unknown => (Value::Null, Value::Null),
    };
    let waited_for =
        wait_shares(forecast).map(|(reason, share)| json!({"limit": json_name(reason), "share": share}));
    let rejected_for = forecast.rejection_reasons.iter();
    let rejected_for =
        rejected_for.map(|(reason, calls)| json!({"limit": json_name(*reason), "calls": calls}));
    let over_time = intervals(forecast, INTERVALS);
    json!({
        "model": id,
        "offered": forecast.offered,
        "served": forecast.admitted,
        "answered": forecast.answered,
        "goodput_per_second": forecast.goodput(),
        "tokens": forecast.tokens,
        "shed": rejections_to_json(forecast),
        "turned_away_for": rejected_for.collect::<Vec<_>>(),
        "wait_seconds": waits_to_json(forecast),
        "waited_for": waited_for.collect::<Vec<_>>(),
        "binding_limit": forecast.binding_limit().map(json_name),
        "own": forecast.model_limit.as_ref().map(utilization_to_json),
        "keys": keys_to_json(forecast),
        "enough": enough,
        "recommended": recommended,
        "over_time": over_time.iter().map(interval_to_json).collect::<Vec<_>>(),
    })
}

fn rejections_to_json(forecast: &Forecast) -> Value {
    let rejections = forecast.rejected;
    json!({
        "total": rejections.total(),
        "rate": rejections.total() as f64 / forecast.offered.max(1) as f64,
        "too_late": rejections.too_late,
        "queue_full": rejections.queue_full,
        "never": rejections.unsatisfiable,
    })
}

fn keys_to_json(forecast: &Forecast) -> Vec<Value> {
    let keys = forecast.keys.iter().map(|key| {
        json!({
            "key": format!("key-{}", key.key.index() + 1),
            "calls": key.calls,
            "tokens": key.tokens,
            "most_used": key.most_used.as_ref().map(utilization_to_json),
        })
    });
    keys.collect()
}

fn utilization_to_json(utilization: &Utilization) -> Value {
    json!({"limit": json_name(utilization.limit), "share": utilization.share})
}

fn change_to_json(change: &Change) -> Value {
    json!({
        "keys": change.keys,
        "rate_limit_capacity": change.capacity,
        "rate_limit_refill_rate": change.refill_rate,
        "wait_seconds": waits_to_json(&change.forecast),
    })
}

fn waits_to_json(forecast: &Forecast) -> Value {
    let wait = |quantile| forecast.wait_quantile(quantile).as_secs_f64();
    json!({"p50": wait(0.5), "p90": wait(0.9), "p99": wait(0.99), "max": wait(1.0)})
}

fn interval_to_json(interval: &Interval) -> Value {
    json!({
        "at": interval.start,
        "offered": interval.offered,
        "served": interval.served,
        "shed": interval.rejected,
        "longest_wait_seconds": interval.longest_wait.as_secs_f64(),
    })
}
