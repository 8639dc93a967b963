//! The output items of a stream: which item an event belongs to, and how much of each item was sent to the
//! client.

use std::collections::HashMap;

use super::event_piece::PieceKind;
use crate::chat::json_progress::JsonProgress;
use crate::responses::{Item, ReasoningItem, ResponseEvent};

/// The output items that have started so far, in the order in which they started.
#[derive(Clone, Debug, Default)]
pub(super) struct OutputItems {
    items: Vec<StreamedItem>,
    tool_calls: u64,
    /// Position of the last item with an id, and with an output index. The provider determines the number of
    /// items, so each is found in constant time.
    by_id: HashMap<String, usize>,
    by_index: HashMap<u64, usize>,
    /// All items of each kind, and those with neither id nor output index.
    by_kind: [LastItems; KINDS],
    anonymous: [LastItems; KINDS],
}

/// Positions of items of one kind.
#[derive(Clone, Debug, Default)]
struct LastItems {
    /// The last item.
    last: Option<usize>,
    /// The items that may not be done, in order. Items that are done are removed when they are found.
    open: Vec<usize>,
}

/// State of an output item: how much of its content was sent to the client.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamedItem {
    kind: ItemKind,
    pub(super) id: Option<String>,
    pub(super) output_index: Option<u64>,
    /// Zero-based index of the item among the tool calls. `None` if the item is not a tool call.
    pub(super) tool_call_index: Option<u64>,
    /// Whether the id and the name of the tool call were sent to the client.
    pub(super) is_named: bool,
    /// Whether the unknown fields of the tool call that the client must send back were sent.
    pub(super) has_extra: bool,
    /// Number of bytes of the message text that were sent to the client.
    pub(super) text_bytes: usize,
    /// Number of bytes of the refusal that were sent to the client.
    pub(super) refusal_bytes: usize,
    /// Number of bytes of the reasoning (also in a message), the function arguments or the custom tool input that were sent to
    /// the client.
    pub(super) other_bytes: usize,
    /// The function arguments that were sent to the client.
    pub(super) arguments: JsonProgress,
    /// The part to which the last piece of reasoning belongs: whether that part is in the summary, and the
    /// zero-based index of the part. `None` before the first piece of reasoning.
    pub(super) reasoning_part: Option<(bool, u64)>,
    /// The pieces of each part of the reasoning summary, joined.
    pub(super) summary: Vec<String>,
    /// The reasoning item whose blocks were sent to the client.
    pub(super) sent_reasoning: Option<Box<ReasoningItem>>,
    /// Number of annotations of the message that were sent to the client.
    pub(super) annotations: usize,
    /// Whether the generated image was sent to the client.
    pub(super) has_image: bool,
    /// Whether the provider has sent the complete item.
    pub(super) is_done: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ItemKind {
    Message,
    ToolCall,
    Reasoning,
    #[default]
    Other,
}

/// The number of kinds of items.
const KINDS: usize = ItemKind::Other as usize + 1;

/// The properties by which an event identifies its item. Some providers send only the id, only the output
/// index, or neither.
struct ItemKey<'a> {
    kind: ItemKind,
    id: Option<&'a str>,
    output_index: Option<u64>,
}

impl OutputItems {
    /// Adds an item that has just started, and returns the state of the item.
    pub(super) fn add(&mut self, item: &Item, output_index: Option<u64>) -> &mut StreamedItem {
        let position = self.insert(&ItemKey::new(item, output_index));
        &mut self.items[position]
    }

    /// Returns the output item to which a piece of text belongs. Adds an item if no item matches the event.
    pub(super) fn of_piece(&mut self, event: &ResponseEvent, kind: PieceKind) -> &mut StreamedItem {
        let key = ItemKey {
            kind: ItemKind::of_piece(kind),
            id: event.item_id.as_deref(),
            output_index: event.output_index(),
        };
        let last = self.last_of_kind(&key).last;
        self.find_or_insert(&key, last)
    }

    /// Returns the state of an item that has arrived completely. `item_id` is the id in the event, used if
    /// `item` has no id. Adds a new item if no known item matches.
    pub(super) fn of_done_item(
        &mut self,
        item: &Item,
        item_id: Option<&str>,
        output_index: Option<u64>,
    ) -> &mut StreamedItem {
        let mut key = ItemKey::new(item, output_index);
        key.id = key.id.or(item_id);
        let last = self.last_open(&key);
        self.find_or_insert(&key, last)
    }

    /// Returns the state of an item in the final response. `index` is the item's zero-based index in the
    /// final output. Adds a new item if no known item matches.
    ///
    /// A known item without an output index also matches if it has the same position and kind, because some
    /// providers use different ids in the final response.
    pub(super) fn of_final_item(&mut self, item: &Item, index: usize) -> &mut StreamedItem {
        let key = ItemKey::new(item, Some(index as u64));
        let in_order = self.items.get(index);
        let is_same = in_order.is_some_and(|item| item.output_index.is_none() && item.kind == key.kind);
        self.find_or_insert(&key, is_same.then_some(index))
    }

