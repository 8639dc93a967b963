//! A ready index: which items are usable now, ordered by load, and when the others may become usable. An item
//! is a quota group of a target, or a key of such a group.
//!
//! All costs are logarithmic in the number of items.
//!
//! Invariant: `usable`, `rechecks` and the counts agree with `items`.

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
    /// The items whose readiness may change without an event, and when.
    rechecks: BTreeSet<(Timestamp, usize)>,
    /// Number of items that may become usable because an attempt in flight ends.
    early: usize,
    lost: usize,
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
        let (old, new) = (before.wait, readiness.wait);
        if old.until != new.until {
            self.rechecks.remove(&(old.until, item));
            if new.until != Timestamp::MAX {
                self.rechecks.insert((new.until, item));
            }
        }
        let count = |count: &mut usize, was, is| *count = *count + usize::from(is) - usize::from(was);
        count(&mut self.early, old.may_end_early, new.may_end_early);
        count(&mut self.lost, old.is_lost, new.is_lost);
        count(&mut self.barred, before.is_barred, readiness.is_barred);
    }

    /// Returns an item whose readiness may have changed by `now`, and forgets that time. The caller passes the
    /// current readiness to [`set`](Self::set).
    #[inline(always)]
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<usize> {
        let (_, item) = *self.rechecks.first().filter(|(at, _)| *at <= now)?;
        self.rechecks.pop_first();
        self.items[item].wait.until = Timestamp::MAX;
        Some(item)
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

    /// Returns the item whose readiness may change next without an event.
    pub(super) fn next_recheck(&self) -> Option<usize> {
        self.rechecks.first().map(|(_, item)| *item)
    }

    /// Returns the readiness of all items together.
    pub(super) fn readiness(&self) -> Readiness {
        let load = self.usable.first().map(|(load, _)| *load);
        let next = self.rechecks.first();
        Readiness {
            load,
            wait: Obstacle {
                until: next.map_or(Timestamp::MAX, |(at, _)| *at),
                limit: None,
                may_end_early: load.is_none() && self.early > 0,
                is_lost: self.lost == self.items.len(),
            },
            is_barred: self.barred > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
                (any::<prop::sample::Index>(), prop_oneof![0_u32..6, 980_u32..1010], any::<[bool; 4]>(), 0_u64..10),
                0..100,
            ),
        ) {
            let mut items: Vec<Parts> = weights.iter().map(|weight| (0, NonZeroU32::new(*weight).unwrap(), 0)).collect();
            let mut index = ReadyIndex::new(items.len());
            let mut readiness = index.items.clone();
            let mut now = 0;
            for (seq, (which, load, [is_usable, is_lost, is_barred, may_end_early], time)) in steps.into_iter().enumerate() {
                let item = which.index(items.len());
                items[item].0 = load;
                items[item].2 = seq as u64;
                let (in_flight, weight, last_used) = items[item];
                let until = if time == 0 { Timestamp::MAX } else { Timestamp::from_nanos(now + time) };
                let load = is_usable.then(|| Load::new(in_flight, weight, last_used));
                let is_lost = is_lost && !is_usable;
                let wait = Obstacle { may_end_early, is_lost, ..Obstacle::until(until) };
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
                prop_assert_eq!(index.readiness(), Readiness {
                    load,
                    wait: Obstacle {
                        until: next(&readiness).unwrap(),
                        limit: None,
                        may_end_early: load.is_none() && any(|item| item.wait.may_end_early),
                        is_lost: readiness.iter().all(|item| item.wait.is_lost),
                    },
                    is_barred: any(|item| item.is_barred),
                });
                now += time / 2;
                while let Some(due) = index.pop_due(Timestamp::from_nanos(now)) {
                    prop_assert_eq!(Some(readiness[due].wait.until), next(&readiness));
                    readiness[due].wait.until = Timestamp::MAX;
                    index.set(due, readiness[due]);
                }
                prop_assert!(next(&readiness).unwrap() > Timestamp::from_nanos(now));
            }
        }
    }
}
