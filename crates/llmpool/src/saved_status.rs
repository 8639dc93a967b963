//! What another process wrote down of its keys and limits, for an operator who looks on.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::key_states::{self, Kept, State, StateFile};
use crate::openai_compatible::OpenAiCompatible;
use crate::providers::Providers;
use crate::secrets::KeyLabel;
use crate::token_bucket::RateLimitStatus;

/// What a state file says of the models and keys that are configured here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedStatus {
    /// How long ago it was written; `None` where the file does not say.
    pub age: Option<Duration>,
    /// Every model, by id.
    pub models: Vec<SavedModel>,
    /// Every key, by provider and position.
    pub keys: Vec<SavedKey>,
    /// Keys of the file that are not configured here.
    pub unknown_keys: usize,
}

/// A model and its rate limit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedModel {
    /// `provider/model`.
    pub id: String,
    /// `None` where there is no limit of requests at once and a second. `available_tokens` is what came back since the file was written, had nothing been sent; all of it
    /// where the file does not know the model.
    pub rate_limit: Option<RateLimitStatus>,
    /// How many calls waited for their turn.
    pub waiting: usize,
}

/// A key and what was known of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedKey {
    /// The provider's name.
    pub provider: String,
    /// How the key is shown.
    pub label: KeyLabel,
    /// `healthy`, `throttled`, `no quota`, `invalid` or `disabled`.
    pub state: &'static str,
    /// When it is used again, or tried once. `None` where it is in use, or until somebody enables it.
    pub back_in: Option<Duration>,
    /// Attempts that were under way.
    pub in_flight: u32,
}

impl Providers {
    /// What [`save_key_states`](Self::save_key_states) wrote down, here or in another process, of the models and keys that are
    /// configured here. Changes nothing. Fails where there is no such file, or where it is none of ours.
    pub fn saved_status(&self, path: impl AsRef<Path>) -> Result<SavedStatus, Error> {
        let path = path.as_ref();
        let Some(file) = key_states::read(path)? else {
            let problem = format!("there is no state file {}", path.display());
            return Err(Error::new(ErrorKind::Config, problem));
        };
        let wall_now = clock::wall_now();
        let age = file
            .saved_at
            .map(|at| wall_now.saturating_sub(Duration::from_millis(at)));
        let (keys, unknown_keys) = self.saved_keys(&file, wall_now);
        Ok(SavedStatus {
            age,
            models: self
                .models()
                .map(|model| saved_model(model, &file, age))
                .collect(),
            keys,
            unknown_keys,
        })
    }

    /// Every key, and how many the file has beside them.
    fn saved_keys(&self, file: &StateFile, wall_now: Duration) -> (Vec<SavedKey>, usize) {
        let kept = file
            .keys
            .iter()
            .map(|kept| (named(&kept.provider, &kept.fingerprint), kept));
        let mut kept: HashMap<_, _> = kept.collect();
        let loads = file
            .loads
            .iter()
            .map(|load| (named(&load.provider, &load.fingerprint), load.in_flight));
        let loads: HashMap<_, _> = loads.collect();
        let mut keys = Vec::new();
        for provider in self.pools() {
            for key in &provider.keys {
                let known_as = key_states::fingerprint(&key.secret, &file.salt);
                let name = named(&provider.id, &known_as);
                let (state, back_in) = kept
                    .remove(&name)
                    .map_or(("healthy", None), |kept| state_of(kept, wall_now));
                keys.push(SavedKey {
                    provider: provider.id.clone(),
                    label: key.label.clone(),
                    state,
                    back_in,
                    in_flight: loads.get(&name).copied().unwrap_or(0),
                });
            }
        }
        keys.sort_by(|a, b| a.provider.cmp(&b.provider));
        (keys, kept.len())
    }
}

/// A provider's key as the file knows it.
fn named(provider: &str, fingerprint: &str) -> (String, String) {
    (provider.to_owned(), fingerprint.to_owned())
}

fn state_of(kept: &Kept, wall_now: Duration) -> (&'static str, Option<Duration>) {
    let state = match kept.state {
        State::Throttled => "throttled",
        State::NoQuota => "no quota",
        State::Invalid => "invalid",
        State::Disabled => return ("disabled", None),
    };
    let until = Duration::from_millis(kept.until.unwrap_or_default());
    match until.saturating_sub(wall_now) {
        // Throttled is over by itself; the others are found out by a call.
        Duration::ZERO if kept.state == State::Throttled => ("healthy", None),
        left => (state, Some(left)),
    }
}

fn saved_model(model: &OpenAiCompatible, file: &StateFile, age: Option<Duration>) -> SavedModel {
    let saved = file.rates.iter().find(|rate| rate.model == model.id());
    let waiting = saved.map_or(0, |rate| rate.waiting);
    let rate_limit = model.rate_limit_status().map(|full| {
        let available = saved
            .and_then(|rate| rate.available)
            .map_or(full.available_tokens, |available| {
                let back = age.unwrap_or_default().as_secs_f64() * full.refill_rate;
                (f64::from(available) + back).min(f64::from(full.capacity)) as u32
            });
        RateLimitStatus {
            available_tokens: available,
            waiting,
            ..full
        }
    });
    SavedModel {
        id: model.id().to_owned(),
        rate_limit,
        waiting,
    }
}
