//! A plan for people: words and bars.

use std::fmt::Write;

use llmpool::ModelEntry;
use llmpool::forecast::{Arrivals, Forecast, Traffic, Utilization};

use super::advice::{Advice, Change};
use super::chart::Chart;
use super::words::{a_second, keys, limit, own_limit, percent, seconds, shares};
use super::{Model, Told};
use crate::table::Table;
use crate::terminal::{Look, Screen};

/// More keys than these are not listed one by one.
const MOST_KEYS: usize = 20;

pub(super) fn of(told: &Told, screen: Screen, chart: Chart) -> String {
    let all: f64 = told.setup.asked.iter().map(|asked| asked.share).sum();
    let mut text = String::new();
    for (at, (asked, model)) in told.setup.asked.iter().zip(&told.models).enumerate() {
        let share = match (&told.traffic.arrivals, told.models.len()) {
            (_, 1) | (Arrivals::Recorded(_), _) => String::new(),
            _ => format!(", {} of the calls", percent(asked.share / all)),
        };
        let separator = if at == 0 { "" } else { "\n" };
        let Some(entry) = told.setup.model(at) else {
            continue;
        };
        let of_file = keys(entry.api_keys.len());
        let _ = writeln!(
            text,
            "{separator}{}: {of_file}{share}\n{}\n",
            screen.paint.paint(Look::Strong, &asked.id),
            calls(&told.traffic)
        );
        text += &rows(&model.forecast, screen);
        let _ = write!(
            text,
            "\n{}\n{}",
            chart.draw(&model.forecast),
            advice(told, model, entry)
        );
    }
    text
}

fn calls(traffic: &Traffic) -> String {
    let who = match &traffic.arrivals {
        Arrivals::Random { per_second } => format!("{per_second} calls a second by chance"),
        Arrivals::Even { per_second } => format!("{per_second} calls a second evenly"),
        Arrivals::Callers(callers) => format!("{callers} callers"),
        Arrivals::Recorded(calls) => format!("{} recorded calls", calls.len()),
    };
    let burst = traffic.burst.map_or(String::new(), |burst| {
        format!(" and {} at once every {}", burst.calls, seconds(burst.every))
    });
    let span = seconds(traffic.span);
    if matches!(traffic.arrivals, Arrivals::Recorded(_)) {
        return format!("{who}{burst} in {span}");
    }
    format!(
        "{who}{burst} for {span}, {:.0} + {:.0} tokens and {:.2} s each",
        traffic.prompt_tokens.mean(),
        traffic.output_tokens.mean(),
        traffic.latency.mean()
    )
}

fn rows(forecast: &Forecast, screen: Screen) -> String {
    let span = forecast.span.as_secs_f64();
    let mut rows = vec![
        (
            "offered".to_owned(),
            format!(
                "{} calls, {}",
                forecast.offered,
                a_second(forecast.offered as f64 / span)
            ),
        ),
        (
            "answered".to_owned(),
            format!("{} in time, {}", forecast.answered, a_second(forecast.goodput())),
        ),
        ("turned away".to_owned(), shed(forecast)),
        ("wait".to_owned(), waits(forecast)),
        ("waited for".to_owned(), waited_for(forecast)),
        (
            "tokens".to_owned(),
            format!(
                "{}, {:.0} a minute",
                forecast.tokens,
                forecast.tokens as f64 / span * 60.0
            ),
        ),
    ];
    if let Some(own) = &forecast.model_limit {
        rows.push(("model".to_owned(), used(own)));
    }
    rows.extend(key_rows(forecast));
    let mut table = Table::new(screen);
    for (name, says) in rows {
        let look = match &name[..] {
            "turned away" if forecast.rejected.total() > 0 => Look::Bad,
            "turned away" => Look::Good,
            _ => Look::Plain,
        };
        table.row([(Look::Dim, format!("{name:<11}")), (look, says)]);
    }
    table.draw(0)
}

