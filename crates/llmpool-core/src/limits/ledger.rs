//! What decides: every limit of one provider, asked and changed in one step.
//!
//! Keys are known once, however many targets use them, so a key has one load across all models. A grant takes everything
//! that applies or nothing at all, and a denial says when it would succeed, what it waits for, or that it never will.
//!
//! Always true: in-flight counts equal the grants not yet returned; a grant refunded before it was used leaves every bucket
//! as if it had not been.

use std::time::Duration;

use super::bucket::{Bucket, Denied};
use super::key::{Key, KeyId, KeyLimits, KeyState, Rest, Undo};
use super::key_set::KeySet;
use super::meter::{Charge, Meter, RequestLimits};
use crate::time::Timestamp;

/// A target's place in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(u32);

impl TargetId {
    /// The position, counted from 0 in the order in which the targets were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What one attempt needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the request bucket; 1 for a call.
    pub requests: u32,
}

impl Need {
    /// One request.
    pub const ONE: Self = Self { requests: 1 };
}

/// Which keys an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// Any key of the target.
    #[default]
    Any,
    /// This key only: a follow-up that another key could not continue.
    Key(KeyId),
}

/// Leave for one attempt. Whoever holds it must give it back exactly once, by [`Ledger::put_back`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    target: TargetId,
    key: Option<KeyId>,
    charge: Charge,
    key_charge: Charge,
    epoch: u32,
}

impl Grant {
    /// The reserved key; `None` where the target has no keys (a bare token bucket).
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The target it was given for.
    pub fn target(&self) -> TargetId {
        self.target
    }
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Everything was taken.
    Granted(Grant),
    /// Not now, and nothing was taken.
    Wait(Wait),
    /// Not ever.
    Never(Never),
}

/// What would make a denied request succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Worth asking again at this instant; [`Timestamp::MAX`] when time alone changes nothing.
    pub until: Timestamp,
    /// Worth asking again when an attempt under way ends.
    pub slot: bool,
    /// What stood in the way.
    pub why: WaitReason,
}

/// What stood in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The target's request rate.
    Rate,
    /// The request rate of every key.
    KeyRate,
    /// Every usable key has as many attempts under way as it may have.
    Concurrency,
    /// Every key rests; the state of the one that returns first.
    Keys(KeyState),
}

/// Why a request can never be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {
    /// It asks for more than the bucket holds.
    MoreThanCapacity {
        /// The most that can be taken at once.
        capacity: u32,
    },
    /// It is bound to a key that the target does not have.
    UnknownKey,
}

#[derive(Clone, Debug)]
struct Target {
    meter: Meter,
    set: Option<usize>,
}

