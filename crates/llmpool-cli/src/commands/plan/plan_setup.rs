//! The models of a plan with their keys and limits, as configured and as modified by a recommendation.

use std::process::ExitCode;

use llmpool::forecast::{Forecast, TooManyCalls, Traffic};
use llmpool::{Error, KeyEntry, ModelEntry, OpenAiCompatible, ProviderEntry, Providers, RateLimit, Secret};

use crate::cli::PlanArgs;
use crate::context::{paths, read_provider_file_without_keys, select_model};
use crate::exit;
use crate::problem::{self, Problem};

/// All configured models, and those that receive calls.
#[derive(Clone)]
pub(super) struct PlanSetup {
    providers: Vec<ProviderEntry>,
    pub(super) planned: Vec<PlannedModel>,
}

/// A model that receives calls.
#[derive(Clone)]
pub(super) struct PlannedModel {
    /// `provider/model`.
    pub(super) id: String,
    /// Its weight in the distribution of the calls, relative to the other models.
    pub(super) share: f64,
}

/// Why there is no forecast.
pub(super) enum ForecastError {
    TooManyCalls(TooManyCalls),
    Invalid(Error),
}

impl PlanSetup {
    /// Loads the provider file. No model receives calls yet.
    pub(super) fn load(args: &PlanArgs) -> Result<Self, ExitCode> {
        let Some(path) = paths::provider_file(&args.config) else {
            return Err(Problem::new("no provider file was found")
                .with_hint("run llmpool config init to write one, or pass one with --config")
                .exit(exit::CONFIG));
        };
        let file = read_provider_file_without_keys(&path)?;
        Ok(Self {
            providers: file.providers,
            planned: Vec::new(),
        })
    }

    /// Sends all calls to the requested model, or to the only one.
    pub(super) fn plan_single(&mut self, requested: Option<&str>) -> Result<(), ExitCode> {
        let providers = self.providers().map_err(problem::exit_with)?;
        let model = select_model(&providers, requested)?;
        self.planned = vec![PlannedModel {
            id: model.id().to_owned(),
            share: 1.0,
        }];
        Ok(())
    }

    /// Adds a model that receives calls, if it is not planned yet. Returns its index in `planned`.
    pub(super) fn add(&mut self, providers: &Providers, name: &str, share: f64) -> Result<usize, Error> {
        let model = providers.model(name)?;
        if let Some(index) = self.planned.iter().position(|planned| planned.id == model.id()) {
            return Ok(index);
        }
        self.planned.push(PlannedModel {
            id: model.id().to_owned(),
            share,
        });
        Ok(self.planned.len() - 1)
    }

    /// Simulates the traffic. Returns one forecast for each planned model.
    pub(super) fn forecast(&self, traffic: &Traffic) -> Result<Vec<Forecast>, ForecastError> {
        let providers = self.providers().map_err(ForecastError::Invalid)?;
        let models = self.planned.iter().map(|planned| {
            let model = providers.model(&planned.id)?;
            Ok((model, planned.share))
        });
        let models = models.collect::<Result<Vec<_>, Error>>();
        let models = models.map_err(ForecastError::Invalid)?;
        OpenAiCompatible::forecast_together(&models, traffic).map_err(ForecastError::TooManyCalls)
    }

    /// Returns new providers, with all limits unused.
    pub(super) fn providers(&self) -> Result<Providers, Error> {
        Providers::from_entries(self.providers.clone())
    }

    /// Returns the configuration of a planned model.
    pub(super) fn entry(&self, index: usize) -> Option<&ModelEntry> {
        let (provider, model) = self.planned.get(index)?.id.split_once('/')?;
        let provider = self.providers.iter().find(|known| known.id == provider)?;
        provider.models.iter().find(|known| known.model_name == model)
    }

    fn modified(&self, index: usize, change: impl FnOnce(&mut ModelEntry)) -> Self {
        let mut setup = self.clone();
        let id = setup.planned[index].id.clone();
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

    /// Returns the setup with another number of keys for a planned model. Additional keys have the limits of the first one and accounts of
    /// their own.
    pub(super) fn with_keys(&self, index: usize, count: usize) -> Self {
        self.modified(index, |model| {
            let keys = &mut model.api_keys;
            keys.truncate(count);
            let first = keys.first().cloned();
            let additional = (keys.len()..count).filter_map(|number| {
                Some(KeyEntry {
                    secret: Secret::from(format!("additional-{number}")),
                    quota_group: None,
                    ..first.clone()?
                })
            });
            let additional: Vec<KeyEntry> = additional.collect();
            keys.extend(additional);
        })
    }

    /// Returns the setup with another rate limit, or none, for a planned model.
    pub(super) fn with_rate(&self, index: usize, rate_limit: Option<RateLimit>) -> Self {
        self.modified(index, |model| {
            model.settings.limits.rate_limit = rate_limit;
            model.settings.limits.rpm = None;
        })
    }
}

impl ForecastError {
    /// Prints the error and returns the exit code.
    pub(super) fn exit(self) -> ExitCode {
        match self {
            Self::TooManyCalls(error) => Problem::new(error.to_string())
                .with_hint("shorten --for, or lower the rate or the number of callers")
                .exit(exit::USAGE),
            Self::Invalid(error) => problem::exit_with(error),
        }
    }
}