fn shed(forecast: &Forecast) -> String {
    let shed = forecast.rejected;
    if shed.total() == 0 {
        return "none".to_owned();
    }
    let for_what = forecast.rejection_reasons.first().map(|(why, _)| limit(*why));
    let reasons = [
        (
            shed.too_late,
            format!(
                "would have waited too long, most for {}",
                for_what.unwrap_or_default()
            ),
        ),
        (shed.queue_full, "found the queue full".to_owned()),
        (
            shed.unsatisfiable,
            "need more tokens than a limit ever has".to_owned(),
        ),
    ];
    let reasons = reasons.iter().filter(|(calls, _)| *calls > 0);
    let reasons: Vec<_> = reasons.map(|(calls, why)| format!("{calls} {why}")).collect();
    format!(
        "{}: {}",
        percent(shed.total() as f64 / forecast.offered as f64),
        reasons.join(", ")
    )
}

fn key_rows(forecast: &Forecast) -> Vec<(String, String)> {
    if forecast.keys.len() > MOST_KEYS {
        let calls = forecast.keys.iter().map(|key| key.calls);
        let (least, most) = (calls.clone().min(), calls.max());
        let range = format!("{} to {}", least.unwrap_or(0), most.unwrap_or(0));
        let says = format!("each of {} served {range} calls", forecast.keys.len());
        return vec![("keys".to_owned(), says)];
    }
    let rows = forecast.keys.iter().map(|key| {
        let most_used = key.most_used.as_ref();
        let used = most_used.map_or(String::new(), |most| format!(", {}", used(most)));
        (
            format!("key-{}", key.key.index() + 1),
            format!("{} calls{used}", key.calls),
        )
    });
    rows.collect()
}

fn used(used: &Utilization) -> String {
    format!("{} of its {}", percent(used.share), own_limit(used.limit))
}

fn waits(forecast: &Forecast) -> String {
    let wait = |part| seconds(forecast.wait_quantile(part));
    format!(
        "p50 {}, p90 {}, p99 {}, at most {}",
        wait(0.5),
        wait(0.9),
        wait(0.99),
        wait(1.0)
    )
}

fn waited_for(forecast: &Forecast) -> String {
    let shares: Vec<_> = shares(forecast)
        .map(|(why, share)| format!("{} ({})", limit(why), percent(share)))
        .collect();
    match &shares[..] {
        [] => "nothing".to_owned(),
        some => some.join(", "),
    }
}

fn advice(told: &Told, model: &Model, entry: &ModelEntry) -> String {
    let wait = seconds(told.target_wait);
    let goal = format!("99 of 100 calls waiting at most {wait}, none turned away");
    let present = entry.api_keys.len();
    match &model.advice {
        Advice::Enough { keys: least } if *least < present => {
            let (are, would) = (keys(present), keys(*least));
            format!("The {are} are enough for {goal}; {would} would do.\n")
        }
        Advice::Enough { .. } => format!("This is enough for {goal}.\n"),
        Advice::Unknown => {
            format!("These are too many calls to try what {goal} would take; make --for shorter.\n")
        }
        Advice::Elsewhere(unbound) => format!(
            "No number of keys and no rate give {goal}: {} stands in the way.\n",
            elsewhere(unbound)
        ),
        Advice::Change(change) => format!(
            "For {goal}:\n  {}\n  \"rate_limit_capacity\": {}, \"rate_limit_refill_rate\": {}{}\n  which gives {}\n",
            keys_then(change, present),
            change.capacity,
            change.refill_rate,
            present_rate(entry),
            waits(&change.forecast),
        ),
    }
}

fn elsewhere(unbound: &Forecast) -> &'static str {
    match unbound.binding_limit() {
        _ if unbound.rejected.unsatisfiable > 0 => "a limit of tokens that is less than one call needs",
        Some(why) => limit(why),
        None => "the longest line that may wait",
    }
}

fn keys_then(change: &Change, present: usize) -> String {
    match change.keys {
        more if more > present => format!(
            "{} like the first, each with an account of its own (now {present})",
            keys(more)
        ),
        same if same == present => format!("{} as now", keys(same)),
        fewer => format!("{} would do (now {present})", keys(fewer)),
    }
}

fn present_rate(entry: &ModelEntry) -> String {
    let settings = &entry.settings;
    match (settings.rate_limit, settings.rpm) {
        (Some((capacity, rate)), _) => format!(" (now {capacity} and {rate})"),
        (None, Some(rpm)) => format!(" instead of \"rpm\": {rpm}"),
        (None, None) => " would do (now none, which does too)".to_owned(),
    }
}
