//! All keys of one provider and the accounts behind them: what each may do, and what an attempt does to them.
//!
//! A key that belongs to a declared or detected account (a quota group) shares its limits, its pauses for rate and its lack of quota with
//! the others; what concerns the key alone (refused, disabled, its own limits) stays with it. Work grows with the keys of one account.
//!
//! Always true: `in_flight` counts exactly the attempts that have not come back, for keys and for accounts.

use std::time::Duration;

use super::demand::Demand;
use super::health::{CooldownReason, Health, SavedHealth};
use super::key::{Key, KeyAvailability, KeyId, KeyLimits};
use super::limit_set::{Charge, LimitSet};
use super::limits::{LimitKind, Limits};
use crate::time::Timestamp;

/// An account's place in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaGroupId(pub(super) u32);

impl QuotaGroupId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which keys an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyConstraint {
    /// Any key of the target.
    #[default]
    Any,
    /// This key only: a follow-up that another key could not continue.
    Key(KeyId),
    /// Any key of this account.
    Group(QuotaGroupId),
}

#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    pub(super) keys: Vec<Key>,
    groups: Vec<QuotaGroup>,
}

/// One account.
#[derive(Clone, Debug)]
struct QuotaGroup {
    limit_set: LimitSet,
    health: Health,
    members: Vec<KeyId>,
    /// The account that this one turned out to be.
    joined: Option<usize>,
}

impl QuotaGroup {
    fn new() -> Self {
        Self {
            limit_set: LimitSet::new(Limits::default()),
            health: Health::new(),
            members: Vec::new(),
            joined: None,
        }
    }

    /// Whatever was known of another account is true of this one.
    fn merge(&mut self, other: Self, turn: u64, now: Timestamp) {
        self.limit_set.merge(&other.limit_set, turn, now);
        self.limit_set.learned.merge(other.limit_set.learned, now);
        self.health.merge(&other.health);
        self.members.extend(other.members);
    }

    /// A key belongs to this account, and did before anybody knew.
    fn admit(&mut self, id: KeyId, key: &mut Key, turn: u64, now: Timestamp) {
        if key.last_used > 0 {
            self.limit_set.merge(&key.limit_set, turn, now);
        }
        // From now on the provider's words reach the account.
        self.limit_set
            .learned
            .merge(std::mem::take(&mut key.limit_set.learned), now);
        self.health.take_over(&mut key.health);
        self.members.push(id);
    }
}

/// What an attempt holds of its key and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyReservation {
    epoch: u32,
    /// That of its account, where the key was known to belong to one when it was picked.
    group_epoch: Option<u32>,
    charge: Charge,
    group_charge: Charge,
}

impl KeyReservation {
    /// Of an attempt without a key.
    pub(super) const NONE: Self = Self {
        epoch: 0,
        group_epoch: None,
        charge: Charge::NONE,
        group_charge: Charge::NONE,
    };
}

impl Key {
    /// Counts an attempt in, of a key that is plainly in use.
    #[inline(always)]
    pub(super) fn reserve(&mut self, demand: Demand, turn: u64, now: Timestamp) -> KeyReservation {
        self.last_used = turn;
        KeyReservation {
            epoch: self.health.epoch(),
            charge: self.limit_set.charge(demand, turn, now),
            ..KeyReservation::NONE
        }
    }
}

/// A condition to return to, should it turn out that the request was to blame and not the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionalCooldown {
    key: KeyId,
    of_account: bool,
    before: SavedHealth,
}

impl ProvisionalCooldown {
    /// The key whose condition it restores.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl KeyTable {
    pub(super) fn add(&mut self, limits: KeyLimits) -> KeyId {
        self.keys.push(Key::new(limits));
        KeyId((self.keys.len() - 1) as u32)
    }

