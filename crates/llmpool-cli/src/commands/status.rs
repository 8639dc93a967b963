//! `llmpool status`: shows the key states and limits saved in a state file. The file is saved by another
//! command, or by a program that uses the library.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::provider_file::ProviderFile;
use llmpool::{KeyState, RateLimitStatus, SavedKey, SavedModel, SavedStatus};
use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::context::{ProviderSource, read_provider_file};
use crate::format::json_seconds;
use crate::problem::{self, Problem};
use crate::table::Table;
use crate::terminal::{Screen, Style};
use crate::{exit, format, output};

pub(crate) fn run(args: &StatusArgs) -> Result<(), ExitCode> {
    let Some(path) = args.state.file() else {
        return Err(Problem::new("no state file was specified")
            .with_hint("pass a state file with --state or LLMPOOL_STATE; llmpool chat --state FILE and the library's save_key_states write state files")
            .exit(exit::USAGE));
    };
    let (providers, file) = match ProviderSource::load(&args.config)? {
        ProviderSource::File { path, providers } => (providers, Some(read_provider_file(&path)?)),
        other => (other.providers()?, None),
    };
    if !path.exists() {
        return Err(
            Problem::new(format!("state file {} does not exist", path.display()))
                .with_hint("run llmpool chat with the same --state to create the file")
                .exit(exit::FAILED),
        );
    }
    let saved = providers.saved_status(&path).map_err(problem::exit_with)?;
    let limits = file.map_or_else(BTreeMap::new, |file| limits_by_model(&file));
    output::print(&match args.json {
        true => format!("{}\n", to_json(&saved, &limits)),
        false => to_text(&path.display().to_string(), &saved, &limits, Screen::stdout()),
    })
}

/// For each model id, the limits that the provider file sets but the state file does not contain. Each limit
/// is a pair of field name and value.
type LimitsByModel = BTreeMap<String, Vec<(&'static str, u32)>>;

fn limits_by_model(file: &ProviderFile) -> LimitsByModel {
    let mut limits = LimitsByModel::new();
    for provider in &file.providers {
        for model in &provider.models {
            let settings = &model.settings;
            let all = [
                ("rpm", settings.limits.rpm),
                ("tpm", settings.limits.tpm),
                ("rpd", settings.limits.rpd),
                ("max_concurrency", settings.limits.max_concurrency),
            ];
            let set = all.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
            limits.insert(format!("{}/{}", provider.id, model.model_name), set.collect());
        }
    }
    limits
}

fn to_text(name: &str, saved: &SavedStatus, limits: &LimitsByModel, screen: Screen) -> String {
    let age = saved.age.map_or("at an unknown time".to_owned(), |age| {
        format!("{} ago", rough_duration(age))
    });
    let mut text = format!("{} saved {age}\n\n", screen.painter.paint(Style::Strong, name));
    text += &model_table(saved, limits, screen);
    text.push('\n');
    text += &key_table(saved, screen);
    if saved.unknown_keys > 0 {
        let keys = format::count(saved.unknown_keys, "key");
        text += &format!("\n{keys} in the state file but not in the provider file\n");
    }
    text
}

fn model_table(saved: &SavedStatus, limits: &LimitsByModel, screen: Screen) -> String {
    let mut table = Table::with_header(screen, &["MODEL", "LIMITS", "AVAILABLE", "WAITING"]);
    for SavedModel {
        id,
        rate_limit,
        waiting,
        ..
    } in &saved.models
    {
        let available = rate_limit.map_or(String::new(), |rate| rate.available_tokens.to_string());
        let cells = [
            id.clone(),
            limits_text(*rate_limit, limits.get(id)),
            available,
            waiting.to_string(),
        ];
        table.add_row(cells.map(|cell| (Style::Plain, cell)));
    }
    table.render(0)
}

fn key_table(saved: &SavedStatus, screen: Screen) -> String {
    let has_notes = saved.keys.iter().any(|key| key.label.note().is_some());
    let names = ["PROVIDER", "KEY", "STATE", "RETRY IN", "IN FLIGHT", "NOTE"];
    let shown = names.len() - usize::from(!has_notes);
    let mut table = Table::with_header(screen, &names[..shown]);
    for SavedKey {
        provider,
        label,
        state,
        retry_in,
        in_flight,
        ..
    } in &saved.keys
    {
        let style = match state {
            KeyState::Healthy => Style::Good,
            KeyState::Throttled => Style::Warning,
            _ => Style::Bad,
        };
        let retry_in = match retry_in {
            // The next call probes the key.
            Some(Duration::ZERO) => "now".to_owned(),
            Some(left) => rough_duration(*left),
            None => String::new(),
        };
        let cells = [
            (Style::Plain, provider.clone()),
            (Style::Plain, label.to_string()),
            (style, state.to_string()),
            (Style::Plain, retry_in),
            (Style::Plain, in_flight.to_string()),
            (Style::Plain, label.note().unwrap_or_default().to_owned()),
        ];
        table.add_row(cells.into_iter().take(shown));
    }
    table.render(0)
}

fn limits_text(rate: Option<RateLimitStatus>, others: Option<&Vec<(&'static str, u32)>>) -> String {
    let rate = rate.map(|rate| format!("burst {}, {}/s", rate.capacity, rate.refill_rate));
    let others = others
        .into_iter()
        .flatten()
        .map(|(name, limit)| format!("{name} {limit}"));
    let all: Vec<_> = rate.into_iter().chain(others).collect();
    match &all[..] {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}

/// Formats a duration in the largest unit that gives a number of at least 2, such as `119 s` or `2 min`.
/// Formats a duration shorter than 2 s in seconds. Rounds down.
fn rough_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn to_json(saved: &SavedStatus, limits: &LimitsByModel) -> Value {
    let models = saved.models.iter().map(|model| {
        let rate_limit = model.rate_limit.map(|rate| {
            json!({
                "capacity": rate.capacity,
                "refill_rate": rate.refill_rate,
                "available_tokens": rate.available_tokens,
            })
        });
        let limits: BTreeMap<_, _> = limits.get(&model.id).into_iter().flatten().copied().collect();
        json!({"id": model.id, "rate_limit": rate_limit, "limits": limits, "waiting": model.waiting})
    });
    let keys = saved.keys.iter().map(|key| {
        json!({
            "provider": key.provider,
            "key": key.label.to_string(),
            "name": key.label.name(),
            "note": key.label.note(),
            "state": key.state.as_str(),
            "back_in_s": key.retry_in.map(json_seconds),
            "in_flight": key.in_flight,
        })
    });
    json!({
        "age_s": saved.age.map(json_seconds),
        "models": models.collect::<Value>(),
        "keys": keys.collect::<Value>(),
        "unknown_keys": saved.unknown_keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_its_largest_unit_with_at_least_two() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(rough_duration(Duration::from_secs(seconds)), text);
        }
    }
}
