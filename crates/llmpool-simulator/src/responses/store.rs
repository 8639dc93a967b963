//! What is remembered of responses, for `previous_response_id` and references to items.
//!
//! Bounded: the oldest are forgotten. What the user said is kept only where it may be echoed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::owner::Owner;

const MAX_RESPONSES: usize = 10_000;
/// Characters of all remembered texts together.
const MAX_CHARS: usize = 16 * 1024 * 1024;

/// The responses that can be continued.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    responses: HashMap<String, (Owner, Arc<Memory>)>,
    oldest_first: VecDeque<String>,
    chars: usize,
}

/// What the next turn has to know of all turns before.
#[derive(Clone, Default)]
pub(super) struct Memory {
    pub(super) words: usize,
    pub(super) chars: usize,
    /// What the user said last, if that may be echoed.
    pub(super) user_text: Option<String>,
    /// Calls that wait for an output, by `call_id`.
    pub(super) open_calls: HashSet<String>,
    /// The items of the response itself: their ids, and the `call_id` of those that have one.
    pub(super) items: Vec<(String, Option<String>)>,
}

impl Store {
    pub(super) fn remember(&self, owner: Owner, id: &str, memory: Memory) {
        let mut shelf = self.lock();
        shelf.chars += memory.size();
        shelf.responses.insert(id.to_owned(), (owner, Arc::new(memory)));
        shelf.oldest_first.push_back(id.to_owned());
        while shelf.oldest_first.len() > MAX_RESPONSES || shelf.chars > MAX_CHARS {
            shelf.forget_oldest();
        }
    }

    /// The response with this id, if it is this owner's.
    pub(super) fn response(&self, owner: Owner, id: &str) -> Option<Arc<Memory>> {
        let shelf = self.lock();
        let (_, memory) = shelf.responses.get(id).filter(|(whose, _)| *whose == owner)?;
        Some(Arc::clone(memory))
    }

    /// The `call_id` of an item of this owner; `None` if there is no such item.
    pub(super) fn item(&self, owner: Owner, id: &str) -> Option<Option<String>> {
        let shelf = self.lock();
        let mine = shelf.responses.values().filter(|(whose, _)| *whose == owner);
        let mut items = mine.flat_map(|(_, memory)| &memory.items);
        items.find(|(item, _)| item == id).map(|(_, call)| call.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn forget_oldest(&mut self) {
        let oldest = self.oldest_first.pop_front();
        if let Some((_, memory)) = oldest.and_then(|id| self.responses.remove(&id)) {
            self.chars -= memory.size();
        }
    }
}

impl Memory {
    fn size(&self) -> usize {
        let calls: usize = self.open_calls.iter().map(String::len).sum();
        self.user_text.as_ref().map_or(0, String::len) + calls
    }
}

/// Shows nothing of what was said.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn the_oldest_are_forgotten_by_number_and_by_size() {
        let owner = Owner::of(&Scenario::default(), None);
        let store = Store::default();
        let known = |id: &str| store.response(owner, id).is_some();
        for number in 0..=MAX_RESPONSES {
            store.remember(owner, &number.to_string(), Memory::default());
        }
        assert!(!known("0") && known("1"));
        let long = Memory {
            user_text: Some("x".repeat(MAX_CHARS / 2 + 1)),
            ..Memory::default()
        };
        store.remember(owner, "long", long.clone());
        assert!(known("1000") && known("long"));
        store.remember(owner, "longer", long);
        assert!(!known("1000") && !known("long") && known("longer"));
    }
}