    /// Makes one account of these keys. A key that belongs to another account already brings its whole account along.
    pub(super) fn join(
        &mut self,
        members: &[KeyId],
        limits: Limits,
        learn: bool,
        turn: u64,
        now: Timestamp,
    ) -> QuotaGroupId {
        let mut all: Vec<KeyId> = members
            .iter()
            .flat_map(|id| self.together_with(*id).to_vec())
            .collect();
        all.sort_unstable();
        all.dedup();
        let mut known: Vec<usize> = all.iter().filter_map(|id| self.keys[id.index()].group).collect();
        known.sort_unstable();
        known.dedup();
        let index = known.first().copied().unwrap_or_else(|| {
            self.groups.push(QuotaGroup::new());
            self.groups.len() - 1
        });
        if learn {
            self.groups[index].limit_set.learned.enable();
        }
        for &other in known.iter().skip(1) {
            let joined = QuotaGroup {
                joined: Some(index),
                ..QuotaGroup::new()
            };
            let other = std::mem::replace(&mut self.groups[other], joined);
            self.groups[index].merge(other, turn, now);
        }
        let group = &mut self.groups[index];
        group.limit_set.set_limits(limits, turn, now);
        for &id in &all {
            let key = &mut self.keys[id.index()];
            if key.group.is_none() {
                group.admit(id, key, turn, now);
            }
            key.group = Some(index);
        }
        group.members.sort_unstable();
        let under_way = all.iter().map(|id| self.keys[id.index()].limit_set.in_flight);
        group.limit_set.in_flight = under_way.sum();
        QuotaGroupId(index as u32)
    }

    /// The account as it is known now.
    fn current(&self, group: QuotaGroupId) -> usize {
        let mut index = group.index();
        while let Some(joined) = self.groups[index].joined {
            index = joined;
        }
        index
    }

    fn group_of(&self, id: KeyId) -> Option<&QuotaGroup> {
        self.keys[id.index()].group.map(|group| &self.groups[group])
    }

    /// The account a key belongs to.
    pub(super) fn group_id(&self, id: KeyId) -> Option<QuotaGroupId> {
        self.keys[id.index()]
            .group
            .map(|group| QuotaGroupId(group as u32))
    }

