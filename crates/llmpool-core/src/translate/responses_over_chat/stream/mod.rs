//! Translation of the streamed chunks of a chat completion to the events of a response.
//!
//! Invariants, for any sequence of chunks:
//!
//! - The events are in an order that [`EventSequence`](crate::responses::EventSequence) accepts.
//! - If the response does not fail, the last event contains the same text, status and tool calls as the
//!   response that [`completion_to_response`](crate::translate::completion_to_response) returns for the
//!   assembled chunks. The order and the number of output items can differ. Exception: if a choice with a higher
//!   index has output before the first chunk of the choice with the lowest index, the events contain the former.

mod message;
mod output;
mod reasoning;
mod tool_calls;

use self::message::PendingAnnotations;
use self::output::StreamedOutput;
use self::reasoning::ReasoningStream;
use self::tool_calls::ToolCallStream;
use super::envelope::ResponseEnvelope;
use super::incomplete_reason::incomplete_reason;
use super::response::{thinking_text, token_logprobs};
use crate::chat::{
    ChatChunk, ChunkChoice, Content, Delta, FinishReason, FirstChoice, Json, Part, ToolCallDelta, Usage,
};
use crate::responses::{EventKind, Response, ResponseEvent};
use crate::translate::FailedResponse;
use crate::translate::dropped_output::DroppedOutput;
use crate::translate::echoed::EchoedMessage;
use crate::translate::image_items::{IMAGES, images_to_items};
use crate::translate::moderation::{self, MODERATION};
use crate::translate::reasoning_details::REASONING_DETAILS;

/// Translates the chunks of one chat completion to response events. Ignores all choices except the choice that
/// [`ChatChunk::first`] returns, because a response contains only one answer.
///
/// Pass each chunk to [`push`](Self::push). After the last chunk, call [`finish`](Self::finish), or
/// [`fail`](Self::fail) if the stream failed. Take the resulting events with
/// [`next_event`](Self::next_event).
#[derive(Clone, Debug)]
pub struct ChunkToEventTranslator {
    output: StreamedOutput,
    first_choice: FirstChoice,
    tool_calls: ToolCallStream,
    reasoning: ReasoningStream,
    annotations: PendingAnnotations,
    model: Option<String>,
    service_tier: Option<String>,
    finish_reason: Option<FinishReason>,
    usage: Option<Usage>,
    moderation: Option<Json>,
    /// Fields of the message that the client must send back and that are not part of the output yet.
    echoed: EchoedMessage,
    dropped: DroppedOutput,
    has_started: bool,
    is_finished: bool,
}

impl ChunkToEventTranslator {
    /// Creates a translator for a new stream. `envelope` contains the response id and the values repeated
    /// from the request.
    pub fn new(envelope: ResponseEnvelope) -> Self {
        Self {
            output: StreamedOutput::new(envelope),
            first_choice: FirstChoice::default(),
            tool_calls: ToolCallStream::default(),
            reasoning: ReasoningStream::default(),
            annotations: PendingAnnotations::default(),
            model: None,
            service_tier: None,
            finish_reason: None,
            usage: None,
            moderation: None,
            echoed: EchoedMessage::default(),
            dropped: DroppedOutput::default(),
            has_started: false,
            is_finished: false,
        }
    }

    /// Removes and returns the oldest event in the queue. Returns `None` if the queue is empty.
    pub fn next_event(&mut self) -> Option<ResponseEvent> {
        self.output.pop_event()
    }

    /// Returns the paths of the parts of the completion so far that the events leave out. Complete after
    /// [`finish`](Self::finish). The paths are those of
    /// [`dropped_from_completion`](crate::translate::dropped_from_completion).
    pub fn dropped_output(&self) -> &[String] {
        self.dropped.paths()
    }

    /// Translates a chunk. Does nothing after [`finish`](Self::finish) or [`fail`](Self::fail).
    pub fn push(&mut self, chunk: ChatChunk) {
        if self.is_finished {
            return;
        }
        Usage::update(&mut self.usage, chunk.any_usage());
        update(&mut self.model, chunk.model.as_deref());
        update(&mut self.service_tier, chunk.service_tier.as_deref());
        self.start();
        self.dropped.add_chunk(&chunk);
        self.moderation = moderation::to_responses(&chunk.extra).or(self.moderation.take());
        let first = self.first_choice.update(&chunk);
        for choice in chunk.choices {
            if choice.index() == first {
                self.dropped.add_chunk_choice(&choice);
                self.push_choice(choice);
            } else {
                self.dropped.add_other_choice(choice.index());
            }
        }
    }

