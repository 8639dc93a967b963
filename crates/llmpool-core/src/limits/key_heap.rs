//! The usable keys of a set, the least loaded first.
//!
//! An indexed min-heap in which four stand at the top, side by side, and every place has four children: the load of a key anywhere in it
//! changes in O(log n), and that of one of few keys without anybody moving. It keeps a copy of every key's load, so whoever changes a
//! key must tell the heap.

use super::key::{Key, KeyId};

const ABSENT: u32 = u32::MAX;
/// So many stand at the top and below every place.
const WIDTH: usize = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct KeyHeap {
    heap: Vec<Entry>,
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
    fn of(key: &Key) -> Self {
        // In parts of 2^-32: equal shares are equal, and shares of weights up to 2^16 are never mistaken for one another.
        let per_weight = (u64::from(key.meter.in_flight) << 32) / u64::from(key.weight);
        Self(u128::from(per_weight) << 64 | u128::from(key.last_used))
    }
}

impl KeyHeap {
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<KeyId> {
        self.least_from(0).map(|place| self.heap[place].id)
    }

    /// The least loaded of those that `fits`. Looks at no more keys than are less loaded than the answer, and at those next to them.
    pub(super) fn first_that(&self, fits: impl Fn(KeyId) -> bool) -> Option<KeyId> {
        // Nearly always the first will do.
        let first = self.peek()?;
        if fits(first) {
            return Some(first);
        }
        let mut front: Vec<usize> = self.group_at(0).collect();
        while let Some(nearest) = (0..front.len()).min_by_key(|at| self.heap[front[*at]].load) {
            let place = front.swap_remove(nearest);
            let id = self.heap[place].id;
            if fits(id) {
                return Some(id);
            }
            front.extend(self.group_at(children_of(place)));
        }
        None
    }

    /// Puts a key where its load belongs, whether it was in the heap or not.
    #[inline(always)]
    pub(super) fn update(&mut self, id: KeyId, key: &Key) {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, ABSENT);
        }
        let entry = Entry {
            load: Load::of(key),
            id,
        };
        let place = match self.places[id.index()] {
            ABSENT => {
                self.heap.push(entry);
                self.heap.len() - 1
            }
            place => place as usize,
        };
        self.settle(place, entry);
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, id: KeyId) {
        let Some(&place) = self.places.get(id.index()).filter(|place| **place != ABSENT) else {
            return;
        };
        self.places[id.index()] = ABSENT;
        if let Some(last) = self.heap.pop()
            && last.id != id
        {
            self.settle(place as usize, last);
        }
    }

    /// The four that stand together, or as many as there are.
    fn group_at(&self, first: usize) -> std::ops::Range<usize> {
        first.min(self.heap.len())..(first + WIDTH).min(self.heap.len())
    }

    /// Moves an entry from a place to where it belongs, and others out of its way.
    #[inline(always)]
    fn settle(&mut self, mut place: usize, entry: Entry) {
        if place >= WIDTH {
            place = self.rise(place, &entry);
        }
        if children_of(place) < self.heap.len() {
            place = self.sink(place, &entry);
        }
        self.put(place, entry);
    }

    fn rise(&mut self, mut place: usize, entry: &Entry) -> usize {
        while place >= WIDTH {
            let parent = place / WIDTH - 1;
            if self.heap[parent].load <= entry.load {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        place
    }

    #[inline(never)]
    fn sink(&mut self, mut place: usize, entry: &Entry) -> usize {
        while let Some(child) = self.least_from(children_of(place))
            && self.heap[child].load < entry.load
        {
            self.put(place, self.heap[child]);
            place = child;
        }
        place
    }

    /// The least of the four that stand together.
    #[inline(always)]
    fn least_from(&self, first: usize) -> Option<usize> {
        let lesser = |heap: &[Entry], a: usize, b: usize| if heap[b].load < heap[a].load { b } else { a };
        match self.heap.get(first..)? {
            [] => None,
            [_] => Some(first),
            // Without a loop, since this is where a take spends its time.
            two @ [_, _] => Some(first + lesser(two, 0, 1)),
            three @ [_, _, _] => Some(first + lesser(three, lesser(three, 0, 1), 2)),
            four => Some(first + lesser(four, lesser(four, 0, 1), lesser(four, 2, 3))),
        }
    }

    #[inline(always)]
    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.places[entry.id.index()] = place as u32;
    }
}

fn children_of(place: usize) -> usize {
    WIDTH * (place + 1)
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyLimits;
    use super::*;
    use proptest::prelude::*;

    /// By cross-multiplication, which is exact.
    fn by_load(a: &Key, b: &Key) -> std::cmp::Ordering {
        let load = |of: &Key, other: &Key| u64::from(of.meter.in_flight) * u64::from(other.weight);
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
                keys[index].meter.in_flight = load;
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
