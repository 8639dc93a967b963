//! Determines why a request is denied, and when the request could be granted.

use super::super::demand::Demand;
use super::super::denial::{Denial, Unsatisfiable, Wait, WaitReason};
use super::super::key::{KeyAvailability, KeyId};
use super::super::key_constraint::KeyConstraint;
use super::super::limit_set::LimitSet;
use super::super::limits::LimitKind;
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
        let TargetState {
            limit_set, key_set, ..
        } = &self.targets[target.index()];
        let exceeds = |(kind, limit)| Unsatisfiable::exceeds(demand, kind, limit);
        let exceeded_limit = |id: &KeyId| {
            let mut limit_sets = self.key_table.limit_sets(*id);
            limit_sets.find_map(|limit_set| limit_set.exceeded_limit(demand))
        };
        if let Some(exceeded) = limit_set.exceeded_limit(demand) {
            return Some(exceeds(exceeded));
        }
        if key_set.is_none() && constraint == KeyConstraint::Any {
            return None;
        }
        let keys = self.keys_of(target).iter();
        let mut keys = keys.filter(|id| self.key_table.allows(constraint, **id));
        let first = match keys.next() {
            None => return Some(Unsatisfiable::UnknownKey),
            Some(id) => exceeded_limit(id)?,
        };
        keys.all(|id| exceeded_limit(id).is_some())
            .then(|| exceeds(first))
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
        let state = &self.targets[target.index()];
        if let Some(Denial::Wait(wait)) = state.denies(demand, now) {
            return wait.why;
        }
        let needs_key = constraint != KeyConstraint::Any || state.key_set.is_some();
        if needs_key
            && self.find_key(target, demand, constraint, now).is_none()
            && let Denial::Wait(wait) = self.no_key(target, demand, constraint, now)
        {
            return wait.why;
        }
        // The limits would grant the request, so only older requests in the queue delay it.
        WaitReason::Target(LimitKind::Requests)
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
        let TargetState {
            limit_set,
            key_set,
            health,
            ..
        } = &self.targets[target.index()];
        let by_target = limit_set
            .ready_at(demand, ahead, now)
            .max(health.cooldown_until().unwrap_or(now));
        let by_key = match (constraint, *key_set) {
            (KeyConstraint::Key(id), Some(_)) => self
                .key_table
                .available_at(id, Demand::ONE, now)
                .filter(|_| !self.key_table.is_probing(id, now))
                .map_or(now, |(until, _)| until),
            (KeyConstraint::Any, Some(set)) => {
                self.earliest_of_set(set, ahead + u64::from(demand.requests), now)
            }
            (_, _) => now,
        };
        by_target.max(by_key)
    }

    fn earliest_of_set(&mut self, set: usize, requests: u64, now: Timestamp) -> Timestamp {
        let set = &mut self.key_sets.sets[set];
        let by_rate = now + set.least_time(requests);
        if !set.all_away(&self.key_table, now) {
            return by_rate;
        }
        let first = set.next_return(&self.key_table, now);
        first.map_or(now, |(until, _)| until).max(by_rate)
    }

    /// Returns the denial of a request for which the target has no usable key.
    pub(super) fn no_key(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Denial {
        let state = &self.targets[target.index()];
        let serves_any = constraint == KeyConstraint::Any
            && demand.tokens == 0
            && demand.requests <= 1
            && state.denials.is_empty();
        match (state.key_set, constraint) {
            (None, _) => Denial::Unsatisfiable(Unsatisfiable::UnknownKey),
            (Some(set), KeyConstraint::Key(id)) if !self.key_sets.sets[set].contains(id) => {
                Denial::Unsatisfiable(Unsatisfiable::UnknownKey)
            }
            (Some(set), _) if serves_any => Denial::Wait(self.wait_for_any_key(set, now)),
            (Some(_), _) => Denial::Wait(self.wait_for_matching_key(target, demand, constraint, now)),
        }
    }

    fn wait_for_any_key(&mut self, set: usize, now: Timestamp) -> Wait {
        let set = &mut self.key_sets.sets[set];
        let slot = !set.all_away(&self.key_table, now);
        let first = set.next_return(&self.key_table, now);
        self.wait_for(first, slot, Demand::ONE, now)
    }

    /// Returns when to retry a request that only some keys of the target can serve. Visits every key of the
    /// target, unlike [`wait_for_any_key`](Self::wait_for_any_key).
    fn wait_for_matching_key(
        &self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Wait {
        let (mut slot, mut may_regain) = (false, false);
        let mut first: Option<(Timestamp, KeyId)> = None;
        let denials = &self.targets[target.index()].denials;
        let keys = self.keys_of(target).iter();
        for &id in keys.filter(|id| self.key_table.allows(constraint, **id)) {
            let away = self.key_table.available_at(id, demand, now);
            may_regain |= matches!(away, Some((_, Some(LimitKind::Tokens))))
                && self.key_table.limit_sets(id).any(LimitSet::may_regain_tokens);
            let away = away.map(|(until, _)| until);
            // The outcome of a probe can make the key usable at any time.
            slot |= self.key_table.is_probing(id, now) || denials.is_probed(id, now);
            match away.max(denials.until(id, now)) {
                Some(until) => first = first.into_iter().chain([(until, id)]).min(),
                None => slot = true,
            }
        }
        let mut wait = self.wait_for(first, slot, demand, now);
        wait.slot |= may_regain;
        wait
    }

    fn wait_for(
        &self,
        first: Option<(Timestamp, KeyId)>,
        slot: bool,
        demand: Demand,
        now: Timestamp,
    ) -> Wait {
        let until = first.map_or(Timestamp::MAX, |(until, _)| until);
        let why = match first {
            Some((_, id)) if !slot => match self.key_table.available_at(id, demand, now) {
                Some((_, Some(kind))) => WaitReason::KeyLimits(kind),
                Some((_, None)) => WaitReason::KeysUnavailable(self.key_availability(id, now)),
                None => WaitReason::KeysUnavailable(KeyAvailability::Forbidden(until)),
            },
            _ => WaitReason::KeyConcurrency,
        };
        Wait { until, slot, why }
    }
}
