//! `llmpool models`: what is configured.

use std::process::ExitCode;

use llmpool::{LlmInterface, OpenAiCompatible};

use super::{code, print};
use crate::cli::Models;
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
    let width = rows.iter().map(|model| model.id().len()).max().unwrap_or(0);
    let line = |model: &&OpenAiCompatible| {
        let keys = model.key_status().len();
        format!(
            "{:width$}  {keys} key(s)  {} tokens  {}\n",
            model.id(),
            model.context_window(),
            model.shown_base_url()
        )
    };
    print(&rows.iter().map(line).collect::<String>())
}

fn as_json(model: &OpenAiCompatible) -> serde_json::Value {
    serde_json::json!({
        "id": model.id(),
        "base_url": model.shown_base_url(),
        "keys": model.key_status().len(),
        "context_window": model.context_window(),
    })
}
