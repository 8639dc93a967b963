//! Determines why a request is denied, and when the request could be granted.

use super::super::demand::Demand;
use super::super::denial::{Denial, LostKeys, Unsatisfiable, Wait, WaitReason};
use super::super::key::{KeyAvailability, KeyId};
use super::super::key_constraint::KeyConstraint;
use super::super::limits::LimitKind;
use super::super::obstacle::Obstacle;
use super::super::target::{TargetId, TargetState};
use super::Limiter;
use crate::time::Timestamp;

impl Limiter {
    /// Returns why a request can never be granted under the current limits, or `None` if the request can be
    /// granted at some time.
    pub fn unsatisfiable(
        &self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
    ) -> Option<Unsatisfiable> {
        let state = &self.targets[target.index()];
        let exceeds = |(kind, limit)| Unsatisfiable::exceeds(demand, kind, limit);
        let of_target = state.subject.limit_set.exceeded_limit(demand);
        if of_target.is_some() || state.key_set.is_none() && constraint == KeyConstraint::Any {
            return of_target.map(exceeds);
        }
        let set = state.key_set.iter();
        let keys = set.flat_map(|set| set.ids(constraint, &self.key_table));
        let mut exceeded = keys.map(|id| {
            let subjects = self.key_table.subjects(id).into_iter();
            let mut exceeded = subjects.filter_map(|subject| subject.limit_set.exceeded_limit(demand));
            exceeded.next()
        });
        let Some(first) = exceeded.next() else {
            return Some(Unsatisfiable::UnknownKey);
        };
        first
            .filter(|_| exceeded.all(|limit| limit.is_some()))
            .map(exceeds)
    }

    /// Returns what a request that arrives at `now` would wait for. Reserves nothing. If only older requests
    /// in the queue delay the request, the result is `WaitReason::Target(LimitKind::Requests)`.
    pub fn wait_reason(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> WaitReason {
        let known = self.known_wait_reason(target, demand, constraint, now);
        known.unwrap_or(WaitReason::Target(LimitKind::Requests))
    }

    /// Returns what a request that arrives at `now` would wait for, or `None` if the limits would grant it, so that
    /// only older requests in the queue delay it. Reserves nothing.
    pub fn known_wait_reason(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Option<WaitReason> {
        let state = &self.targets[target.index()];
        if let Some(Denial::Wait(wait)) = state.denial(demand, now) {
            return Some(wait.why);
        }
        if self.find_key(target, demand, constraint, &[], now).is_none()
            && let Denial::Wait(wait) = self.no_key(target, demand, constraint, now)
        {
            return Some(wait.why);
        }
        None
    }

    /// Returns the key that a request would get at `now`: the least loaded usable one. Returns `None` if the request
    /// would have to wait. Reserves nothing.
    pub fn next_key(&mut self, target: TargetId, constraint: KeyConstraint, now: Timestamp) -> Option<KeyId> {
        let is_denied = self.targets[target.index()].denial(Demand::ONE, now).is_some();
        if is_denied {
            return None;
        }
        let place = self.find_key(target, Demand::ONE, constraint, &[], now)?;
        let key_set = self.targets[target.index()].key_set.as_ref()?;
        Some(key_set.key(place).id)
    }

    /// Returns a lower bound on the time at which a request could be granted if `ahead` other requests are
    /// granted first. The bound assumes that all slots are free and that estimated tokens turn out to be
    /// unused.
    pub fn earliest(
        &mut self,
        target: TargetId,
        demand: Demand,
        ahead: u64,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Timestamp {
        let TargetState { subject, key_set, .. } = &mut self.targets[target.index()];
        let by_limits = subject.limit_set.ready_at(demand, ahead, now);
        let by_target = by_limits.max(subject.health.cooldown_until().unwrap_or(now));
        let Some(set) = key_set else { return by_target };
        let by_rate = match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => {
                now + set.least_time(ahead + u64::from(demand.requests))
            }
            KeyConstraint::Key(_) | KeyConstraint::Group(_) => now,
        };
        // Keys that were set aside for a larger demand may have room for this one.
        set.take_back(demand, &self.key_table, now);
        let by_key = match set.readiness(demand, constraint, &self.key_table, now) {
            Some((keys, _)) if keys.load.is_none() && !keys.wait.may_end_early() => keys.wait.until,
            _ => now,
        };
        by_target.max(by_key).max(by_rate)
    }

    /// Returns the denial of a request for which the target has no usable key.
    pub(super) fn no_key(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Denial {
        let unknown = Denial::Unsatisfiable(Unsatisfiable::UnknownKey);
        let Some(set) = &mut self.targets[target.index()].key_set else {
            return unknown;
        };
        let Some((keys, next)) = set.readiness(demand, constraint, &self.key_table, now) else {
            return unknown;
        };
        let slot = keys.load.is_some() || keys.wait.may_end_early();
        let obstacle = set.obstacle(next, demand, &self.key_table, now);
        let why = match obstacle.and_then(|obstacle| obstacle.limit) {
            Some(LimitKind::Tokens) => WaitReason::KeyLimits(LimitKind::Tokens),
            _ if slot => WaitReason::KeyConcurrency,
            Some(kind) => WaitReason::KeyLimits(kind),
            None => {
                let id = set.key(next).id;
                WaitReason::KeysUnavailable(self.key_availability_at(target, id, now))
            }
        };
        let until = keys.wait.until;
        Denial::Wait(Wait { until, slot, why })
    }

    /// Returns what is known of the keys that satisfy the constraint if some of them are disabled, rejected by the
    /// provider, or belong to an account without quota, and no other is usable or being probed. `None` otherwise,
    /// also if all keys are merely throttled or at a limit.
    pub fn lost_keys(
        &mut self,
        target: TargetId,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Option<LostKeys> {
        let set = self.targets[target.index()].key_set.as_mut()?;
        let (keys, first) = set.readiness(Demand::ONE, constraint, &self.key_table, now)?;
        if keys.load.is_some() || keys.wait.may_end_early() {
            return None;
        }
        let id = set.key(first).id;
        let first = self.key_availability_at(target, id, now);
        let Obstacle {
            until, returns_at, ..
        } = keys.wait;
        let are_some_lost = match first {
            KeyAvailability::Healthy | KeyAvailability::Throttled(_) | KeyAvailability::Probing => {
                until < returns_at
            }
            _ => true,
        };
        let returns_at = Some(returns_at).filter(|at| *at < Timestamp::MAX);
        are_some_lost.then_some(LostKeys { first, returns_at })
    }
}
