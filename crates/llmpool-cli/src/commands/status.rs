//! `llmpool status`: what another command, or a program with the library, wrote down of its keys and limits.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::provider_file::ProviderFile;
use llmpool::{RateLimitStatus, SavedKey, SavedModel, SavedStatus};
use serde_json::{Value, json};

use super::{code, counted, print};
use crate::cli::Status;
use crate::exit;
use crate::settings::{self, Found};
use crate::table::Table;
use crate::terminal::{Look, Screen};

pub(crate) fn run(status: &Status) -> ExitCode {
    code(show(status))
}

fn show(status: &Status) -> Result<(), ExitCode> {
    let Some(path) = status.state.file() else {
        return Err(exit::hinting(
            exit::USAGE,
            "no state file is named",
            "name the one that llmpool chat --state FILE or save_key_states writes, with --state or LLMPOOL_STATE",
        ));
    };
    let (providers, file) = match settings::find(&status.source)? {
        Found::File { path, providers } => (providers, Some(settings::read(&path)?)),
        other => (other.providers()?, None),
    };
    if !path.exists() {
        return Err(exit::hinting(
            exit::FAILED,
            &format!("there is no state file {}", path.display()),
            "it is written once a command or a program that keeps it has begun",
        ));
    }
    let saved = providers.saved_status(&path).map_err(|error| exit::of(&error))?;
    let limits = file.map_or_else(BTreeMap::new, |file| limits(&file));
    if status.json {
        return print(&format!("{}\n", as_json(&saved, &limits)));
    }
    let name = path.display().to_string();
    print(&as_text(&name, &saved, &limits, Screen::stdout()))
}

/// By the model's id, each limit by its name in the provider file.
type Limits = BTreeMap<String, Vec<(&'static str, f64)>>;

/// What every model is limited to beside its requests at once and a second.
fn limits(file: &ProviderFile) -> Limits {
    let mut limits = Limits::new();
    for provider in &file.providers {
        for model in &provider.models {
            let settings = &model.settings;
            let all = [
                ("rpm", settings.rpm),
                ("tpm", settings.tpm),
                ("rpd", settings.rpd),
                ("max_concurrency", settings.max_concurrency),
            ];
            let set = all
                .into_iter()
                .filter_map(|(name, most)| Some((name, f64::from(most?))));
            limits.insert(format!("{}/{}", provider.id, model.model_name), set.collect());
        }
    }
    limits
}

fn as_text(name: &str, saved: &SavedStatus, limits: &Limits, screen: Screen) -> String {
    let paint = screen.paint;
    let age = saved.age.map_or("at a time it does not say".to_owned(), |age| {
        format!("{} ago", in_words(age))
    });
    let mut text = format!("{} saved {age}\n\n", paint.paint(Look::Strong, name));
    let mut models = Table::with_header(screen, &["MODEL", "LIMITS", "FREE NOW", "WAITING"]);
    for SavedModel {
        id,
        rate_limit,
        waiting,
        ..
    } in &saved.models
    {
        let free = rate_limit.map_or(String::new(), |rate| rate.available_tokens.to_string());
        let row = [
            id.clone(),
            limits_of(*rate_limit, limits.get(id)),
            free,
            waiting.to_string(),
        ];
        models.row(row.map(|cell| (Look::Plain, cell)));
    }
    text += &models.draw(0);
    text.push('\n');
    let mut keys = Table::with_header(screen, &["PROVIDER", "KEY", "STATE", "BACK IN", "UNDER WAY"]);
    for SavedKey {
        provider,
        label,
        state,
        retry_in,
        in_flight,
        ..
    } in &saved.keys
    {
        let look = match *state {
            "healthy" => Look::Good,
            "throttled" => Look::Doubtful,
            _ => Look::Bad,
        };
        let back_in = match retry_in {
            // The next call finds out.
            Some(Duration::ZERO) => "now".to_owned(),
            Some(left) => in_words(*left),
            None => String::new(),
        };
        keys.row([
            (Look::Plain, provider.clone()),
            (Look::Plain, label.to_string()),
            (look, (*state).to_owned()),
            (Look::Plain, back_in),
            (Look::Plain, in_flight.to_string()),
        ]);
    }
    text += &keys.draw(0);
    if saved.unknown_keys > 0 {
        let keys = counted(saved.unknown_keys, "key");
        text += &format!("\n{keys} of the file not in the provider file\n");
    }
    text
}

fn limits_of(rate: Option<RateLimitStatus>, others: Option<&Vec<(&'static str, f64)>>) -> String {
    let rate = rate.map(|rate| format!("{} at once, {} a second", rate.capacity, rate.refill_rate));
    let others = others
        .into_iter()
        .flatten()
        .map(|(name, most)| format!("{name} {most}"));
    let all: Vec<_> = rate.into_iter().chain(others).collect();
    match &all[..] {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}

fn in_words(span: Duration) -> String {
    match span.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn as_json(saved: &SavedStatus, limits: &Limits) -> Value {
    let seconds = |span: Duration| (span.as_secs_f64() * 1e3).round() / 1e3;
    let models = saved.models.iter().map(|model| {
        let limit = model.rate_limit.map(|limit| {
            json!({
                "capacity": limit.capacity,
                "refill_rate": limit.refill_rate,
                "available_tokens": limit.available_tokens,
            })
        });
        let others = limits.get(&model.id).into_iter().flatten();
        let others: BTreeMap<_, _> = others.map(|(name, most)| (*name, *most as u64)).collect();
        json!({"id": model.id, "rate_limit": limit, "limits": others, "waiting": model.waiting})
    });
    let keys = saved.keys.iter().map(|key| {
        json!({
            "provider": key.provider,
            "key": key.label.to_string(),
            "state": key.state,
            "back_in_s": key.retry_in.map(seconds),
            "in_flight": key.in_flight,
        })
    });
    json!({
        "age_s": saved.age.map(seconds),
        "models": models.collect::<Value>(),
        "keys": keys.collect::<Value>(),
        "unknown_keys": saved.unknown_keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_the_unit_that_matters() {
        for (seconds, words) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
