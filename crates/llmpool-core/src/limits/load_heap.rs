//! Items in a heap ordered by load. An item is a key or a quota group, identified by an index.
//!
//! The heap has four entries at the top. Every entry has four children, which are stored side by side.
//! Changing the load of an item takes O(log n) steps. With at most four items, no entry has to move. The heap
//! holds a copy of each item's load, so its owner must call [`LoadHeap::update`] after each change of a load.
//!
//! Invariant: entries are stored without gaps, and padded with [`VACANT`] to a multiple of four.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::{NonZeroU32, NonZeroU64};

const ABSENT: u32 = u32::MAX;
/// Number of entries at the top of the heap, and number of children of each entry.
const WIDTH: usize = 4;
/// Padding entry, whose load is higher than that of any item.
const VACANT: HeapEntry = HeapEntry {
    load: Load(u128::MAX),
    item: u32::MAX,
};

#[derive(Clone, Debug, Default)]
pub(super) struct LoadHeap {
    /// All entries of the heap: first the four entries at the top, then the four children of the first entry,
    /// of the second entry, and so on.
    heap: Vec<HeapEntry>,
    len: usize,
    /// For each item, the index of its entry in `heap`, or `ABSENT` if the item has no entry.
    indices: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct HeapEntry {
    load: Load,
    item: u32,
}

/// Load of a key: the number of its attempts in flight divided by its weight. If this quotient is equal for
/// two keys, the key that was used less recently has the lower load. The load of a quota group is that of its
/// least loaded usable key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load(u128);

impl Load {
    /// `last_used`: sequence number of the most recent use.
    #[inline(always)]
    pub(super) fn new(in_flight: u32, weight: NonZeroU32, last_used: u64) -> Self {
        // Scaled by 2^32, which is exact enough to tell apart all fractions of weights up to 2^16.
        let per_weight = (u64::from(in_flight) << 32) / NonZeroU64::from(weight);
        Self(u128::from(per_weight) << 64 | u128::from(last_used))
    }
}

impl LoadHeap {
    #[inline(always)]
    fn peek(&self) -> Option<&HeapEntry> {
        let top = self.four_at(0)?;
        Some(&top[least(top)]).filter(|_| self.len > 0)
    }

    pub(super) fn contains(&self, item: usize) -> bool {
        self.indices.get(item).is_some_and(|index| *index != ABSENT)
    }

    /// Returns the load of the least loaded item.
    pub(super) fn least_load(&self) -> Option<Load> {
        self.peek().map(|entry| entry.load)
    }

    /// Returns the least loaded item that satisfies `fits`, or `None` if no item does. Visits only items with a
    /// lower load than the result, and the children of these items in the heap.
    #[inline(always)]
    pub(super) fn first_that(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        // The first item satisfies `fits` almost always.
        let first = self.peek()?.item as usize;
        if fits(first) {
            return Some(first);
        }
        self.search(fits)
    }

    fn search(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let reach = |index: usize| Reverse((self.heap[index].load, index));
        let mut front: BinaryHeap<_> = self.occupied_from(0).map(reach).collect();
        while let Some(Reverse((_, index))) = front.pop() {
            let item = self.heap[index].item as usize;
            if fits(item) {
                return Some(item);
            }
            front.extend(self.occupied_from(children(index)).map(reach));
        }
        None
    }

    /// Inserts an item, or updates its load if the item is already in the heap.
    #[inline(always)]
    pub(super) fn update(&mut self, item: usize, load: Load) {
        let index = match self.indices.get(item) {
            Some(&index) if index != ABSENT => index as usize,
            _ => self.append(item),
        };
        let entry = HeapEntry {
            load,
            item: item as u32,
        };
        if self.heap.len() == WIDTH {
            self.heap[index] = entry;
        } else {
            self.place(index, entry);
        }
    }

    /// Appends a vacant entry for an item that is not in the heap. Returns the index of the entry.
    fn append(&mut self, item: usize) -> usize {
        if self.indices.len() <= item {
            self.indices.resize(item + 1, ABSENT);
        }
        if self.len == self.heap.len() {
            self.heap.extend([VACANT; WIDTH]);
        }
        self.indices[item] = self.len as u32;
        self.len += 1;
        self.len - 1
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, item: usize) {
        let index = self.indices.get(item).filter(|index| **index != ABSENT);
        if let Some(&index) = index {
            self.remove_at(index as usize, item);
        }
    }

