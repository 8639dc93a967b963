//! Formats a plan as text with a chart.

use std::fmt::Write;

use llmpool::ModelEntry;
use llmpool::forecast::{Arrivals, Forecast, Traffic, Utilization};

use super::advice::{Advice, Change};
use super::chart::Chart;
use super::limit_labels::{limit, limit_kind, per_second, percent, seconds, wait_shares};
use super::plan_report::{ModelPlan, PlanReport};
use crate::format;
use crate::table::Table;
use crate::terminal::{Screen, Style};

/// Maximum number of keys that get a row each. More keys are summarised in a single row.
const MAX_KEY_ROWS: usize = 20;

pub(super) fn render(report: &PlanReport, screen: Screen, chart: Chart) -> String {
    let planned = &report.setup.planned;
    let total: f64 = planned.iter().map(|planned| planned.share).sum();
    let mut text = String::new();
    for (index, (planned, model)) in planned.iter().zip(&report.models).enumerate() {
        let share = match (&report.traffic.arrivals, report.models.len()) {
            (_, 1) | (Arrivals::Recorded(_), _) => String::new(),
            _ => format!(", {} of the calls", percent(planned.share / total)),
        };
        let separator = if index == 0 { "" } else { "\n" };
        let Some(entry) = report.setup.entry(index) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{separator}{}: {}{share}\n{}\n",
            screen.painter.paint(Style::Strong, &planned.id),
            keys(entry.api_keys.len()),
            traffic_text(&report.traffic)
        );
        text += &forecast_table(&model.forecast, screen);
        let _ = write!(
            text,
            "\n{}\n{}",
            chart.draw(&model.forecast),
            advice_text(report, model, entry)
        );
    }
    text
}

fn traffic_text(traffic: &Traffic) -> String {
    let arrivals = match &traffic.arrivals {
        Arrivals::Random { per_second } => format!("{per_second} calls/s at random times"),
        Arrivals::Even { per_second } => format!("{per_second} calls/s at even intervals"),
        Arrivals::Callers(callers) => format!("{callers} callers"),
        Arrivals::Recorded(calls) => format!("{} recorded calls", calls.len()),
    };
    let burst = traffic.burst.map_or(String::new(), |burst| {
        format!(" plus {} at once every {}", burst.calls, seconds(burst.every))
    });
    let span = seconds(traffic.span);
    if matches!(traffic.arrivals, Arrivals::Recorded(_)) {
        return format!("{arrivals}{burst} in {span}");
    }
    format!(
        "{arrivals}{burst} for {span}; {:.0} + {:.0} tokens and {:.2} s per call",
        traffic.prompt_tokens.mean(),
        traffic.output_tokens.mean(),
        traffic.latency.mean()
    )
}

fn forecast_table(forecast: &Forecast, screen: Screen) -> String {
    let span = forecast.span.as_secs_f64();
    let offered = per_second(forecast.offered as f64 / span);
    let answered = per_second(forecast.goodput());
    let tokens_per_minute = forecast.tokens as f64 / span * 60.0;
    let mut rows = vec![
        (
            "offered".to_owned(),
            format!("{} calls, {offered}", forecast.offered),
        ),
        (
            "answered".to_owned(),
            format!("{} within the simulated time, {answered}", forecast.answered),
        ),
        ("rejected".to_owned(), rejected_text(forecast)),
        ("wait".to_owned(), waits_text(forecast)),
        ("waited for".to_owned(), waited_for_text(forecast)),
        (
            "tokens".to_owned(),
            format!("{}, {tokens_per_minute:.0} per minute", forecast.tokens),
        ),
    ];
    if let Some(own) = &forecast.model_limit {
        rows.push(("model".to_owned(), utilization_text(own)));
    }
    rows.extend(key_rows(forecast));
    let mut table = Table::new(screen);
    for (name, text) in rows {
        let style = match &name[..] {
            "rejected" if forecast.rejected.total() > 0 => Style::Bad,
            "rejected" => Style::Good,
            _ => Style::Plain,
        };
        table.add_row([(Style::Dim, format!("{name:<10}")), (style, text)]);
    }
    table.render(0)
}

