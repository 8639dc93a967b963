//! All keys of one provider and the accounts behind them: what each may do, and what an attempt does to them.
//!
//! A key that belongs to a declared or detected account (a quota group) shares its limits, its pauses for rate and its lack of quota with
//! the others; what concerns the key alone (refused, disabled, its own limits) stays with it. Work grows with the keys of one account.
//!
//! Always true: `in_flight` counts exactly the attempts that have not come back, for keys and for accounts.

use std::time::Duration;

use super::condition::{Before, Condition, Rest};
use super::key::{Key, KeyId, KeyLimits, KeyState};
use super::meter::{Charge, Counts, Limits, Meter, Need};
use crate::time::Timestamp;

/// An account's place in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub(super) u32);

impl GroupId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which keys an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// Any key of the target.
    #[default]
    Any,
    /// This key only: a follow-up that another key could not continue.
    Key(KeyId),
    /// Any key of this account.
    Group(GroupId),
}

#[derive(Clone, Debug, Default)]
pub(super) struct KeyRing {
    pub(super) keys: Vec<Key>,
    groups: Vec<Group>,
}

/// One account.
#[derive(Clone, Debug)]
struct Group {
    meter: Meter,
    condition: Condition,
    members: Vec<KeyId>,
    /// The account that this one turned out to be.
    joined: Option<usize>,
}

impl Group {
    fn new() -> Self {
        Self {
            meter: Meter::new(Limits::default()),
            condition: Condition::new(),
            members: Vec::new(),
            joined: None,
        }
    }

    /// Whatever was known of another account is true of this one.
    fn absorb(&mut self, other: Self, turn: u64, now: Timestamp) {
        self.meter.absorb(&other.meter, turn, now);
        self.meter.learned.absorb(other.meter.learned, now);
        self.condition.absorb(&other.condition);
        self.members.extend(other.members);
    }

    /// A key belongs to this account, and did before anybody knew.
    fn admit(&mut self, id: KeyId, key: &mut Key, turn: u64, now: Timestamp) {
        if key.last_used > 0 {
            self.meter.absorb(&key.meter, turn, now);
        }
        // From now on the provider's words reach the account.
        self.meter
            .learned
            .absorb(std::mem::take(&mut key.meter.learned), now);
        self.condition.take_over(&mut key.condition);
        self.members.push(id);
    }
}

/// What an attempt holds of its key and account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stake {
    epoch: u32,
    /// That of its account, where the key was known to belong to one when it was picked.
    group_epoch: Option<u32>,
    charge: Charge,
    group_charge: Charge,
}

impl Stake {
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
    pub(super) fn pick(&mut self, need: Need, turn: u64, now: Timestamp) -> Stake {
        self.last_used = turn;
        Stake {
            epoch: self.condition.epoch(),
            charge: self.meter.charge(need, turn, now),
            ..Stake::NONE
        }
    }
}

/// A condition to return to, should it turn out that the request was to blame and not the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undo {
    key: KeyId,
    of_account: bool,
    before: Before,
}

