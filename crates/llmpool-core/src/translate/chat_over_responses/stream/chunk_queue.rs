//! The queue of translated chat chunks that the caller has not taken yet.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::chat::{ChatChunk, ChunkChoice, Delta, FinishReason, Json, LenientU64, Role};
use crate::responses::Response;
use crate::translate::chat_over_responses::completion::{created, non_empty_metadata};
use crate::translate::chat_over_responses::finish_reason::or_tool_calls;
use crate::translate::chat_over_responses::message_content::chat_logprobs;
use crate::translate::echoed::EchoedMessage;
use crate::translate::moderation::{self, MODERATION};
use crate::translate::{REASONING_SEPARATOR, usage};

/// A queue of chat chunks. Gives each chunk the id, model and creation time of the stream, and gives the
/// first chunk the role `assistant`.
#[derive(Clone, Debug, Default)]
pub(super) struct ChunkQueue {
    id: Option<Arc<str>>,
    object: Option<Arc<str>>,
    model: Option<Arc<str>>,
    created: LenientU64,
    chunks: VecDeque<ChatChunk>,
    has_role: bool,
    has_reasoning: bool,
}

impl ChunkQueue {
    pub(super) fn pop(&mut self) -> Option<ChatChunk> {
        self.chunks.pop_front()
    }

    /// Returns whether any delta has been added.
    pub(super) fn has_output(&self) -> bool {
        self.has_role
    }

    /// Sets the id, model and creation time of later chunks to the values in `response`. Does not change a
    /// value that is absent in `response`.
    pub(super) fn set_response(&mut self, response: &Response) {
        share(&mut self.id, response.id.as_deref());
        share(&mut self.model, response.model.as_deref());
        self.created = created(response.created_at.as_ref()).or(self.created);
    }

    pub(super) fn push(&mut self, delta: Delta) {
        self.push_with_logprobs(delta, &[]);
    }

    pub(super) fn push_with_logprobs(&mut self, mut delta: Delta, logprobs: &[Json]) {
        if !self.has_role {
            self.has_role = true;
            delta.role = Some(Role::Assistant);
        }
        let mut choice = ChunkChoice::first(delta);
        choice.logprobs = chat_logprobs(logprobs);
        let chunk = self.chunk(vec![choice]);
        self.chunks.push_back(chunk);
    }

    /// Adds a chunk with a piece of reasoning text. If the piece starts a new reasoning part, a separator is
    /// put in front of the piece, except at the start of the stream's reasoning.
    pub(super) fn push_reasoning(&mut self, text: &str, is_new_part: bool) {
        let has_separator = is_new_part && self.has_reasoning;
        let separator = if has_separator { REASONING_SEPARATOR } else { "" };
        self.has_reasoning = true;
        self.push(Delta {
            reasoning_content: Some(format!("{separator}{text}")),
            ..Delta::default()
        });
    }

    /// Adds a chunk whose delta contains the list under the given name, as an unknown field. Does nothing if
    /// the list is empty.
    pub(super) fn push_list(&mut self, name: &'static str, list: &[Json]) {
        if let Some(json) = Json::of(list).ok().filter(|_| !list.is_empty()) {
            let mut delta = Delta::default();
            delta.extra.insert(name, json);
            self.push(delta);
        }
    }

    /// Adds a chunk with the fields of the message that the client must send back, if there are any.
    pub(super) fn push_echoed(&mut self, echoed: EchoedMessage) {
        if !echoed.is_empty() {
            let mut delta = Delta::default();
            echoed.write_to_chat(&mut delta.extra);
            self.push(delta);
        }
    }

    /// Adds a chunk with the finish reason and, if the response reports usage, a second chunk with the usage.
    pub(super) fn push_end(&mut self, response: Response, finish_reason: FinishReason, has_tool_calls: bool) {
        if !self.has_role {
            self.push(Delta::default());
        }
        let mut choice = ChunkChoice::first(Delta::default());
        choice.finish_reason = Some(or_tool_calls(finish_reason, has_tool_calls));
        let mut chunk = self.chunk(vec![choice]);
        chunk.service_tier = response.service_tier.map(Arc::from);
        if let Some(moderation) = moderation::to_chat(&response.extra) {
            chunk.extra.insert(MODERATION, moderation);
        }
        if let Some(metadata) = non_empty_metadata(response.metadata) {
            chunk.extra.insert("metadata", metadata);
        }
        self.chunks.push_back(chunk);
        let usage = response.usage.as_ref().map(usage::to_chat);
        if let Some(usage) = usage.filter(|usage| !usage.is_empty()) {
            let mut chunk = self.chunk(Vec::new());
            chunk.usage = Some(usage);
            self.chunks.push_back(chunk);
        }
    }

    fn chunk(&mut self, choices: Vec<ChunkChoice>) -> ChatChunk {
        let object = self.object.get_or_insert_with(|| "chat.completion.chunk".into());
        ChatChunk {
            id: self.id.clone(),
            object: Some(object.clone()),
            created: self.created,
            model: self.model.clone(),
            choices,
            ..ChatChunk::default()
        }
    }
}

/// Sets `shared` to `text` if `text` is present. Keeps the existing allocation if the texts are equal.
fn share(shared: &mut Option<Arc<str>>, text: Option<&str>) {
    if text.is_some() && shared.as_deref() != text {
        *shared = text.map(Arc::from);
    }
}
