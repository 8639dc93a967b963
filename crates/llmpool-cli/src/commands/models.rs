//! `llmpool models`: what is configured.

use std::process::ExitCode;

use llmpool::{LlmInterface, OpenAiCompatible};

use super::{code, print};
use crate::cli::Models;
use crate::table::Table;
use crate::terminal::{Look, Screen};
use crate::{say, settings};

pub(crate) fn run(models: &Models) -> ExitCode {
    code(list(models))
}

fn list(models: &Models) -> Result<(), ExitCode> {
    let providers = settings::find(&models.source)?.providers()?;
    if providers.takes_any_model() {
        say::note("the provider from OPENAI_API_KEY takes any model's name");
    }
    let rows: Vec<&OpenAiCompatible> = providers.models().collect();
    if models.json {
        let rows: Vec<_> = rows.iter().map(|model| as_json(model)).collect();
        return print(&format!("{}\n", serde_json::Value::Array(rows)));
    }
    let mut table = Table::with_header(Screen::stdout(), &["MODEL", "KEYS", "CONTEXT", "BASE URL"]);
    for model in rows {
        table.row([
            (Look::Plain, model.id().to_owned()),
            (Look::Plain, model.key_status().len().to_string()),
            (Look::Plain, model.context_window().to_string()),
            (Look::Plain, model.redacted_base_url()),
        ]);
    }
    print(&table.draw(0))
}

fn as_json(model: &OpenAiCompatible) -> serde_json::Value {
    serde_json::json!({
        "id": model.id(),
        "base_url": model.redacted_base_url(),
        "keys": model.key_status().len(),
        "context_window": model.context_window(),
    })
}