fn rejected_text(forecast: &Forecast) -> String {
    let rejections = forecast.rejected;
    if rejections.total() == 0 {
        return "none".to_owned();
    }
    let main_reason = forecast.rejection_reasons.first();
    let main_reason = main_reason.map_or(String::new(), |(reason, _)| limit(*reason));
    let causes = [
        (
            rejections.too_late,
            format!("would wait too long, mostly for {main_reason}"),
        ),
        (rejections.queue_full, "found the queue full".to_owned()),
        (
            rejections.unsatisfiable,
            "need more tokens than a limit allows".to_owned(),
        ),
    ];
    let causes = causes.iter().filter(|(calls, _)| *calls > 0);
    let causes: Vec<_> = causes.map(|(calls, cause)| format!("{calls} {cause}")).collect();
    format!(
        "{}: {}",
        percent(rejections.total() as f64 / forecast.offered as f64),
        causes.join(", ")
    )
}

fn key_rows(forecast: &Forecast) -> Vec<(String, String)> {
    if forecast.keys.len() > MAX_KEY_ROWS {
        let calls = forecast.keys.iter().map(|key| key.calls);
        let (fewest, most) = (calls.clone().min(), calls.max());
        let range = format!("{} to {}", fewest.unwrap_or(0), most.unwrap_or(0));
        let text = format!("{} keys with {range} calls each", forecast.keys.len());
        return vec![("keys".to_owned(), text)];
    }
    let rows = forecast.keys.iter().map(|key| {
        let most_used = key.most_used.as_ref();
        let most_used = most_used.map_or(String::new(), |most| format!(", {}", utilization_text(most)));
        (
            format!("key-{}", key.key.index() + 1),
            format!("{} calls{most_used}", key.calls),
        )
    });
    rows.collect()
}

fn utilization_text(utilization: &Utilization) -> String {
    format!(
        "{} of its {}",
        percent(utilization.share),
        limit_kind(utilization.limit)
    )
}

fn waits_text(forecast: &Forecast) -> String {
    let wait = |quantile| seconds(forecast.wait_quantile(quantile));
    format!(
        "p50 {}, p90 {}, p99 {}, max {}",
        wait(0.5),
        wait(0.9),
        wait(0.99),
        wait(1.0)
    )
}

fn waited_for_text(forecast: &Forecast) -> String {
    let shares: Vec<_> = wait_shares(forecast)
        .map(|(reason, share)| format!("{} ({})", limit(reason), percent(share)))
        .collect();
    match &shares[..] {
        [] => "nothing".to_owned(),
        some => some.join(", "),
    }
}

fn advice_text(report: &PlanReport, model: &ModelPlan, entry: &ModelEntry) -> String {
    let goal = format!(
        "a p99 wait of at most {} without rejections",
        seconds(report.target_wait)
    );
    let configured = entry.api_keys.len();
    match &model.advice {
        Advice::Sufficient { keys: required } if *required < configured => format!(
            "The {} are sufficient for {goal}; so is {}.\n",
            keys(configured),
            keys(*required)
        ),
        Advice::Sufficient { .. } => format!("The configuration is sufficient for {goal}.\n"),
        Advice::Unknown => {
            format!("Too many calls to search for limits that give {goal}; shorten --for.\n")
        }
        Advice::OtherLimit(forecast) => format!(
            "No number of keys and no rate gives {goal}: {} is the limit.\n",
            remaining_limit(forecast)
        ),
        Advice::Change(change) => format!(
            "Recommended for {goal}:\n  {}\n  \"rate_limit_capacity\": {}, \"rate_limit_refill_rate\": {}{}\n  gives {}\n",
            recommended_keys(change, configured),
            change.capacity,
            change.refill_rate,
            configured_rate(entry),
            waits_text(&change.forecast),
        ),
    }
}

fn remaining_limit(unlimited: &Forecast) -> String {
    match unlimited.binding_limit() {
        _ if unlimited.rejected.unsatisfiable > 0 => "a token limit below the tokens of one call".to_owned(),
        Some(reason) => limit(reason),
        None => "the maximum queue length".to_owned(),
    }
}

fn recommended_keys(change: &Change, configured: usize) -> String {
    match change.keys {
        more if more > configured => format!(
            "{} with the limits of the first one and separate accounts (configured: {configured})",
            keys(more)
        ),
        same if same == configured => format!("{} as configured", keys(same)),
        fewer => format!("{} (configured: {configured})", keys(fewer)),
    }
}

fn configured_rate(entry: &ModelEntry) -> String {
    let limits = &entry.settings.limits;
    match (limits.rate_limit, limits.rpm) {
        (Some(limit), _) => format!(" (configured: {} and {})", limit.capacity(), limit.per_second()),
        (None, Some(rpm)) => format!(" instead of \"rpm\": {rpm}"),
        (None, None) => ", or no rate limit as configured".to_owned(),
    }
}

fn keys(count: usize) -> String {
    format::count(count, "key")
}
