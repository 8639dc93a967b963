//! `llmpool config show`: what holds, and where each value comes from.

use std::process::ExitCode;
use std::time::Duration;

use llmpool::provider_file::{ProviderFile, SourceMap};
use llmpool::{
    KeyEntry, KeyLabel, LlmInterface, ModelEntry, OpenAiCompatible, ProviderEntry, Providers, Secret,
    TargetSettings, Timeouts,
};
use serde_json::{Value, json};

use crate::cli::Show;
use crate::commands::{chat, print};
use crate::settings;
use crate::table::Table;
use crate::terminal::{Look, Screen};

/// A value, and who says so.
struct Holds {
    name: String,
    value: Value,
    source: Source,
}

enum Source {
    /// A line of the provider file, and where it refers to.
    Line(usize, Option<String>),
    /// A line that refers to what is not there.
    Nowhere(usize, Option<String>),
    Variable(&'static str),
    Default,
}

/// Everything that holds for one model.
struct Model {
    id: String,
    values: Vec<Holds>,
}

pub(super) fn run(show: &Show) -> Result<(), ExitCode> {
    let (file, models) = match settings::file(&show.source) {
        Some(path) => {
            // Who only looks needs no keys: those that are not there are told.
            let file = ProviderFile::read_with_placeholders(&path, &settings::variable)
                .map_err(|error| settings::broken(&error))?;
            let name = path.display().to_string();
            (Some(name), of_file(show, file)?)
        }
        None => (None, vec![of_environment(show)?]),
    };
    let around = around();
    if show.json {
        return print(&format!("{}\n", as_json(file.as_deref(), &around, &models)));
    }
    print(&as_text(file.as_deref(), &around, &models, Screen::stdout()))
}

/// What is said beside the provider file.
fn around() -> Vec<Holds> {
    const NAMES: [&str; 14] = [
        "LLMPOOL_CONFIG",
        "LLMPOOL_MODEL",
        "LLMPOOL_STATE",
        "LLMPOOL_HISTORY",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    let set = NAMES.into_iter().filter_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        // Proxies may have a password in them.
        let value = match name.to_ascii_lowercase().ends_with("_proxy") {
            true => without_credentials(&value),
            false => value,
        };
        Some(Holds {
            name: name.to_owned(),
            value: value.into(),
            source: Source::Variable(name),
        })
    });
    set.collect()
}

fn without_credentials(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}{}…@{host}", if scheme.is_empty() { "" } else { "://" })
        }
        None => url.to_owned(),
    }
}

fn of_file(show: &Show, file: ProviderFile) -> Result<Vec<Model>, ExitCode> {
    let named = show.model.as_deref().filter(|model| !model.is_empty());
    let providers = Providers::from_provider_file(file.clone()).map_err(|error| crate::exit::of(&error))?;
    let only = named
        .map(|named| chat::choose(&providers, Some(named)))
        .transpose()?;
    let mut models = Vec::new();
    for provider in &file.providers {
        let labels = labels(provider);
        for (at, model) in provider.models.iter().enumerate() {
            let id = format!("{}/{}", provider.id, model.model_name);
            if only.as_ref().is_none_or(|only| only.id() == id) {
                let path = format!("{}[{at}]", provider.id);
                let values = of_model(model, &path, &file.source_map, &labels);
                models.push(Model { id, values });
            }
        }
    }
    Ok(models)
}

/// Every key of a provider once, with the label by which all commands call it.
fn labels(provider: &ProviderEntry) -> Vec<(Secret, KeyLabel)> {
    let mut labels: Vec<(Secret, KeyLabel)> = Vec::new();
    for key in provider.models.iter().flat_map(|model| &model.api_keys) {
        if labels.iter().all(|(known, _)| *known != key.secret) {
            let label = key.secret.label(labels.len() + 1);
            labels.push((key.secret.clone(), label));
        }
    }
    labels
}

