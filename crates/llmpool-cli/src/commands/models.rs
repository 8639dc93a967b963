//! `llmpool models`: lists the configured models.

use std::process::ExitCode;

use llmpool::{LlmInterface, OpenAiCompatible};

use crate::cli::ModelsArgs;
use crate::context::ProviderSource;
use crate::output;
use crate::table::Table;
use crate::terminal::{Screen, Style};

pub(crate) fn run(args: &ModelsArgs) -> Result<(), ExitCode> {
    let providers = ProviderSource::load(&args.config)?.providers()?;
    if providers.accepts_any_model() {
        output::note("the provider from OPENAI_API_KEY accepts any model name");
    }
    let models: Vec<&OpenAiCompatible> = providers.models().collect();
    if args.json {
        let models: Vec<_> = models.iter().map(|model| to_json(model)).collect();
        return output::print(&format!("{}\n", serde_json::Value::Array(models)));
    }
    let mut table = Table::with_header(Screen::stdout(), &["MODEL", "KEYS", "CONTEXT", "BASE URL"]);
    for model in models {
        let cells = [
            model.id().to_owned(),
            model.key_status().len().to_string(),
            model.context_window().to_string(),
            model.redacted_base_url(),
        ];
        table.add_row(cells.map(|cell| (Style::Plain, cell)));
    }
    output::print(&table.render(0))
}

fn to_json(model: &OpenAiCompatible) -> serde_json::Value {
    serde_json::json!({
        "id": model.id(),
        "base_url": model.redacted_base_url(),
        "keys": model.key_status().len(),
        "context_window": model.context_window(),
    })
}
