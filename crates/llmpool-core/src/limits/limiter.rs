//! What decides: every limit of one provider, asked and changed in one step.
//!
//! Keys are known once, however many targets use them, so a key has one load across all models. A grant takes everything
//! that applies or nothing at all, and a denial says when it would succeed, what it waits for, or that it never will.
//!
//! Always true: in-flight counts equal the grants not yet returned; a grant refunded before it was used leaves every limit
//! as if it had not been.

use std::time::Duration;

use super::bucket::Bucket;
use super::demand::Demand;
pub use super::health::CooldownReason;
use super::health::{Health, HealthState};
use super::key::{KeyAvailability, KeyId, KeyLimits};
use super::key_set::KeySet;
pub use super::key_table::{KeyConstraint, ProvisionalCooldown, QuotaGroupId};
use super::key_table::{KeyReservation, KeyTable};
use super::limit_set::{Charge, LimitSet};
use super::limits::{LimitKind, Limits};
use super::model_denials::ModelDenials;
use super::observed_limits::LimitSnapshots;
use crate::routing::budget::RetryBudget;
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

/// What may be done with a target, whatever the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetLimits {
    /// How much.
    pub limits: Limits,
    /// After so many failures in a row that blame the target it is left alone for a while, and then tried by a single attempt. `None`:
    /// never, which is right where there is no other target to go to.
    pub breaker: Option<u32>,
}

impl From<Option<super::rate_limit::RateLimit>> for TargetLimits {
    fn from(burst: Option<super::rate_limit::RateLimit>) -> Self {
        Limits::from(burst).into()
    }
}

impl From<Limits> for TargetLimits {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            breaker: None,
        }
    }
}

/// Leave for one attempt. Whoever holds it must give it back exactly once, by [`Limiter::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    target: TargetId,
    /// Its index, or `NO_KEY`; small, since every attempt carries it about.
    key: u32,
    epoch: u32,
    /// What is counted: the estimate of tokens until it is settled.
    demand: Demand,
    /// Whether it may turn out to use fewer tokens than are counted.
    unsettled: bool,
    /// The number by which buckets know it.
    turn: u64,
    charge: Charge,
    reservation: KeyReservation,
    /// By which number its answer is known, where its key was forbidden when it was picked.
    probe: Option<u32>,
}

const NO_KEY: u32 = u32::MAX;

impl Grant {
    /// The reserved key; `None` where the target has no keys (a bare token bucket).
    #[inline(always)]
    pub fn key(&self) -> Option<KeyId> {
        Some(KeyId(self.key)).filter(|_| self.key != NO_KEY)
    }

    /// The target it was given for.
    pub fn target(&self) -> TargetId {
        self.target
    }
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a grant is the common answer, and is moved on at once"
)]
pub enum AcquireOutcome {
    /// Everything was taken.
    Granted(Grant),
    /// Not now, and nothing was taken.
    Wait(Wait),
    /// Not ever.
    Unsatisfiable(Unsatisfiable),
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
    /// A limit of the target.
    Target(LimitKind),
    /// The target has as many attempts under way as it may have.
    TargetConcurrency,
    /// The target asked for a pause, or failed time and again.
    TargetRests,
    /// Limits of every key.
    KeyLimits(LimitKind),
    /// Every usable key has as many attempts under way as it may have.
    Concurrency,
    /// Every key rests; the state of the one that returns first.
    Keys(KeyAvailability),
}

impl WaitReason {
    /// Whether it is the target itself that has to change, whatever its keys.
    pub fn is_targets(self) -> bool {
        matches!(
            self,
            Self::Target(_) | Self::TargetConcurrency | Self::TargetRests
        )
    }
}

/// Why a request can never be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsatisfiable {
    /// It asks for more requests at once than there can ever be.
    MoreThanCapacity {
        /// The most that can be taken at once.
        capacity: u32,
    },
    /// It needs more tokens than a whole minute has.
    MoreTokensThanLimit {
        /// What it would need.
        tokens: u32,
        /// The limit of a minute.
        limit: u32,
    },
    /// It is bound to a key or account that the target does not have.
    UnknownKey,
}

