//! A ready index: which items are usable now, ordered by load, and when the others may become usable. An item
//! is a quota group of a target, or a key of such a group.
//!
//! All costs are logarithmic in the number of items.
//!
//! Invariant: `usable`, `returns`, `rechecks` and the counts agree with `items`.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};

use super::obstacle::Obstacle;
use crate::time::Timestamp;

/// Load of a key: the number of its attempts in flight divided by its weight. If this quotient is equal for
/// two keys, the key that was used less recently has the lower load. The load of a quota group is that of its
/// least loaded usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    per_weight: u64,
    last_used: u64,
}

impl Load {
    /// `last_used`: sequence number of the most recent use.
    #[inline(always)]
    pub(super) fn new(in_flight: u32, weight: NonZeroU32, last_used: u64) -> Self {
        // Scaled by 2^32, which is exact enough to tell apart all fractions of weights up to 2^16.
        let per_weight = (u64::from(in_flight) << 32) / NonZeroU64::from(weight);
        Self {
            per_weight,
            last_used,
        }
    }
}

/// Whether an item is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    /// The load of the item. `None` if the item is not usable.
    pub(super) load: Option<Load>,
    /// What an item that is not usable waits for. Of a usable item, only `until` counts: the time at which its
    /// readiness may change without an event, or [`Timestamp::MAX`].
    pub(super) wait: Obstacle,
    /// Whether the provider's refusals keep the item, or one of the keys in it, from being used by this target,
    /// while other targets may still use it.
    pub(super) is_barred: bool,
}

impl Readiness {
    /// Returns whether the end of an attempt in flight may make the item usable.
    #[inline(always)]
    pub(super) fn may_end_early(&self) -> bool {
        self.load.is_none() && self.wait.may_end_early()
    }

    /// Returns the time at which the item is expected to become usable without an event. [`Timestamp::MAX`] if it is
    /// usable, or if there is no such time.
    #[inline(always)]
    fn returns_at(&self) -> Timestamp {
        if self.load.is_some() || self.wait.may_end_early() {
            Timestamp::MAX
        } else {
            self.wait.returns_at
        }
    }

    /// Returns the time at which the readiness may change without an event, or [`Timestamp::MAX`] if there is no such
    /// time other than [`returns_at`](Self::returns_at).
    #[inline(always)]
    fn recheck_at(&self) -> Timestamp {
        if self.wait.until == self.returns_at() {
            Timestamp::MAX
        } else {
            self.wait.until
        }
    }