    /// Returns the item that started last, or `None` if no text of that item has been sent to the client.
    pub(super) fn last_with_text(&mut self) -> Option<&mut StreamedItem> {
        self.items.last_mut().filter(|item| item.text_bytes > 0)
    }

    pub(super) fn has_tool_calls(&self) -> bool {
        self.tool_calls > 0
    }

    /// Returns the items that have the kind of `key` and may be the item that `key` identifies.
    ///
    /// If `key` has an id or an output index, these are only items that have neither, because
    /// [`find_or_insert`](Self::find_or_insert) compares ids and output indexes itself.
    fn last_of_kind(&mut self, key: &ItemKey<'_>) -> &mut LastItems {
        let kind = key.kind as usize;
        if key.is_anonymous() {
            &mut self.by_kind[kind]
        } else {
            &mut self.anonymous[kind]
        }
    }

    /// Returns the position of the last item that may be the item that `key` identifies and is not done.
    fn last_open(&mut self, key: &ItemKey<'_>) -> Option<usize> {
        let mut open = std::mem::take(&mut self.last_of_kind(key).open);
        while open.pop_if(|position| self.items[*position].is_done).is_some() {}
        let last = open.last().copied();
        self.last_of_kind(key).open = open;
        last
    }

    /// Returns the item with the id of `key`, otherwise the item with the output index of `key`, otherwise
    /// the item at position `fallback`. Adds a new item if none of these exists.
    fn find_or_insert(&mut self, key: &ItemKey<'_>, fallback: Option<usize>) -> &mut StreamedItem {
        let by_id = key.id.and_then(|id| self.by_id.get(id));
        let by_index = || self.by_index.get(&key.output_index?);
        let known = by_id.or_else(by_index).copied().or(fallback);
        let position = known.unwrap_or_else(|| self.insert(key));
        &mut self.items[position]
    }

    fn insert(&mut self, key: &ItemKey<'_>) -> usize {
        let is_tool_call = key.kind == ItemKind::ToolCall;
        self.items.push(StreamedItem {
            kind: key.kind,
            id: key.id.map(str::to_owned),
            output_index: key.output_index,
            tool_call_index: is_tool_call.then_some(self.tool_calls),
            ..StreamedItem::default()
        });
        self.tool_calls += u64::from(is_tool_call);
        let position = self.items.len() - 1;
        if let Some(id) = key.id {
            self.by_id.insert(id.to_owned(), position);
        }
        if let Some(index) = key.output_index {
            self.by_index.insert(index, position);
        }
        let kind = key.kind as usize;
        self.by_kind[kind].push(position);
        if key.is_anonymous() {
            self.anonymous[kind].push(position);
        }
        position
    }
}

impl LastItems {
    fn push(&mut self, position: usize) {
        self.last = Some(position);
        self.open.push(position);
    }
}

impl StreamedItem {
    /// Returns how many bytes of the item's text, refusal, reasoning or arguments, as selected by `kind`,
    /// were sent to the client.
    pub(super) fn sent_bytes(&self, kind: PieceKind) -> usize {
        match kind {
            PieceKind::Text => self.text_bytes,
            PieceKind::Refusal => self.refusal_bytes,
            _ => self.other_bytes,
        }
    }
}

impl ItemKind {
    fn of_item(item: &Item) -> Self {
        match item {
            Item::Message(_) | Item::EasyMessage(_) => Self::Message,
            Item::FunctionCall(_) | Item::CustomToolCall(_) => Self::ToolCall,
            Item::Reasoning(_) => Self::Reasoning,
            _ => Self::Other,
        }
    }

    fn of_piece(kind: PieceKind) -> Self {
        match kind {
            PieceKind::Text | PieceKind::Refusal => Self::Message,
            PieceKind::Arguments | PieceKind::CustomInput => Self::ToolCall,
            PieceKind::Reasoning | PieceKind::ReasoningSummary => Self::Reasoning,
        }
    }
}

impl<'a> ItemKey<'a> {
    fn new(item: &'a Item, output_index: Option<u64>) -> Self {
        Self {
            kind: ItemKind::of_item(item),
            id: item.id(),
            output_index,
        }
    }

    /// Returns whether the event names neither the id nor the output index of the item.
    fn is_anonymous(&self) -> bool {
        self.id.is_none() && self.output_index.is_none()
    }
}

/// Returns the part of `text` after the first `sent_bytes` bytes, or `None` if that part is empty.
pub(super) fn unsent(text: &str, sent_bytes: usize) -> Option<String> {
    let unsent = text.get(sent_bytes..).filter(|unsent| !unsent.is_empty());
    unsent.map(str::to_owned)
}
