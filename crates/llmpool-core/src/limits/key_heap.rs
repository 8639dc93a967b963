//! The usable keys of a key set (the keys that a target may use), in a heap ordered by load.
//!
//! The heap has four entries at the top. Every entry has four children, which are stored side by side.
//! Changing the load of a key takes O(log n) steps. With at most four keys, no entry has to move. The heap
//! holds a copy of each key's load, so its owner must call [`KeyHeap::update`] after each change of a key.
//!
//! Invariant: entries are stored without gaps, and padded with [`VACANT`] to a multiple of four.

use std::num::NonZeroU64;

use super::key::KeyId;
use super::key_record::KeyRecord;

const ABSENT: u32 = u32::MAX;
/// Number of entries at the top of the heap, and number of children of each entry.
const WIDTH: usize = 4;
/// Padding entry, whose load is higher than that of any key.
const VACANT: HeapEntry = HeapEntry {
    load: KeyLoad(u128::MAX),
    id: KeyId(u32::MAX),
};

#[derive(Clone, Debug, Default)]
pub(super) struct KeyHeap {
    /// All entries of the heap: first the four entries at the top, then the four children of the first entry,
    /// of the second entry, and so on.
    heap: Vec<HeapEntry>,
    len: usize,
    /// For each key of the limiter, the index of the key's entry in `heap`, or `ABSENT` if the key has no
    /// entry.
    indices: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct HeapEntry {
    load: KeyLoad,
    id: KeyId,
}

/// Load of a key: the number of its attempts in flight divided by its weight. Of two keys for which this is
/// equal, the key that was used less recently has the lower load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct KeyLoad(u128);

impl KeyLoad {
    #[inline(always)]
    fn of(key: &KeyRecord) -> Self {
        // Scaled by 2^32, which is exact enough to tell apart all fractions of weights up to 2^16.
        let per_weight = (u64::from(key.limit_set.in_flight) << 32) / NonZeroU64::from(key.weight);
        Self(u128::from(per_weight) << 64 | u128::from(key.last_used))
    }
}

impl KeyHeap {
    #[inline(always)]
    fn peek(&self) -> Option<KeyId> {
        let top = self.four_at(0)?;
        Some(top[least(top)].id).filter(|_| self.len > 0)
    }

    /// Returns the least loaded key that satisfies `fits`, or `None` if no key does. Visits only keys with a
    /// lower load than the result, and the children of these keys in the heap.
    #[inline(always)]
    pub(super) fn first_that(&self, fits: impl Fn(KeyId) -> bool) -> Option<KeyId> {
        // The first key satisfies `fits` almost always.
        let first = self.peek()?;
        if fits(first) {
            return Some(first);
        }
        self.search(fits)
    }

    fn search(&self, fits: impl Fn(KeyId) -> bool) -> Option<KeyId> {
        let mut front: Vec<usize> = self.occupied_from(0).collect();
        while let Some(nearest) = (0..front.len()).min_by_key(|at| self.heap[front[*at]].load) {
            let index = front.swap_remove(nearest);
            let id = self.heap[index].id;
            if fits(id) {
                return Some(id);
            }
            front.extend(self.occupied_from(children(index)));
        }
        None
    }

    /// Inserts a key, or updates its load if the key is already in the heap.
    #[inline(always)]
    pub(super) fn update(&mut self, id: KeyId, key: &KeyRecord) {
        let load = KeyLoad::of(key);
        let index = match self.indices.get(id.index()) {
            Some(&index) if index != ABSENT => index as usize,
            _ => self.append(id),
        };
        if self.heap.len() == WIDTH {
            self.heap[index] = HeapEntry { load, id };
        } else {
            self.place(index, HeapEntry { load, id });
        }
    }

    /// Appends a vacant entry for a key that is not in the heap. Returns the index of the entry.
    fn append(&mut self, id: KeyId) -> usize {
        if self.indices.len() <= id.index() {
            self.indices.resize(id.index() + 1, ABSENT);
        }
        if self.len == self.heap.len() {
            self.heap.extend([VACANT; WIDTH]);
        }
        self.indices[id.index()] = self.len as u32;
        self.len += 1;
        self.len - 1
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, id: KeyId) {
        let index = self.indices.get(id.index()).filter(|index| **index != ABSENT);
        if let Some(&index) = index {
            self.remove_at(index as usize, id);
        }
    }

    fn remove_at(&mut self, index: usize, id: KeyId) {
        self.indices[id.index()] = ABSENT;
        self.len -= 1;
        let last = std::mem::replace(&mut self.heap[self.len], VACANT);
        if last.id != id {
            self.place(index, last);
        }
    }

    /// Stores an entry where its load belongs in the heap. `index` is the free slot at which the search
    /// begins.
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
        self.indices[entry.id.index()] = index as u32;
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
    use super::super::key::KeyLimits;
    use super::*;
    use proptest::prelude::*;

    /// By cross-multiplication, which is exact.
    fn by_load(a: &KeyRecord, b: &KeyRecord) -> std::cmp::Ordering {
        let load = |of: &KeyRecord, other: &KeyRecord| {
            u64::from(of.limit_set.in_flight) * u64::from(other.weight.get())
        };
        (load(a, b), a.last_used).cmp(&(load(b, a), b.last_used))
    }

    proptest! {
        /// After any series of updates and removals, the first key is the least loaded one in the heap.
        #[test]
        fn heap_first_key_is_least_loaded(
            weights in prop::collection::vec(prop_oneof![1_u32..5, 990_u32..=1000], 1..20),
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0_u32..6, 980_u32..1010], any::<bool>()), 0..100),
        ) {
            let mut keys: Vec<KeyRecord> = weights
                .iter()
                .map(|&weight| KeyRecord::new(KeyId(0), KeyLimits { weight, ..KeyLimits::default() }, None))
                .collect();
            let mut heap = KeyHeap::default();
            let mut inside = vec![false; keys.len()];
            for (seq, (which, load, insert)) in steps.into_iter().enumerate() {
                let index = which.index(keys.len());
                let id = KeyId(index as u32);
                keys[index].limit_set.in_flight = load;
                keys[index].last_used = seq as u64;
                if insert { heap.update(id, &keys[index]) } else { heap.remove(id) }
                inside[index] = insert;
                let expected = (0..keys.len() as u32)
                    .map(KeyId)
                    .filter(|id| inside[id.index()])
                    .min_by(|a, b| by_load(&keys[a.index()], &keys[b.index()]));
                // `min_by` returns the first of equal keys, and only unused keys are equal.
                prop_assert_eq!(heap.peek(), expected);
                let odd = (0..keys.len() as u32)
                    .map(KeyId)
                    .filter(|id| inside[id.index()] && id.index() % 2 == 1)
                    .min_by(|a, b| by_load(&keys[a.index()], &keys[b.index()]));
                prop_assert_eq!(heap.first_that(|id| id.index() % 2 == 1), odd);
            }
        }
    }
}
