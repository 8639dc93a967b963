//! One answer of a scripted model.

use std::collections::VecDeque;

use llmpool_core::chat::{ChatChunk, ChatCompletion, ToolCall, Usage};
use llmpool_core::failure::{Failure, FailureKind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;

/// One answer of a [`ScriptedModel`](super::ScriptedModel).
#[derive(Clone, Debug)]
pub struct ScriptedAnswer {
    pub(super) outcome: Outcome,
    /// The request that the answer belongs to, in JSON, if the answer was recorded.
    pub(super) request: Option<Value>,
}

#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Message(Box<ScriptedMessage>),
    Failure(FailureKind),
    Pending,
}

#[derive(Clone, Default)]
pub(super) struct ScriptedMessage {
    /// The pieces of the text. A streamed answer has a chunk for each of them.
    pieces: Vec<String>,
    refusal: Option<String>,
    tool_calls: Vec<ToolCall>,
    finish_reason: &'static str,
    usage: Option<Usage>,
    /// The failure that ends a streamed answer after its text, and that replaces any other answer.
    failure: Option<FailureKind>,
    /// Whether a streamed answer stops after its text without an end, and any other answer never comes.
    is_pending: bool,
    recorded: Option<ChatCompletion>,
}

impl ScriptedAnswer {
    fn message(message: ScriptedMessage) -> Self {
        Self {
            outcome: Outcome::Message(Box::new(message)),
            request: None,
        }
    }

    fn change(mut self, change: impl FnOnce(&mut ScriptedMessage)) -> Self {
        if let Outcome::Message(message) = &mut self.outcome {
            change(message);
        }
        self
    }

    /// Creates an answer with `text`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::message(ScriptedMessage {
            pieces: vec![text.into()],
            finish_reason: "stop",
            ..ScriptedMessage::default()
        })
    }

    /// Creates an answer with `value` as JSON.
    ///
    /// # Panics
    /// Panics if the value cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::text(text),
            Err(error) => panic!("the scripted answer cannot be written as JSON: {error}"),
        }
    }

    /// Creates an answer that calls tools. [`ToolCall::function`] makes a call.
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self::message(ScriptedMessage {
            tool_calls: calls.into_iter().collect(),
            finish_reason: "tool_calls",
            ..ScriptedMessage::default()
        })
    }

    /// Creates an answer in which the model refuses with `text`.
    pub fn refusal(text: impl Into<String>) -> Self {
        Self::message(ScriptedMessage {
            refusal: Some(text.into()),
            finish_reason: "stop",
            ..ScriptedMessage::default()
        })
    }

    /// Creates an answer without text.
    pub fn empty() -> Self {
        Self::text("").in_pieces::<[String; 0]>([])
    }

    /// Creates an answer that fails with `kind` before any content.
    pub fn failure(kind: FailureKind) -> Self {
        Self {
            outcome: Outcome::Failure(kind),
            request: None,
        }
    }

    /// Creates an answer that never comes, for tests of timeouts and cancellation.
    pub fn pending() -> Self {
        Self {
            outcome: Outcome::Pending,
            request: None,
        }
    }

    pub(super) fn recorded(request: Value, completion: ChatCompletion) -> Self {
        let message = ScriptedMessage {
            usage: completion.usage.clone(),
            recorded: Some(completion),
            ..ScriptedMessage::default()
        };
        Self {
            outcome: Outcome::Message(Box::new(message)),
            request: Some(request),
        }
    }

    /// Marks the answer as cut off at the token limit.
    pub fn truncated(self) -> Self {
        self.change(|message| message.finish_reason = "length")
    }

    /// Marks the answer as ended by the provider's content filter.
    pub fn filtered(self) -> Self {
        self.change(|message| message.finish_reason = "content_filter")
    }

    /// Splits the text of a streamed answer into these pieces, which together replace the text.
    pub fn in_pieces<P: IntoIterator>(self, pieces: P) -> Self
    where
        P::Item: Into<String>,
    {
        self.change(|message| message.pieces = pieces.into_iter().map(Into::into).collect())
    }

    /// Sets the usage that the model reports. Default: not reported.
    pub fn with_usage(self, prompt_tokens: u64, completion_tokens: u64) -> Self {
        self.change(|message| message.usage = Some(Usage::new(prompt_tokens, completion_tokens)))
    }

    /// Lets a streamed answer stop after its text, without an end. An answer without a stream never comes.
    pub fn then_pending(self) -> Self {
        self.change(|message| message.is_pending = true)
    }

    /// Lets a streamed answer fail with `kind` after its text. An answer without a stream fails at once.
    pub fn then_failure(self, kind: FailureKind) -> Self {
        self.change(|message| message.failure = Some(kind))
    }
}

