//! A pool of API keys. Several models can share the pool, and other code can lease keys from it.

use std::fmt;
use std::sync::Arc;

use llmpool_core::limits::{
    AcquireRequest, Caller, Demand, KeyConstraint, KeyId, KeyLimits, LimitScope, TargetId, TargetLimits,
    Ticket,
};
use llmpool_core::time::Timestamp;

use crate::accounts::ConfiguredAccounts;
use crate::error::{Error, ErrorKind};
use crate::key_entry::KeyEntry;
use crate::key_status::KeyStatus;
use crate::limits::{Permit, SharedAdmission};
use crate::provider::{ApiKey, Provider};
use crate::secrets::{KeyLabel, Secret};

/// A pool of the API keys of one provider. All models that use the pool share the health of each key and its
/// number of attempts in flight.
///
/// A clone is a handle to the same pool. Separately created pools share nothing, even if they have the same
/// provider id.
#[derive(Clone)]
pub struct ApiKeyPool {
    pub(crate) provider: Arc<Provider>,
    /// A target without limits of its own, for which leases are granted. The model of a lease is unknown, so only
    /// refusals that concern all models of a key keep it from being leased.
    bare: TargetId,
}

impl ApiKeyPool {
    /// Creates a pool of keys without limits. Adds duplicate keys only once.
    ///
    /// Fails if `keys` is empty, or if a key is empty or cannot be sent in a header. The error names the
    /// invalid key by its position, starting at 1, and never contains the key.
    pub fn new(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> Result<Self, Error> {
        Self::with_limits(
            provider_id,
            keys.into_iter().map(|key| (key.into(), KeyLimits::default())),
        )
    }

    /// Creates a pool of keys with limits and weights. Adds duplicate keys only once, with the limits of the
    /// first occurrence.
    ///
    /// Fails in the same cases as [`new`](Self::new), and if the `rpm` of a key is 0.
    pub fn with_limits(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = (Secret, KeyLimits)>,
    ) -> Result<Self, Error> {
        let entries = keys.into_iter().map(|(secret, limits)| KeyEntry {
            limits,
            ..KeyEntry::from(secret)
        });
        Self::from_entries(provider_id, entries)
    }

    /// Creates a pool from key entries. An entry can name an account, which its key shares with other keys:
    /// see [`KeyEntry::quota_group`].
    ///
    /// Fails in the same cases as [`with_limits`](Self::with_limits), if two keys have the same name, and if a
    /// name or a note is too long, contains a control character or contains a key.
    pub fn from_entries(
        provider_id: impl Into<String>,
        keys: impl IntoIterator<Item = KeyEntry>,
    ) -> Result<Self, Error> {
        let keys: Vec<KeyEntry> = keys.into_iter().collect();
        check_texts(&keys)?;
        let mut entries: Vec<KeyEntry> = Vec::new();
        let mut known: Vec<ApiKey> = Vec::new();
        for (position, entry) in keys.into_iter().enumerate() {
            let secret = &entry.secret;
            if known.iter().any(|key| key.secret == *secret) {
                continue;
            }
            let (Some(authorization), Some(bare)) = (secret.bearer(), secret.bare()) else {
                let problem = format!(
                    "key {} is empty or contains a space, a control character or a non-ASCII character",
                    position + 1
                );
                return Err(Error::new(ErrorKind::Config, problem));
            };
            let per_minute = entry.limits.limits.per_minute_bucket();
            per_minute
                .map_err(|error| Error::new(ErrorKind::Config, format!("key {}: {error}", position + 1)))?;
            known.push(ApiKey {
                label: entry.label(position + 1),
                secret: secret.clone(),
                authorization,
                bare,
            });
            entries.push(entry);
        }
        if known.is_empty() {
            return Err(Error::new(ErrorKind::Config, "a key pool needs at least one key"));
        }
        let admission = Arc::new(SharedAdmission::default());
        let grouped = entries.iter();
        let grouped = grouped.filter_map(|entry| Some((entry.quota_group.as_deref()?, entry.limits)));
        let bare = admission.change(|limiter, now| {
            let accounts = ConfiguredAccounts::new(grouped, limiter);
            let ids: Vec<KeyId> = entries
                .iter()
                .map(|entry| accounts.add_key(entry.quota_group.as_deref(), entry.limits, limiter))
                .collect();
            let limits = TargetLimits {
                limit_scope: LimitScope::Key,
                ..TargetLimits::default()
            };
            limiter.add_target(&ids, limits, now)
        });
        Ok(Self {
            provider: Arc::new(Provider::new(provider_id.into(), admission, known)),
            bare,
        })
    }

    /// Returns the id of the provider.
    pub fn provider_id(&self) -> &str {
        &self.provider.id
    }

    /// Returns the number of keys in the pool. Duplicate keys count once.
    pub fn len(&self) -> usize {
        self.provider.keys.len()
    }

    /// Returns `false`, because a pool contains at least one key.
    pub fn is_empty(&self) -> bool {
        self.provider.keys.is_empty()
    }

    /// Returns the status of every key: its state, load and limits.
    pub fn status(&self) -> Vec<KeyStatus> {
        self.provider.key_status(None, self.key_ids())
    }

    /// Enables or disables the key with this label. Returns false if the pool has no such key.
    ///
    /// Enabling a key also ends its cooldown. Disabling a key does not affect its attempts in flight. Calls
    /// that wait for the key may use the other keys.
    pub fn set_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        self.provider.set_enabled(label, enabled, None)
    }

