//! The model that a plan is about, as the provider file has it and as it could be.

use std::process::ExitCode;

use llmpool::forecast::{Forecast, Traffic};
use llmpool::provider_file::{KeyEntry, ModelEntry, ProviderFile};
use llmpool::{OpenAiCompatible, Providers, Secret};

use super::super::chat;
use crate::cli::Plan;
use crate::{exit, settings};

/// One model with its keys and limits.
#[derive(Clone)]
pub(super) struct Setup {
    /// `provider/model`.
    pub(super) id: String,
    pub(super) model: ModelEntry,
}

impl Setup {
    /// What the provider file says of the model that was named, or of the only one there is.
    pub(super) fn find(plan: &Plan) -> Result<Self, ExitCode> {
        let Some(path) = settings::file(&plan.source) else {
            let problem = "there is no provider.json to plan with; write one, or name it with --config";
            return Err(exit::with(exit::CONFIG, problem));
        };
        let file = ProviderFile::read(&path, &variable_or_stand_in)
            .map_err(|error| exit::with(exit::CONFIG, &error.to_string()))?;
        let providers = Providers::from_entries(file.clone()).map_err(|error| exit::of(&error))?;
        let named = plan.model.as_deref().filter(|model| !model.is_empty());
        let chosen = chat::choose(&providers, named)?;
        let models = file.providers.into_iter().flat_map(|provider| {
            let of_provider =
                move |model: ModelEntry| (format!("{}/{}", provider.id, model.model_name), model);
            provider.models.into_iter().map(of_provider)
        });
        let (id, model) = models
            .into_iter()
            .find(|(id, _)| id == chosen.id())
            .ok_or_else(|| exit::failed("the model is not in the file any more"))?;
        Ok(Self { id, model })
    }

    /// What becomes of traffic.
    pub(super) fn forecast(&self, traffic: &Traffic) -> Result<Forecast, ExitCode> {
        Ok(self.target()?.forecast(traffic))
    }

    fn target(&self) -> Result<OpenAiCompatible, ExitCode> {
        let ModelEntry {
            model_name,
            api_keys,
            base_url,
            settings,
        } = self.model.clone();
        let provider = self.id.split('/').next().unwrap_or_default();
        let providers = Providers::builder()
            .model(provider, &model_name, &base_url, api_keys, settings)
            .build();
        let model = providers.and_then(|providers| providers.model(&self.id));
        model.map_err(|error| exit::of(&error))
    }

    pub(super) fn keys(&self) -> usize {
        self.model.api_keys.len()
    }

    /// The same with so many keys: more of them are like the first, each with an account of its own.
    pub(super) fn with_keys(&self, count: usize) -> Self {
        let mut setup = self.clone();
        let keys = &mut setup.model.api_keys;
        keys.truncate(count);
        let first = keys.first().cloned();
        let more = (keys.len()..count).filter_map(|at| {
            Some(KeyEntry {
                secret: Secret::from(format!("one-more-{at}").as_str()),
                quota_group: None,
                ..first.clone()?
            })
        });
        let more: Vec<KeyEntry> = more.collect();
        keys.extend(more);
        setup
    }

    /// The same with another rate of requests of its own, or none.
    pub(super) fn with_rate(&self, rate: Option<(u32, f64)>) -> Self {
        let mut setup = self.clone();
        setup.model.settings.rate_limit = rate;
        setup.model.settings.rpm = None;
        setup
    }
}

/// Keys are not sent, so it does not matter which they are.
fn variable_or_stand_in(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    Some(value.unwrap_or_else(|| format!("stand-in-for-{name}")))
}