impl Unsatisfiable {
    fn too_much(demand: Demand, counts: LimitKind, most: u32) -> Self {
        match counts {
            LimitKind::Tokens => Self::MoreTokensThanLimit {
                tokens: demand.tokens,
                limit: most,
            },
            LimitKind::Requests | LimitKind::Day => Self::MoreThanCapacity { capacity: most },
        }
    }
}

/// A take that takes nothing.
enum Denial {
    Wait(Wait),
    Unsatisfiable(Unsatisfiable),
}

impl From<Denial> for AcquireOutcome {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Wait(wait) => Self::Wait(wait),
            Denial::Unsatisfiable(never) => Self::Unsatisfiable(never),
        }
    }
}

#[derive(Clone, Debug)]
struct Target {
    limit_set: LimitSet,
    set: Option<usize>,
    health: Health,
    breaker: Option<u32>,
    /// Failures in a row that blame the target.
    failures: u32,
    budget: RetryBudget,
    forbidden: ModelDenials,
}

/// Every limit of one provider.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    key_table: KeyTable,
    /// The sets each key or anyone of its account belongs to; nearly always one.
    sets_of: Vec<Vec<usize>>,
    sets: Vec<KeySet>,
    /// For each set, those that have a key or an account in common with it, itself included.
    near: Vec<Vec<usize>>,
    targets: Vec<Target>,
    /// How many changes there were that buckets tell apart.
    turns: u64,
}

