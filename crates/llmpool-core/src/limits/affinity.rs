//! Which key made what later requests refer to: responses, conversations, encrypted items.
//!
//! Always true: a request that refers to something goes to an account that made it or to none.

use std::collections::{HashMap, VecDeque};

use super::key::KeyId;
use super::limiter::{KeyConstraint, Limiter, TargetId};

/// So much is remembered of each provider; the oldest is forgotten first.
pub const MOST_REMEMBERED: usize = 10_000;

/// Who made what, each known by a fingerprint.
#[derive(Clone, Debug, Default)]
pub struct Affinity {
    makers: HashMap<u64, KeyId>,
    /// The oldest first.
    order: VecDeque<u64>,
}

/// Why a request that refers to something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AffinityError {
    /// Which of several accounts made it is not known.
    Unknown {
        /// So many accounts it could be.
        accounts: usize,
    },
    /// None of the target's accounts made it.
    Elsewhere,
    /// It refers to what different accounts made.
    Torn,
}

impl Affinity {
    /// A key made something.
    pub fn note(&mut self, made: u64, key: KeyId) {
        if self.makers.insert(made, key).is_some() {
            return;
        }
        self.order.push_back(made);
        if self.order.len() > MOST_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.makers.remove(&oldest);
        }
    }

    /// What is remembered, the oldest first.
    pub fn known(&self) -> impl Iterator<Item = (u64, KeyId)> + '_ {
        let makers = self.order.iter();
        makers.filter_map(|made| Some((*made, *self.makers.get(made)?)))
    }

    /// Which keys of a target a request may use that refers to all that is `needed`; `better`: what it refers to and may do without. What is
    /// not known goes with what is: it belongs to the same talk. With one account there is nothing to choose.
    pub fn constraint(
        &self,
        needed: &[u64],
        better: &[u64],
        limiter: &Limiter,
        target: TargetId,
    ) -> Result<KeyConstraint, AffinityError> {
        let home = |key: KeyId| {
            limiter
                .group_of(key)
                .map_or(KeyConstraint::Key(key), KeyConstraint::Group)
        };
        let mut accounts: Vec<KeyConstraint> = limiter.keys_of(target).iter().map(|key| home(*key)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        if accounts.len() < 2 {
            return Ok(KeyConstraint::Any);
        }
        let homes = |made: &[u64]| {
            let makers = made.iter().filter_map(|made| self.makers.get(made));
            let mut homes: Vec<KeyConstraint> = makers.map(|key| home(*key)).collect();
            homes.sort_unstable();
            homes.dedup();
            homes
        };
        let liked = || match homes(better)[..] {
            [home] if accounts.contains(&home) => Some(home),
            _ => None,
        };
        match homes(needed)[..] {
            [] if needed.is_empty() => Ok(liked().unwrap_or(KeyConstraint::Any)),
            [] => liked().ok_or(AffinityError::Unknown {
                accounts: accounts.len(),
            }),
            [home] if accounts.contains(&home) => Ok(home),
            [_] => Err(AffinityError::Elsewhere),
            [..] => Err(AffinityError::Torn),
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
    fn what_was_made_is_asked_of_its_maker_or_of_nobody() {
        let mut limiter = Limiter::new();
        let keys: Vec<_> = (0..4).map(|_| limiter.add_key(KeyLimits::default())).collect();
        let all = limiter.add_target(&keys, Limits::default(), NOW);
        let two = limiter.add_target(&keys[..2], Limits::default(), NOW);
        let one = limiter.add_target(&keys[..1], Limits::default(), NOW);
        let mut affinity = Affinity::default();
        for (made, key) in [(10, 0), (11, 1), (12, 2), (13, 3)] {
            affinity.note(made, keys[key]);
        }
        let constraint =
            |limiter: &Limiter, needed: &[u64], target| affinity.constraint(needed, &[], limiter, target);
        assert_eq!(constraint(&limiter, &[], all), Ok(KeyConstraint::Any));
        assert_eq!(constraint(&limiter, &[12], all), Ok(KeyConstraint::Key(keys[2])));
        assert_eq!(
            constraint(&limiter, &[99], one),
            Ok(KeyConstraint::Any),
            "no choice"
        );
        assert_eq!(
            constraint(&limiter, &[99], all),
            Err(AffinityError::Unknown { accounts: 4 })
        );
        assert_eq!(
            constraint(&limiter, &[99, 12], all),
            Ok(KeyConstraint::Key(keys[2]))
        );
        assert_eq!(constraint(&limiter, &[10, 12], all), Err(AffinityError::Torn));
        assert_eq!(constraint(&limiter, &[12], two), Err(AffinityError::Elsewhere));

        let better =
            |needed: &[u64], better: &[u64], target| affinity.constraint(needed, better, &limiter, target);
        assert_eq!(better(&[], &[12], all), Ok(KeyConstraint::Key(keys[2])));
        assert_eq!(better(&[10], &[12], all), Ok(KeyConstraint::Key(keys[0])));
        assert_eq!(better(&[99], &[12], all), Ok(KeyConstraint::Key(keys[2])));
        for nobody in [&[99][..], &[10, 12]] {
            assert_eq!(better(&[], nobody, all), Ok(KeyConstraint::Any));
        }
        assert_eq!(better(&[], &[12], two), Ok(KeyConstraint::Any));

        let group = limiter.join_keys(&keys[1..3], Limits::default(), false, NOW);
        assert_eq!(constraint(&limiter, &[12], all), Ok(KeyConstraint::Group(group)));
        assert_eq!(
            constraint(&limiter, &[11, 12], all),
            Ok(KeyConstraint::Group(group))
        );
        assert_eq!(
            constraint(&limiter, &[12], two),
            Ok(KeyConstraint::Group(group)),
            "another key of it"
        );
        limiter.join_keys(&keys, Limits::default(), false, NOW);
        assert_eq!(
            constraint(&limiter, &[99], all),
            Ok(KeyConstraint::Any),
            "one account"
        );
    }

    // L10
    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut affinity = Affinity::default();
        let most = MOST_REMEMBERED as u64;
        for made in 0..most + 5 {
            affinity.note(made, KeyId(0));
            affinity.note(made, KeyId(1));
        }
        let known: Vec<_> = affinity.known().collect();
        assert_eq!(known.len(), MOST_REMEMBERED);
        assert_eq!(known[0], (5, KeyId(1)));
    }
}