    /// Ends the response and creates its last event. Call this method only after the last chunk, because the
    /// last event contains the usage, which often arrives in the last chunk.
    ///
    /// If the finish reason reports a failure of the provider, the response fails. Does nothing if the
    /// response has already ended.
    pub fn finish(&mut self) {
        if self.is_finished {
            return;
        }
        self.start();
        let incomplete_reason = match incomplete_reason(self.finish_reason.as_ref()) {
            Ok(reason) => reason,
            Err(failure) => return self.fail(&failure),
        };
        self.is_finished = true;
        self.tool_calls.finish(&mut self.output);
        self.reasoning.finish(&mut self.output);
        self.dropped.add_echoed_of_chat(&self.echoed);
        let output = self.output.finish(incomplete_reason.is_some());
        let mut response = self.output.envelope.finished(
            output,
            incomplete_reason,
            self.usage.as_ref(),
            self.model.take(),
            self.service_tier.take(),
        );
        if let Some(moderation) = self.moderation.take() {
            response.extra.insert(MODERATION, moderation);
        }
        let kind = match incomplete_reason {
            Some(_) => EventKind::Incomplete,
            None => EventKind::Completed,
        };
        self.push_response(kind, response);
    }

    /// Ends the response with a failure, for example because the stream of chunks broke off. Does nothing if
    /// the response has already ended.
    pub fn fail(&mut self, failure: &FailedResponse) {
        if self.is_finished {
            return;
        }
        self.start();
        self.is_finished = true;
        let response = self.output.envelope.failed(failure);
        let mut error = ResponseEvent::new(EventKind::Error);
        error.code = response.error.as_ref().and_then(|error| error.code.clone());
        let message = failure.message.clone();
        error.message = message.or_else(|| Some("the stream broke off".to_owned()));
        error.set_null("param");
        self.output.push_event(error);
        self.push_response(EventKind::Failed, response);
    }

    fn push_response(&mut self, kind: EventKind, response: Response) {
        let mut event = ResponseEvent::new(kind);
        event.response = Some(Box::new(response));
        self.output.push_event(event);
    }

    fn start(&mut self) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        for kind in [EventKind::Created, EventKind::InProgress] {
            let mut response = self.output.envelope.started();
            response.model = self.model.clone().or(response.model);
            self.push_response(kind, response);
        }
    }

    fn push_choice(&mut self, choice: ChunkChoice) {
        let mut delta = choice.delta;
        self.push_reasoning(&mut delta);
        if starts_output(&delta) {
            self.reasoning.end_blocks(&mut self.output);
        }
        let output = &mut self.output;
        match delta.content {
            Some(Content::Text(text)) => {
                message::push_text(output, text, token_logprobs(choice.logprobs.as_ref()));
            }
            Some(Content::Parts(parts)) => parts.into_iter().for_each(|part| push_part(output, part)),
            None => {}
        }
        let images = delta.extra.get(IMAGES).map(images_to_items);
        for item in images.unwrap_or_default() {
            output.push_image(item);
        }
        self.annotations.push(delta.extra.get("annotations"), output);
        message::push_refusal(output, delta.refusal.unwrap_or_default());
        let deprecated_call = delta.function_call.map(|function| ToolCallDelta {
            function: Some(function),
            ..ToolCallDelta::default()
        });
        for call in deprecated_call.into_iter().chain(delta.tool_calls) {
            self.tool_calls.push(call, output, &mut self.dropped);
        }
        self.echoed.update(EchoedMessage::of_chat(&delta.extra));
        if !self.echoed.is_empty() && output.add_echoed(&self.echoed) {
            self.echoed = EchoedMessage::default();
        }
        let reason = choice.finish_reason;
        if let Some(reason) = reason.filter(FinishReason::is_stated) {
            self.finish_reason = Some(reason);
        }
    }

    fn push_reasoning(&mut self, delta: &mut Delta) {
        let texts = [delta.reasoning_content.take(), delta.reasoning.take()];
        let text = texts.into_iter().flatten().find(|text| !text.is_empty());
        if let Some(text) = text {
            self.reasoning.push_field(&text, &mut self.output);
        }
        if let Some(details) = delta.extra.get(REASONING_DETAILS) {
            self.reasoning.push_details(details, &mut self.output);
        }
    }
}

/// Returns whether the delta has output other than reasoning, before which the reasoning item ends.
fn starts_output(delta: &Delta) -> bool {
    let has_images = |images: &Json| !images_to_items(images).is_empty();
    !delta.text().is_empty()
        || !delta.refusal_text().is_empty()
        || !delta.tool_calls.is_empty()
        || delta.function_call.is_some()
        || delta.extra.get(IMAGES).is_some_and(has_images)
}

fn push_part(output: &mut StreamedOutput, part: Part) {
    match part {
        Part::Text(part) => message::push_text(output, part.text, Vec::new()),
        Part::Thinking(part) => reasoning::push_text(output, &thinking_text(&part)),
        Part::Refusal(part) => message::push_refusal(output, part.refusal),
        _ => {}
    }
}

/// Replaces a known value with the value that a chunk reports. Ignores an empty string, because some
/// providers send an empty string instead of omitting the field.
fn update(known: &mut Option<String>, reported: Option<&str>) {
    if let Some(reported) =
        reported.filter(|reported| !reported.is_empty() && known.as_deref() != Some(reported))
    {
        *known = Some(reported.to_owned());
    }
}
