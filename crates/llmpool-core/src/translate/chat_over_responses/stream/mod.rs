//! Translation of the streamed events of a response to the chunks of a chat completion.
//!
//! Invariant: assembling the chunks gives the same chat completion as
//! [`response_to_completion`](crate::translate::response_to_completion) gives for the complete response.

mod chunk_queue;
mod event_piece;
mod message;
mod output_items;
mod reasoning;
mod text_delta;
mod tool_calls;

use self::chunk_queue::ChunkQueue;
use self::event_piece::{EventPiece, PieceKind};
use self::output_items::{OutputItems, StreamedItem};
use super::finish_reason::{failure, finish_reason};
use super::lenient_items::repair_item;
use crate::chat::{ChatChunk, FinishReason, UnknownFields};
use crate::responses::{EventDecoder, EventKind, Item, ResponseEvent, ResponseStatus};
use crate::stream_view::EventRepeat;
use crate::translate::FailedResponse;
use crate::translate::dropped_output::DroppedOutput;
use crate::translate::echoed::EchoedMessage;
use crate::translate::image_items::{IMAGES, item_to_image};

/// Translates the events of one response to chat chunks.
///
/// Pass each event to [`push_data`](Self::push_data) or [`push`](Self::push), and take the resulting chunks
/// with [`next_chunk`](Self::next_chunk). Most events become one chunk, and some become none. The last event
/// becomes a chunk with the finish reason and, if the response reports usage, a chunk with the usage.
#[derive(Clone, Debug, Default)]
pub struct EventToChunkTranslator {
    decoder: EventDecoder,
    items: OutputItems,
    chunks: ChunkQueue,
    is_finished: bool,
    /// The fields of the messages so far that the client must send back.
    echoed: EchoedMessage,
    dropped: DroppedOutput,
    /// Template number of the last event, if that event only added text to the last item. Otherwise `None`.
    /// Events with the same template number have equal JSON except for a few values, such as `delta`.
    text_template: Option<u32>,
}

/// The reason why an event could not be translated to chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventError {
    /// The data of the event is not a JSON object.
    Malformed,
    /// The event reports that the response failed or was cancelled.
    Failed(FailedResponse),
}

impl EventToChunkTranslator {
    /// Creates a translator for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether the event `response.completed` or `response.incomplete` has arrived. Stays `false` if
    /// the response fails.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Returns the paths of the parts of the response that the chunks leave out. Complete once
    /// [`is_finished`](Self::is_finished) returns `true`. The paths are those of
    /// [`dropped_from_response`](crate::translate::dropped_from_response).
    pub fn dropped_output(&self) -> &[String] {
        self.dropped.paths()
    }

    /// Removes and returns the oldest chunk in the queue. Returns `None` if the queue is empty.
    pub fn next_chunk(&mut self) -> Option<ChatChunk> {
        self.chunks.pop()
    }

    /// Translates an event that is given as JSON. If the event repeats an earlier event except for a few
    /// values, `repeat` describes the repetition, as returned by
    /// [`StreamView`](crate::stream_view::StreamView). Repeated text deltas are translated without being
    /// decoded.
    ///
    /// # Errors
    ///
    /// Returns an error if `data` is not a JSON object, or if the event reports that the response failed or
    /// was cancelled.
    pub fn push_data(&mut self, data: &[u8], repeat: Option<&EventRepeat>) -> Result<(), EventError> {
        if let Some(repeat) = repeat
            && self.decoder.is_idle()
            && self.text_template == Some(repeat.template())
            && let Some(item) = self.items.last_with_text()
            && let Some(text) = text_delta::text(data, repeat)
        {
            message::push_text(item, text, &[], &mut self.chunks);
            return Ok(());
        }
        let event = self.decoder.decode(data).map_err(|_| EventError::Malformed)?;
        let text_template = self.text_template_of(data, &event, repeat);
        self.push(event).map_err(EventError::Failed)?;
        self.text_template = text_template;
        Ok(())
    }

    fn text_template_of(
        &mut self,
        data: &[u8],
        event: &ResponseEvent,
        repeat: Option<&EventRepeat>,
    ) -> Option<u32> {
        let (repeat, item) = (repeat?, self.items.last_with_text()?);
        text_delta::is_text_only(data, event, repeat, item).then(|| repeat.template())
    }

    /// Translates a decoded event.
    ///
    /// # Errors
    ///
    /// Returns an error if the event reports that the response failed or was cancelled.
    pub fn push(&mut self, mut event: ResponseEvent) -> Result<(), FailedResponse> {
        self.text_template = None;
        match event.kind {
            EventKind::Created | EventKind::InProgress | EventKind::Queued => {
                if let Some(response) = &event.response {
                    self.chunks.set_response(response);
                }
            }
            EventKind::ItemAdded => self.push_item_start(event),
            EventKind::ItemDone => self.push_item_end(event),
            EventKind::Completed | EventKind::Incomplete => self.finish(event)?,
            EventKind::Failed => {
                let response = event.response.take().unwrap_or_default();
                return Err(failure(&response));
            }
            EventKind::Error => {
                return Err(FailedResponse {
                    code: event.code.or_else(|| numeric_code(&event.extra)),
                    message: event.message,
                });
            }
            _ => self.push_piece(event),
        }
        Ok(())
    }

