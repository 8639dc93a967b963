//! The usable keys of a set, the least loaded first.
//!
//! An indexed min-heap in which four stand at the top, side by side, and every place has four children, which stand together too: the load
//! of a key anywhere in it changes in O(log n), and that of one of few keys without anybody moving. It keeps a copy of every key's load,
//! so whoever changes a key must tell the heap.
//!
//! Always true: places are taken from the first on, and those behind the last taken one are [`VACANT`], up to a whole four.

use std::num::NonZeroU64;

use super::key::{Key, KeyId};

const ABSENT: u32 = u32::MAX;
/// So many stand at the top and below every place.
const WIDTH: usize = 4;
/// More loaded than any key.
const VACANT: Entry = Entry {
    load: Load(u128::MAX),
    id: KeyId(u32::MAX),
};

#[derive(Clone, Debug, Default)]
pub(super) struct KeyHeap {
    /// The four at the top, and then for one place after the other the four below it.
    heap: Vec<Entry>,
    len: usize,
    /// Where each key of the ledger stands in `heap`, or `ABSENT`.
    places: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    load: Load,
    id: KeyId,
}

/// Attempts under way per weight first; between equals the one that has rested longest. Lower is less loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Load(u128);

impl Load {
    #[inline(always)]
    fn of(key: &Key) -> Self {
        // In parts of 2^-32: equal shares are equal, and shares of weights up to 2^16 are never mistaken for one another.
        let per_weight = (u64::from(key.limit_set.in_flight) << 32) / NonZeroU64::from(key.weight);
        Self(u128::from(per_weight) << 64 | u128::from(key.last_used))
    }
}

impl KeyHeap {
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<KeyId> {
        let top = self.four_at(0)?;
        Some(top[least(top)].id).filter(|_| self.len > 0)
    }

    /// The least loaded of those that `fits`. Looks at no more keys than are less loaded than the answer, and at those next to them.
    pub(super) fn first_that(&self, fits: impl Fn(KeyId) -> bool) -> Option<KeyId> {
        // Nearly always the first will do.
        let first = self.peek()?;
        if fits(first) {
            return Some(first);
        }
        let mut front: Vec<usize> = self.taken_at(0).collect();
        while let Some(nearest) = (0..front.len()).min_by_key(|at| self.heap[front[*at]].load) {
            let place = front.swap_remove(nearest);
            let id = self.heap[place].id;
            if fits(id) {
                return Some(id);
            }
            front.extend(self.taken_at(below(place)));
        }
        None
    }

    /// Puts a key where its load belongs, whether it was in the heap or not.
    #[inline(always)]
    pub(super) fn update(&mut self, id: KeyId, key: &Key) {
        let load = Load::of(key);
        let place = match self.places.get(id.index()) {
            Some(&place) if place != ABSENT => place as usize,
            _ => self.new_place(id),
        };
        if self.heap.len() == WIDTH {
            // Among few nobody moves.
            self.heap[place] = Entry { load, id };
        } else {
            self.settle(place, Entry { load, id });
        }
    }

    /// The first vacant place, for a key that has none.
    fn new_place(&mut self, id: KeyId) -> usize {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, ABSENT);
        }
        if self.len == self.heap.len() {
            self.heap.extend([VACANT; WIDTH]);
        }
        self.places[id.index()] = self.len as u32;
        self.len += 1;
        self.len - 1
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, id: KeyId) {
        let place = self.places.get(id.index()).filter(|place| **place != ABSENT);
        if let Some(&place) = place {
            self.vacate(place as usize, id);
        }
    }

    fn vacate(&mut self, place: usize, id: KeyId) {
        self.places[id.index()] = ABSENT;
        self.len -= 1;
        let last = std::mem::replace(&mut self.heap[self.len], VACANT);
        if last.id != id {
            self.settle(place, last);
        }
    }

    /// Moves an entry from a place to where it belongs, and others out of its way.
    fn settle(&mut self, mut place: usize, entry: Entry) {
        place = self.rise(place, &entry);
        place = self.sink(place, &entry);
        self.put(place, entry);
    }

    fn rise(&mut self, mut place: usize, entry: &Entry) -> usize {
        while place >= WIDTH {
            let parent = place / WIDTH - 1;
            let above = self.heap[parent];
            if above.load <= entry.load {
                break;
            }
            self.put(place, above);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize, entry: &Entry) -> usize {
        while let Some(children) = self.four_at(below(place)) {
            let at = least(children);
            let child = children[at];
            if child.load >= entry.load {
                break;
            }
            self.put(place, child);
            place = below(place) + at;
        }
        place
    }

    /// The four that stand together from a place on.
    #[inline(always)]
    fn four_at(&self, first: usize) -> Option<&[Entry; WIDTH]> {
        self.heap.get(first..)?.first_chunk()
    }

    /// Those of their places that are taken.
    fn taken_at(&self, first: usize) -> std::ops::Range<usize> {
        first.min(self.len)..(first + WIDTH).min(self.len)
    }

    #[inline(always)]
    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.places[entry.id.index()] = place as u32;
    }
}

/// Where the four begin that stand below a place.
#[inline(always)]
fn below(place: usize) -> usize {
    WIDTH * (place + 1)
}

/// Where the least loaded of four stands among them. Without a loop, since this is where a take spends its time.
#[inline(always)]
fn least(four: &[Entry; WIDTH]) -> usize {
    let first = usize::from(four[1].load < four[0].load);
    let second = 2 + usize::from(four[3].load < four[2].load);
    if four[second].load < four[first].load {
        second
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyLimits;
    use super::*;
    use proptest::prelude::*;

    /// By cross-multiplication, which is exact.
    fn by_load(a: &Key, b: &Key) -> std::cmp::Ordering {
        let load = |of: &Key, other: &Key| u64::from(of.limit_set.in_flight) * u64::from(other.weight.get());
        (load(a, b), a.last_used).cmp(&(load(b, a), b.last_used))
    }

    proptest! {
        /// Whatever happened before, the first is the least loaded of those inside.
        #[test]
        fn the_first_is_the_least_loaded(
            weights in prop::collection::vec(prop_oneof![1_u32..5, 990_u32..=1000], 1..20),
            steps in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0_u32..6, 980_u32..1010], any::<bool>()), 0..100),
        ) {
            let mut keys: Vec<Key> = weights
                .iter()
                .map(|&weight| Key::new(KeyLimits { weight, ..KeyLimits::default() }))
                .collect();
            let mut heap = KeyHeap::default();
            let mut inside = vec![false; keys.len()];
            for (turn, (which, load, keep)) in steps.into_iter().enumerate() {
                let index = which.index(keys.len());
                let id = KeyId(index as u32);
                keys[index].limit_set.in_flight = load;
                keys[index].last_used = turn as u64;
                if keep { heap.update(id, &keys[index]) } else { heap.remove(id) }
                inside[index] = keep;
                let expected = (0..keys.len() as u32)
                    .map(KeyId)
                    .filter(|id| inside[id.index()])
                    .min_by(|a, b| by_load(&keys[a.index()], &keys[b.index()]));
                // Keys that were never touched have equal order; only then may another one stand first.
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
