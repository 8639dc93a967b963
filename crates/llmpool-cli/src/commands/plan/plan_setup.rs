//! The configured models of a plan with their keys and limits. A setup can be modified to simulate other keys
//! and limits.

use std::process::ExitCode;

use llmpool::forecast::{Forecast, TooManyCalls, Traffic};
use llmpool::{Error, KeyEntry, ModelEntry, OpenAiCompatible, ProviderEntry, Providers, RateLimit, Secret};

use crate::cli::PlanArgs;
use crate::context::{paths, read_provider_file_without_keys, select_model};
use crate::exit;
use crate::problem::{self, Problem};

/// All configured models, and which of them receive simulated calls.
#[derive(Clone)]
pub(super) struct PlanSetup {
    providers: Vec<ProviderEntry>,
    pub(super) planned: Vec<PlannedModel>,
}

/// A model that receives simulated calls.
#[derive(Clone)]
pub(super) struct PlannedModel {
    /// The id of the model, in the form `provider/model`.
    pub(super) id: String,
    /// The relative share of the calls that the model receives: a model with share 2 gets twice as many calls
    /// as a model with share 1.
    pub(super) share: f64,
}

/// Why the traffic could not be simulated.
pub(super) enum ForecastError {
    TooManyCalls(TooManyCalls),
    Invalid(Error),
}

impl PlanSetup {
    /// Loads the provider file. In the returned setup, no model receives calls yet.
    pub(super) fn load(args: &PlanArgs) -> Result<Self, ExitCode> {
        let Some(path) = paths::provider_file(&args.config) else {
            return Err(Problem::new("no provider file was found")
                .with_hint("run llmpool config init to write a provider file, or pass one with --config")
                .exit(exit::CONFIG));
        };
        let file = read_provider_file_without_keys(&path)?;
        Ok(Self {
            providers: file.providers,
            planned: Vec::new(),
        })
    }

    /// Sends all simulated calls to the requested model. If none was requested, sends them to the only
    /// configured model.
    pub(super) fn plan_single(&mut self, requested: Option<&str>) -> Result<(), ExitCode> {
        let providers = self.providers().map_err(problem::exit_with)?;
        let model = select_model(&providers, requested)?;
        self.planned = vec![PlannedModel {
            id: model.id().to_owned(),
            share: 1.0,
        }];
        Ok(())
    }

    /// Adds the named model to the planned models, unless it is already planned. Returns the index of the
    /// model in `planned`.
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

    /// Simulates the traffic. Returns a forecast for each planned model, in the order of `planned`.
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

    /// Creates providers from the configuration. No calls have been charged against their limits.
    pub(super) fn providers(&self) -> Result<Providers, Error> {
        Providers::from_entries(self.providers.clone())
    }

    /// Returns the configuration of the planned model at `index`.
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

    /// Returns a copy of the setup in which the planned model at `index` has `count` keys. Additional keys
    /// have the limits of the first key, and each has its own account.
    pub(super) fn with_keys(&self, index: usize, count: usize) -> Self {
        self.modified(index, |model| {
            let keys = &mut model.api_keys;
            keys.truncate(count);
            let first = keys.first().cloned();
            let additional = (keys.len()..count).filter_map(|number| {
                Some(KeyEntry {
                    secret: Secret::from(format!("additional-{number}")),
                    quota_group: None,
                    name: None,
                    note: None,
                    ..first.clone()?
                })
            });
            let additional: Vec<KeyEntry> = additional.collect();
            keys.extend(additional);
        })
    }

    /// Returns a copy of the setup in which the planned model at `index` has the given rate limit, or none.
    /// The copy has no `rpm` limit for this model.
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
