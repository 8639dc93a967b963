//! `llmpool check`: tests which keys the providers accept. With `--call`, also tests whether streaming works.

mod checked_model;
mod report_json;
mod report_text;

use std::process::ExitCode;
use std::time::Duration;

use llmpool::check::{CallCheck, KeyCheckOutcome, ModelCheck};
use llmpool::{LlmInterface, OpenAiCompatible};

use self::checked_model::CheckedModel;
use crate::cli::{CheckArgs, non_empty};
use crate::context::{ProviderSource, select_model};
use crate::terminal::Screen;
use crate::{exit, format, output};

pub(crate) async fn run(args: &CheckArgs) -> Result<(), ExitCode> {
    let models = models(args)?;
    if args.call {
        let calls = format::count(models.len(), "billed call");
        output::note(format!("making {calls} of at most 16 tokens"));
    }
    let mut checked: Vec<CheckedModel> = Vec::new();
    for model in models {
        checked.push(check(model, args, &checked).await);
    }
    output::print(&match args.json {
        true => format!("{}\n", report_json::render(&checked)),
        false => report_text::render(&checked, Screen::stdout()),
    })?;
    match checked.iter().any(CheckedModel::is_refused) {
        true => Err(ExitCode::from(exit::CREDENTIALS)),
        false => Ok(()),
    }
}

/// Returns the requested model, or all configured models if none was requested. Fails if no model was
/// requested and the provider accepts any model name.
fn models(args: &CheckArgs) -> Result<Vec<OpenAiCompatible>, ExitCode> {
    let providers = ProviderSource::load(&args.config)?.print_warnings().providers()?;
    let requested = non_empty(args.model.as_ref());
    if requested.is_some() || providers.accepts_any_model() {
        return Ok(vec![select_model(&providers, requested)?]);
    }
    Ok(providers.models().cloned().collect())
}

/// Checks the keys of a model. If an already checked model has the same base URL and the same keys, reuses
/// its results. With `--call`, also makes a streaming call.
async fn check(model: OpenAiCompatible, args: &CheckArgs, checked: &[CheckedModel]) -> CheckedModel {
    let keys = match checked.iter().find(|other| has_same_keys(other, &model)) {
        Some(other) => other.keys.clone(),
        None => model.check_keys(args.timeout).await,
    };
    let call = match args.call {
        true => call(&model, &keys, args.timeout).await,
        false => None,
    };
    CheckedModel {
        id: model.id().to_owned(),
        name: model.model_name().to_owned(),
        base_url: model.base_url().to_owned(),
        keys,
        call,
    }
}

fn has_same_keys(checked: &CheckedModel, model: &OpenAiCompatible) -> bool {
    let keys = model.key_status();
    let checked_keys = checked.keys.keys.iter().map(|key| &key.key);
    checked.base_url == model.base_url() && checked_keys.eq(keys.iter().map(|key| &key.label))
}

/// Makes a streaming call with the first key that the provider did not refuse. Returns `None` if all keys
/// were refused.
async fn call(model: &OpenAiCompatible, keys: &ModelCheck, timeout: Duration) -> Option<CallCheck> {
    let is_usable = |outcome| !matches!(outcome, KeyCheckOutcome::Rejected(_));
    let key = keys.keys.iter().find(|key| is_usable(key.outcome))?;
    model.check_call(&key.key, timeout).await
}
