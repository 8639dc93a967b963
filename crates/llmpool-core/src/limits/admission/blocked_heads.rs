//! Queue heads that wait for a key. The head of a wait queue is the request that is served next.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::QueuePosition;

/// The head of one queue: its position, which decides the order among heads, its target and its key constraint.
pub(super) type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

/// For each key set, the queue heads that wait for one of its keys or are about to be served.
#[derive(Debug, Default)]
pub(super) struct BlockedHeads {
    by_set: Vec<BTreeSet<BlockedHead>>,
}

impl BlockedHeads {
    pub(super) fn add_set(&mut self, set: usize) {
        if set >= self.by_set.len() {
            self.by_set.resize_with(set + 1, BTreeSet::new);
        }
    }

    pub(super) fn insert(&mut self, set: usize, head: BlockedHead) {
        self.by_set[set].insert(head);
    }

    pub(super) fn remove(&mut self, set: usize, head: &BlockedHead) {
        self.by_set[set].remove(head);
    }

    pub(super) fn contains(&self, set: usize, head: &BlockedHead) -> bool {
        self.by_set[set].contains(head)
    }

    /// Returns whether any head waits for a key of any of these sets.
    pub(super) fn any(&self, sets: &[usize]) -> bool {
        sets.iter().any(|set| !self.by_set[*set].is_empty())
    }

    /// Returns the first head of a set in order of position. If `previous` is given, returns the first head after `previous`.
    pub(super) fn next(&self, set: usize, previous: Option<BlockedHead>) -> Option<BlockedHead> {
        let heads = &self.by_set[set];
        match previous {
            None => heads.first().copied(),
            Some(previous) => heads.range((Excluded(previous), Unbounded)).next().copied(),
        }
    }
}