    /// The keys of an account.
    pub(super) fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        &self.groups[self.current(group)].members
    }

    /// The keys that an event at this one can concern: those of its account, else itself.
    pub(super) fn together_with(&self, id: KeyId) -> Together<'_> {
        match self.group_of(id) {
            Some(group) => Together::Group(&group.members),
            None => Together::One(id),
        }
    }

    pub(super) fn state(&self, id: KeyId) -> KeyAvailability {
        let key = &self.keys[id.index()];
        if key.disabled {
            return KeyAvailability::Disabled;
        }
        let own = KeyAvailability::from(key.health.standing());
        let group = self
            .group_of(id)
            .map(|group| KeyAvailability::from(group.health.standing()));
        match (own, group) {
            (KeyAvailability::Probing, _) | (_, Some(KeyAvailability::Probing)) => KeyAvailability::Probing,
            (KeyAvailability::Healthy, Some(group)) => group,
            // Whatever ends later.
            (own, Some(group)) if group.until() > own.until() => group,
            (own, _) => own,
        }
    }

    /// Why it or its account rests and until when, also while a probe finds out about it: what ends later.
    pub(super) fn known_cooldown(&self, id: KeyId) -> Option<(Timestamp, CooldownReason)> {
        let own = self.keys[id.index()].health.standing().rest();
        let group = self.group_of(id).and_then(|group| group.health.standing().rest());
        own.into_iter().chain(group).max_by_key(|(until, _)| *until)
    }

    /// When its pauses end, as far as time alone decides; `None` while it has none.
    fn cooldown_until(&self, id: KeyId) -> Option<Timestamp> {
        let key = &self.keys[id.index()];
        if key.disabled {
            return Some(Timestamp::MAX);
        }
        let group = self.group_of(id).and_then(|group| group.health.cooldown_until());
        key.health.cooldown_until().max(group)
    }

    /// When it can be used again for this need as far as time alone decides, and what its limits count that comes back last; `None`: now.
    pub(super) fn available_at(
        &self,
        id: KeyId,
        demand: Demand,
        now: Timestamp,
    ) -> Option<(Timestamp, Option<LimitKind>)> {
        let key = &self.keys[id.index()];
        let own = key.limit_set.available_at(demand, now);
        if own.is_none() && key.is_plainly_in_use() {
            return None;
        }
        let group = self
            .group_of(id)
            .and_then(|group| group.limit_set.available_at(demand, now));
        let metered = own.max(group).map(|(until, counts)| (until, Some(counts)));
        let rests = self.cooldown_until(id).filter(|until| *until > now);
        metered.max(rests.map(|until| (until, None)))
    }

    /// Whether only other attempts stand in its way: its slots are taken, or one finds out about it.
    #[inline(always)]
    pub(super) fn is_occupied(&self, id: KeyId) -> bool {
        let key = &self.keys[id.index()];
        let group = self.group_of(id);
        key.health.is_probed()
            || !key.limit_set.has_slot()
            || group.is_some_and(|group| group.health.is_probed() || !group.limit_set.has_slot())
    }

    pub(super) fn is_usable(&self, id: KeyId, demand: Demand, now: Timestamp) -> bool {
        !self.is_occupied(id) && self.available_at(id, demand, now).is_none()
    }

    /// Counts an attempt in. `paced` says that its target lets nobody come all at once.
    #[inline(always)]
    pub(super) fn reserve(
        &mut self,
        id: KeyId,
        demand: Demand,
        turn: u64,
        paced: impl Fn() -> bool,
        now: Timestamp,
    ) -> KeyReservation {
        let key = &mut self.keys[id.index()];
        if key.is_plainly_in_use() {
            return key.reserve(demand, turn, now);
        }
        self.reserve_slow(id, demand, turn, paced(), now)
    }

    /// As [`reserve`](Self::reserve), for a key that rests, is tried out, or belongs to an account.
    fn reserve_slow(
        &mut self,
        id: KeyId,
        demand: Demand,
        turn: u64,
        paced: bool,
        now: Timestamp,
    ) -> KeyReservation {
        let key = &mut self.keys[id.index()];
        key.last_used = turn;
        let group = key.group.map(|group| &mut self.groups[group]);
        let paced = paced
            || key.limit_set.is_paced()
            || group.as_ref().is_some_and(|group| group.limit_set.is_paced());
        if key.health.reserve(paced, now) {
            key.limit_set.resume(turn, now);
        }
        let mut reservation = KeyReservation {
            epoch: key.health.epoch(),
            charge: key.limit_set.charge(demand, turn, now),
            ..KeyReservation::NONE
        };
        if let Some(group) = group {
            if group.health.reserve(paced, now) {
                group.limit_set.resume(turn, now);
            }
            reservation.group_epoch = Some(group.health.epoch());
            reservation.group_charge = group.limit_set.charge(demand, turn, now);
        }
        reservation
    }

    /// Counts an attempt out; one that was not sent has used nothing.
    #[inline(always)]
    pub(super) fn release(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
        used: bool,
        demand: Demand,
        turn: u64,
    ) {
        let key = &mut self.keys[id.index()];
        key.limit_set.in_flight -= 1;
        key.health.release(reservation.epoch);
        if !used {
            key.limit_set.refund(reservation.charge, demand, turn);
        }
        if let Some(group) = key.group.map(|group| &mut self.groups[group]) {
            group.limit_set.in_flight -= 1;
            let Some(epoch) = reservation.group_epoch else {
                return;
            };
            group.health.release(epoch);
            if !used {
                group.limit_set.refund(reservation.group_charge, demand, turn);
            }
        }
    }

    /// Says that what was counted as `before` tokens were really so many. Answers whether that made room.
    #[inline(always)]
    pub(super) fn settle(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
        before: u32,
        tokens: u32,
    ) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.limit_set.settle(reservation.charge, before, tokens);
        let group = key.group.is_some_and(|group| {
            let group = &mut self.groups[group].limit_set;
            group.settle(reservation.group_charge, before, tokens)
        });
        own || group
    }

    /// The key of an attempt whose success would change nothing.
    #[inline(always)]
    pub(super) fn untroubled(&mut self, id: KeyId, reservation: &KeyReservation) -> Option<&mut Key> {
        let key = &mut self.keys[id.index()];
        let untroubled = key.group.is_none() && key.health.is_untroubled(reservation.epoch);
        untroubled.then_some(key)
    }

    /// An attempt got through. Answers whether that changed anything.
    pub(super) fn succeeded(&mut self, id: KeyId, reservation: &KeyReservation) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.health.succeeded(reservation.epoch);
        let group = key.group.zip(reservation.group_epoch);
        let group = group.is_some_and(|(group, epoch)| self.groups[group].health.succeeded(epoch));
        own || group
    }

    /// An attempt was refused because of its key or account.
    pub(super) fn refused(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
        why: CooldownReason,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        let of_account = why.is_of_account() && self.keys[id.index()].group.is_some();
        let epoch = if of_account {
            reservation.group_epoch
        } else {
            Some(reservation.epoch)
        };
        let health = self.condition_mut(id, of_account);
        let before = match epoch {
            Some(epoch) => health.refused(epoch, why, pause, now)?,
            None => health.late_refusal(why, pause, now)?,
        };
        Some(ProvisionalCooldown {
            key: id,
            of_account,
            before,
        })
    }

    /// The meter that a rate of this key concerns: its account's, else its own.
    pub(super) fn rate_limits(&mut self, id: KeyId) -> &mut LimitSet {
        match self.keys[id.index()].group {
            Some(group) => &mut self.groups[group].limit_set,
            None => &mut self.keys[id.index()].limit_set,
        }
    }

    pub(super) fn rate_limits_of(&self, id: KeyId) -> &LimitSet {
        self.group_of(id)
            .map_or(&self.keys[id.index()].limit_set, |group| &group.limit_set)
    }

    /// Takes a refusal back, unless something else has happened since.
    pub(super) fn restore(&mut self, cooldown: ProvisionalCooldown) {
        self.condition_mut(cooldown.key, cooldown.of_account)
            .restore(cooldown.before);
    }

    /// Rests until an instant, as was known from elsewhere: the account where there is one and it is concerned, else the key. A rest that ends
    /// later stays.
    pub(super) fn rest(&mut self, id: KeyId, why: CooldownReason, until: Timestamp) {
        let health = self.condition_mut(id, why.is_of_account());
        if health.cooldown_until().is_none_or(|known| known < until) {
            health.rest(why, until);
        }
    }

    /// In use from now on, the key and its account, whatever was known before.
    pub(super) fn reinstate(&mut self, id: KeyId) {
        let key = &mut self.keys[id.index()];
        key.health.reinstate();
        if let Some(group) = key.group {
            self.groups[group].health.reinstate();
        }
    }

    /// The condition of a key, or of its account where it has one and that is concerned.
    fn condition_mut(&mut self, id: KeyId, of_account: bool) -> &mut Health {
        let key = &mut self.keys[id.index()];
        match key.group.filter(|_| of_account) {
            Some(group) => &mut self.groups[group].health,
            None => &mut key.health,
        }
    }

    /// Whether a binding allows a key.
    pub(super) fn binds(&self, constraint: KeyConstraint, id: KeyId) -> bool {
        match constraint {
            KeyConstraint::Any => true,
            KeyConstraint::Key(key) => key == id,
            KeyConstraint::Group(group) => self.keys[id.index()].group == Some(self.current(group)),
        }
    }

    /// The limits of the account a key belongs to.
    pub(super) fn group_limits(&self, id: KeyId) -> Option<&Limits> {
        self.group_of(id).map(|group| group.limit_set.limits())
    }

    /// Whether a key or its account counts tokens of the model.
    pub(super) fn counts_tokens(&self, id: KeyId) -> bool {
        let group = self
            .group_of(id)
            .is_some_and(|group| group.limit_set.counts_tokens());
        group || self.keys[id.index()].limit_set.counts_tokens()
    }

    /// Whether an attempt under way that turns out to use fewer tokens would make room for others of this key.
    pub(super) fn may_regain_tokens(&self, id: KeyId) -> bool {
        let group = self
            .group_of(id)
            .is_some_and(|group| group.limit_set.may_regain_tokens());
        group || self.keys[id.index()].limit_set.may_regain_tokens()
    }

    /// However many tokens an attempt uses, it will be as many as were counted.
    pub(super) fn leave_unsettled(&mut self, id: KeyId, reservation: &KeyReservation, tokens: u32) {
        let key = &mut self.keys[id.index()];
        key.limit_set.leave_unsettled(reservation.charge, tokens);
        if let Some(group) = key.group {
            self.groups[group]
                .limit_set
                .leave_unsettled(reservation.group_charge, tokens);
        }
    }

    /// The most of `demand` that this key could ever take, where that is less.
    pub(super) fn never(&self, id: KeyId, demand: Demand) -> Option<(LimitKind, u32)> {
        let own = self.keys[id.index()].limit_set.never(demand);
        own.or_else(|| self.group_of(id)?.limit_set.never(demand))
    }
}

/// One key, or all of an account.
pub(super) enum Together<'a> {
    One(KeyId),
    Group(&'a [KeyId]),
}

impl Together<'_> {
    pub(super) fn as_slice(&self) -> &[KeyId] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Group(members) => members,
        }
    }

    fn to_vec(&self) -> Vec<KeyId> {
        self.as_slice().to_vec()
    }
}