fn of_model(model: &ModelEntry, path: &str, places: &SourceMap, labels: &[(Secret, KeyLabel)]) -> Vec<Holds> {
    let source = |field: &str| {
        let place = places.get(&format!("{path}.{field}"));
        place.map_or(Source::Default, |place| {
            Source::Line(place.line, place.reference.clone())
        })
    };
    let mut values = vec![Holds {
        name: "base_url".to_owned(),
        value: model.redacted_base_url().into(),
        source: source("base_url"),
    }];
    for (index, key) in model.api_keys.iter().enumerate() {
        let field = format!("api_keys[{index}]");
        let inside = places.get(&format!("{path}.{field}.key"));
        let place = inside.or_else(|| places.get(&format!("{path}.{field}")));
        let (value, source) = match place {
            Some(place) if place.is_unresolved(&settings::variable) => (
                "not set".to_owned(),
                Source::Nowhere(place.line, place.reference.clone()),
            ),
            Some(place) => (
                of_key(key, labels),
                Source::Line(place.line, place.reference.clone()),
            ),
            None => (of_key(key, labels), Source::Default),
        };
        values.push(Holds {
            name: field,
            value: value.into(),
            source,
        });
    }
    let settings = settings_of(&model.settings);
    values.extend(settings.into_iter().map(|(name, value)| Holds {
        name: name.to_owned(),
        value,
        source: source(name),
    }));
    values
}

