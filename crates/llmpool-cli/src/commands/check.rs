//! `llmpool check`: which keys their providers accept, and what a short call shows.

mod told;

use std::process::ExitCode;
use std::time::Duration;

use llmpool::check::{CallCheck, KeyCheckOutcome, ModelCheck};
use llmpool::{LlmInterface, OpenAiCompatible};

use super::{chat, code, print};
use crate::cli::Check;
use crate::terminal::Screen;
use crate::{exit, say, settings};

/// What became of one model.
struct Checked {
    /// `provider/model`.
    id: String,
    /// The model's own name.
    name: String,
    base_url: String,
    keys: ModelCheck,
    call: Option<CallCheck>,
}

pub(crate) async fn run(check: &Check) -> ExitCode {
    code(ask(check).await)
}

async fn ask(check: &Check) -> Result<(), ExitCode> {
    let models = models(check)?;
    if check.call {
        let calls = match models.len() {
            1 => "1 billed call".to_owned(),
            several => format!("{several} billed calls"),
        };
        say::note(format!("this makes {calls} of at most 16 tokens"));
    }
    let mut checked: Vec<Checked> = Vec::new();
    for model in models {
        let keys = match checked.iter().find(|other| other.is_of_keys(&model)) {
            Some(other) => other.keys.clone(),
            None => model.check_keys(check.timeout).await,
        };
        let call = match check.call {
            true => call(&model, &keys, check.timeout).await,
            false => None,
        };
        checked.push(Checked {
            id: model.id().to_owned(),
            name: model.model_name().to_owned(),
            base_url: model.base_url().to_owned(),
            keys,
            call,
        });
    }
    if check.json {
        print(&format!("{}\n", told::as_json(&checked)))?;
    } else {
        print(&told::as_text(&checked, Screen::stdout()))?;
    }
    if checked.iter().any(Checked::is_refused) {
        return Err(exit::code(exit::CREDENTIALS));
    }
    Ok(())
}

/// Those that are configured, or the one that was named.
fn models(check: &Check) -> Result<Vec<OpenAiCompatible>, ExitCode> {
    let providers = settings::find(&check.source)?.warn().providers()?;
    let named = check.model.as_deref().filter(|model| !model.is_empty());
    if named.is_some() || providers.takes_any_model() {
        return Ok(vec![chat::choose(&providers, named)?]);
    }
    Ok(providers.models().cloned().collect())
}

/// With the first key that may be accepted.
async fn call(model: &OpenAiCompatible, keys: &ModelCheck, timeout: Duration) -> Option<CallCheck> {
    let usable = |verdict| !matches!(verdict, KeyCheckOutcome::Rejected(_));
    let key = keys.keys.iter().find(|key| usable(key.outcome))?;
    model.check_call(&key.key, timeout).await
}

impl Checked {
    /// Whether it was asked where this model is, with the same keys.
    fn is_of_keys(&self, model: &OpenAiCompatible) -> bool {
        let keys = model.key_status();
        let asked = self.keys.keys.iter().map(|key| &key.key);
        self.base_url == model.base_url() && asked.eq(keys.iter().map(|key| &key.label))
    }

    fn is_refused(&self) -> bool {
        let mut keys = self.keys.keys.iter();
        let call = self.call.as_ref().and_then(|call| call.failure);
        keys.any(|key| matches!(key.outcome, KeyCheckOutcome::Rejected(_)))
            || call.is_some_and(told::is_refusal)
    }
}
