//! A plan for programs. Names stay as they are; what is not known is null.

use llmpool::WaitReason;
use llmpool::forecast::{Forecast, Utilization};
use serde_json::{Value, json};

use super::advice::{Advice, Change};
use super::chart::{Part, parts};
use super::words::{name, shares};
use super::{Model, Told};

/// Into so many parts the span is cut in `over_time`.
const PARTS: usize = 60;

pub(super) fn of(told: &Told) -> Value {
    let models = told.setup.asked.iter().zip(&told.models);
    let models = models.map(|(asked, model)| of_model(&asked.id, model));
    json!({
        "span_seconds": told.traffic.span.as_secs_f64(),
        "seed": told.traffic.seed,
        "target_wait_seconds": told.target_wait.as_secs_f64(),
        "models": models.collect::<Vec<_>>(),
    })
}

fn of_model(id: &str, model: &Model) -> Value {
    let Model { forecast, advice } = model;
    let (enough, recommended) = match advice {
        Advice::Enough { keys } => (json!(true), json!({"keys": keys})),
        Advice::Change(change) => (json!(false), recommended(change)),
        Advice::Elsewhere(_) => (json!(false), Value::Null),
        Advice::Unknown => (Value::Null, Value::Null),
    };
    let waited_for = shares(forecast).map(|(why, share)| json!({"limit": name(why), "share": share}));
    let turned_away_for = forecast.rejection_reasons.iter();
    let turned_away_for = turned_away_for.map(|(why, calls)| json!({"limit": name(*why), "calls": calls}));
    json!({
        "model": id,
        "offered": forecast.offered,
        "served": forecast.admitted,
        "answered": forecast.answered,
        "goodput_per_second": forecast.goodput(),
        "tokens": forecast.tokens,
        "shed": shed(forecast),
        "turned_away_for": turned_away_for.collect::<Vec<_>>(),
        "wait_seconds": waits(forecast),
        "waited_for": waited_for.collect::<Vec<_>>(),
        "binding_limit": forecast.binding_limit().map(name),
        "own": forecast.model_limit.as_ref().map(used),
        "keys": keys(forecast),
        "enough": enough,
        "recommended": recommended,
        "over_time": parts(forecast, PARTS).iter().map(part).collect::<Vec<_>>(),
    })
}

fn shed(forecast: &Forecast) -> Value {
    let shed = forecast.rejected;
    json!({
        "total": shed.total(),
        "rate": shed.total() as f64 / forecast.offered.max(1) as f64,
        "too_late": shed.too_late,
        "queue_full": shed.queue_full,
        "never": shed.unsatisfiable,
    })
}

fn keys(forecast: &Forecast) -> Vec<Value> {
    let keys = forecast.keys.iter().map(|key| {
        json!({
            "key": format!("key-{}", key.key.index() + 1),
            "calls": key.calls,
            "tokens": key.tokens,
            "most_used": key.most_used.as_ref().map(used),
        })
    });
    keys.collect()
}

fn used(used: &Utilization) -> Value {
    let limit: WaitReason = used.limit;
    json!({"limit": name(limit), "share": used.share})
}

fn recommended(change: &Change) -> Value {
    json!({
        "keys": change.keys,
        "rate_limit_capacity": change.capacity,
        "rate_limit_refill_rate": change.refill_rate,
        "wait_seconds": waits(&change.forecast),
    })
}

fn waits(forecast: &Forecast) -> Value {
    let wait = |part| forecast.wait_quantile(part).as_secs_f64();
    json!({"p50": wait(0.5), "p90": wait(0.9), "p99": wait(0.99), "max": wait(1.0)})
}

fn part(part: &Part) -> Value {
    json!({
        "at": part.at,
        "offered": part.offered,
        "served": part.served,
        "shed": part.shed,
        "longest_wait_seconds": part.longest_wait.as_secs_f64(),
    })
}
