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
