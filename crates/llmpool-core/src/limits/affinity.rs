//! Affinity: remembers which key created a resource (a response, conversation or encrypted item), so that
//! later requests that refer to the resource use the same account.
//!
//! A provider accepts a reference to a resource only from the account that created the resource. The keys of
//! one quota group belong to the same account. A key without a quota group is an account of its own.
//!
//! Invariant: if a target uses several accounts, a request that needs a recorded resource is either sent to
//! the account that created the resource, or rejected.

use std::collections::{HashMap, VecDeque};

use super::key::KeyId;
use super::key_constraint::KeyConstraint;
use super::key_table::sorted;
use super::limiter::Limiter;
use super::target::TargetId;

/// Maximum number of recorded resources per provider. Recording more removes the oldest resource.
pub const MAX_RECORDED: usize = 10_000;

/// Remembers the key that created each recorded resource. A resource is identified by the fingerprint of its
/// id.
#[derive(Clone, Debug, Default)]
pub struct Affinity {
    keys: HashMap<u64, KeyId>,
    /// Fingerprints of the recorded resources, oldest first.
    order: VecDeque<u64>,
}

/// Why a request that refers to resources cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityError {
    /// None of the resources that the request needs is recorded, and the target uses several accounts. The
    /// request cannot be sent, because the account that created the resources is unknown.
    Unknown {
        /// Number of accounts to which the target's keys belong.
        accounts: usize,
    },
    /// The resources that the request needs belong to an account that the target does not use.
    OtherAccount,
    /// The request needs resources that different accounts created.
    Conflicting,
}

impl Affinity {
    /// Records that `key` created the resource with the fingerprint `resource`.
    pub fn record(&mut self, resource: u64, key: KeyId) {
        if self.keys.insert(resource, key).is_some() {
            return;
        }
        self.order.push_back(resource);
        if self.order.len() > MAX_RECORDED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    /// Returns the fingerprint of each recorded resource with the key that created the resource, oldest
    /// resource first.
    pub fn entries(&self) -> impl Iterator<Item = (u64, KeyId)> + '_ {
        let resources = self.order.iter();
        resources.filter_map(|resource| Some((*resource, *self.keys.get(resource)?)))
    }

