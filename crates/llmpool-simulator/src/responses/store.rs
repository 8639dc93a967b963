//! Stores responses, so that later requests can continue a response (`previous_response_id`) or refer to one
//! of its output items (item references).
//!
//! The store has a maximum size and evicts the oldest responses first. The text of user messages is stored
//! only if the scenario echoes user messages.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::owner::ResponseOwner;

const MAX_RESPONSES: usize = 10_000;
/// Maximum total size, in bytes, of the user texts and the ids of open function calls in the store.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The stored responses, which later requests can continue.
#[derive(Debug, Default)]
pub(crate) struct ResponseStore(Mutex<StoredResponses>);

#[derive(Debug, Default)]
struct StoredResponses {
    responses: HashMap<String, (ResponseOwner, Arc<StoredResponse>)>,
    oldest_first: VecDeque<String>,
    bytes: usize,
}

/// A stored response, with a summary of all turns of the conversation up to and including this response.
#[derive(Clone, Default)]
pub(super) struct StoredResponse {
    /// The number of words in all turns.
    pub(super) words: usize,
    /// The number of characters in all turns.
    pub(super) chars: usize,
    /// The text of the last user message. `None` unless the scenario echoes user messages.
    pub(super) user_text: Option<String>,
    /// The `call_id` of each function call whose output the client has not sent yet.
    pub(super) open_calls: HashSet<String>,
    /// The output items of this response: the id of each item, and the `call_id` if the item is a function call.
    pub(super) items: Vec<(String, Option<String>)>,
}

impl ResponseStore {
    pub(super) fn insert(&self, owner: ResponseOwner, id: &str, response: StoredResponse) {
        let mut stored = self.lock();
        stored.bytes += response.size();
        stored
            .responses
            .insert(id.to_owned(), (owner, Arc::new(response)));
        stored.oldest_first.push_back(id.to_owned());
        while stored.oldest_first.len() > MAX_RESPONSES || stored.bytes > MAX_BYTES {
            stored.evict_oldest();
        }
    }

    /// Returns the stored response with this id. Returns `None` if the store has no response with this id, or
    /// if the response belongs to another owner.
    pub(super) fn get(&self, owner: ResponseOwner, id: &str) -> Option<Arc<StoredResponse>> {
        let stored = self.lock();
        let (_, response) = stored.responses.get(id).filter(|(other, _)| *other == owner)?;
        Some(Arc::clone(response))
    }

    /// Looks up the owner's output item with this id. Returns the item's `call_id` if the item is a function
    /// call, `Some(None)` if the item is of another kind, and `None` if the owner has no item with this id.
    pub(super) fn find_item(&self, owner: ResponseOwner, id: &str) -> Option<Option<String>> {
        let stored = self.lock();
        let owned = stored.responses.values().filter(|(other, _)| *other == owner);
        let mut items = owned.flat_map(|(_, response)| &response.items);
        items.find(|(item, _)| item == id).map(|(_, call)| call.clone())
    }

    fn lock(&self) -> MutexGuard<'_, StoredResponses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoredResponses {
    fn evict_oldest(&mut self) {
        let oldest = self.oldest_first.pop_front();
        if let Some((_, response)) = oldest.and_then(|id| self.responses.remove(&id)) {
            self.bytes -= response.size();
        }
    }
}

impl StoredResponse {
    /// Returns the size of the response in bytes. `MAX_BYTES` limits the sum of the sizes of all responses.
    fn size(&self) -> usize {
        let calls: usize = self.open_calls.iter().map(String::len).sum();
        self.user_text.as_ref().map_or(0, String::len) + calls
    }
}

/// Shows the response without any text of the conversation.
impl fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponse")
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn oldest_responses_are_evicted_by_number_and_size() {
        let owner = ResponseOwner::new(&Scenario::default(), None);
        let store = ResponseStore::default();
        let contains = |id: &str| store.get(owner, id).is_some();
        for number in 0..=MAX_RESPONSES {
            store.insert(owner, &number.to_string(), StoredResponse::default());
        }
        assert!(!contains("0") && contains("1"));
        let long = StoredResponse {
            user_text: Some("x".repeat(MAX_BYTES / 2 + 1)),
            ..StoredResponse::default()
        };
        store.insert(owner, "long", long.clone());
        assert!(contains("1000") && contains("long"));
        store.insert(owner, "longer", long);
        assert!(!contains("1000") && !contains("long") && contains("longer"));
    }
}
