//! Saves the states of keys to a file, and loads the states after a restart.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use llmpool_core::limits::{KeyAvailability, KeyId, TargetId};

use crate::error::Error;
use crate::openai_compatible::OpenAiCompatible;
use crate::provider::Provider;
use crate::providers::Providers;
use crate::stored_state::{
    StoredAffinity, StoredKey, StoredKeyState, StoredLoad, StoredModel, StoredState, VERSION, fingerprint,
};
use crate::{clock, random, stored_limits};

impl Providers {
    /// Saves the states of all keys and models to a file: what counts against their limits, cooldowns,
    /// disabled keys, what was learned from refusals, and which key created which resource, such as a stored
    /// response. After a restart, [`load_key_states`](Self::load_key_states) restores these states.
    ///
    /// The file also contains the number of attempts in flight and the state of the rate limits, which
    /// [`saved_status`](Self::saved_status) reads. The file contains neither keys nor key labels. On Unix,
    /// only its owner can read it. An existing file is replaced atomically.
    pub fn save_key_states(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let wall_now = clock::wall_now();
        let salt = format!(
            "{:016x}{:016x}",
            random::fresh_seed(),
            random::mixed(wall_now.as_nanos() as u64)
        );
        let mut state = StoredState {
            version: VERSION,
            salt,
            models: self.models().map(stored_model).collect(),
            ..StoredState::default()
        };
        let mut limits = Vec::new();
        for provider in self.pools() {
            let fingerprints = fingerprints(&provider, &state.salt);
            state.keys.extend(stored_keys(&provider, &fingerprints, wall_now));
            state
                .affinities
                .extend(stored_affinities(&provider, &fingerprints));
            state.loads.extend(stored_loads(&provider, &fingerprints));
            limits.extend(stored_limits::save(
                &provider,
                &self.target_names(&provider),
                &fingerprints,
            ));
        }
        state.limits = Some(limits);
        // Read last, so that no more time counts as passed when the limits are loaded than has passed since
        // they were read.
        state.saved_at = Some(clock::wall_now().as_millis() as u64);
        state.write(path.as_ref())
    }

    /// Restores the states that [`save_key_states`](Self::save_key_states) saved. Ignores keys and models
    /// that are no longer configured. If the cooldown of a key has ended in the meantime, a single attempt
    /// tests the key before calls use it in parallel.
    ///
    /// What was charged to limits is added to what these providers have charged themselves, so that no limit
    /// is exceeded across the restart: load a file once, before the first call. The charges of keys that now
    /// have the same `quota_group`, but had none, count for all of them together.
    ///
    /// The system clock tells how long ago the file was written. If the clock has been set back since, limits
    /// and cooldowns may last longer than necessary, by the time by which the clock was set back. If it has
    /// been set forward while the file was not in use, they end earlier by that time.
    ///
    /// Returns the number of keys whose state was restored. Returns 0 if the file does not exist. Fails if
    /// the file cannot be read or is not a state file.
    pub fn load_key_states(&self, path: impl AsRef<Path>) -> Result<usize, Error> {
        let Some(state) = StoredState::read(path.as_ref())? else {
            return Ok(0);
        };
        let (wall_now, elapsed) = state.now();
        // The time of saving is rounded down to milliseconds.
        let elapsed = elapsed.saturating_sub(Duration::from_millis(1));
        let mut loaded = 0;
        for provider in self.pools() {
            let ids: HashMap<String, KeyId> = fingerprints(&provider, &state.salt)
                .into_iter()
                .zip(provider.admission.key_ids())
                .collect();
            for key in state.keys.iter().filter(|key| key.provider == provider.id) {
                if let Some(id) = ids.get(&key.fingerprint) {
                    if state.limits.is_none() || key.state == StoredKeyState::Disabled {
                        load_key(&provider, *id, key, wall_now);
                    }
                    loaded += 1;
                }
            }
            if let Some(limits) = &state.limits {
                let names = self.target_names(&provider);
                stored_limits::load(&provider, limits, &names, &ids, elapsed);
            }
            let affinities = state.affinities.iter();
            for affinity in affinities.filter(|affinity| affinity.provider == provider.id) {
                if let Some(id) = ids.get(&affinity.fingerprint) {
                    load_affinity(&provider, *id, affinity);
                }
            }
        }
        Ok(loaded)
    }

