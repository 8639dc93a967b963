//! The part of the state file with the limits: which charges, cooldowns and learned paces belong to which key
//! and model.

use std::collections::HashMap;
use std::time::Duration;

use llmpool_core::limits::{KeyId, SavedLimits, SavedScope, SavedState, TargetId};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::provider::Provider;

/// What counts against the limits of a model, of a key, or of the keys of one account; or what is known of a
/// model with one key.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredLimits {
    pub(crate) provider: String,
    /// The id of the model, `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The fingerprint of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The fingerprints of the keys with the same `quota_group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Vec<String>>,
    #[serde(flatten)]
    state: SavedState,
}

/// Returns the state of all limits of a provider. Leaves out models without a name in `names`: those that
/// were named at run time.
pub(crate) fn save(
    provider: &Provider,
    names: &[(TargetId, &str)],
    fingerprints: &[String],
) -> Vec<StoredLimits> {
    let names: HashMap<TargetId, &str> = names.iter().copied().collect();
    let now = clock::now();
    let saved = provider.admission.with_limiter(|limiter| limiter.save(now));
    let model_of = |target| names.get(&target).map(|name| (*name).to_owned());
    let fingerprint = |key: KeyId| fingerprints[key.index()].clone();
    let stored = saved.into_iter().filter_map(|SavedLimits { scope, state }| {
        let (model, key, account) = match scope {
            SavedScope::Target(target) => (Some(model_of(target)?), None, None),
            SavedScope::Key(key) => (None, Some(fingerprint(key)), None),
            SavedScope::Account(keys) => (None, None, Some(keys.into_iter().map(fingerprint).collect())),
            SavedScope::Model(target, key) => (Some(model_of(target)?), Some(fingerprint(key)), None),
        };
        Some(StoredLimits {
            provider: provider.id.clone(),
            model,
            key,
            account,
            state,
        })
    });
    stored.collect()
}

/// Adds limits that were stored `elapsed` ago to those of a provider. Ignores keys and models that are not
/// configured. `ids`: the id of each fingerprint.
pub(crate) fn load(
    provider: &Provider,
    stored: &[StoredLimits],
    names: &[(TargetId, &str)],
    ids: &HashMap<String, KeyId>,
    elapsed: Duration,
) {
    let targets: HashMap<&str, TargetId> = names.iter().map(|(target, name)| (*name, *target)).collect();
    let target_of = |model: &String| targets.get(&**model).copied();
    let id_of = |fingerprint: &String| ids.get(fingerprint).copied();
    let of_provider = stored.iter().filter(|stored| stored.provider == provider.id);
    let saved = of_provider.filter_map(|stored| {
        let scope = match (&stored.model, &stored.key, &stored.account) {
            (Some(model), None, None) => SavedScope::Target(target_of(model)?),
            (None, Some(key), None) => SavedScope::Key(id_of(key)?),
            (None, None, Some(keys)) => SavedScope::Account(keys.iter().filter_map(id_of).collect()),
            (Some(model), Some(key), None) => SavedScope::Model(target_of(model)?, id_of(key)?),
            _ => return None,
        };
        let state = stored.state.clone();
        Some(SavedLimits { scope, state })
    });
    let saved: Vec<_> = saved.collect();
    provider
        .admission
        .change(|limiter, now| limiter.load(&saved, elapsed, now));
}
