//! Collects the effective settings, each with its value and the source of the value.

use std::time::Duration;

use llmpool::provider_file::{ProviderFile, SourceMap};
use llmpool::{
    KeyEntry, KeyLabel, Limits, LlmInterface, ModelEntry, OpenAiCompatible, ProviderEntry, Secret,
    TargetSettings, Timeouts,
};
use serde_json::{Value, json};

use crate::context::environment_variable;

pub(super) struct SettingValue {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) source: ValueSource,
}

impl SettingValue {
    fn new(name: impl Into<String>, value: impl Into<Value>, source: ValueSource) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            source,
        }
    }
}

/// Where the value of a setting comes from.
pub(super) enum ValueSource {
    /// The value comes from a line of the provider file. Contains the line number and, if the value is a
    /// reference such as `${NAME}`, the reference.
    Line(usize, Option<String>),
    /// The provider file refers to a variable or file that does not exist. Contains the line number and the
    /// reference.
    Unset(usize, Option<String>),
    /// The value comes from the environment variable with this name.
    Variable(&'static str),
    Default,
}

/// The settings of one model.
pub(super) struct ModelValues {
    pub(super) id: String,
    pub(super) values: Vec<SettingValue>,
}

/// Returns the environment variables that are set and affect commands, such as `LLMPOOL_MODEL` and
/// `HTTPS_PROXY`. Variables to which the provider file refers are not included.
pub(super) fn environment() -> Vec<SettingValue> {
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
        // The URL of a proxy can contain a password.
        let value = match name.to_ascii_lowercase().ends_with("_proxy") {
            true => without_credentials(&value),
            false => value,
        };
        Some(SettingValue::new(name, value, ValueSource::Variable(name)))
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

/// Returns the settings of all models in a provider file.
pub(super) fn file_models(file: &ProviderFile) -> Vec<ModelValues> {
    let mut models = Vec::new();
    for provider in &file.providers {
        let labels = key_labels(provider);
        for (index, model) in provider.models.iter().enumerate() {
            let path = format!("{}[{index}]", provider.id);
            models.push(ModelValues {
                id: format!("{}/{}", provider.id, model.model_name),
                values: model_values(model, &path, &file.source_map, &labels),
            });
        }
    }
    models
}

/// Returns each key of a provider once, with the label that all commands show for the key.
fn key_labels(provider: &ProviderEntry) -> Vec<(Secret, KeyLabel)> {
    let mut labels: Vec<(Secret, KeyLabel)> = Vec::new();
    for key in provider.models.iter().flat_map(|model| &model.api_keys) {
        if labels.iter().all(|(known, _)| *known != key.secret) {
            let label = key.label(labels.len() + 1);
            labels.push((key.secret.clone(), label));
        }
    }
    labels
}

fn model_values(
    model: &ModelEntry,
    path: &str,
    source_map: &SourceMap,
    labels: &[(Secret, KeyLabel)],
) -> Vec<SettingValue> {
    let source = |field: &str| {
        let location = source_map.get(&format!("{path}.{field}"));
        location.map_or(ValueSource::Default, |location| {
            ValueSource::Line(location.line, location.reference.clone())
        })
    };
    let mut values = vec![SettingValue::new(
        "base_url",
        model.redacted_base_url(),
        source("base_url"),
    )];
    for (index, key) in model.api_keys.iter().enumerate() {
        let name = format!("api_keys[{index}]");
        let in_object = source_map.get(&format!("{path}.{name}.key"));
        let location = in_object.or_else(|| source_map.get(&format!("{path}.{name}")));
        let (value, source) = match location {
            Some(location) if location.is_unresolved(&environment_variable) => (
                "not set".to_owned(),
                ValueSource::Unset(location.line, location.reference.clone()),
            ),
            Some(location) => (
                key_text(key, labels),
                ValueSource::Line(location.line, location.reference.clone()),
            ),
            None => (key_text(key, labels), ValueSource::Default),
        };
        values.push(SettingValue::new(name, value, source));
    }
    let settings = target_values(model);
    values.extend(
        settings
            .into_iter()
            .map(|(name, value)| SettingValue::new(name, value, source(name))),
    );
    values
}

/// Formats a key as its label followed by its limits. The key itself is never shown.
fn key_text(key: &KeyEntry, labels: &[(Secret, KeyLabel)]) -> String {
    let label = labels.iter().find(|(known, _)| *known == key.secret);
    let limits = &key.limits.limits;
    let parts = [
        label.map(|(_, label)| label.to_string()),
        Some(key.limits.weight)
            .filter(|weight| *weight != 1)
            .map(|weight| format!("weight {weight}")),
        limits
            .max_concurrency
            .map(|limit| format!("max_concurrency {limit}")),
        limits.rate_limit.map(|limit| {
            let (capacity, rate) = (limit.capacity(), limit.per_second());
            format!("rate_limit_capacity {capacity}, rate_limit_refill_rate {rate}")
        }),
        limits.rpm.map(|rpm| format!("rpm {rpm}")),
        limits.tpm.map(|tpm| format!("tpm {tpm}")),
        limits.rpd.map(|rpd| format!("rpd {rpd}")),
        key.quota_group
            .as_ref()
            .map(|group| format!("quota_group {group}")),
        key.note.as_ref().map(|note| format!("note: {note}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the name and value of each setting of a model. For headers and API parameters, returns only their
/// names, because their values can be secret.
fn target_values(model: &ModelEntry) -> Vec<(&'static str, Value)> {
    let TargetSettings {
        api,
        limits,
        expected_output_tokens,
        breaker,
        on_status,
        learn_limits,
        limit_scope: _,
        structured_output: _,
        max_retries,
        retry_delay,
        timeouts,
        context_window,
        api_params,
        headers,
    } = &model.settings;
    let Limits {
        rate_limit,
        rpm,
        tpm,
        rpd,
        max_concurrency,
    } = *limits;
    let seconds = |duration: Option<Duration>| duration.map(|duration| duration.as_secs_f64());
    let Timeouts {
        connect,
        first_content,
        idle,
        total,
    } = *timeouts;
    let params: Vec<&str> = api_params.iter().map(|(name, _)| name.as_str()).collect();
    let headers: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    let statuses: Vec<String> = on_status.statuses().map(|status| status.to_string()).collect();
    vec![
        ("api", json!(api.as_str())),
        (
            "rate_limit_capacity",
            json!(rate_limit.map(|limit| limit.capacity())),
        ),
        (
            "rate_limit_refill_rate",
            json!(rate_limit.map(|limit| limit.per_second())),
        ),
        ("rpm", json!(rpm)),
        ("tpm", json!(tpm)),
        ("rpd", json!(rpd)),
        ("max_concurrency", json!(max_concurrency)),
        ("expected_output_tokens", json!(expected_output_tokens)),
        ("learn_limits", json!(learn_limits)),
        ("limit_scope", json!(model.limit_scope().as_str())),
        ("structured_output", json!(model.structured_output().as_str())),
        ("breaker", json!(breaker)),
        ("on_status", json!(statuses)),
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

/// Returns the settings of the provider that the environment variable `OPENAI_API_KEY` defines.
pub(super) fn environment_provider(model: &OpenAiCompatible) -> Vec<SettingValue> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut values = vec![SettingValue {
        name: "base_url".to_owned(),
        value: model.redacted_base_url().into(),
        source: match is_set("OPENAI_BASE_URL") {
            true => ValueSource::Variable("OPENAI_BASE_URL"),
            false => ValueSource::Default,
        },
    }];
    values.extend(model.key_status().into_iter().map(|key| {
        SettingValue::new(
            "api_keys[0]",
            key.label.to_string(),
            ValueSource::Variable("OPENAI_API_KEY"),
        )
    }));
    values.push(SettingValue::new(
        "context_window",
        model.context_window(),
        ValueSource::Default,
    ));
    let headers = ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID"]
        .into_iter()
        .filter(|name| is_set(name));
    values.extend(headers.map(|name| SettingValue::new("headers", "set", ValueSource::Variable(name))));
    values
}