    fn remove_at(&mut self, index: usize, item: usize) {
        self.indices[item] = ABSENT;
        self.len -= 1;
        let last = std::mem::replace(&mut self.heap[self.len], VACANT);
        if last.item as usize != item {
            self.place(index, last);
        }
    }

    /// Stores an entry at the position that its load determines. `index` is the free slot from which the
    /// entry is moved up or down.
    fn place(&mut self, mut index: usize, entry: HeapEntry) {
        index = self.rise(index, &entry);
        index = self.sink(index, &entry);
        self.put(index, entry);
    }

    fn rise(&mut self, mut index: usize, entry: &HeapEntry) -> usize {
        while index >= WIDTH {
            let parent = index / WIDTH - 1;
            let above = self.heap[parent];
            if above.load <= entry.load {
                break;
            }
            self.put(index, above);
            index = parent;
        }
        index
    }

    fn sink(&mut self, mut index: usize, entry: &HeapEntry) -> usize {
        while let Some(four) = self.four_at(children(index)) {
            let at = least(four);
            let child = four[at];
            if child.load >= entry.load {
                break;
            }
            self.put(index, child);
            index = children(index) + at;
        }
        index
    }

    /// Returns the four entries that start at index `first`, or `None` if `first` is past the end of the
    /// heap.
    #[inline(always)]
    fn four_at(&self, first: usize) -> Option<&[HeapEntry; WIDTH]> {
        self.heap.get(first..)?.first_chunk()
    }

    /// Returns the indices of the entries that are not vacant, among the four that start at index `first`.
    fn occupied_from(&self, first: usize) -> std::ops::Range<usize> {
        first.min(self.len)..(first + WIDTH).min(self.len)
    }

    #[inline(always)]
    fn put(&mut self, index: usize, entry: HeapEntry) {
        self.heap[index] = entry;
        self.indices[entry.item as usize] = index as u32;
    }
}

/// Returns the index of the first of the four children of the entry at `index`.
#[inline(always)]
fn children(index: usize) -> usize {
    WIDTH * (index + 1)
}

/// Returns the position, from 0 to 3, of the least loaded entry.
#[inline(always)]
fn least(four: &[HeapEntry; WIDTH]) -> usize {
    let lighter = |a: usize, b: usize| if four[b].load < four[a].load { b } else { a };
    lighter(lighter(0, 1), lighter(2, 3))
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
        /// After any series of updates and removals, the first item is the least loaded one in the heap.
        #[test]
        fn heap_first_item_is_least_loaded(
            weights in prop::collection::vec(prop_oneof![1_u32..5, 990_u32..=1000], 1..20),
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0_u32..6, 980_u32..1010], any::<bool>()), 0..100),
        ) {
            let mut items: Vec<Parts> = weights.iter().map(|weight| (0, NonZeroU32::new(*weight).unwrap(), 0)).collect();
            let mut heap = LoadHeap::default();
            let mut inside = vec![false; items.len()];
            for (seq, (which, load, insert)) in steps.into_iter().enumerate() {
                let item = which.index(items.len());
                items[item].0 = load;
                items[item].2 = seq as u64;
                let (in_flight, weight, last_used) = items[item];
                if insert { heap.update(item, Load::new(in_flight, weight, last_used)) } else { heap.remove(item) }
                inside[item] = insert;
                // `min_by` returns the first of equal items, and only unused items are equal.
                let least = |odd: bool| {
                    let candidates = (0..items.len()).filter(|item| inside[*item] && (!odd || item % 2 == 1));
                    candidates.min_by(|a, b| by_load(&items[*a], &items[*b]))
                };
                prop_assert_eq!(heap.first_that(|_| true), least(false));
                prop_assert_eq!(heap.first_that(|item| item % 2 == 1), least(true));
                let least_load = least(false).map(|item| Load::new(items[item].0, items[item].1, items[item].2));
                prop_assert_eq!(heap.least_load(), least_load);
            }
        }
    }
}
