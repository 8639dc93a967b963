//! The models that a plan is about, as the provider file has them and as they could be.

use std::process::ExitCode;

use llmpool::forecast::{Forecast, TooManyCalls, Traffic};
use llmpool::provider_file::ProviderFile;
use llmpool::{Error, KeyEntry, ModelEntry, OpenAiCompatible, ProviderEntry, Providers, Secret};

use super::super::chat;
use crate::cli::Plan;
use crate::{exit, settings};

/// Models with their keys and limits, and which of them calls are for.
#[derive(Clone)]
pub(super) struct Setup {
    providers: Vec<ProviderEntry>,
    pub(super) asked: Vec<Asked>,
}

/// A model that calls are for.
#[derive(Clone)]
pub(super) struct Asked {
    /// `provider/model`.
    pub(super) id: String,
    /// Its share of the calls, compared with those of the others.
    pub(super) share: f64,
}

/// Why there is no forecast.
pub(super) enum Unforetold {
    TooManyCalls(TooManyCalls),
    Wrong(Error),
}

impl Setup {
    /// The provider file, with calls for the model that was named, or for the only one there is.
    pub(super) fn find(plan: &Plan) -> Result<Self, ExitCode> {
        let Some(path) = settings::file(&plan.source) else {
            let hint = "llmpool config init writes one; or name one with --config";
            return Err(exit::hinting(
                exit::CONFIG,
                "there is no provider.json to plan with",
                hint,
            ));
        };
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let file =
            ProviderFile::read_with_placeholders(&path, &env).map_err(|error| settings::broken(&error))?;
        Ok(Self {
            providers: file.providers,
            asked: Vec::new(),
        })
    }

    /// Calls are for the model that was named, or for the only one there is.
    pub(super) fn ask_one(&mut self, named: Option<&str>) -> Result<(), ExitCode> {
        let providers = self.providers().map_err(|error| exit::of(&error))?;
        let chosen = chat::choose(&providers, named)?;
        self.asked = vec![Asked {
            id: chosen.id().to_owned(),
            share: 1.0,
        }];
        Ok(())
    }

    /// Calls are for this model too. Answers its place among those that calls are for.
    pub(super) fn ask(&mut self, providers: &Providers, named: &str, share: f64) -> Result<usize, Error> {
        let model = providers.model(named)?;
        if let Some(known) = self.asked.iter().position(|asked| asked.id == model.id()) {
            return Ok(known);
        }
        self.asked.push(Asked {
            id: model.id().to_owned(),
            share,
        });
        Ok(self.asked.len() - 1)
    }

    /// What becomes of traffic: one forecast for each model that calls are for.
    pub(super) fn forecast(&self, traffic: &Traffic) -> Result<Vec<Forecast>, Unforetold> {
        let providers = self.providers().map_err(Unforetold::Wrong)?;
        let models = self.asked.iter().map(|asked| {
            let model = providers.model(&asked.id)?;
            Ok((model, asked.share))
        });
        let models = models.collect::<Result<Vec<_>, Error>>();
        let models = models.map_err(Unforetold::Wrong)?;
        OpenAiCompatible::forecast_together(&models, traffic).map_err(Unforetold::TooManyCalls)
    }

    /// The providers with limits that nobody has used yet.
    pub(super) fn providers(&self) -> Result<Providers, Error> {
        Providers::from_entries(self.providers.clone())
    }

    /// What the file says of one of the models that calls are for.
    pub(super) fn model(&self, at: usize) -> Option<&ModelEntry> {
        let (provider, model) = self.asked.get(at)?.id.split_once('/')?;
        let provider = self.providers.iter().find(|known| known.id == provider)?;
        provider.models.iter().find(|known| known.model_name == model)
    }

    fn with(&self, at: usize, change: impl FnOnce(&mut ModelEntry)) -> Self {
        let mut setup = self.clone();
        let id = setup.asked[at].id.clone();
        let models = setup.providers.iter_mut().flat_map(|provider| {
            let id = provider.id.clone();
            let models = provider.models.iter_mut();
            models.map(move |model| (format!("{id}/{}", model.model_name), model))
        });
        if let Some((_, model)) = models.into_iter().find(|(known, _)| *known == id) {
            change(model);
        }
        setup
    }

    /// The same with so many keys of a model: more of them are like its first, each with an account of its own.
    pub(super) fn with_keys(&self, at: usize, count: usize) -> Self {
        self.with(at, |model| {
            let keys = &mut model.api_keys;
            keys.truncate(count);
            let first = keys.first().cloned();
            let more = (keys.len()..count).filter_map(|at| {
                Some(KeyEntry {
                    secret: Secret::from(format!("one-more-{at}")),
                    quota_group: None,
                    ..first.clone()?
                })
            });
            let more: Vec<KeyEntry> = more.collect();
            keys.extend(more);
        })
    }

    /// The same with another rate of requests of a model's own, or none.
    pub(super) fn with_rate(&self, at: usize, rate: Option<(u32, f64)>) -> Self {
        self.with(at, |model| {
            model.settings.rate_limit = rate;
            model.settings.rpm = None;
        })
    }
}

impl Unforetold {
    /// Told to the person who asked.
    pub(super) fn ended(self) -> ExitCode {
        match self {
            Self::TooManyCalls(error) => exit::hinting(
                exit::USAGE,
                &error.to_string(),
                "make --for shorter, or let fewer come",
            ),
            Self::Wrong(error) => exit::of(&error),
        }
    }
}
