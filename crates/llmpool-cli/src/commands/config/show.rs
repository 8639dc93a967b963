//! `llmpool config show`: the effective settings, and where each value comes from.

mod settings_report;
mod settings_values;

use std::process::ExitCode;

use llmpool::Providers;

use self::settings_values::ModelValues;
use crate::cli::{ShowArgs, non_empty};
use crate::context::{ProviderSource, paths, read_provider_file_without_keys, select_model};
use crate::terminal::Screen;
use crate::{output, problem};

pub(super) fn run(args: &ShowArgs) -> Result<(), ExitCode> {
    let path = paths::provider_file(&args.config);
    let models = match &path {
        Some(path) => file_models(args, path)?,
        None => vec![environment_model(args)?],
    };
    let file = path.map(|path| path.display().to_string());
    let environment = settings_values::environment();
    output::print(&match args.json {
        true => format!(
            "{}\n",
            settings_report::to_json(file.as_deref(), &environment, &models)
        ),
        false => settings_report::to_text(file.as_deref(), &environment, &models, Screen::stdout()),
    })
}

/// Returns the settings of the requested model, or of all models in the provider file. If an API key refers
/// to a variable or file that does not exist, the key is shown as not set.
fn file_models(args: &ShowArgs, path: &std::path::Path) -> Result<Vec<ModelValues>, ExitCode> {
    let file = read_provider_file_without_keys(path)?;
    let providers = Providers::from_provider_file(file.clone()).map_err(problem::exit_with)?;
    let requested = non_empty(args.model.as_ref())
        .map(|model| select_model(&providers, Some(model)))
        .transpose()?;
    let mut models = settings_values::file_models(&file);
    models.retain(|model| {
        requested
            .as_ref()
            .is_none_or(|requested| requested.id() == model.id)
    });
    Ok(models)
}

/// Returns the settings of the provider that the environment variable `OPENAI_API_KEY` defines.
fn environment_model(args: &ShowArgs) -> Result<ModelValues, ExitCode> {
    let providers = ProviderSource::load(&args.config)?.providers()?;
    let requested = non_empty(args.model.as_ref());
    // Any name gives the same settings.
    let model = select_model(&providers, requested.or(Some("MODEL")))?;
    Ok(ModelValues {
        id: match requested {
            Some(_) => model.id().to_owned(),
            None => "openai, any model".to_owned(),
        },
        values: settings_values::environment_provider(&model),
    })
}