    fn push_item_start(&mut self, event: ResponseEvent) {
        let output_index = event.output_index();
        if let Some(item) = event.item.map(repair_item) {
            let streamed = self.items.add(&item, output_index);
            tool_calls::push_start(streamed, &item, &mut self.chunks);
        }
    }

    /// Translates an event that carries a piece of an item. Ignores a complete text if deltas of the same
    /// text have been sent.
    fn push_piece(&mut self, mut event: ResponseEvent) {
        let Some(piece) = EventPiece::take(&mut event) else {
            return;
        };
        let item = self.items.of_piece(&event, piece.kind);
        if piece.is_complete && item.sent_bytes(piece.kind) > 0 {
            return;
        }
        let text = piece.text;
        let logprobs = event.logprobs.as_deref().unwrap_or_default();
        let chunks = &mut self.chunks;
        match piece.kind {
            PieceKind::Text => message::push_text(item, text, logprobs, chunks),
            PieceKind::Refusal => message::push_refusal(item, text, logprobs, chunks),
            PieceKind::Arguments => tool_calls::push_arguments(item, false, text, chunks),
            PieceKind::CustomInput => tool_calls::push_arguments(item, true, text, chunks),
            PieceKind::Reasoning => reasoning::push_delta(item, false, event.content_index(), &text, chunks),
            PieceKind::ReasoningSummary => {
                reasoning::push_delta(item, true, event.summary_index(), &text, chunks);
            }
        }
    }

    fn push_item_end(&mut self, event: ResponseEvent) {
        let output_index = event.output_index();
        if let Some(item) = event.item.map(repair_item) {
            let streamed = self
                .items
                .of_done_item(&item, event.item_id.as_deref(), output_index);
            if let Some(index) = output_index.or(streamed.output_index) {
                self.dropped.add_item(&item, index);
            }
            self.echoed.update(EchoedMessage::of(&item));
            push_unsent(streamed, item, &mut self.chunks);
        }
    }

    /// Translates the last event of a response. Adds chunks with the output that was not sent yet, the finish
    /// reason, and the usage.
    fn finish(&mut self, mut event: ResponseEvent) -> Result<(), FailedResponse> {
        let is_incomplete = event.kind == EventKind::Incomplete;
        if event.response.is_none() {
            event.read_bare_response();
        }
        let Some(mut response) = event.response else {
            self.is_finished = true;
            return Ok(());
        };
        if is_incomplete && response.status.is_none() {
            response.status = Some(ResponseStatus::Incomplete);
        }
        let finish_reason = finish_reason(&response)?;
        self.is_finished = true;
        self.chunks.set_response(&response);
        self.dropped.add_items(&response.output);
        self.dropped.add_response(&response);
        for (index, item) in std::mem::take(&mut response.output).into_iter().enumerate() {
            let item = repair_item(item);
            self.echoed.update(EchoedMessage::of(&item));
            let streamed = self.items.of_final_item(&item, index);
            push_unsent(streamed, item, &mut self.chunks);
        }
        if !self.chunks.has_output() && finish_reason == FinishReason::Stop {
            return Err(FailedResponse::no_output());
        }
        self.chunks.push_echoed(std::mem::take(&mut self.echoed));
        self.chunks
            .push_end(*response, finish_reason, self.items.has_tool_calls());
        Ok(())
    }
}

/// Sends the part of a complete item that was not sent yet. Annotations, reasoning blocks and images have no
/// deltas, and some servers complete them only in the last event.
fn push_unsent(streamed: &mut StreamedItem, item: Item, chunks: &mut ChunkQueue) {
    tool_calls::push_start(streamed, &item, chunks);
    let is_first = !std::mem::replace(&mut streamed.is_done, true);
    match item {
        Item::Message(message) | Item::EasyMessage(message) => {
            message::push_unsent(streamed, message.content, is_first, chunks);
        }
        Item::Reasoning(item) => reasoning::push_unsent(streamed, &item, chunks),
        Item::ImageGenerationCall(item) => {
            if let Some(image) = item_to_image(&item).filter(|_| !streamed.has_image) {
                streamed.has_image = true;
                chunks.push_list(IMAGES, &[image]);
            }
        }
        item => tool_calls::push_unsent(streamed, &item, chunks),
    }
}

fn numeric_code(extra: &UnknownFields) -> Option<String> {
    let code: serde_json::Number = serde_json::from_str(extra.get("code")?.get()).ok()?;
    Some(code.to_string())
}