    /// Leases the least loaded healthy key. The lease occupies one concurrency slot of the key until the
    /// lease is dropped. Does not wait: returns `None` if no key is available at the moment.
    ///
    /// After a cooldown, a key is leased only once an attempt of a call has tested it: the pool does not learn
    /// what became of requests that were sent with a leased key.
    pub fn least_loaded_key(&self) -> Option<KeyLease> {
        let request = AcquireRequest {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Healthy,
            deadline: Timestamp::MAX,
            wait_for_keys: false,
        };
        let mut permit = self.provider.admission.try_acquire(self.bare, &request)?;
        // The library does not see the requests that are sent with a leased key, so the lease counts as used.
        permit.mark_used();
        Some(KeyLease {
            key: permit.key()?,
            provider: self.provider.clone(),
            _permit: permit,
        })
    }

    /// Returns the label of the key that [`least_loaded_key`](Self::least_loaded_key) would lease now. Leases nothing.
    pub fn least_loaded_key_label(&self) -> Option<KeyLabel> {
        self.provider.least_loaded_key(self.bare, KeyConstraint::Healthy)
    }

    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.provider.admission.key_ids()
    }
}

/// A lease of an API key. Occupies one concurrency slot of the key until the lease is dropped.
pub struct KeyLease {
    provider: Arc<Provider>,
    key: KeyId,
    _permit: Permit,
}

impl KeyLease {
    /// Returns the leased API key.
    pub fn secret(&self) -> &Secret {
        &self.provider.key(self.key).secret
    }