impl ScriptedMessage {
    pub(super) fn is_pending(&self) -> bool {
        self.is_pending
    }

    pub(super) fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    pub(super) fn complete(&self) -> Result<ChatCompletion, Error> {
        if let Some(kind) = self.failure {
            return Err(failure(kind));
        }
        if let Some(completion) = &self.recorded {
            return Ok(completion.clone());
        }
        let text = self.pieces.concat();
        let message = json!({
            "role": "assistant",
            "content": (!text.is_empty()).then_some(text),
            "refusal": self.refusal,
            "tool_calls": self.tool_calls,
        });
        let choice =
            json!({"index": 0, "message": without_nulls(message), "finish_reason": self.finish_reason});
        Ok(decoded(
            json!({"object": "chat.completion", "choices": [choice], "usage": self.usage}),
        ))
    }

    /// Returns the chunks of a streamed answer.
    pub(super) fn chunks(&self) -> VecDeque<Result<ChatChunk, Error>> {
        if let Some(completion) = &self.recorded {
            return chunks_of(completion);
        }
        let texts = self
            .pieces
            .iter()
            .map(|piece| chunk(&json!({"content": piece}), None));
        let refusal = self
            .refusal
            .iter()
            .map(|text| chunk(&json!({"refusal": text}), None));
        let calls = self
            .tool_calls
            .iter()
            .enumerate()
            .map(|(index, call)| tool_chunk(index, call));
        let mut chunks: VecDeque<_> = texts.chain(refusal).chain(calls).map(Ok).collect();
        match self.failure {
            Some(kind) => chunks.push_back(Err(failure(kind))),
            None if self.is_pending => {}
            None => {
                chunks.push_back(Ok(chunk(&json!({}), Some(self.finish_reason))));
                let usage = self.usage.as_ref();
                chunks.extend(usage.map(|usage| Ok(decoded(json!({"choices": [], "usage": usage})))));
            }
        }
        chunks
    }
}

/// Returns a recorded answer as a stream: one chunk with the message, and one with the usage.
fn chunks_of(completion: &ChatCompletion) -> VecDeque<Result<ChatChunk, Error>> {
    let mut choices = json!(completion.choices);
    for choice in choices.as_array_mut().into_iter().flatten() {
        let choice = choice.as_object_mut();
        if let Some(choice) = choice {
            let mut message = choice.remove("message").unwrap_or_default();
            for (index, call) in message["tool_calls"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .enumerate()
            {
                call["index"] = json!(index);
            }
            choice.insert("delta".to_owned(), message);
        }
    }
    let usage = completion.usage.as_ref();
    let usage = usage.map(|usage| Ok(decoded(json!({"choices": [], "usage": usage}))));
    [Ok(decoded(json!({"choices": choices})))]
        .into_iter()
        .chain(usage)
        .collect()
}

pub(super) fn failure(kind: FailureKind) -> Error {
    Error::from_failure(Failure::new(kind))
}

fn tool_chunk(index: usize, call: &ToolCall) -> ChatChunk {
    let mut call = json!(call);
    call["index"] = json!(index);
    chunk(&json!({"tool_calls": [call]}), None)
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> ChatChunk {
    decoded(json!({
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }))
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members
            .retain(|_, member| !member.is_null() && member.as_array().is_none_or(|items| !items.is_empty()));
    }
    value
}

/// Decodes JSON of this module, which is always valid.
fn decoded<T: serde::de::DeserializeOwned + Default>(json: Value) -> T {
    serde_json::from_str(&json.to_string()).unwrap_or_default()
}

impl std::fmt::Debug for ScriptedMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedMessage")
            .field("pieces", &self.pieces.len())
            .field("tool_calls", &self.tool_calls.len())
            .field("finish_reason", &self.finish_reason)
            .finish_non_exhaustive()
    }
}