impl Undo {
    /// The key whose condition it restores.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl KeyRing {
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
    ) -> GroupId {
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
            self.groups.push(Group::new());
            self.groups.len() - 1
        });
        if learn {
            self.groups[index].meter.learned.enable();
        }
        for &other in known.iter().skip(1) {
            let joined = Group {
                joined: Some(index),
                ..Group::new()
            };
            let other = std::mem::replace(&mut self.groups[other], joined);
            self.groups[index].absorb(other, turn, now);
        }
        let group = &mut self.groups[index];
        group.meter.set_limits(limits, turn, now);
        for &id in &all {
            let key = &mut self.keys[id.index()];
            if key.group.is_none() {
                group.admit(id, key, turn, now);
            }
            key.group = Some(index);
        }
        group.members.sort_unstable();
        let under_way = all.iter().map(|id| self.keys[id.index()].meter.in_flight);
        group.meter.in_flight = under_way.sum();
        GroupId(index as u32)
    }

    /// The account as it is known now.
    fn current(&self, group: GroupId) -> usize {
        let mut index = group.index();
        while let Some(joined) = self.groups[index].joined {
            index = joined;
        }
        index
    }

    fn group_of(&self, id: KeyId) -> Option<&Group> {
        self.keys[id.index()].group.map(|group| &self.groups[group])
    }

    /// The account a key belongs to.
    pub(super) fn group_id(&self, id: KeyId) -> Option<GroupId> {
        self.keys[id.index()].group.map(|group| GroupId(group as u32))
    }

    /// The keys of an account.
    pub(super) fn members(&self, group: GroupId) -> &[KeyId] {
        &self.groups[self.current(group)].members
    }

    /// The keys that an event at this one can concern: those of its account, else itself.
    pub(super) fn together_with(&self, id: KeyId) -> Together<'_> {
        match self.group_of(id) {
            Some(group) => Together::Group(&group.members),
            None => Together::One(id),
        }
    }

    pub(super) fn state(&self, id: KeyId) -> KeyState {
        let key = &self.keys[id.index()];
        if key.disabled {
            return KeyState::Disabled;
        }
        let own = KeyState::from(key.condition.standing());
        let group = self
            .group_of(id)
            .map(|group| KeyState::from(group.condition.standing()));
        match (own, group) {
            (KeyState::Probing, _) | (_, Some(KeyState::Probing)) => KeyState::Probing,
            (KeyState::Healthy, Some(group)) => group,
            // Whatever ends later.
            (own, Some(group)) if group.until() > own.until() => group,
            (own, _) => own,
        }
    }

    /// Why it or its account rests and until when, also while a probe finds out about it: what ends later.
    pub(super) fn known_rest(&self, id: KeyId) -> Option<(Timestamp, Rest)> {
        let own = self.keys[id.index()].condition.standing().rest();
        let group = self
            .group_of(id)
            .and_then(|group| group.condition.standing().rest());
        own.into_iter().chain(group).max_by_key(|(until, _)| *until)
    }

    /// When its pauses end, as far as time alone decides; `None` while it has none.
    fn rests_until(&self, id: KeyId) -> Option<Timestamp> {
        let key = &self.keys[id.index()];
        if key.disabled {
            return Some(Timestamp::MAX);
        }
        let group = self.group_of(id).and_then(|group| group.condition.rests_until());
        key.condition.rests_until().max(group)
    }

    /// When it can be used again for this need as far as time alone decides, and what its limits count that comes back last; `None`: now.
    pub(super) fn away_for(
        &self,
        id: KeyId,
        need: Need,
        now: Timestamp,
    ) -> Option<(Timestamp, Option<Counts>)> {
        let key = &self.keys[id.index()];
        let own = key.meter.away_for(need, now);
        if own.is_none() && key.is_plainly_in_use() {
            return None;
        }
        let group = self
            .group_of(id)
            .and_then(|group| group.meter.away_for(need, now));
        let metered = own.max(group).map(|(until, counts)| (until, Some(counts)));
        let rests = self.rests_until(id).filter(|until| *until > now);
        metered.max(rests.map(|until| (until, None)))
    }

    /// Whether only other attempts stand in its way: its slots are taken, or one finds out about it.
    #[inline(always)]
    pub(super) fn is_occupied(&self, id: KeyId) -> bool {
        let key = &self.keys[id.index()];
        let group = self.group_of(id);
        key.condition.is_probed()
            || !key.meter.has_slot()
            || group.is_some_and(|group| group.condition.is_probed() || !group.meter.has_slot())
    }

    pub(super) fn is_usable(&self, id: KeyId, need: Need, now: Timestamp) -> bool {
        !self.is_occupied(id) && self.away_for(id, need, now).is_none()
    }

    /// Counts an attempt in. `paced` says that its target lets nobody come all at once.
    #[inline(always)]
    pub(super) fn pick(
        &mut self,
        id: KeyId,
        need: Need,
        turn: u64,
        paced: impl Fn() -> bool,
        now: Timestamp,
    ) -> Stake {
        let key = &mut self.keys[id.index()];
        if key.is_plainly_in_use() {
            return key.pick(need, turn, now);
        }
        self.pick_with_care(id, need, turn, paced(), now)
    }

    /// As [`pick`](Self::pick), for a key that rests, is tried out, or belongs to an account.
    fn pick_with_care(&mut self, id: KeyId, need: Need, turn: u64, paced: bool, now: Timestamp) -> Stake {
        let key = &mut self.keys[id.index()];
        key.last_used = turn;
        let group = key.group.map(|group| &mut self.groups[group]);
        let paced =
            paced || key.meter.is_paced() || group.as_ref().is_some_and(|group| group.meter.is_paced());
        if key.condition.pick(paced, now) {
            key.meter.resume(turn, now);
        }
        let mut stake = Stake {
            epoch: key.condition.epoch(),
            charge: key.meter.charge(need, turn, now),
            ..Stake::NONE
        };
        if let Some(group) = group {
            if group.condition.pick(paced, now) {
                group.meter.resume(turn, now);
            }
            stake.group_epoch = Some(group.condition.epoch());
            stake.group_charge = group.meter.charge(need, turn, now);
        }
        stake
    }

    /// Counts an attempt out; one that was not sent has used nothing.
    #[inline(always)]
    pub(super) fn put_back(&mut self, id: KeyId, stake: &Stake, used: bool, need: Need, turn: u64) {
        let key = &mut self.keys[id.index()];
        key.meter.in_flight -= 1;
        key.condition.put_back(stake.epoch);
        if !used {
            key.meter.refund(stake.charge, need, turn);
        }
        if let Some(group) = key.group.map(|group| &mut self.groups[group]) {
            group.meter.in_flight -= 1;
            let Some(epoch) = stake.group_epoch else { return };
            group.condition.put_back(epoch);
            if !used {
                group.meter.refund(stake.group_charge, need, turn);
            }
        }
    }

    /// Says that what was counted as `before` tokens were really so many. Answers whether that made room.
    #[inline(always)]
    pub(super) fn settle(&mut self, id: KeyId, stake: &Stake, before: u32, tokens: u32) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.meter.settle(stake.charge, before, tokens);
        let group = key.group.is_some_and(|group| {
            let group = &mut self.groups[group].meter;
            group.settle(stake.group_charge, before, tokens)
        });
        own || group
    }

    /// The key of an attempt whose success would change nothing.
    #[inline(always)]
    pub(super) fn untroubled(&mut self, id: KeyId, stake: &Stake) -> Option<&mut Key> {
        let key = &mut self.keys[id.index()];
        let untroubled = key.group.is_none() && key.condition.is_untroubled(stake.epoch);
        untroubled.then_some(key)
    }

    /// An attempt got through. Answers whether that changed anything.
    pub(super) fn succeeded(&mut self, id: KeyId, stake: &Stake) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.condition.succeeded(stake.epoch);
        let group = key.group.zip(stake.group_epoch);
        let group = group.is_some_and(|(group, epoch)| self.groups[group].condition.succeeded(epoch));
        own || group
    }

    /// An attempt was refused because of its key or account.
    pub(super) fn refused(
        &mut self,
        id: KeyId,
        stake: &Stake,
        why: Rest,
        pause: Option<Duration>,
        now: Timestamp,
    ) -> Option<Undo> {
        let of_account = why.is_of_account() && self.keys[id.index()].group.is_some();
        let epoch = if of_account {
            stake.group_epoch
        } else {
            Some(stake.epoch)
        };
        let condition = self.condition_mut(id, of_account);
        let before = match epoch {
            Some(epoch) => condition.refused(epoch, why, pause, now)?,
            None => condition.late_refusal(why, pause, now)?,
        };
        Some(Undo {
            key: id,
            of_account,
            before,
        })
    }

    /// The meter that a rate of this key concerns: its account's, else its own.
    pub(super) fn rate_meter(&mut self, id: KeyId) -> &mut Meter {
        match self.keys[id.index()].group {
            Some(group) => &mut self.groups[group].meter,
            None => &mut self.keys[id.index()].meter,
        }
    }

    pub(super) fn rate_meter_of(&self, id: KeyId) -> &Meter {
        self.group_of(id)
            .map_or(&self.keys[id.index()].meter, |group| &group.meter)
    }

    /// Takes a refusal back, unless something else has happened since.
    pub(super) fn restore(&mut self, undo: Undo) {
        self.condition_mut(undo.key, undo.of_account).restore(undo.before);
    }

    /// Rests until an instant, as was known from elsewhere: the account where there is one and it is concerned, else the key. A rest that ends
    /// later stays.
    pub(super) fn rest(&mut self, id: KeyId, why: Rest, until: Timestamp) {
        let condition = self.condition_mut(id, why.is_of_account());
        if condition.rests_until().is_none_or(|known| known < until) {
            condition.rest(why, until);
        }
    }

    /// In use from now on, the key and its account, whatever was known before.
    pub(super) fn reinstate(&mut self, id: KeyId) {
        let key = &mut self.keys[id.index()];
        key.condition.reinstate();
        if let Some(group) = key.group {
            self.groups[group].condition.reinstate();
        }
    }

    /// The condition of a key, or of its account where it has one and that is concerned.
    fn condition_mut(&mut self, id: KeyId, of_account: bool) -> &mut Condition {
        let key = &mut self.keys[id.index()];
        match key.group.filter(|_| of_account) {
            Some(group) => &mut self.groups[group].condition,
            None => &mut key.condition,
        }
    }

    /// Whether a binding allows a key.
    pub(super) fn binds(&self, binding: Binding, id: KeyId) -> bool {
        match binding {
            Binding::Any => true,
            Binding::Key(key) => key == id,
            Binding::Group(group) => self.keys[id.index()].group == Some(self.current(group)),
        }
    }

    /// The limits of the account a key belongs to.
    pub(super) fn group_limits(&self, id: KeyId) -> Option<&Limits> {
        self.group_of(id).map(|group| group.meter.limits())
    }

    /// Whether a key or its account counts tokens of the model.
    pub(super) fn counts_tokens(&self, id: KeyId) -> bool {
        let group = self.group_of(id).is_some_and(|group| group.meter.counts_tokens());
        group || self.keys[id.index()].meter.counts_tokens()
    }

    /// Whether an attempt under way that turns out to use fewer tokens would make room for others of this key.
    pub(super) fn may_regain_tokens(&self, id: KeyId) -> bool {
        let group = self
            .group_of(id)
            .is_some_and(|group| group.meter.may_regain_tokens());
        group || self.keys[id.index()].meter.may_regain_tokens()
    }

    /// However many tokens an attempt uses, it will be as many as were counted.
    pub(super) fn leave_unsettled(&mut self, id: KeyId, stake: &Stake, tokens: u32) {
        let key = &mut self.keys[id.index()];
        key.meter.leave_unsettled(stake.charge, tokens);
        if let Some(group) = key.group {
            self.groups[group]
                .meter
                .leave_unsettled(stake.group_charge, tokens);
        }
    }

    /// The most of `need` that this key could ever take, where that is less.
    pub(super) fn never(&self, id: KeyId, need: Need) -> Option<(Counts, u32)> {
        let own = self.keys[id.index()].meter.never(need);
        own.or_else(|| self.group_of(id)?.meter.never(need))
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