    /// Returns the readiness of an item that `obstacle` keeps from being used, in addition to what already does.
    #[inline(always)]
    pub(super) fn behind(self, obstacle: Option<Obstacle>) -> Self {
        let own = self.load.is_none().then_some(self.wait);
        let wait = Obstacle::both(own, obstacle);
        wait.map_or(self, |wait| Self {
            load: None,
            wait,
            ..self
        })
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ReadyIndex {
    items: Vec<Readiness>,
    /// The usable items.
    usable: BTreeSet<(Load, usize)>,
    /// The items that are expected to become usable without an event, and when.
    returns: BTreeSet<(Timestamp, usize)>,
    /// The items whose readiness may change without an event at another time than in `returns`, and when.
    rechecks: BTreeSet<(Timestamp, usize)>,
    /// Number of items that may become usable because an attempt in flight ends.
    early: usize,
    barred: usize,
}

impl ReadyIndex {
    /// Returns an index of `len` items, none of which is usable yet.
    pub(super) fn new(len: usize) -> Self {
        let unusable = Readiness {
            load: None,
            wait: Obstacle::until(Timestamp::MAX),
            is_barred: false,
        };
        Self {
            items: vec![unusable; len],
            ..Self::default()
        }
    }

    pub(super) fn set(&mut self, item: usize, readiness: Readiness) {
        let before = std::mem::replace(&mut self.items[item], readiness);
        if before.load != readiness.load {
            if let Some(load) = before.load {
                self.usable.remove(&(load, item));
            }
            self.usable.extend(readiness.load.map(|load| (load, item)));
        }
        move_item(
            &mut self.returns,
            item,
            before.returns_at(),
            readiness.returns_at(),
        );
        move_item(
            &mut self.rechecks,
            item,
            before.recheck_at(),
            readiness.recheck_at(),
        );
        let count = |count: &mut usize, was, is| *count = *count + usize::from(is) - usize::from(was);
        count(&mut self.early, before.may_end_early(), readiness.may_end_early());
        count(&mut self.barred, before.is_barred, readiness.is_barred);
    }

    /// Returns an item whose readiness may have changed by `now`, and forgets that time. The caller passes the
    /// current readiness to [`set`](Self::set).
    #[inline(always)]
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<usize> {
        for (times, is_return) in [(&mut self.rechecks, false), (&mut self.returns, true)] {
            if let Some(&(_, item)) = times.first().filter(|(at, _)| *at <= now) {
                times.pop_first();
                let wait = &mut self.items[item].wait;
                wait.until = Timestamp::MAX;
                if is_return {
                    wait.returns_at = Timestamp::MAX;
                }
                return Some(item);
            }
        }
        None
    }

    /// Returns the least loaded usable item that satisfies `fits`. `only`: the item to which the search is
    /// restricted, if it is.
    #[inline(always)]
    pub(super) fn first_that(&self, only: Option<usize>, fits: impl Fn(usize) -> bool) -> Option<usize> {
        match only {
            Some(item) => Some(item).filter(|item| self.items[*item].load.is_some() && fits(*item)),
            None => self.usable.iter().map(|(_, item)| *item).find(|item| fits(*item)),
        }
    }

    /// Returns the item that is expected to become usable first or, if none is, the one whose readiness may change
    /// next without an event.
    pub(super) fn next_item(&self) -> Option<usize> {
        let (returns, recheck) = (self.returns.first(), self.rechecks.first());
        let next = if self.usable.is_empty() && self.early == 0 {
            returns.or(recheck)
        } else {
            returns.into_iter().chain(recheck).min()
        };
        next.map(|(_, item)| *item)
    }

    /// Returns the readiness of all items together.
    pub(super) fn readiness(&self) -> Readiness {
        let first = |times: &BTreeSet<_>| times.first().map_or(Timestamp::MAX, |(at, _)| *at);
        let (returns_at, recheck_at) = (first(&self.returns), first(&self.rechecks));
        let wait = Obstacle {
            until: returns_at.min(recheck_at),
            limit: None,
            returns_at,
        };
        Readiness {
            load: self.usable.first().map(|(load, _)| *load),
            wait: wait.or_earlier(self.early > 0),
            is_barred: self.barred > 0,
        }
    }
}

/// Changes the time of an item. [`Timestamp::MAX`]: none.
#[inline(always)]
fn move_item(times: &mut BTreeSet<(Timestamp, usize)>, item: usize, from: Timestamp, to: Timestamp) {
    if from != to {
        if from != Timestamp::MAX {
            times.remove(&(from, item));
        }
        if to != Timestamp::MAX {
            times.insert((to, item));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use proptest::prelude::*;

    /// The load of an item: attempts in flight, weight, last use.
    type Parts = (u32, NonZeroU32, u64);

    /// By cross-multiplication, which is exact.
    fn by_load(a: &Parts, b: &Parts) -> std::cmp::Ordering {
        let load = |of: &Parts, other: &Parts| u64::from(of.0) * u64::from(other.1.get());
        (load(a, b), a.2).cmp(&(load(b, a), b.2))
    }

    proptest! {
        /// After any series of updates, the first item is the least loaded usable one, and the readiness of all items
        /// together follows from that of each.
        #[test]
        fn index_agrees_with_its_items(
            weights in prop::collection::vec(prop_oneof![1_u32..5, 990_u32..=1000], 1..20),
            steps in prop::collection::vec(
                (any::<prop::sample::Index>(), prop_oneof![0_u32..6, 980_u32..1010], any::<[bool; 5]>(), 0_u64..10),
                0..100,
            ),
        ) {
            let mut items: Vec<Parts> = weights.iter().map(|weight| (0, NonZeroU32::new(*weight).unwrap(), 0)).collect();
            let mut index = ReadyIndex::new(items.len());
            let mut readiness = index.items.clone();
            let mut now = 0;
            for (seq, (which, load, [is_usable, is_lost, is_later, is_barred, is_early], time)) in steps.into_iter().enumerate() {
                let item = which.index(items.len());
                items[item].0 = load;
                items[item].2 = seq as u64;
                let (in_flight, weight, last_used) = items[item];
                let until = if time == 0 { Timestamp::MAX } else { Timestamp::from_nanos(now + time) };
                let load = is_usable.then(|| Load::new(in_flight, weight, last_used));
                let wait = if is_lost { Obstacle::lost_until(until) } else { Obstacle::until(until) };
                let mut wait = wait.or_earlier(is_early);
                if is_later && until != Timestamp::MAX {
                    wait.returns_at = until + Duration::from_nanos(3);
                }
                readiness[item] = Readiness { load, wait, is_barred };
                index.set(item, readiness[item]);
                // `min_by` returns the first of equal items, and only unused items are equal.
                let least = |odd: bool| {
                    let usable = (0..items.len()).filter(|item| readiness[*item].load.is_some() && (!odd || item % 2 == 1));
                    usable.min_by(|a, b| by_load(&items[*a], &items[*b]))
                };
                prop_assert_eq!(index.first_that(None, |_| true), least(false));
                prop_assert_eq!(index.first_that(None, |item| item % 2 == 1), least(true));
                prop_assert_eq!(index.first_that(Some(item), |_| true), Some(item).filter(|_| is_usable));
                let next = |readiness: &[Readiness]| readiness.iter().map(|item| item.wait.until).min();
                let any = |holds: fn(&Readiness) -> bool| readiness.iter().any(holds);
                let load = least(false).and_then(|item| readiness[item].load);
                let all = index.readiness();
                prop_assert_eq!((all.load, all.is_barred), (load, any(|item| item.is_barred)));
                prop_assert_eq!(all.wait.until, next(&readiness).unwrap());
                if load.is_none() {
                    let returns_at = readiness.iter().map(|item| item.wait.returns_at).min();
                    prop_assert_eq!(Some(all.wait.returns_at), returns_at);
                    let expected = (0..items.len()).min_by_key(|item| (readiness[*item].wait.returns_at, *item));
                    if all.wait.returns_at != Timestamp::ZERO && all.wait.returns_at != Timestamp::MAX {
                        prop_assert_eq!(index.next_item(), expected);
                    }
                }
                now += time / 2;
                while let Some(due) = index.pop_due(Timestamp::from_nanos(now)) {
                    let wait = &mut readiness[due].wait;
                    prop_assert!(wait.until.min(wait.returns_at).as_nanos() <= now);
                    if wait.returns_at <= Timestamp::from_nanos(now) {
                        *wait = Obstacle::until(Timestamp::MAX);
                    } else {
                        wait.until = wait.returns_at;
                    }
                    index.set(due, readiness[due]);
                }
                prop_assert!(next(&readiness).unwrap() > Timestamp::from_nanos(now));
            }
        }
    }
}