    /// Returns the label of the leased key.
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

/// Checks the names and notes of keys. The error names a key by its position, because its label has the name.
fn check_texts(entries: &[KeyEntry]) -> Result<(), Error> {
    let secrets = entries.iter().map(|entry| &entry.secret);
    for (at, entry) in entries.iter().enumerate() {
        if let Some((_, problem)) = entry.invalid_text(secrets.clone()) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("key {}: {problem}", at + 1),
            ));
        }
        let is_namesake = |other: &KeyEntry| other.has_name_of(entry);
        if let Some(other) = entries[..at].iter().position(is_namesake) {
            let problem = format!("keys {} and {} have the same name", other + 1, at + 1);
            return Err(Error::new(ErrorKind::Config, problem).with_help("give each key a name of its own"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llmpool_core::limits::{CooldownReason, Limits, RefusalWait};

    use super::*;

    fn leases(pool: &ApiKeyPool, count: usize) -> Vec<KeyLease> {
        (0..count).map(|_| pool.least_loaded_key().unwrap()).collect()
    }

    // U02, O07
    #[test]
    fn hundred_leases_are_spread_evenly_over_four_keys() {
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

    #[test]
    fn label_of_the_next_lease_is_known_without_a_lease() {
        let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
        for _ in 0..3 {
            let label = pool.least_loaded_key_label().unwrap();
            assert_eq!(pool.least_loaded_key_label(), Some(label.clone()));
            let lease = pool.least_loaded_key().unwrap();
            assert_eq!(*lease.label(), label);
            assert_ne!(pool.least_loaded_key_label(), Some(label));
        }
        for key in pool.status() {
            pool.set_enabled(&key.label, false);
        }
        assert_eq!(pool.least_loaded_key_label(), None);
    }

    // U13, O24
    #[test]
    fn repeated_key_is_added_once() {
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
    fn key_without_free_slots_is_not_leased() {
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

    // reproduction 6
    #[tokio::test(start_paused = true)]
    async fn lease_does_not_probe_a_key_after_a_cooldown() {
        use CooldownReason::{Invalid, NoQuota, Throttled};
        for (reason, quota_group) in [
            (Invalid, None),
            (NoQuota, None),
            (NoQuota, Some("x".to_owned())),
            (Throttled, None),
            (Throttled, Some("x".to_owned())),
        ] {
            let entry = KeyEntry {
                quota_group,
                ..KeyEntry::from("a")
            };
            let pool = ApiKeyPool::from_entries("p", [entry, KeyEntry::from("b")]).unwrap();
            let admission = &pool.provider.admission;
            let key = pool.key_ids()[0];
            let minute = Duration::from_secs(60);
            admission.change(|limiter, now| limiter.set_cooldown(key, reason, now + minute, now));
            for _ in 0..2 {
                let held = leases(&pool, 2);
                assert!(
                    held.iter().all(|lease| lease.secret().expose() == "b"),
                    "{reason:?}"
                );
                tokio::time::advance(2 * minute).await;
            }
            let request = AcquireRequest {
                ticket: Ticket(0),
                caller: Caller::default(),
                demand: Demand::ONE,
                constraint: KeyConstraint::Key(key),
                deadline: Timestamp::MAX,
                wait_for_keys: true,
            };
            let probe = admission.try_acquire(pool.bare, &request).unwrap();
            assert!(leases(&pool, 1)[0].secret().expose() == "b");
            probe.complete();
            assert!(leases(&pool, 1)[0].secret().expose() == "a", "{reason:?}");
        }
    }

    // U10
    #[test]
    fn pools_with_the_same_name_share_nothing() {
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

    // L07
    #[tokio::test(start_paused = true)]
    async fn strictest_limits_of_its_keys_apply_to_an_account() {
        let entry = |key: &str, quota_group: Option<&str>, rpm, learn| KeyEntry {
            limits: KeyLimits {
                limits: Limits {
                    rpm: Some(rpm),
                    max_concurrency: Some(2),
                    ..Limits::default()
                },
                learn,
                ..KeyLimits::default()
            },
            quota_group: quota_group.map(str::to_owned),
            ..KeyEntry::from(key)
        };
        let entries = [
            entry("a", Some("x"), 60, true),
            entry("b", Some("x"), 30, false),
            entry("c", Some("x"), 60, true),
            entry("d", Some("y"), 60, true),
            entry("e", None, 60, true),
        ];
        let pool = ApiKeyPool::from_entries("p", entries).unwrap();
        let shares_with = pool.status().into_iter().map(|key| key.shares_with.len());
        assert!(shares_with.eq([2, 2, 2, 0, 0]));
        pool.provider.admission.with_limiter(|limiter| {
            for (key, id) in limiter.key_ids().into_iter().enumerate() {
                let (own, account) = limiter.configured_limits(id);
                let rpm = [Some(30), Some(30), Some(30), Some(60), None][key];
                assert_eq!(account.and_then(|account| account.rpm), rpm, "{key}");
                assert_eq!(own.rpm, Some(60).filter(|_| key == 4), "{key}");
                assert_eq!(own.max_concurrency, Some(2), "{key}");
                assert_eq!(account.and_then(|account| account.max_concurrency), None, "{key}");
            }
        });
        for (index, key) in pool.key_ids().into_iter().enumerate() {
            assert_eq!(learns(&pool, key).await, index > 2, "{index}");
        }
    }

    /// Returns whether a refusal, after ten requests that were not refused, teaches a pace of the key.
    async fn learns(pool: &ApiKeyPool, key: KeyId) -> bool {
        let admission = &pool.provider.admission;
        let request = AcquireRequest {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Key(key),
            deadline: Timestamp::MAX,
            wait_for_keys: true,
        };
        for _ in 0..12 {
            let mut permit = admission.acquire(pool.bare, request).await.unwrap();
            permit.mark_used();
            permit.complete();
        }
        let mut permit = admission.acquire(pool.bare, request).await.unwrap();
        permit.mark_used();
        permit.record_refusal(CooldownReason::Throttled, RefusalWait::Unknown);
        admission.with_limiter(|limiter| limiter.observed_per_minute(key).is_some())
    }

    #[test]
    fn empty_pool_and_invalid_key_are_rejected() {
        assert!(ApiKeyPool::new("p", Vec::<String>::new()).is_err());
        let error = ApiKeyPool::new("p", ["fine", "canary key"]).unwrap_err();
        assert!(error.to_string().contains("key 2") && !format!("{error:?}").contains("canary"));
    }
}
