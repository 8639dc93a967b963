//! A pool of API keys that hands out the least loaded healthy one.

use std::fmt;
use std::sync::Arc;

use llmpool_core::limits::{
    AcquireRequest, Caller, Demand, KeyConstraint, KeyId, KeyLimits, TargetId, Ticket,
};
use llmpool_core::time::Timestamp;

use crate::accounts::{self, ConfiguredAccounts};
use crate::error::{Error, ErrorKind};
use crate::key_entry::KeyEntry;
use crate::key_status::KeyStatus;
use crate::limits::{Permit, SharedAdmission};
use crate::provider::{ApiKey, Provider};
use crate::secrets::{KeyLabel, Secret};

/// The keys of one provider, with one load and one state for each, however many models use them.
///
/// A clone is another handle on the same pool. Two pools are two pools, whatever their ids.
#[derive(Clone)]
pub struct ApiKeyPool {
    pub(crate) provider: Arc<Provider>,
    /// A target without a quota, for leases.
    bare: TargetId,
}

impl ApiKeyPool {
    /// A pool of equal keys. Keys given twice are one key.
    ///
    /// Fails when there is no key, or one that cannot be sent in a header; the message names positions, never keys.
    pub fn new(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> Result<Self, Error> {
        Self::with_limits(
            provider_id,
            keys.into_iter().map(|key| (key.into(), KeyLimits::default())),
        )
    }

    /// A pool of keys with weights and most concurrent attempts. Of a key given twice the first limits count.
    pub fn with_limits(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = (Secret, KeyLimits)>,
    ) -> Result<Self, Error> {
        let entries = keys.into_iter().map(|(secret, limits)| KeyEntry {
            secret,
            limits,
            quota_group: None,
        });
        Self::from_entries(provider_id, entries)
    }

    /// A pool of keys with weights and limits, some of which may share an account: see [`KeyEntry::quota_group`].
    pub fn from_entries(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = KeyEntry>,
    ) -> Result<Self, Error> {
        let admission = Arc::new(SharedAdmission::default());
        let mut known: Vec<ApiKey> = Vec::new();
        let mut accounts = ConfiguredAccounts::default();
        for (position, entry) in keys.into_iter().enumerate() {
            let KeyEntry {
                secret,
                limits,
                quota_group,
            } = entry;
            if known.iter().any(|key| key.secret == secret) {
                continue;
            }
            let (Some(authorization), Some(bare)) = (secret.bearer(), secret.bare()) else {
                let problem = format!("key {} is empty or cannot be sent in a header", position + 1);
                return Err(Error::new(ErrorKind::Config, problem));
            };
            limits
                .limits
                .per_minute_bucket()
                .map_err(|error| Error::new(ErrorKind::Config, format!("key {}: {error}", position + 1)))?;
            let own = match &quota_group {
                Some(_) => accounts::own_limits(limits),
                None => limits,
            };
            let id = admission.add_key(own);
            if let Some(name) = quota_group {
                accounts.add(name, id, limits);
            }
            known.push(ApiKey {
                label: secret.label(position + 1),
                secret,
                authorization,
                bare,
            });
        }
        if known.is_empty() {
            return Err(Error::new(ErrorKind::Config, "a key pool needs at least one key"));
        }
        accounts.join_keys(&admission);
        let ids: Vec<KeyId> = admission.key_ids();
        let bare = admission.add_target(&ids, None);
        Ok(Self {
            provider: Arc::new(Provider::new(provider_id.into(), admission, known)),
            bare,
        })
    }

    /// The provider's id.
    pub fn provider_id(&self) -> &str {
        &self.provider.id
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.provider.keys.len()
    }

    /// Never: a pool has at least one key.
    pub fn is_empty(&self) -> bool {
        self.provider.keys.is_empty()
    }

    /// Every key with its state and load.
    pub fn status(&self) -> Vec<KeyStatus> {
        self.provider.key_status(None, self.key_ids())
    }

    /// Takes a key out of use, or puts it back into use whatever was known of it. Attempts under way go on; calls that wait go on waiting
    /// for another key. Answers whether there is such a key.
    pub fn set_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        self.provider.set_enabled(label, enabled)
    }

    /// Reserves the least loaded healthy key: picked and counted in one step, counted down when the lease is dropped.
    /// `None` when no key is usable right now.
    pub fn least_loaded_key(&self) -> Option<KeyLease> {
        let request = AcquireRequest {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
        };
        let mut permit = self.provider.admission.try_acquire(self.bare, &request)?;
        // What is done with the key is not seen from here, so it counts as used.
        permit.mark_used();
        Some(KeyLease {
            key: permit.key()?,
            provider: self.provider.clone(),
            _permit: permit,
        })
    }

    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.provider.admission.key_ids()
    }
}

