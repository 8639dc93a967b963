//! Formats settings as text and as JSON.

use serde_json::{Value, json};

use super::settings_values::{ModelValues, SettingValue, ValueSource};
use crate::table::Table;
use crate::terminal::{Screen, Style};

pub(super) fn to_text(
    file: Option<&str>,
    environment: &[SettingValue],
    models: &[ModelValues],
    screen: Screen,
) -> String {
    let heading = |text: &str| screen.painter.paint(Style::Strong, text).to_string();
    let mut sections = Vec::new();
    if !environment.is_empty() {
        sections.push(format!(
            "{}\n{}",
            heading("environment"),
            table(environment, screen)
        ));
    }
    for model in models {
        let origin = file.map_or(String::new(), |file| format!(", in {file}"));
        sections.push(format!(
            "{}{origin}\n{}",
            heading(&model.id),
            table(&model.values, screen)
        ));
    }
    sections.join("\n")
}

fn table(values: &[SettingValue], screen: Screen) -> String {
    let mut table = Table::new(screen);
    for SettingValue { name, value, source } in values {
        let style = match source {
            ValueSource::Default => Style::Dim,
            ValueSource::Unset(..) => Style::Bad,
            ValueSource::Line(..) | ValueSource::Variable(_) => Style::Plain,
        };
        table.add_row([
            (style, name.clone()),
            (style, value_text(value)),
            (Style::Dim, source_text(source)),
        ]);
    }
    table.render(2)
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(names) if names.is_empty() => "none".to_owned(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn source_text(source: &ValueSource) -> String {
    match source {
        ValueSource::Line(line, None) | ValueSource::Unset(line, None) => format!("line {line}"),
        ValueSource::Line(line, Some(reference)) | ValueSource::Unset(line, Some(reference)) => {
            format!("line {line}, {reference}")
        }
        ValueSource::Variable(name) => (*name).to_owned(),
        ValueSource::Default => "default".to_owned(),
    }
}

/// Formats settings as JSON. The field names are stable.
pub(super) fn to_json(file: Option<&str>, environment: &[SettingValue], models: &[ModelValues]) -> Value {
    let values = |values: &[SettingValue]| values.iter().map(value_to_json).collect::<Value>();
    let models = models
        .iter()
        .map(|model| json!({"id": model.id, "values": values(&model.values)}));
    json!({
        "file": file,
        "environment": values(environment),
        "models": models.collect::<Value>(),
    })
}

fn value_to_json(SettingValue { name, value, source }: &SettingValue) -> Value {
    let source = match source {
        ValueSource::Line(line, reference) => json!({"kind": "file", "line": line, "reference": reference}),
        ValueSource::Unset(line, reference) => {
            json!({"kind": "not_set", "line": line, "reference": reference})
        }
        ValueSource::Variable(name) => json!({"kind": "environment", "variable": name}),
        ValueSource::Default => json!({"kind": "default"}),
    };
    json!({"name": name, "value": value, "source": source})
}