impl Limiter {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key that no target uses yet.
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        self.sets_of.push(Vec::new());
        self.key_table.add(limits)
    }

    /// Makes one account of these keys, and of those that were in an account with one of them already: they share `limits`, pauses for
    /// rate and lack of quota. Their own limits stay. `learn`: whether what the provider says tightens the limits.
    pub fn join_keys(&mut self, keys: &[KeyId], limits: Limits, learn: bool, now: Timestamp) -> QuotaGroupId {
        let turn = self.turn();
        let group = self.key_table.join(keys, limits, learn, turn, now);
        let members = self.key_table.members(group).to_vec();
        let mut sets: Vec<usize> = members
            .iter()
            .flat_map(|id| self.sets_of[id.index()].clone())
            .collect();
        sets.sort_unstable();
        sets.dedup();
        for id in &members {
            self.sets_of[id.index()].clone_from(&sets);
        }
        for &set in &sets {
            let near = &mut self.near[set];
            near.extend(&sets);
            near.sort_unstable();
            near.dedup();
            self.sets[set].renew(&self.key_table, now);
        }
        group
    }

    /// Adds a target that may use `keys` (none: it is limited by its own limits alone). Targets with the same keys share one
    /// order of load.
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let set = if keys.is_empty() {
            None
        } else {
            Some(self.set_of_keys(keys, now))
        };
        let TargetLimits { limits, breaker } = limits.into();
        self.targets.push(Target {
            limit_set: LimitSet::new(limits),
            set,
            health: Health::new(),
            breaker,
            failures: 0,
            budget: RetryBudget::default(),
            forbidden: ModelDenials::default(),
        });
        TargetId((self.targets.len() - 1) as u32)
    }

    /// Other limits for a target from now on. What was taken stays taken, and nothing comes on top of it.
    pub fn set_target_limits(&mut self, target: TargetId, limits: impl Into<TargetLimits>, now: Timestamp) {
        let TargetLimits { limits, breaker } = limits.into();
        let turn = self.turn();
        let target = &mut self.targets[target.index()];
        target.limit_set.set_limits(limits, turn, now);
        target.breaker = breaker;
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
            for member in self.key_table.together_with(*id).as_slice() {
                let sets = &mut self.sets_of[member.index()];
                for &other in sets.iter().filter(|other| **other != index) {
                    if !near.contains(&other) {
                        near.push(other);
                        self.near[other].push(index);
                    }
                }
                if !sets.contains(&index) {
                    sets.push(index);
                }
            }
        }
        self.near.push(near);
        self.sets.push(KeySet::new(members, &self.key_table, now));
        index
    }

    /// Takes what one attempt needs, the least loaded usable key included, or says what it waits for.
    #[inline(always)]
    pub fn take(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> AcquireOutcome {
        let Self { key_table, sets, .. } = self;
        let chosen = &mut self.targets[target.index()];
        if let Some(denied) = chosen.denies(demand, now) {
            return denied.into();
        }
        let key = match chosen.set {
            None if constraint == KeyConstraint::Any => None,
            Some(set) if chosen.takes_any_key(demand, constraint) => {
                let Some(id) = sets[set].least_loaded(key_table, now) else {
                    return AcquireOutcome::Wait(self.wait_for_any(set, now));
                };
                Some(id)
            }
            _ => {
                let Some(id) = chosen.find_key(key_table, sets, demand, constraint, now) else {
                    return self.wait_for_key(target, demand, constraint, now).into();
                };
                Some(id)
            }
        };
        self.turns += 1;
        let turn = self.turns;
        if !chosen.health.is_in_use() && chosen.health.reserve(chosen.limit_set.is_paced(), now) {
            chosen.limit_set.resume(turn, now);
        }
        let (charge, epoch) = (chosen.limit_set.charge(demand, turn, now), chosen.health.epoch());
        let mut probe = None;
        let reservation = match key {
            None => KeyReservation::NONE,
            Some(id) => {
                if !chosen.forbidden.is_empty() {
                    probe = chosen.forbidden.reserve(id, now);
                }
                let key = &mut key_table.keys[id.index()];
                match self.sets_of[id.index()][..] {
                    // Nearly every key of nearly every call.
                    [set] if key.is_unlimited() => {
                        let reservation = key.reserve(demand, turn, now);
                        sets[set].load_changed(id, key);
                        reservation
                    }
                    _ => {
                        let target = &chosen.limit_set;
                        let reservation = key_table.reserve(id, demand, turn, || target.is_paced(), now);
                        self.account_changed(id, now);
                        reservation
                    }
                }
            }
        };
        AcquireOutcome::Granted(Grant {
            target,
            key: key.map_or(NO_KEY, |id| id.0),
            epoch,
            demand,
            unsettled: demand.tokens > 0,
            turn,
            charge,
            reservation,
            probe,
        })
    }

    /// The next number of a change.
    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Why this could never be granted, if so.
    pub fn never(
        &self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
    ) -> Option<Unsatisfiable> {
        let Target { limit_set, set, .. } = &self.targets[target.index()];
        let too_much = |(counts, most)| Unsatisfiable::too_much(demand, counts, most);
        if let Some(never) = limit_set.never(demand) {
            return Some(too_much(never));
        }
        let Some(set) = set.map(|set| &self.sets[set]) else {
            return Some(Unsatisfiable::UnknownKey).filter(|_| constraint != KeyConstraint::Any);
        };
        let mut nevers = set
            .members()
            .iter()
            .filter(|id| self.key_table.binds(constraint, **id));
        let first = match nevers.next() {
            None => return Some(Unsatisfiable::UnknownKey),
            Some(id) => self.key_table.never(*id, demand)?,
        };
        nevers
            .all(|id| self.key_table.never(*id, demand).is_some())
            .then(|| too_much(first))
    }

    /// What stands in the way of a request now, without taking anything.
    pub fn why_wait(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> WaitReason {
        if let Some(Denial::Wait(wait)) = self.targets[target.index()].denies(demand, now) {
            return wait.why;
        }
        let chosen = &self.targets[target.index()];
        let wants_key = constraint != KeyConstraint::Any || chosen.set.is_some();
        if wants_key
            && chosen
                .find_key(&self.key_table, &mut self.sets, demand, constraint, now)
                .is_none()
            && let Denial::Wait(wait) = self.wait_for_key(target, demand, constraint, now)
        {
            return wait.why;
        }
        // It could go, but for those before.
        WaitReason::Target(LimitKind::Requests)
    }

    /// Gives a grant back. `used` says whether the request was handed to a connection: only an unused one is refunded. Answers whether
    /// that makes room at the target itself, whatever the keys. Afterwards the grant serves only to be settled.
    #[inline(always)]
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp) -> bool {
        let target = &mut self.targets[grant.target.index()];
        let was_probe = matches!(target.health.standing(), HealthState::Probing { .. });
        let was_full = !target.limit_set.has_slot();
        target.limit_set.in_flight -= 1;
        target.health.release(grant.epoch);
        if !used {
            target.limit_set.refund(grant.charge, grant.demand, grant.turn);
        }
        if let Some(id) = grant.key() {
            if grant.probe.is_some() {
                target.forbidden.release(id, grant.probe);
            }
            self.key_table
                .release(id, &grant.reservation, used, grant.demand, grant.turn);
            self.key_changed(id, now);
        }
        self.close(grant);
        // Who waits for tokens may learn now that they do not come back.
        let was_counted = grant.demand.tokens > 0;
        if !used {
            grant.demand.tokens = 0;
        }
        !used || was_full || was_probe || was_counted
    }

    /// From here on it is known how many tokens an attempt used.
    #[inline(always)]
    fn close(&mut self, grant: &mut Grant) {
        if std::mem::take(&mut grant.unsettled) {
            let tokens = grant.demand.tokens;
            self.targets[grant.target.index()]
                .limit_set
                .leave_unsettled(grant.charge, tokens);
            if let Some(id) = grant.key() {
                self.key_table.leave_unsettled(id, &grant.reservation, tokens);
            }
        }
    }

    /// Says how many tokens of the model an attempt really used. Answers whether that made room.
    #[inline(always)]
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp) -> bool {
        self.close(grant);
        let before = std::mem::replace(&mut grant.demand.tokens, tokens);
        let target = &mut self.targets[grant.target.index()];
        let mut made_room = target.limit_set.settle(grant.charge, before, tokens);
        if let Some(id) = grant.key()
            && self.key_table.settle(id, &grant.reservation, before, tokens)
        {
            made_room = true;
            self.key_changed(id, now);
        }
        made_room
    }

    /// The attempt of this grant got through, and that is no news of its key or target: they were in use. Answers whether it is so; if not,
    /// nothing was noted.
    #[inline(always)]
    pub fn succeeded_as_expected(&mut self, grant: &Grant) -> bool {
        let target = &mut self.targets[grant.target.index()];
        let expected = target.is_untroubled(grant)
            && grant
                .key()
                .is_none_or(|id| self.key_table.untroubled(id, &grant.reservation).is_some());
        if expected {
            target.answered();
        }
        expected
    }

    /// As [`succeeded_as_expected`](Self::succeeded_as_expected), and gives the grant back: see [`release`](Self::release). `None` where
    /// success is news, and then nothing was done.
    #[inline(always)]
    pub fn end_as_expected(&mut self, grant: &Grant, now: Timestamp) -> Option<bool> {
        let target = &mut self.targets[grant.target.index()];
        if grant.unsettled || !target.is_untroubled(grant) {
            return None;
        }
        if let Some(id) = grant.key() {
            let key = self.key_table.untroubled(id, &grant.reservation)?;
            key.limit_set.in_flight -= 1;
            match self.sets_of[id.index()][..] {
                [set] if key.is_unlimited() => self.sets[set].load_changed(id, key),
                _ => self.account_changed(id, now),
            }
        }
        let target = &mut self.targets[grant.target.index()];
        target.answered();
        let was_full = !target.limit_set.has_slot();
        target.limit_set.in_flight -= 1;
        Some(was_full)
    }

    /// The attempt of this grant got through: its key is healthy, and so is its target. Answers whether that changed anything.
    pub fn succeeded(&mut self, grant: &Grant, now: Timestamp) -> bool {
        let target = &mut self.targets[grant.target.index()];
        target.answered();
        let mut changed = target.health.succeeded(grant.epoch);
        if let Some(id) = grant.key() {
            changed |= target.forbidden.succeeded(id, grant.probe);
            if self.key_table.succeeded(id, &grant.reservation) {
                changed = true;
                self.key_changed(id, now);
            }
        }
        changed
    }

    /// The attempt of this grant was refused because of its key, which then rests: for `pause` where the provider named
    /// one, else for a time that doubles from refusal to refusal. The answer can take it back.
    pub fn refused(
        &mut self,
        grant: &Grant,
        why: CooldownReason,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        let id = grant.key()?;
        if why == CooldownReason::Forbidden {
            let forbidden = &mut self.targets[grant.target.index()].forbidden;
            forbidden.refused(id, grant.probe, pause, now);
            return None;
        }
        let cooldown = self.key_table.refused(id, &grant.reservation, why, pause, now);
        if why == CooldownReason::Throttled && cooldown.is_some() {
            self.key_table.rate_limits(id).learned.refused(now);
        }
        self.key_changed(id, now);
        cooldown
    }

    /// As [`refused`](Self::refused), where it is not clear whether the key is to blame: it rests for `pause`, and nothing is learned of its
    /// rate.
    pub fn refused_unclearly(
        &mut self,
        grant: &Grant,
        pause: Duration,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        let id = grant.key()?;
        let cooldown = self.key_table.refused(
            id,
            &grant.reservation,
            CooldownReason::Throttled,
            Some(pause),
            now,
        );
        self.key_changed(id, now);
        cooldown
    }

    /// Whether what the provider says tightens the limits of a key.
    pub fn observes_limits(&self, key: KeyId) -> bool {
        self.key_table.rate_limits_of(key).learned.is_enabled()
    }

    /// The attempt of this grant failed because of its target. A time that the provider named is kept; without one the target is left
    /// alone only where a breaker is set and as many failures came in a row.
    pub fn target_failed(&mut self, grant: &Grant, pause: Option<Duration>, now: Timestamp) {
        let target = &mut self.targets[grant.target.index()];
        target.failures = target.failures.saturating_add(1);
        let broken = target.breaker.is_some_and(|after| target.failures >= after);
        let probed = matches!(target.health.standing(), HealthState::Probing { .. });
        if pause.is_some() {
            target
                .health
                .refused(grant.epoch, CooldownReason::Overloaded, pause, now);
        } else if broken || (probed && target.breaker.is_some()) {
            target
                .health
                .refused(grant.epoch, CooldownReason::Broken, None, now);
        } else if probed {
            // Without an alternative only a time that was named keeps anybody from it.
            target.health.succeeded(grant.epoch);
        }
    }

    /// An answer said what is left of its key's limits.
    pub fn observed(&mut self, grant: &Grant, sights: &LimitSnapshots, now: Timestamp) {
        let Some(id) = grant.key() else { return };
        let limit_set = self.key_table.rate_limits(id);
        let others = limit_set.in_flight.saturating_sub(1);
        limit_set.learned.observe(sights, others, now);
        self.key_changed(id, now);
    }

    /// Takes a refusal back, unless the key's condition has changed again since.
    pub fn restore(&mut self, cooldown: ProvisionalCooldown, now: Timestamp) {
        self.key_table.restore(cooldown);
        self.key_changed(cooldown.key(), now);
    }

    /// Takes a key out of use, or puts it back into use whatever was known of it and of its account. Attempts under way go on.
    pub fn set_enabled(&mut self, key: KeyId, enabled: bool, now: Timestamp) {
        self.key_table.keys[key.index()].disabled = !enabled;
        if enabled {
            self.key_table.reinstate(key);
            for target in &mut self.targets {
                target.forbidden.allow(key);
            }
        }
        self.key_changed(key, now);
    }

    /// Lets a key rest until an instant, as was known from elsewhere (an earlier run).
    pub fn set_cooldown(&mut self, key: KeyId, why: CooldownReason, until: Timestamp, now: Timestamp) {
        self.key_table.rest(key, why, until);
        self.key_changed(key, now);
    }

    /// A call begins that was not tried before: it earns its target a part of a retry.
    pub fn fresh_call(&mut self, target: TargetId, now: Timestamp) {
        self.targets[target.index()].budget.record_call(now);
    }

    /// Spends one of the target's retries, if there is one.
    pub fn spend_retry(&mut self, target: TargetId, now: Timestamp) -> bool {
        self.targets[target.index()].budget.try_spend(now)
    }

    /// The earliest instant at which a request could have gone after `ahead` others: a lower bound that counts occupied slots as free, and
    /// tokens of which it is not known yet whether they are used.
    pub fn earliest(
        &mut self,
        target: TargetId,
        demand: Demand,
        ahead: u64,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Timestamp {
        let Target {
            limit_set,
            set,
            health,
            ..
        } = &self.targets[target.index()];
        let by_target = limit_set
            .ready_at(demand, ahead, now)
            .max(health.cooldown_until().unwrap_or(now));
        let by_key = match (constraint, *set) {
            (KeyConstraint::Key(id), Some(_)) => self
                .key_table
                .available_at(id, Demand::ONE, now)
                .map_or(now, |(until, _)| until),
            (KeyConstraint::Any, Some(set)) => {
                self.earliest_key(set, ahead + u64::from(demand.requests), now)
            }
            (_, _) => now,
        };
        by_target.max(by_key)
    }

    fn earliest_key(&mut self, set: usize, requests: u64, now: Timestamp) -> Timestamp {
        let set = &mut self.sets[set];
        let by_rate = now + set.least_time(requests);
        if !set.all_in_cooldown(&self.key_table, now) {
            return by_rate;
        }
        let first = set
            .next_return(&self.key_table, now)
            .map_or(now, |(until, _)| until);
        first.max(by_rate)
    }

    /// The sets that an event at this key can concern: those that have it or one of its account.
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

    /// Whether a limit counts tokens of the model for this target, so that a call has to say how many it needs.
    pub fn counts_tokens(&self, target: TargetId) -> bool {
        let Target { limit_set, set, .. } = &self.targets[target.index()];
        let mut members = set.iter().flat_map(|set| self.sets[*set].members());
        limit_set.counts_tokens() || members.any(|id| self.key_table.counts_tokens(*id))
    }

    /// Attempts of a key that are under way.
    pub fn in_flight(&self, key: KeyId) -> u32 {
        self.key_table.keys[key.index()].limit_set.in_flight
    }

    /// Whether a key is in use, and if not, why.
    pub fn key_state(&self, key: KeyId) -> KeyAvailability {
        self.key_table.state(key)
    }

    /// Until when a key rests and why, which is known also while an attempt finds out whether it still has to.
    pub fn known_cooldown(&self, key: KeyId) -> Option<(Timestamp, CooldownReason)> {
        self.key_table.known_cooldown(key)
    }

    /// As [`key_state`](Self::key_state), for the model of one target.
    pub fn key_state_at(&self, target: TargetId, key: KeyId) -> KeyAvailability {
        let forbidden = self.targets[target.index()].forbidden.standing(key);
        match (self.key_state(key), forbidden) {
            (KeyAvailability::Healthy, Some(standing)) => standing.into(),
            (state, _) => state,
        }
    }

    /// Whether a binding allows a key.
    pub fn binds(&self, constraint: KeyConstraint, key: KeyId) -> bool {
        self.key_table.binds(constraint, key)
    }

    /// The account a key belongs to, where it was declared or found out to share one.
    pub fn group_of(&self, key: KeyId) -> Option<QuotaGroupId> {
        self.key_table.group_id(key)
    }

    /// The keys of an account.
    pub fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        self.key_table.members(group)
    }

    /// The limits of a key as configured, and those of its account.
    pub fn configured(&self, key: KeyId) -> (Limits, Option<Limits>) {
        let own = self.key_table.keys[key.index()].limit_set.limits();
        (*own, self.key_table.group_limits(key).copied())
    }

    /// The limits of a target as configured.
    pub fn target_limits(&self, target: TargetId) -> &Limits {
        self.targets[target.index()].limit_set.limits()
    }

    /// The keys that a target may use, in the order in which they were added.
    pub fn keys_of(&self, target: TargetId) -> &[KeyId] {
        self.set_of(target)
            .map(|set| self.sets[set].members())
            .unwrap_or_default()
    }

    /// The requests a minute that the provider was seen to allow a key or its account, where that is known.
    pub fn observed_per_minute(&self, key: KeyId) -> Option<f64> {
        self.key_table.rate_limits_of(key).learned.per_minute()
    }

    /// Whether a target has a key in use of which `known` is not true.
    pub fn has_other_key(&self, target: TargetId, known: impl Fn(KeyId) -> bool) -> bool {
        let mut members = self.keys_of(target).iter();
        members.any(|id| !known(*id) && self.key_state_at(target, *id) == KeyAvailability::Healthy)
    }

    /// Every key, in the order in which they were added.
    pub fn key_ids(&self) -> Vec<KeyId> {
        (0..self.key_table.keys.len() as u32).map(KeyId).collect()
    }

    /// Every target, in the order in which they were added.
    pub fn target_ids(&self) -> impl Iterator<Item = TargetId> + use<> {
        (0..self.targets.len() as u32).map(TargetId)
    }

    /// The bucket of a target's bursts, if it has one.
    pub fn bucket(&self, target: TargetId) -> Option<&Bucket> {
        self.targets[target.index()].limit_set.burst()
    }

    /// Fills the buckets of a target and begins its windows anew.
    pub fn reset(&mut self, target: TargetId) {
        let turn = self.turn();
        self.targets[target.index()].limit_set.reset(turn);
    }

    /// What an attempt waits for that found no key.
    fn wait_for_key(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Denial {
        let chosen = &self.targets[target.index()];
        match (chosen.set, constraint) {
            (None, _) => Denial::Unsatisfiable(Unsatisfiable::UnknownKey),
            (Some(set), KeyConstraint::Key(id)) if !self.sets[set].has(id) => {
                Denial::Unsatisfiable(Unsatisfiable::UnknownKey)
            }
            (Some(set), _) if chosen.takes_any_key(demand, constraint) => {
                Denial::Wait(self.wait_for_any(set, now))
            }
            (Some(set), _) => Denial::Wait(self.wait_for_some(target, set, demand, constraint, now)),
        }
    }

    fn wait_for_any(&mut self, set: usize, now: Timestamp) -> Wait {
        let set = &mut self.sets[set];
        let slot = !set.all_in_cooldown(&self.key_table, now);
        let returns = set.next_return(&self.key_table, now);
        self.wait_until(returns, slot, Demand::ONE, now)
    }

    /// As for any, where a need or a binding makes keys differ: every key is looked at.
    fn wait_for_some(
        &self,
        target: TargetId,
        set: usize,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Wait {
        let (mut slot, mut regains) = (false, false);
        let mut returns: Option<(Timestamp, KeyId)> = None;
        let chosen = &self.targets[target.index()];
        for &id in self.sets[set]
            .members()
            .iter()
            .filter(|id| self.key_table.binds(constraint, **id))
        {
            let away = self.key_table.available_at(id, demand, now);
            regains |=
                matches!(away, Some((_, Some(LimitKind::Tokens)))) && self.key_table.may_regain_tokens(id);
            let away = away.map(|(until, _)| until);
            let forbidden = chosen.forbidden.until(id).filter(|until| *until > now);
            match away.max(forbidden) {
                Some(until) => returns = returns.into_iter().chain([(until, id)]).min(),
                None => slot = true,
            }
        }
        let wait = self.wait_until(returns, slot, demand, now);
        Wait {
            slot: slot || regains,
            ..wait
        }
    }

    fn wait_until(
        &self,
        returns: Option<(Timestamp, KeyId)>,
        slot: bool,
        demand: Demand,
        now: Timestamp,
    ) -> Wait {
        let until = returns.map_or(Timestamp::MAX, |(until, _)| until);
        let why = match returns {
            Some((_, id)) if !slot => match self.key_table.available_at(id, demand, now) {
                Some((_, Some(counts))) => WaitReason::KeyLimits(counts),
                Some((_, None)) => WaitReason::Keys(self.key_state(id)),
                None => WaitReason::Keys(KeyAvailability::Forbidden(until)),
            },
            _ => WaitReason::Concurrency,
        };
        Wait { until, slot, why }
    }

    #[inline(always)]
    fn key_changed(&mut self, id: KeyId, now: Timestamp) {
        let key = &self.key_table.keys[id.index()];
        match self.sets_of[id.index()][..] {
            [set] if key.is_unlimited() => self.sets[set].load_changed(id, key),
            _ => self.account_changed(id, now),
        }
    }

    /// A key changed, and with it perhaps what the others of its account may.
    fn account_changed(&mut self, id: KeyId, now: Timestamp) {
        for &member in self.key_table.together_with(id).as_slice() {
            for &set in &self.sets_of[member.index()] {
                if self.sets[set].has(member) {
                    self.sets[set].changed(member, &self.key_table, now);
                }
            }
        }
    }
}

impl Target {
    /// What in the target itself stands in the way, whatever its keys.
    #[inline(always)]
    fn denies(&self, demand: Demand, now: Timestamp) -> Option<Denial> {
        let wait = |until, slot, why| Some(Denial::Wait(Wait { until, slot, why }));
        if !self.health.is_in_use() {
            if self.health.is_probed() {
                return wait(Timestamp::MAX, true, WaitReason::TargetRests);
            }
            if let Some(until) = self.health.cooldown_until().filter(|until| *until > now) {
                return wait(until, false, WaitReason::TargetRests);
            }
        }
        if let Some((until, counts)) = self.limit_set.available_at(demand, now) {
            // What can never be is also not there now.
            return match self.limit_set.never(demand) {
                Some((counts, most)) => Some(Denial::Unsatisfiable(Unsatisfiable::too_much(
                    demand, counts, most,
                ))),
                None => {
                    let regains = counts == LimitKind::Tokens && self.limit_set.may_regain_tokens();
                    wait(until, regains, WaitReason::Target(counts))
                }
            };
        }
        if !self.limit_set.has_slot() {
            return wait(Timestamp::MAX, true, WaitReason::TargetConcurrency);
        }
        None
    }

    /// Whether success of an attempt would change nothing but counts.
    #[inline(always)]
    fn is_untroubled(&self, grant: &Grant) -> bool {
        self.health.is_untroubled(grant.epoch) && self.forbidden.is_empty()
    }

    #[inline(always)]
    fn answered(&mut self) {
        self.failures = 0;
        self.budget.record_success();
    }

    /// Whether any usable key will do for an attempt.
    #[inline(always)]
    fn takes_any_key(&self, demand: Demand, constraint: KeyConstraint) -> bool {
        constraint == KeyConstraint::Any
            && demand.tokens == 0
            && demand.requests <= 1
            && self.forbidden.is_empty()
    }

    /// The least loaded key that will do for an attempt; nothing is taken yet.
    fn find_key(
        &self,
        key_table: &KeyTable,
        sets: &mut [KeySet],
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Option<KeyId> {
        sets[self.set?].least_loaded_that(key_table, now, |id| {
            key_table.binds(constraint, id)
                && !self.forbidden.forbids(id, now)
                && key_table.is_usable(id, demand, now)
        })
    }
}
