//! The keys of one provider, with the state that all calls to the provider share: admission, connections and affinity.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::HeaderValue;
use llmpool_core::failure::Failure;
use llmpool_core::limits::Affinity;
use llmpool_core::limits::KeyId;
use llmpool_core::limits::SharedQuotaDetector;
use llmpool_core::limits::TargetId;

use crate::clock;
use crate::key_status::{KeyState, KeyStatus};
use crate::limits::SharedAdmission;
use crate::secrets::{self, KeyLabel, Secret};
use crate::transport::{ConnectionPools, NetConnector};

/// The keys of one provider and their admission, shared by all targets of the provider.
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) admission: Arc<SharedAdmission>,
    pub(crate) keys: Vec<ApiKey>,
    /// The connections of targets without a connector of their own.
    connections: OnceLock<ConnectionPools>,
    shared_quota: Mutex<SharedQuotaDetector>,
    affinity: Mutex<Affinity>,
}

/// An API key: its label, its secret and the header values with which it is sent.
pub(crate) struct ApiKey {
    pub(crate) label: KeyLabel,
    pub(crate) secret: Secret,
    /// The header value `Bearer KEY`, marked as sensitive.
    pub(crate) authorization: HeaderValue,
    /// The header value `KEY`, marked as sensitive.
    pub(crate) bare: HeaderValue,
}

impl Provider {
    pub(crate) fn new(id: String, admission: Arc<SharedAdmission>, keys: Vec<ApiKey>) -> Self {
        Self {
            id,
            admission,
            keys,
            connections: OnceLock::new(),
            shared_quota: Mutex::default(),
            affinity: Mutex::default(),
        }
    }

    /// Locks and returns the detector of keys that share one quota.
    pub(crate) fn shared_quota(&self) -> MutexGuard<'_, SharedQuotaDetector> {
        self.shared_quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks and returns the record of which key created which resource.
    pub(crate) fn affinity(&self) -> MutexGuard<'_, Affinity> {
        self.affinity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connections of targets without a connector of their own.
    pub(crate) fn connections(&self) -> &ConnectionPools {
        self.connections
            .get_or_init(|| ConnectionPools::new(Arc::new(NetConnector::from_env())))
    }

    /// Masks all keys of this provider in the texts of a failure, because error messages of providers sometimes contain keys.
    pub(crate) fn masked(&self, mut failure: Failure) -> Failure {
        let texts = [
            &mut failure.message,
            &mut failure.code,
            &mut failure.param,
            &mut failure.request_id,
        ];
        for text in texts.into_iter().flatten() {
            *text = secrets::mask_secrets(text, self.keys.iter().map(|key| &key.secret));
        }
        failure
    }

    /// Enables or disables the key with this label. Returns whether there is such a key.
    pub(crate) fn set_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        let position = self.keys.iter().position(|key| key.label == *label);
        let id = position.and_then(|at| self.admission.key_ids().get(at).copied());
        if let Some(id) = id {
            self.admission.set_enabled(id, enabled);
        }
        id.is_some()
    }

    pub(crate) fn key(&self, id: KeyId) -> &ApiKey {
        &self.keys[id.index()]
    }

    /// Returns the status of each of the keys `ids`. With a `target`, the status includes that the provider rejects a key for this target
    /// only.
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
                    Some(target) => limiter.key_availability_at(target, id),
                    None => limiter.key_availability(id),
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