/// Every limit of one provider.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    keys: Vec<Key>,
    /// The sets each key belongs to; nearly always one.
    sets_of: Vec<Vec<usize>>,
    sets: Vec<KeySet>,
    /// For each set, those that have a key in common with it, itself included.
    near: Vec<Vec<usize>>,
    targets: Vec<Target>,
    picks: u64,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key that no target uses yet.
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        let id = KeyId(self.keys.len() as u32);
        self.keys.push(Key::new(limits));
        self.sets_of.push(Vec::new());
        id
    }

    /// Adds a target that may use `keys` (none: it is limited by its quota alone). Targets with the same keys share one
    /// order of load.
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<RequestLimits>,
        now: Timestamp,
    ) -> TargetId {
        let set = if keys.is_empty() {
            None
        } else {
            Some(self.set_of_keys(keys, now))
        };
        self.targets.push(Target {
            meter: Meter::new(limits.into()),
            set,
        });
        TargetId((self.targets.len() - 1) as u32)
    }

    fn set_of_keys(&mut self, keys: &[KeyId], now: Timestamp) -> usize {
        let mut members = keys.to_vec();
        members.sort_unstable();
        members.dedup();
        if let Some(known) = self.sets.iter().position(|set| set.members() == members) {
            return known;
        }
        let index = self.sets.len();
        let mut near = vec![index];
        for id in &members {
            for &other in &self.sets_of[id.index()] {
                if !near.contains(&other) {
                    near.push(other);
                    self.near[other].push(index);
                }
            }
            self.sets_of[id.index()].push(index);
        }
        self.near.push(near);
        self.sets.push(KeySet::new(members, &self.keys, now));
        index
    }

    /// Takes what one attempt needs, the least loaded usable key included, or says what it waits for.
    pub fn take(&mut self, target: TargetId, need: Need, binding: Binding, now: Timestamp) -> Take {
        match self.targets[target.index()].meter.check(need.requests, now) {
            Ok(()) => {}
            Err(Denied::Until(until)) => {
                return Take::Wait(Wait {
                    until,
                    slot: false,
                    why: WaitReason::Rate,
                });
            }
            Err(Denied::Never { capacity }) => return Take::Never(Never::MoreThanCapacity { capacity }),
        }
        let key = match self.pick(target, binding, now) {
            Ok(key) => key,
            Err(denied) => return denied,
        };
        let (epoch, key_charge) = match key {
            Some(id) => (self.keys[id.index()].epoch(), self.charge_key(id, need, now)),
            None => (0, Charge::default()),
        };
        Take::Granted(Grant {
            target,
            key,
            charge: self.targets[target.index()].meter.charge(need.requests, now),
            key_charge,
            epoch,
        })
    }

    /// Why this could never be granted, if so.
    pub fn never(&self, target: TargetId, need: Need, binding: Binding) -> Option<Never> {
        let Target { meter, set } = &self.targets[target.index()];
        let capacity = meter.capacity();
        match (binding, *set) {
            _ if capacity.is_some_and(|capacity| need.requests > capacity) => Some(Never::MoreThanCapacity {
                capacity: capacity.unwrap_or_default(),
            }),
            (Binding::Key(id), set)
                if set.is_none_or(|set| self.sets[set].members().binary_search(&id).is_err()) =>
            {
                Some(Never::UnknownKey)
            }
            _ => None,
        }
    }

    /// What stands in the way of a request now, without taking anything.
    pub fn why_wait(&mut self, target: TargetId, need: Need, binding: Binding, now: Timestamp) -> WaitReason {
        let Target { meter, set } = &self.targets[target.index()];
        let rate = meter.check(need.requests, now).is_err();
        match *set {
            Some(set) if !rate && self.sets[set].least_loaded(&self.keys, now).is_none() => {
                self.wait_for_key(set, binding, now).why
            }
            _ => WaitReason::Rate,
        }
    }

    /// Gives a grant back. `used` says whether the request was handed to a connection: only an unused one is refunded.
    pub fn put_back(&mut self, grant: Grant, used: bool, now: Timestamp) {
        if !used {
            self.targets[grant.target.index()].meter.refund(grant.charge);
        }
        if let Some(id) = grant.key {
            if !used {
                self.keys[id.index()].meter.refund(grant.key_charge);
            }
            self.keys[id.index()].put_back(grant.epoch);
            self.key_changed(id, now);
        }
    }

    /// The attempt of this grant got through: its key is healthy.
    pub fn succeeded(&mut self, grant: Grant, now: Timestamp) {
        if let Some(id) = grant.key {
            self.keys[id.index()].succeeded(grant.epoch);
            self.key_changed(id, now);
        }
    }

    /// The attempt of this grant was refused because of its key, which then rests: for `pause` where the provider named
    /// one, else for a time that doubles from refusal to refusal. The answer can take it back.
    pub fn refused(
        &mut self,
        grant: Grant,
        why: Rest,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<Undo> {
        let id = grant.key?;
        let undo = self.keys[id.index()].refused(id, grant.epoch, why, pause, now);
        self.key_changed(id, now);
        undo
    }

    /// Takes a refusal back, unless the key's condition has changed again since.
    pub fn restore(&mut self, undo: Undo, now: Timestamp) {
        self.keys[undo.key().index()].restore(undo);
        self.key_changed(undo.key(), now);
    }

    /// The earliest instant at which `total` requests of a target could have gone: a lower bound that counts occupied
    /// slots as free.
    pub fn earliest(&mut self, target: TargetId, total: u64, binding: Binding, now: Timestamp) -> Timestamp {
        let Target { meter, set } = &self.targets[target.index()];
        let by_rate = meter.ready_at(total, now);
        let by_key = match (binding, *set) {
            (Binding::Key(id), _) => self.keys[id.index()].away_until(now).unwrap_or(now),
            (Binding::Any, None) => now,
            (Binding::Any, Some(set)) => self.earliest_key(set, now),
        };
        by_rate.max(by_key)
    }

    fn earliest_key(&mut self, set: usize, now: Timestamp) -> Timestamp {
        let set = &mut self.sets[set];
        if !set.all_rest(&self.keys, now) {
            return now;
        }
        set.next_return(&self.keys, now).map_or(now, |(until, _)| until)
    }

    /// The sets a key belongs to: what an event at this key can concern.
    pub fn sets_of(&self, key: KeyId) -> &[usize] {
        &self.sets_of[key.index()]
    }

    /// The sets that compete with a set for its keys, itself included.
    pub fn sets_near(&self, set: usize) -> &[usize] {
        &self.near[set]
    }

    /// The set of keys a target uses.
    pub fn set_of(&self, target: TargetId) -> Option<usize> {
        self.targets[target.index()].set
    }

    /// Attempts of a key that are under way.
    pub fn in_flight(&self, key: KeyId) -> u32 {
        self.keys[key.index()].in_flight
    }

    /// Whether a key is in use, and if not, why.
    pub fn key_state(&self, key: KeyId) -> KeyState {
        self.keys[key.index()].state()
    }

    /// Whether a target has a key in use of which `known` is not true.
    pub fn has_other_key(&self, target: TargetId, known: impl Fn(KeyId) -> bool) -> bool {
        let set = self.targets[target.index()]
            .set
            .map(|set| self.sets[set].members());
        let mut members = set.unwrap_or_default().iter();
        members.any(|id| !known(*id) && self.key_state(*id) == KeyState::Healthy)
    }

    /// How many keys a target may use.
    pub fn key_count(&self, target: TargetId) -> usize {
        self.targets[target.index()]
            .set
            .map_or(0, |set| self.sets[set].members().len())
    }

    /// Every key, in the order in which they were added.
    pub fn key_ids(&self) -> Vec<KeyId> {
        (0..self.keys.len() as u32).map(KeyId).collect()
    }

    /// The bucket of a target's bursts, if it has one.
    pub fn bucket(&self, target: TargetId) -> Option<&Bucket> {
        self.targets[target.index()].meter.burst()
    }

    /// Fills the request buckets of a target.
    pub fn reset(&mut self, target: TargetId) {
        self.targets[target.index()].meter.reset();
    }

    fn charge_key(&mut self, id: KeyId, need: Need, now: Timestamp) -> Charge {
        let charge = self.keys[id.index()].meter.charge(need.requests, now);
        if charge != Charge::default() {
            self.key_changed(id, now);
        }
        charge
    }

    fn pick(&mut self, target: TargetId, binding: Binding, now: Timestamp) -> Result<Option<KeyId>, Take> {
        let Some(set) = self.targets[target.index()].set else {
            return match binding {
                Binding::Any => Ok(None),
                Binding::Key(_) => Err(Take::Never(Never::UnknownKey)),
            };
        };
        let found = match binding {
            Binding::Any => self.sets[set].least_loaded(&self.keys, now),
            Binding::Key(id) if self.sets[set].members().binary_search(&id).is_err() => {
                return Err(Take::Never(Never::UnknownKey));
            }
            Binding::Key(id) => Some(id).filter(|id| self.keys[id.index()].is_usable(now)),
        };
        let Some(id) = found else {
            return Err(Take::Wait(self.wait_for_key(set, binding, now)));
        };
        self.picks += 1;
        self.keys[id.index()].pick(self.picks, now);
        self.key_changed(id, now);
        Ok(Some(id))
    }

    fn wait_for_key(&mut self, set: usize, binding: Binding, now: Timestamp) -> Wait {
        let (returns, slot) = match binding {
            Binding::Any => {
                let set = &mut self.sets[set];
                (set.next_return(&self.keys, now), !set.all_rest(&self.keys, now))
            }
            Binding::Key(id) => {
                let until = self.keys[id.index()].away_until(now);
                (until.map(|until| (until, id)), until.is_none())
            }
        };
        match returns {
            Some((until, id)) if !slot => Wait {
                until,
                slot,
                why: match self.key_state(id) {
                    KeyState::Healthy => WaitReason::KeyRate,
                    resting => WaitReason::Keys(resting),
                },
            },
            Some((until, _)) => Wait {
                until,
                slot,
                why: WaitReason::Concurrency,
            },
            None => Wait {
                until: Timestamp::MAX,
                slot,
                why: WaitReason::Concurrency,
            },
        }
    }

    fn key_changed(&mut self, id: KeyId, now: Timestamp) {
        for &set in &self.sets_of[id.index()] {
            self.sets[set].changed(id, &self.keys, now);
        }
    }
}
