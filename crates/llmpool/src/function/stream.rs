//! The stream of a function call: fields of the value as they become final, then the value.

use std::fmt;

use llmpool_core::structured::{FinishedField, FinishedFields, ReplySchema};
use serde::de::DeserializeOwned;

use super::chat_events::{ChatEvent, ConversationEvents};
use super::checked_reply::{Check, read};
use super::conversation::CallConversation;
use super::error::FunctionError;
use super::returned::{Reply, TypedReturn};

/// A part of the stream of a function call.
///
/// `Debug` shows no text of the model, except for the value, which shows its own.
#[derive(Clone)]
#[non_exhaustive]
pub enum StreamedPart<T> {
    /// A value inside the reply that is final: a field, or an item of a list. Each is yielded once, and no later part
    /// changes it, unless [`Restart`](Self::Restart) follows. Only the end of the stream shows whether the whole reply is
    /// valid.
    Field(FinishedField),
    /// The next piece of a reply that is plain text.
    Text(String),
    /// The reply so far came with tool calls, and is not the value: the fields and the text before this part do not
    /// count. The model replies again.
    Restart,
    /// The value that the function returns, with the report of the call. The last part.
    Value(Box<Reply<T>>),
}

impl<T: fmt::Debug> fmt::Debug for StreamedPart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => f.debug_tuple("Field").field(field).finish(),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Restart => f.write_str("Restart"),
            Self::Value(reply) => f.debug_tuple("Value").field(reply).finish(),
        }
    }
}

/// The stream of a function call: see [`Call::stream`](super::Call::stream). Dropping it cancels the call.
///
/// An unusable reply is not repaired, because its fields have been yielded.
pub struct FunctionStream<'llm, R: TypedReturn> {
    /// `None` once the stream has ended.
    reading: Option<Result<Reading<'llm>, FunctionError>>,
    check: Option<Check<R::Value>>,
}

struct Reading<'llm> {
    events: ConversationEvents<'llm>,
    schema: &'static ReplySchema,
    fields: FinishedFields,
    /// Whether a part of the current reply has been yielded.
    has_yielded: bool,
}

impl<'llm, R: TypedReturn> FunctionStream<'llm, R> {
    pub(super) fn new(
        opened: Result<(CallConversation<'llm>, &'static ReplySchema), FunctionError>,
        check: Option<Check<R::Value>>,
    ) -> Self {
        let reading = opened.map(|(conversation, schema)| Reading {
            events: ConversationEvents::new(conversation),
            schema,
            fields: FinishedFields::new(schema),
            has_yielded: false,
        });
        Self {
            reading: Some(reading),
            check,
        }
    }

    /// Returns the next part. `None` after the value or an error.
    pub async fn next(&mut self) -> Option<Result<StreamedPart<R::Value>, R::Error>> {
        let part = match self.reading.as_mut()? {
            Ok(reading) => reading.next(self.check.as_ref()).await,
            Err(_) => Err(self.reading.take()?.err()?),
        };
        if matches!(part, Ok(StreamedPart::Value(_)) | Err(_)) {
            self.reading = None;
        }
        Some(part.map_err(R::Error::from))
    }
}

impl Reading<'_> {
    async fn next<T: DeserializeOwned>(
        &mut self,
        check: Option<&Check<T>>,
    ) -> Result<StreamedPart<T>, FunctionError> {
        loop {
            if let Some(field) = self.fields.next() {
                self.has_yielded = true;
                return Ok(StreamedPart::Field(field));
            }
            match self.events.next().await {
                Some(Ok(ChatEvent::Chunk(chunk))) => {
                    let text = chunk.text();
                    if self.schema.response_format().is_some() {
                        self.fields.push(&text);
                    } else if !text.is_empty() {
                        self.has_yielded = true;
                        return Ok(StreamedPart::Text(text.into_owned()));
                    }
                }
                Some(Ok(ChatEvent::CallStart { .. })) => {
                    self.fields = FinishedFields::new(self.schema);
                    if std::mem::take(&mut self.has_yielded) {
                        return Ok(StreamedPart::Restart);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return self.value(check),
            }
        }
    }

    fn value<T: DeserializeOwned>(
        &mut self,
        check: Option<&Check<T>>,
    ) -> Result<StreamedPart<T>, FunctionError> {
        let reply = self.events.take_reply().unwrap_or_default();
        let conversation = self.events.conversation();
        match read(self.schema, &reply, check) {
            Ok(value) => {
                let calls = conversation.calls().to_vec();
                Ok(StreamedPart::Value(Box::new(Reply::new(value, calls, 0))))
            }
            Err(error) => Err(conversation.failed(error)),
        }
    }
}

impl<R: TypedReturn> fmt::Debug for FunctionStream<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionStream").finish_non_exhaustive()
    }
}
