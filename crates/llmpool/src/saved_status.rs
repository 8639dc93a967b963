//! Reads the status of models and keys from a state file, which another process may have written.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::key_status::KeyState;
use crate::openai_compatible::OpenAiCompatible;
use crate::providers::Providers;
use crate::secrets::KeyLabel;
use crate::stored_state::{StoredKey, StoredKeyState, StoredState, fingerprint};
use crate::token_bucket::RateLimitStatus;

/// The status of the configured models and keys, read from a state file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedStatus {
    /// The time since the file was written. `None` if the file does not contain the time at which it was
    /// written.
    pub age: Option<Duration>,
    /// All configured models, ordered by id.
    pub models: Vec<SavedModel>,
    /// All configured keys, ordered by provider and by position in the provider's key pool.
    pub keys: Vec<SavedKey>,
    /// The number of keys that the file lists but that are not configured.
    pub unknown_keys: usize,
}

/// The rate limit and wait queue of a model, read from a state file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedModel {
    /// The model's id, `provider/model`.
    pub id: String,
    /// The state of the model's rate limit, or `None` if no rate limit is configured.
    ///
    /// `available_tokens` is the saved number plus the tokens that were refilled since the file was written.
    /// Requests that were sent in the meantime are not subtracted, because the file does not contain them. If
    /// the file does not contain the model, the bucket counts as full.
    pub rate_limit: Option<RateLimitStatus>,
    /// The number of calls that waited for the model when the file was written.
    pub waiting: usize,
}

/// The state of a key, read from a state file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SavedKey {
    /// The provider's name.
    pub provider: String,
    /// The key's label for display, such as `key-1 (a3f9c2)`.
    pub label: KeyLabel,
    /// The state of the key: healthy, throttled, no quota, invalid or disabled.
    pub state: KeyState,
    /// The time until the key is used again or tested by one attempt (probed). `None` if the key is healthy
    /// or disabled.
    pub retry_in: Option<Duration>,
    /// The number of attempts with this key that were in flight when the file was written.
    pub in_flight: u32,
}

impl Providers {
    /// Reads the status of the configured models and keys from a state file, which
    /// [`save_key_states`](Self::save_key_states) wrote in this process or in another one. Does not change
    /// the state of any key.
    ///
    /// Fails if the file does not exist, cannot be read or is not a state file.
    pub fn saved_status(&self, path: impl AsRef<Path>) -> Result<SavedStatus, Error> {
        let path = path.as_ref();
        let Some(state) = StoredState::read(path)? else {
            let message = format!("state file {} does not exist", path.display());
            return Err(Error::new(ErrorKind::Config, message));
        };
        let (wall_now, age) = state.now();
        let age = state.saved_at.map(|_| age);
        let (keys, unknown_keys) = self.saved_keys(&state, wall_now);
        let models = self.models().map(|model| saved_model(model, &state, age));
        Ok(SavedStatus {
            age,
            models: models.collect(),
            keys,
            unknown_keys,
        })
    }

    /// Returns the saved states of all configured keys, and the number of keys that the file lists but that
    /// are not configured.
    fn saved_keys(&self, state: &StoredState, wall_now: Duration) -> (Vec<SavedKey>, usize) {
        let stored = state.keys.iter();
        let stored: HashMap<_, _> = stored
            .map(|key| ((&*key.provider, &*key.fingerprint), key))
            .collect();
        let loads = state.loads.iter();
        let loads: HashMap<_, _> = loads
            .map(|load| ((&*load.provider, &*load.fingerprint), load.in_flight))
            .collect();
        let mut keys = Vec::new();
        let mut unknown = stored.len();
        for provider in self.pools() {
            for key in &provider.keys {
                let fingerprint = fingerprint(&key.secret, &state.salt);
                let id = (&*provider.id, &*fingerprint);
                let found = stored.get(&id);
                unknown -= usize::from(found.is_some());
                let (state, retry_in) =
                    found.map_or((KeyState::Healthy, None), |key| key_state(key, wall_now));
                keys.push(SavedKey {
                    provider: provider.id.clone(),
                    label: key.label.clone(),
                    state,
                    retry_in,
                    in_flight: loads.get(&id).copied().unwrap_or(0),
                });
            }
        }
        keys.sort_by(|a, b| a.provider.cmp(&b.provider));
        (keys, unknown)
    }
}

fn key_state(stored: &StoredKey, wall_now: Duration) -> (KeyState, Option<Duration>) {
    let state = match stored.state {
        StoredKeyState::Throttled => KeyState::Throttled,
        StoredKeyState::NoQuota => KeyState::NoQuota,
        StoredKeyState::Invalid => KeyState::Invalid,
        StoredKeyState::Disabled => return (KeyState::Disabled, None),
    };
    let until = Duration::from_millis(stored.until.unwrap_or_default());
    match until.saturating_sub(wall_now) {
        // A throttled key whose cooldown is over is used again without a probe.
        Duration::ZERO if stored.state == StoredKeyState::Throttled => (KeyState::Healthy, None),
        remaining => (state, Some(remaining)),
    }
}

fn saved_model(model: &OpenAiCompatible, state: &StoredState, age: Option<Duration>) -> SavedModel {
    let stored = state.models.iter().find(|stored| stored.id == model.id());
    let waiting = stored.map_or(0, |stored| stored.waiting);
    let rate_limit = model.rate_limit_status().map(|full| {
        let available =
            stored
                .and_then(|stored| stored.available)
                .map_or(full.available_tokens, |available| {
                    let refilled = age.unwrap_or_default().as_secs_f64() * full.refill_rate;
                    (f64::from(available) + refilled).min(f64::from(full.capacity)) as u32
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
