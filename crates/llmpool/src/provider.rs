//! The keys of one provider, and the state that all calls to the provider share: limits and wait queues
//! (admission), connections, and the record of which key created which resource (affinity).

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::HeaderValue;
use llmpool_core::failure::Failure;
use llmpool_core::limits::{AccountNames, Affinity, KeyConstraint, KeyId, Limiter, TargetId};

use crate::clock;
use crate::key_status::{KeyState, KeyStatus};
use crate::limits::{KeyWatcher, Reach, SharedAdmission};
use crate::secrets::{self, KeyLabel, Secret};
use crate::transport::{ConnectionPools, NetConnector};

/// A provider: its keys, and the limits and wait queues that all its targets share.
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) admission: Arc<SharedAdmission>,
    pub(crate) keys: Vec<ApiKey>,
    /// The connection pools of targets without a custom connector. Created on first use.
    connections: OnceLock<ConnectionPools>,
    account_names: Mutex<AccountNames>,
    affinity: Mutex<Affinity>,
}

/// An API key, its label, and the header values that contain the key.
pub(crate) struct ApiKey {
    pub(crate) label: KeyLabel,
    pub(crate) secret: Secret,
    /// The header value `Bearer KEY`, marked as sensitive.
    pub(crate) authorization: HeaderValue,
    /// The header value `KEY`, without `Bearer`, marked as sensitive.
    pub(crate) bare: HeaderValue,
}

impl Provider {
    pub(crate) fn new(id: String, admission: Arc<SharedAdmission>, keys: Vec<ApiKey>) -> Self {
        Self {
            id,
            admission,
            keys,
            connections: OnceLock::new(),
            account_names: Mutex::default(),
            affinity: Mutex::default(),
        }
    }

    /// Locks the record of the accounts that responses name, and returns the lock guard.
    pub(crate) fn account_names(&self) -> MutexGuard<'_, AccountNames> {
        self.account_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the configuration leaves open that two keys belong to one account: at least one of
    /// them has no `quota_group`.
    pub(crate) fn may_share_account(&self, one: KeyId, other: KeyId) -> bool {
        self.admission
            .with_limiter(|limiter| limiter.group_of(one).is_none() || limiter.group_of(other).is_none())
    }

    /// Locks the record of which key created which resource, such as a stored response, and returns the lock
    /// guard.
    pub(crate) fn affinity(&self) -> MutexGuard<'_, Affinity> {
        self.affinity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection pools of targets without a custom connector. Creates the pools on the first
    /// call.
    pub(crate) fn connections(&self) -> &ConnectionPools {
        self.connections
            .get_or_init(|| ConnectionPools::new(Arc::new(NetConnector::from_env())))
    }

    /// Replaces each key of this provider by `[key]` in the texts of `failure`, because providers sometimes
    /// repeat a key in an error message.
    pub(crate) fn masked(&self, mut failure: Failure) -> Failure {
        let masked = |text: &str| secrets::mask_secrets(text, self.keys.iter().map(|key| &key.secret));
        let texts = [&mut failure.message, &mut failure.code, &mut failure.request_id];
        for text in texts.into_iter().flatten() {
            *text = masked(text);
        }
        if let Some(param) = &mut failure.param {
            *param = masked(param).into();
        }
        // The detail of a redirect contains a path that the provider chose, which may repeat a key.
        if matches!(failure.status, Some(300..=399))
            && let Some(detail) = failure.detail()
        {
            let detail = masked(detail);
            failure = failure.with_detail(detail);
        }
        failure
    }

    /// Enables or disables the key with this label. Returns whether the provider has a key with this label. `watcher`
    /// receives the changes of keys, with their states for a target.
    pub(crate) fn set_enabled(
        &self,
        label: &KeyLabel,
        enabled: bool,
        watcher: Option<(&dyn KeyWatcher, TargetId)>,
    ) -> bool {
        let position = self.keys.iter().position(|key| key.label == *label);
        let Some(id) = position.and_then(|at| self.admission.key_ids().get(at).copied()) else {
            return false;
        };
        let change = |limiter: &mut Limiter, now| limiter.set_enabled(id, enabled, now);
        match watcher {
            Some((watcher, target)) => {
                self.admission
                    .change_watched(watcher, (target, id), Reach::Any, change);
            }
            None => self.admission.change(change),
        }
        true
    }

    /// Returns the label of the least loaded key that a call to the target could use now. Reserves nothing.
    pub(crate) fn least_loaded_key(&self, target: TargetId, constraint: KeyConstraint) -> Option<KeyLabel> {
        let id = self.admission.next_key(target, constraint)?;
        Some(self.key(id).label.clone())
    }

    pub(crate) fn key(&self, id: KeyId) -> &ApiKey {
        &self.keys[id.index()]
    }

    /// Returns the status of each key in `ids`. If `target` is given, a key that the provider rejects only
    /// for this target has the state `Forbidden`.
    pub(crate) fn key_status(
        &self,
        target: Option<TargetId>,
        ids: impl IntoIterator<Item = KeyId>,
    ) -> Vec<KeyStatus> {
        let now = clock::now();
        self.admission.with_limiter(|limiter| {
            let status = |id: KeyId| {
                let group = limiter.group_of(id).map(|group| limiter.members(group));
                let others = group.unwrap_or_default().iter().filter(|other| **other != id);
                let (own, account) = limiter.configured_limits(id);
                let limits = account.map_or(own, |account| own.stricter(&account));
                let availability = match target {
                    Some(target) => limiter.key_availability_at(target, id, now),
                    None => limiter.key_availability(id, now),
                };
                KeyStatus {
                    label: self.key(id).label.clone(),
                    state: KeyState::from(availability),
                    retry_in: availability.until().map(|until| until.since(now)),
                    in_flight: limiter.in_flight(id),
                    configured_per_minute: limits.per_minute(),
                    observed_per_minute: limiter.observed_per_minute(id),
                    shares_with: others.map(|other| self.key(*other).label.clone()).collect(),
                }
            };
            ids.into_iter().map(status).collect()
        })
    }
}