/// A key as a label, with its limits.
fn of_key(key: &KeyEntry, labels: &[(Secret, KeyLabel)]) -> String {
    let label = labels.iter().find(|(known, _)| *known == key.secret);
    let limits = &key.limits.limits;
    let parts = [
        label.map(|(_, label)| label.to_string()),
        Some(key.limits.weight)
            .filter(|weight| *weight != 1)
            .map(|weight| format!("weight {weight}")),
        limits
            .max_concurrency
            .map(|most| format!("max_concurrency {most}")),
        limits.rpm.map(|rpm| format!("rpm {rpm}")),
        limits.tpm.map(|tpm| format!("tpm {tpm}")),
        limits.rpd.map(|rpd| format!("rpd {rpd}")),
        key.quota_group
            .as_ref()
            .map(|group| format!("quota_group {group}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Values of headers and parameters are nobody's business: their names are enough.
fn settings_of(settings: &TargetSettings) -> Vec<(&'static str, Value)> {
    let TargetSettings {
        api,
        rate_limit,
        rpm,
        tpm,
        rpd,
        max_concurrency,
        expected_output_tokens,
        breaker,
        on_status,
        learn_limits,
        max_retries,
        retry_delay,
        timeouts,
        context_window,
        api_params,
        headers,
    } = settings;
    let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    let Timeouts {
        connect,
        first_content,
        idle,
        total,
    } = *timeouts;
    let params: Vec<&str> = api_params.iter().map(|(name, _)| name.as_str()).collect();
    let headers: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    vec![
        ("api", json!(api.as_str())),
        (
            "rate_limit_capacity",
            json!(rate_limit.map(|(capacity, _)| capacity)),
        ),
        ("rate_limit_refill_rate", json!(rate_limit.map(|(_, rate)| rate))),
        ("rpm", json!(rpm)),
        ("tpm", json!(tpm)),
        ("rpd", json!(rpd)),
        ("max_concurrency", json!(max_concurrency)),
        ("expected_output_tokens", json!(expected_output_tokens)),
        ("learn_limits", json!(learn_limits)),
        ("breaker", json!(breaker)),
        (
            "on_status",
            json!(
                on_status
                    .statuses()
                    .map(|status| status.to_string())
                    .collect::<Vec<_>>()
            ),
        ),
        ("max_retries", json!(max_retries)),
        ("retry_delay", json!(retry_delay.as_secs_f64())),
        ("timeouts.connect", json!(seconds(connect))),
        ("timeouts.first_content", json!(seconds(first_content))),
        ("timeouts.idle", json!(seconds(idle))),
        ("timeouts.total", json!(seconds(total))),
        ("context_window", json!(context_window)),
        ("api_params", json!(params)),
        ("headers", json!(headers)),
    ]
}

/// The provider that `OPENAI_API_KEY` makes.
fn of_environment(show: &Show) -> Result<Model, ExitCode> {
    let providers = settings::find(&show.source)?.providers()?;
    let named = show.model.as_deref().filter(|model| !model.is_empty());
    let model: OpenAiCompatible = chat::choose(&providers, named.or(Some("MODEL")))?;
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let from = |name| {
        if is_set(name) {
            Source::Variable(name)
        } else {
            Source::Default
        }
    };
    let keys = model.key_status().into_iter().map(|key| Holds {
        name: "api_keys[0]".to_owned(),
        value: key.label.to_string().into(),
        source: Source::Variable("OPENAI_API_KEY"),
    });
    let mut values = vec![Holds {
        name: "base_url".to_owned(),
        value: model.redacted_base_url().into(),
        source: from("OPENAI_BASE_URL"),
    }];
    values.extend(keys);
    values.push(Holds {
        name: "context_window".to_owned(),
        value: model.context_window().into(),
        source: Source::Default,
    });
    for name in ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"] {
        if is_set(name) {
            values.push(Holds {
                name: "headers".to_owned(),
                value: "set".into(),
                source: Source::Variable(name),
            });
        }
    }
    let id = match named {
        Some(_) => model.id().to_owned(),
        None => "openai, any model".to_owned(),
    };
    Ok(Model { id, values })
}

fn as_text(file: Option<&str>, around: &[Holds], models: &[Model], screen: Screen) -> String {
    let paint = screen.paint;
    let mut text = String::new();
    if !around.is_empty() {
        text += &format!("{}\n", paint.paint(Look::Strong, "environment"));
        text += &table(around, screen);
        text.push('\n');
    }
    for (at, model) in models.iter().enumerate() {
        let separator = if at == 0 { "" } else { "\n" };
        let origin = file.map_or(String::new(), |file| format!(", in {file}"));
        text += &format!(
            "{separator}{}{origin}
",
            paint.paint(Look::Strong, &model.id)
        );
        text += &table(&model.values, screen);
    }
    text
}

fn table(values: &[Holds], screen: Screen) -> String {
    let mut table = Table::new(screen);
    for Holds { name, value, source } in values {
        let look = match source {
            Source::Default => Look::Dim,
            Source::Nowhere(..) => Look::Bad,
            Source::Line(..) | Source::Variable(_) => Look::Plain,
        };
        let said = match value {
            Value::String(text) => text.clone(),
            Value::Null => "none".to_owned(),
            Value::Array(names) if names.is_empty() => "none".to_owned(),
            Value::Array(names) => {
                let names = names.iter().filter_map(Value::as_str);
                names.collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        table.row([(look, name.clone()), (look, said), (Look::Dim, told(source))]);
    }
    table.draw(2)
}

fn told(source: &Source) -> String {
    match source {
        Source::Line(line, None) => format!("line {line}"),
        Source::Nowhere(line, reference) => {
            format!("line {line}, {}", reference.as_deref().unwrap_or_default())
        }
        Source::Line(line, Some(reference)) => format!("line {line}, {reference}"),
        Source::Variable(name) => (*name).to_owned(),
        Source::Default => "default".to_owned(),
    }
}

fn as_json(file: Option<&str>, around: &[Holds], models: &[Model]) -> Value {
    let values = |values: &[Holds]| values.iter().map(holds_as_json).collect::<Value>();
    let models = models
        .iter()
        .map(|model| json!({"id": model.id, "values": values(&model.values)}));
    json!({
        "file": file,
        "environment": values(around),
        "models": models.collect::<Value>(),
    })
}

fn holds_as_json(Holds { name, value, source }: &Holds) -> Value {
    let source = match source {
        Source::Line(line, reference) => json!({"kind": "file", "line": line, "reference": reference}),
        Source::Nowhere(line, reference) => json!({"kind": "not_set", "line": line, "reference": reference}),
        Source::Variable(name) => json!({"kind": "environment", "variable": name}),
        Source::Default => json!({"kind": "default"}),
    };
    json!({"name": name, "value": value, "source": source})
}
