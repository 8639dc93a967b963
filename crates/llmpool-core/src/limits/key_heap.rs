//! The usable keys of a set, the least loaded first.
//!
//! An indexed min-heap: the load of a key anywhere in it changes in O(log n). It holds no key itself; the order is read
//! from the keys that every call brings along, so whoever changes a key must tell the heap.

use super::key::{Key, KeyId};

const ABSENT: u32 = u32::MAX;

#[derive(Clone, Debug, Default)]
pub(super) struct KeyHeap {
    heap: Vec<KeyId>,
    /// Where each key of the ledger stands in `heap`, or `ABSENT`.
    places: Vec<u32>,
}

impl KeyHeap {
    pub(super) fn peek(&self) -> Option<KeyId> {
        self.heap.first().copied()
    }

    /// The least loaded of those that `fits`. Looks at no more keys than are less loaded than the answer, and at those next to them.
    pub(super) fn first_that(&self, keys: &[Key], fits: impl Fn(KeyId) -> bool) -> Option<KeyId> {
        let mut front = vec![0];
        while let Some(at) = front
            .iter()
            .enumerate()
            .filter_map(|(at, place)| Some((at, *self.heap.get(*place)?)))
            .reduce(|best, next| {
                if less_loaded(next.1, best.1, keys) {
                    next
                } else {
                    best
                }
            })
        {
            let place = front.swap_remove(at.0);
            if fits(at.1) {
                return Some(at.1);
            }
            let children = [2 * place + 1, 2 * place + 2];
            front.extend(children.into_iter().filter(|child| *child < self.heap.len()));
        }
        None
    }

    /// Puts a key where its load belongs, whether it was in the heap or not.
    pub(super) fn update(&mut self, id: KeyId, keys: &[Key]) {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, ABSENT);
        }
        let place = match self.places[id.index()] {
            ABSENT => {
                self.heap.push(id);
                self.heap.len() - 1
            }
            place => place as usize,
        };
        let place = self.sift_up(place, id, keys);
        self.sift_down(place, id, keys);
    }

    pub(super) fn remove(&mut self, id: KeyId, keys: &[Key]) {
        let Some(&place) = self.places.get(id.index()).filter(|place| **place != ABSENT) else {
            return;
        };
        self.places[id.index()] = ABSENT;
        if let Some(last) = self.heap.pop()
            && last != id
        {
            let place = self.sift_up(place as usize, last, keys);
            self.sift_down(place, last, keys);
        }
    }

    fn sift_up(&mut self, mut place: usize, id: KeyId, keys: &[Key]) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !less_loaded(id, self.heap[parent], keys) {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, id);
        place
    }

    fn sift_down(&mut self, mut place: usize, id: KeyId, keys: &[Key]) {
        loop {
            let left = 2 * place + 1;
            let Some(&first) = self.heap.get(left) else { break };
            let (child, at) = match self.heap.get(left + 1) {
                Some(&second) if less_loaded(second, first, keys) => (second, left + 1),
                _ => (first, left),
            };
            if !less_loaded(child, id, keys) {
                break;
            }
            self.put(place, child);
            place = at;
        }
        self.put(place, id);
    }

    fn put(&mut self, place: usize, id: KeyId) {
        self.heap[place] = id;
        self.places[id.index()] = place as u32;
    }
}

/// Load per weight first; between equals the one that has rested longest.
fn less_loaded(a: KeyId, b: KeyId, keys: &[Key]) -> bool {
    let (a, b) = (&keys[a.index()], &keys[b.index()]);
    let load_a = u64::from(a.meter.in_flight) * u64::from(b.weight);
    let load_b = u64::from(b.meter.in_flight) * u64::from(a.weight);
    (load_a, a.last_used) < (load_b, b.last_used)
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyLimits;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever happened before, the first is the least loaded of those inside.
        #[test]
        fn the_first_is_the_least_loaded(
            weights in prop::collection::vec(1_u32..5, 1..20),
            steps in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..6, any::<bool>()), 0..100),
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
                if keep { heap.update(id, &keys) } else { heap.remove(id, &keys) }
                inside[index] = keep;
                let expected = (0..keys.len() as u32)
                    .map(KeyId)
                    .filter(|id| inside[id.index()])
                    .reduce(|best, id| if less_loaded(id, best, &keys) { id } else { best });
                // Keys that were never touched have equal order; only then may another one stand first.
                prop_assert_eq!(heap.peek(), expected);
                let odd = (0..keys.len() as u32)
                    .map(KeyId)
                    .filter(|id| inside[id.index()] && id.index() % 2 == 1)
                    .reduce(|best, id| if less_loaded(id, best, &keys) { id } else { best });
                prop_assert_eq!(heap.first_that(&keys, |id| id.index() % 2 == 1), odd);
            }
        }
    }
}