    /// Returns the ids of the configured models of a provider, `provider/model`.
    fn target_names(&self, provider: &Provider) -> Vec<(TargetId, &str)> {
        let models = self
            .models()
            .filter(|model| std::ptr::eq(&**model.provider(), provider));
        models.map(|model| (model.target().id, model.id())).collect()
    }
}

/// Returns the fingerprint of each key of a provider, in the order of the key ids. Fingerprints with
/// different salts differ.
fn fingerprints(provider: &Provider, salt: &str) -> Vec<String> {
    let keys = provider.keys.iter();
    keys.map(|key| fingerprint(&key.secret, salt)).collect()
}

fn stored_keys(provider: &Provider, fingerprints: &[String], wall_now: Duration) -> Vec<StoredKey> {
    let now = clock::now();
    let ids = provider.admission.key_ids();
    let known: Vec<_> = provider.admission.with_limiter(|limiter| {
        let known = ids.iter().map(|id| {
            (
                limiter.key_availability(*id, now),
                limiter.known_cooldown(*id, now),
            )
        });
        known.collect()
    });
    let keys = fingerprints.iter().zip(known);
    let stored = keys.filter_map(|(fingerprint, known)| {
        let (state, until) = match known {
            (KeyAvailability::Disabled, _) => (StoredKeyState::Disabled, None),
            (_, Some((until, reason))) => (StoredKeyState::from_cooldown(reason)?, Some(until)),
            (_, None) => return None,
        };
        Some(StoredKey {
            provider: provider.id.clone(),
            fingerprint: fingerprint.clone(),
            state,
            until: until.map(|until| (wall_now + until.since(now)).as_millis() as u64),
        })
    });
    stored.collect()
}

fn stored_affinities(provider: &Provider, fingerprints: &[String]) -> Vec<StoredAffinity> {
    let mut by_key: BTreeMap<KeyId, Vec<String>> = BTreeMap::new();
    for (resource, key) in provider.affinity().entries() {
        let resources = by_key.entry(key).or_default();
        resources.push(format!("{resource:016x}"));
    }
    let stored = by_key.into_iter().map(|(key, resources)| StoredAffinity {
        provider: provider.id.clone(),
        fingerprint: fingerprints[key.index()].clone(),
        resources,
    });
    stored.collect()
}

fn stored_loads(provider: &Provider, fingerprints: &[String]) -> Vec<StoredLoad> {
    let status = provider.key_status(None, provider.admission.key_ids());
    let keys = fingerprints.iter().zip(status);
    let loaded = keys.filter(|(_, status)| status.in_flight > 0);
    let stored = loaded.map(|(fingerprint, status)| StoredLoad {
        provider: provider.id.clone(),
        fingerprint: fingerprint.clone(),
        in_flight: status.in_flight,
    });
    stored.collect()
}

fn stored_model(model: &OpenAiCompatible) -> StoredModel {
    StoredModel {
        id: model.id().to_owned(),
        available: model.rate_limit_status().map(|status| status.available_tokens),
        waiting: model.waiting(),
    }
}

fn load_key(provider: &Provider, id: KeyId, key: &StoredKey, wall_now: Duration) {
    let Some(reason) = key.state.cooldown() else {
        provider
            .admission
            .change(|limiter, now| limiter.set_enabled(id, false, now));
        return;
    };
    let remaining = Duration::from_millis(key.until.unwrap_or_default()).saturating_sub(wall_now);
    // A cooldown that has ended is restored too, so that one attempt tests the key before others use it.
    provider
        .admission
        .change(|limiter, now| limiter.set_cooldown(id, reason, now + remaining, now));
}

fn load_affinity(provider: &Provider, id: KeyId, stored: &StoredAffinity) {
    let mut affinity = provider.affinity();
    for resource in &stored.resources {
        if let Ok(resource) = u64::from_str_radix(resource, 16) {
            affinity.record(resource, id);
        }
    }
}
