//! A ready index: which items are usable now, ordered by load, and when the others may become usable. An item
//! is a quota group of a target, or a key of such a group.
//!
//! All costs are logarithmic in the number of items.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::load_heap::{Load, LoadHeap};
use super::obstacle::Obstacle;
use crate::time::Timestamp;

/// Whether an item is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readiness {
    /// The load of the item. `None` if the item is not usable.
    pub(super) load: Option<Load>,
    /// The time at which the readiness may change without an event. [`Timestamp::MAX`] if there is no such time.
    pub(super) recheck_at: Timestamp,
    /// Whether the item is not usable, but may become usable before `recheck_at` because an attempt in flight
    /// ends.
    pub(super) may_return_early: bool,
    /// Whether waiting for the item rarely helps: it is disabled, or its key was rejected or has no quota.
    pub(super) is_lost: bool,
}

impl Readiness {
    /// Returns the readiness of a key with this load.
    #[inline(always)]
    pub(super) fn of_key(load: Load) -> Self {
        Self {
            load: Some(load),
            recheck_at: Timestamp::MAX,
            may_return_early: false,
            is_lost: false,
        }
    }

    /// Returns the readiness of an item that `obstacle` keeps from being used, in addition to what already does.
    #[inline(always)]
    pub(super) fn behind(self, obstacle: Option<Obstacle>, is_lost: bool) -> Self {
        let own = self.load.is_none().then_some(Obstacle {
            until: self.recheck_at,
            limit: None,
            may_end_early: self.may_return_early,
        });
        match Obstacle::both(own, obstacle).filter(|_| obstacle.is_some()) {
            None => self,
            Some(obstacle) => Self {
                load: None,
                recheck_at: obstacle.until,
                may_return_early: obstacle.may_end_early,
                is_lost: is_lost || self.is_lost,
            },
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct ReadyIndex {
    usable: LoadHeap,
    /// Times at which the readiness of items may change, earliest first. An entry whose time differs from that in
    /// `states` is outdated.
    rechecks: BinaryHeap<Reverse<(Timestamp, u32)>>,
    states: Vec<ReadyState>,
    /// Number of items that may become usable because an attempt in flight ends.
    early: usize,
    lost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ReadyState {
    recheck_at: Timestamp,
    may_return_early: bool,
    is_lost: bool,
}

impl ReadyIndex {
    /// Returns an index of `len` items, none of which is usable yet.
    pub(super) fn new(len: usize) -> Self {
        let state = ReadyState {
            recheck_at: Timestamp::MAX,
            may_return_early: false,
            is_lost: false,
        };
        Self {
            states: vec![state; len],
            ..Self::default()
        }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, item: usize, readiness: Readiness) {
        match readiness.load {
            Some(load) => self.usable.update(item, load),
            None => self.usable.remove(item),
        }
        let state = ReadyState {
            recheck_at: readiness.recheck_at,
            may_return_early: readiness.may_return_early,
            is_lost: readiness.is_lost,
        };
        if self.states[item] != state {
            self.set_state(item, state);
        }
    }

    fn set_state(&mut self, item: usize, state: ReadyState) {
        let before = std::mem::replace(&mut self.states[item], state);
        self.early = self.early + usize::from(state.may_return_early) - usize::from(before.may_return_early);
        self.lost = self.lost + usize::from(state.is_lost) - usize::from(before.is_lost);
        if state.recheck_at != before.recheck_at && state.recheck_at != Timestamp::MAX {
            self.rechecks.push(Reverse((state.recheck_at, item as u32)));
        }
    }

    /// Returns an item whose readiness may have changed by `now`, and forgets that time. The caller passes the
    /// current readiness to [`set`](Self::set).
    #[inline(always)]
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<usize> {
        let Reverse((at, item)) = *self.rechecks.peek()?;
        if at > now {
            return None;
        }
        self.rechecks.pop();
        Some(item as usize)
    }

    pub(super) fn is_usable(&self, item: usize) -> bool {
        self.usable.contains(item)
    }

    /// Returns the least loaded usable item that satisfies `fits`.
    #[inline(always)]
    pub(super) fn first_that(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        self.usable.first_that(fits)
    }

    /// Returns the next time at which the readiness of an item may change without an event, and that item.
    pub(super) fn next_recheck(&mut self) -> Option<(Timestamp, usize)> {
        while let Some(&Reverse((at, item))) = self.rechecks.peek() {
            let item = item as usize;
            if self.states[item].recheck_at == at {
                return Some((at, item));
            }
            self.rechecks.pop();
        }
        None
    }

    /// Returns the readiness of all items together.
    pub(super) fn readiness(&mut self) -> Readiness {
        let load = self.usable.least_load();
        Readiness {
            load,
            recheck_at: self.next_recheck().map_or(Timestamp::MAX, |(at, _)| at),
            may_return_early: load.is_none() && self.early > 0,
            is_lost: self.lost == self.states.len(),
        }
    }
}