    /// Returns which keys of a target may serve a request that refers to resources.
    ///
    /// `needed` and `preferred` contain fingerprints of resources. The request fails without the needed
    /// resources, but can do without the preferred ones. A needed resource that is not recorded is assumed to
    /// belong to the same account as the recorded needed resources. If the target uses only one account, the
    /// request may use any key.
    ///
    /// If the target uses several accounts, fails if the account of the needed resources is unknown or not
    /// used by the target, or if the needed resources belong to different accounts.
    pub fn constraint(
        &self,
        needed: &[u64],
        preferred: &[u64],
        limiter: &Limiter,
        target: TargetId,
    ) -> Result<KeyConstraint, AffinityError> {
        let account_of = |key: &KeyId| {
            let group = limiter.group_of(*key);
            group.map_or(KeyConstraint::Key(*key), KeyConstraint::Group)
        };
        let accounts = limiter.account_count(target);
        if accounts < 2 {
            return Ok(KeyConstraint::Any);
        }
        let creators = |resources: &[u64]| {
            let keys = resources.iter().filter_map(|resource| self.keys.get(resource));
            sorted(keys.map(account_of).collect())
        };
        let preferred = || match creators(preferred)[..] {
            [account] if limiter.uses(target, account) => Some(account),
            _ => None,
        };
        match creators(needed)[..] {
            [] if needed.is_empty() => Ok(preferred().unwrap_or(KeyConstraint::Any)),
            [] => preferred().ok_or(AffinityError::Unknown { accounts }),
            [account] if limiter.uses(target, account) => Ok(account),
            [_] => Err(AffinityError::OtherAccount),
            [..] => Err(AffinityError::Conflicting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyLimits;
    use super::super::limits::Limits;
    use super::*;
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    // L10
    #[test]
    fn reference_is_sent_to_the_account_that_created_it() {
        let mut limiter = Limiter::new();
        let keys: Vec<_> = (0..4).map(|_| limiter.add_key(KeyLimits::default())).collect();
        let all = limiter.add_target(&keys, Limits::default(), NOW);
        let two = limiter.add_target(&keys[..2], Limits::default(), NOW);
        let one = limiter.add_target(&keys[..1], Limits::default(), NOW);
        let mut affinity = Affinity::default();
        for (resource, key) in [(10, 0), (11, 1), (12, 2), (13, 3)] {
            affinity.record(resource, keys[key]);
        }
        let constraint =
            |limiter: &Limiter, needed: &[u64], target| affinity.constraint(needed, &[], limiter, target);
        assert_eq!(constraint(&limiter, &[], all), Ok(KeyConstraint::Any));
        assert_eq!(constraint(&limiter, &[12], all), Ok(KeyConstraint::Key(keys[2])));
        assert_eq!(
            constraint(&limiter, &[99], one),
            Ok(KeyConstraint::Any),
            "single key"
        );
        assert_eq!(
            constraint(&limiter, &[99], all),
            Err(AffinityError::Unknown { accounts: 4 })
        );
        assert_eq!(
            constraint(&limiter, &[99, 12], all),
            Ok(KeyConstraint::Key(keys[2]))
        );
        assert_eq!(
            constraint(&limiter, &[10, 12], all),
            Err(AffinityError::Conflicting)
        );
        assert_eq!(constraint(&limiter, &[12], two), Err(AffinityError::OtherAccount));

        let preferring = |needed: &[u64], preferred: &[u64], target| {
            affinity.constraint(needed, preferred, &limiter, target)
        };
        assert_eq!(preferring(&[], &[12], all), Ok(KeyConstraint::Key(keys[2])));
        assert_eq!(preferring(&[10], &[12], all), Ok(KeyConstraint::Key(keys[0])));
        assert_eq!(preferring(&[99], &[12], all), Ok(KeyConstraint::Key(keys[2])));
        for unusable in [&[99][..], &[10, 12]] {
            assert_eq!(preferring(&[], unusable, all), Ok(KeyConstraint::Any));
        }
        assert_eq!(preferring(&[], &[12], two), Ok(KeyConstraint::Any));
    }

    // L10
    #[test]
    fn reference_is_sent_to_any_key_of_the_group_that_created_it() {
        let mut limiter = Limiter::new();
        let group = limiter.add_group(Limits::default(), false);
        let keys = [false, true, true].map(|grouped| match grouped {
            true => limiter.add_key_to_group(group, KeyLimits::default()),
            false => limiter.add_key(KeyLimits::default()),
        });
        let all = limiter.add_target(&keys, Limits::default(), NOW);
        let first_two = limiter.add_target(&keys[..2], Limits::default(), NOW);
        let of_group = limiter.add_target(&keys[1..], Limits::default(), NOW);
        let mut affinity = Affinity::default();
        affinity.record(11, keys[1]);
        affinity.record(12, keys[2]);
        let constraint = |needed: &[u64], target| affinity.constraint(needed, &[], &limiter, target);
        assert_eq!(constraint(&[12], all), Ok(KeyConstraint::Group(group)));
        assert_eq!(constraint(&[11, 12], all), Ok(KeyConstraint::Group(group)));
        assert_eq!(
            constraint(&[12], first_two),
            Ok(KeyConstraint::Group(group)),
            "another key of the group"
        );
        assert_eq!(constraint(&[99], of_group), Ok(KeyConstraint::Any), "one account");
    }

    // L10
    #[test]
    fn oldest_resource_is_removed_first() {
        let mut affinity = Affinity::default();
        let max = MAX_RECORDED as u64;
        for resource in 0..max + 5 {
            affinity.record(resource, KeyId(0));
            affinity.record(resource, KeyId(1));
        }
        let entries: Vec<_> = affinity.entries().collect();
        assert_eq!(entries.len(), MAX_RECORDED);
        assert_eq!(entries[0], (5, KeyId(1)));
    }
}