/// A reserved key. Dropping it gives the slot back.
pub struct KeyLease {
    provider: Arc<Provider>,
    key: KeyId,
    _permit: Permit,
}

impl KeyLease {
    /// The key.
    pub fn secret(&self) -> &Secret {
        &self.provider.key(self.key).secret
    }

    /// How the key is shown.
    pub fn label(&self) -> &KeyLabel {
        &self.provider.key(self.key).label
    }
}

impl fmt::Debug for ApiKeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyPool")
            .field("provider_id", &self.provider.id)
            .field("keys", &self.status())
            .finish()
    }
}

impl fmt::Debug for KeyLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyLease").field(self.label()).finish()
    }
}

#[cfg(test)]
mod tests {
    use llmpool_core::limits::Limits;

    use super::*;

    fn leases(pool: &ApiKeyPool, count: usize) -> Vec<KeyLease> {
        (0..count).map(|_| pool.least_loaded_key().unwrap()).collect()
    }

    // U02, O07
    #[test]
    fn a_hundred_leases_of_four_keys_are_twenty_five_each() {
        let pool = ApiKeyPool::new("p", ["a", "b", "c", "d"]).unwrap();
        let leases = leases(&pool, 100);
        assert!(pool.status().iter().all(|key| key.in_flight == 25));
        drop(leases);
        assert!(pool.status().iter().all(|key| key.in_flight == 0));
    }

    #[test]
    fn ties_go_to_the_key_least_recently_used() {
        let pool = ApiKeyPool::new("p", ["a", "b", "c"]).unwrap();
        let order: Vec<_> = (0..6)
            .map(|_| leases(&pool, 1)[0].secret().expose().to_owned())
            .collect();
        assert_eq!(order, ["a", "b", "c", "a", "b", "c"]);
    }

    // U13, O24
    #[test]
    fn a_key_given_twice_is_one_key() {
        let pool = ApiKeyPool::new("p", ["a", "a", "b"]).unwrap();
        assert_eq!(pool.len(), 2);
        let _leases = leases(&pool, 10);
        assert_eq!(
            pool.status().iter().map(|key| key.in_flight).collect::<Vec<_>>(),
            [5, 5]
        );
    }

    #[test]
    fn load_is_shared_by_weight() {
        let limits = |weight| KeyLimits {
            weight,
            ..KeyLimits::default()
        };
        let pool = ApiKeyPool::with_limits("p", [("a".into(), limits(3)), ("b".into(), limits(1))]).unwrap();
        let _leases = leases(&pool, 40);
        assert_eq!(
            pool.status().iter().map(|key| key.in_flight).collect::<Vec<_>>(),
            [30, 10]
        );
    }

    #[test]
    fn a_full_key_is_not_handed_out() {
        let limits = KeyLimits {
            limits: Limits {
                max_concurrency: Some(2),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let pool = ApiKeyPool::with_limits("p", [("a".into(), limits)]).unwrap();
        let held = leases(&pool, 2);
        assert!(pool.least_loaded_key().is_none());
        drop(held);
        assert!(pool.least_loaded_key().is_some());
    }

    // U10
    #[test]
    fn two_pools_of_one_name_share_nothing() {
        let (one, two) = (
            ApiKeyPool::new("p", ["a"]).unwrap(),
            ApiKeyPool::new("p", ["a"]).unwrap(),
        );
        let _lease = one.least_loaded_key();
        assert_eq!(two.status()[0].in_flight, 0);
    }

    #[test]
    fn key_with_an_rpm_of_zero_is_a_config_error() {
        for quota_group in [None, Some("account".to_owned())] {
            let mut entry = KeyEntry::from("a");
            entry.quota_group = quota_group;
            entry.limits.limits.rpm = Some(0);
            let error = ApiKeyPool::from_entries("p", [KeyEntry::from("b"), entry]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("key 2"), "{error}");
        }
    }

    #[test]
    fn an_empty_pool_and_an_unusable_key_are_refused_by_position() {
        assert!(ApiKeyPool::new("p", Vec::<String>::new()).is_err());
        let error = ApiKeyPool::new("p", ["fine", "canary key"]).unwrap_err();
        assert!(error.to_string().contains("key 2") && !format!("{error:?}").contains("canary"));
    }
}
