//! Formats the results of `llmpool check` as text.

use std::fmt::Write;

use llmpool::check::{
    CallCheck, Inconclusive, KeyCheck, KeyCheckOutcome, LimitSnapshot, LimitSnapshots, StreamUsage,
};

use super::checked_model::CheckedModel;
use crate::output;
use crate::table::Table;
use crate::terminal::{Screen, Style};

/// The label and style of each outcome. The function `index` returns the position of an outcome in this
/// array.
const OUTCOMES: [(&str, Style); 4] = [
    ("accepted", Style::Good),
    ("refused", Style::Bad),
    ("inconclusive", Style::Warning),
    ("unreachable", Style::Bad),
];

fn index(outcome: KeyCheckOutcome) -> usize {
    match outcome {
        KeyCheckOutcome::Accepted => 0,
        KeyCheckOutcome::Rejected(_) => 1,
        KeyCheckOutcome::Inconclusive(_) => 2,
        KeyCheckOutcome::Unreachable(_) => 3,
    }
}

pub(super) fn render(models: &[CheckedModel], screen: Screen) -> String {
    let mut text: String = models.iter().map(|model| render_model(model, screen)).collect();
    let keys = models.iter().flat_map(|model| &model.keys.keys);
    let mut counts = [0_usize; 4];
    for key in keys {
        counts[index(key.outcome)] += 1;
    }
    let counts = OUTCOMES.iter().zip(counts).map(|((label, style), count)| {
        let style = if count == 0 { Style::Plain } else { *style };
        screen
            .painter
            .paint(style, format!("{count} {label}"))
            .to_string()
    });
    let _ = writeln!(text, "{}", counts.collect::<Vec<_>>().join(", "));
    text
}

fn render_model(model: &CheckedModel, screen: Screen) -> String {
    let CheckedModel {
        id, name, keys, call, ..
    } = model;
    let painter = screen.painter;
    let mut text = format!("{}  {}\n", painter.paint(Style::Strong, id), keys.url);
    let mut table = Table::new(screen);
    for key in &keys.keys {
        let (label, style) = OUTCOMES[index(key.outcome)];
        table.add_row([
            (Style::Plain, key.key.to_string()),
            (style, label.to_owned()),
            (Style::Plain, key_details(key, name)),
        ]);
    }
    text += &table.render(2);
    for account in &keys.likely_accounts {
        let labels: Vec<_> = account.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "  {} {} look like one account; if they share its limits, set the same quota_group for them",
            painter.paint(Style::Hint, "hint:"),
            labels.join(", ")
        );
    }
    if let Some(suggested) = &keys.suggested_base_url {
        let _ = writeln!(
            text,
            "  {} no list of models at this URL; try base_url {suggested}",
            painter.paint(Style::Hint, "hint:")
        );
    }
    if let Some(call) = call {
        let _ = writeln!(text, "  call with {}: {}", call.key, call_details(call));
    }
    text
}

fn key_details(key: &KeyCheck, model: &str) -> String {
    let reason = match key.outcome {
        KeyCheckOutcome::Accepted => None,
        KeyCheckOutcome::Rejected(kind) | KeyCheckOutcome::Unreachable(kind) => {
            Some(kind.as_str().to_owned())
        }
        KeyCheckOutcome::Inconclusive(reason) => Some(explain(reason).to_owned()),
    };
    let not_listed = key.lists(model) == Some(false);
    let status = key.status.filter(|_| key.outcome != KeyCheckOutcome::Accepted);
    let details = [
        reason,
        not_listed.then(|| "model not in the list".to_owned()),
        status.map(|status| status.to_string()),
        key.detail.clone(),
        key.provider_message.as_deref().map(quote),
        key.limits.and_then(limits),
        Some(format!("{:.2}s", key.elapsed.as_secs_f64())),
        key.key.note().map(|note| format!("note: {note}")),
    ];
    join(details)
}

fn explain(reason: Inconclusive) -> &'static str {
    match reason {
        Inconclusive::AcceptsAnyKey => "the provider lists models for any key; test the key with --call",
        Inconclusive::NoModelList => {
            "no list of models at this URL; check base_url, or test the key with --call"
        }
        Inconclusive::ListingForbidden => "the key may not list models; test it with --call",
        Inconclusive::RateLimited => "rate limit reached; retry later",
        Inconclusive::ServerError => "server error of the provider; retry later",
        Inconclusive::UnexpectedResponse => "the response is not a list of models; check base_url",
    }
}

/// Formats the rate limits that the provider reported in response headers. Returns `None` if no header has a
/// readable value.
fn limits(limits: LimitSnapshots) -> Option<String> {
    let one = |snapshot: LimitSnapshot, unit: &str| match (snapshot.remaining, snapshot.limit) {
        (Some(remaining), Some(limit)) => Some(format!("{remaining} of {limit} {unit} left")),
        (Some(remaining), None) => Some(format!("{remaining} {unit} left")),
        (None, Some(limit)) => Some(format!("limit of {limit} {unit}")),
        (None, None) => None,
    };
    let text = join([one(limits.requests, "requests"), one(limits.tokens, "tokens")]);
    Some(text).filter(|text| !text.is_empty())
}

fn call_details(call: &CallCheck) -> String {
    let result = match (call.failure, call.content_events) {
        (Some(kind), _) => kind.as_str().to_owned(),
        (None, 0) => "answer without content".to_owned(),
        (None, 1) => "streamed in 1 chunk".to_owned(),
        (None, chunks) => format!("streamed in {chunks} chunks"),
    };
    let usage = match call.stream_usage {
        StreamUsage::Unknown => None,
        StreamUsage::Reported => Some("stream_options accepted, usage reported"),
        StreamUsage::Ignored => Some("stream_options accepted, usage not reported"),
        StreamUsage::Rejected => Some("stream_options not supported"),
    };
    let no_limits = || call.failure.is_none().then(|| "no limits reported".to_owned());
    let first_content = call
        .time_to_first_content
        .map(|elapsed| format!("first content {:.2}s", elapsed.as_secs_f64()));
    join([
        Some(result),
        call.detail.clone(),
        call.provider_message.as_deref().map(quote),
        usage.map(str::to_owned),
        call.limits.and_then(limits).or_else(no_limits),
        first_content,
    ])
}

fn quote(message: &str) -> String {
    format!("\"{}\"", output::one_line(message))
}

fn join<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
