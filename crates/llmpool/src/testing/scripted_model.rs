//! A model that answers from a script.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::chat::{ChatChunk, ChatRequest};
use llmpool_core::failure::FailureKind;
use serde_json::{Value, json};

use super::recording_model::read_recording;
use super::scripted_answer::{Outcome, ScriptedAnswer, ScriptedMessage, failure};
use crate::clock::{self, Timer};
use crate::error::{Error, ErrorKind};
use crate::interface::{ChatResponse, ChatStream, LlmInterface};
use crate::options::CallOptions;
use crate::report::{CallReport, UsageSource};

/// A model without a network, which gives the answers of a script, one for each call, and keeps the requests.
///
/// A call without an answer left fails with [`ErrorKind::Config`]. Of the options of a call, only the timeout has an
/// effect, on answers that never come.
pub struct ScriptedModel {
    name: String,
    context_window: u32,
    state: Mutex<ScriptState>,
}

#[derive(Default)]
struct ScriptState {
    answers: VecDeque<ScriptedAnswer>,
    requests: Vec<ChatRequest>,
    options: Vec<CallOptions>,
}

impl ScriptedModel {
    /// Creates a model that gives these answers, in this order.
    pub fn new(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self {
            name: "scripted".to_owned(),
            context_window: 200_000,
            state: Mutex::new(ScriptState {
                answers: answers.into_iter().collect(),
                ..ScriptState::default()
            }),
        }
    }

    /// Creates a model that gives the answers that a [`RecordingModel`](super::RecordingModel) wrote to the file at
    /// `path`, to the same requests in any order. Another request is an error that names the first difference from the
    /// next recorded request.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if a line is not a recorded call. The error names the line.
    pub fn replay(path: impl AsRef<Path>) -> Result<Self, Error> {
        read_recording(path.as_ref()).map(Self::new)
    }

    /// Sets the context window of the model, in tokens. Default: 200 000.
    pub fn with_context_window(mut self, tokens: u32) -> Self {
        self.context_window = tokens;
        self
    }

    /// Returns the requests of all calls so far, oldest first.
    pub fn requests(&self) -> Vec<ChatRequest> {
        self.state().requests.clone()
    }

    /// Returns the options of all calls so far, oldest first.
    pub fn options(&self) -> Vec<CallOptions> {
        self.state().options.clone()
    }

    /// Returns the number of answers that no call has got yet.
    pub fn answers_left(&self) -> usize {
        self.state().answers.len()
    }

    fn state(&self) -> MutexGuard<'_, ScriptState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next answer, or the one that was recorded for this request.
    fn take_answer(&self, request: &ChatRequest, options: &CallOptions) -> Result<ScriptedAnswer, Error> {
        let mut state = self.state();
        state.requests.push(request.clone());
        state.options.push(options.clone());
        let number = state.requests.len();
        let recorded = state.answers.iter().any(|answer| answer.request.is_some());
        let request = if recorded { json!(request) } else { Value::Null };
        let fits = |answer: &ScriptedAnswer| {
            answer
                .request
                .as_ref()
                .is_none_or(|recorded| *recorded == request)
        };
        if let Some(index) = state.answers.iter().position(fits) {
            return Ok(state
                .answers
                .remove(index)
                .unwrap_or_else(ScriptedAnswer::pending));
        }
        let next = state.answers.front().and_then(|answer| answer.request.as_ref());
        let path = next.and_then(|recorded| first_difference(recorded, &request, ""));
        Err(match path {
            Some(path) => {
                let message = format!("call {number} differs from the recorded one at {path}");
                Error::new(ErrorKind::Config, message).with_help("record the calls again")
            }
            None => {
                let message = format!("the script of the model has no answer for call {number}");
                Error::new(ErrorKind::Config, message)
            }
        })
    }

    async fn answer(
        &self,
        request: &ChatRequest,
        options: &CallOptions,
    ) -> Result<Box<ScriptedMessage>, Error> {
        match self.take_answer(request, options)?.outcome {
            Outcome::Message(message) => Ok(message),
            Outcome::Failure(kind) => Err(failure(kind)),
            Outcome::Pending => Err(deadline_passed(options.timeout).await),
        }
    }

    fn report(&self, message: &ScriptedMessage) -> CallReport {
        let usage = message.usage().cloned();
        let usage_source = match &usage {
            Some(_) => UsageSource::Provider,
            None => UsageSource::Unknown,
        };
        CallReport {
            target: format!("scripted/{}", self.name).into(),
            usage,
            usage_source,
            ..CallReport::default()
        }
    }
}

impl LlmInterface for ScriptedModel {
    fn model_name(&self) -> &str {
        &self.name
    }

    fn context_window(&self) -> u32 {
        self.context_window
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        // Like a real model, does nothing until it is polled.
        Box::pin(async move {
            let message = self.answer(request, options).await?;
            if message.is_pending() {
                return Err(deadline_passed(options.timeout).await);
            }
            let completion = message.complete()?;
            Ok(ChatResponse::new(completion).with_report(self.report(&message)))
        })
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        Box::pin(async move {
            let message = self.answer(request, options).await?;
            let chunks = ScriptedChunks {
                chunks: message.chunks(),
                is_pending: message.is_pending(),
                end: options.timeout.map(|timeout| Timer::at(clock::now() + timeout)),
            };
            Ok(ChatStream::with_report(chunks, self.report(&message)))
        })
    }
}

/// Waits until the timeout of a call has passed, or for ever without one. Returns the error of the call.
async fn deadline_passed(timeout: Option<Duration>) -> Error {
    match timeout {
        Some(timeout) => clock::sleep_until(clock::now() + timeout).await,
        None => pending().await,
    }
    failure(FailureKind::DeadlineExceeded)
}

struct ScriptedChunks {
    chunks: VecDeque<Result<ChatChunk, Error>>,
    /// Whether the stream does not end after its chunks, but at the timeout of the call.
    is_pending: bool,
    end: Option<Timer>,
}

impl Stream for ScriptedChunks {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.chunks.pop_front();
        if next.is_some() || !self.is_pending {
            return Poll::Ready(next);
        }
        let ended = self.end.as_mut().map_or(Poll::Pending, |timer| timer.poll(cx));
        ended.map(|()| {
            self.is_pending = false;
            Some(Err(failure(FailureKind::DeadlineExceeded)))
        })
    }
}

/// Returns the path to the first difference between two JSON values.
fn first_difference(one: &Value, other: &Value, path: &str) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one
                .keys()
                .chain(other.keys().filter(|name| !one.contains_key(*name)));
            names.into_iter().find_map(|name| {
                let inner = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => first_difference(one, other, &inner),
                    _ => Some(inner),
                }
            })
        }
        (Value::Array(one), Value::Array(other)) => {
            let differing = one
                .iter()
                .zip(other)
                .enumerate()
                .find_map(|(index, (one, other))| first_difference(one, other, &format!("{path}[{index}]")));
            let length = one.len().min(other.len());
            differing.or_else(|| (one.len() != other.len()).then(|| format!("{path}[{length}]")))
        }
        (one, other) => (one != other).then(|| path.to_owned()),
    }
}

impl fmt::Debug for ScriptedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("ScriptedModel")
            .field("requests", &state.requests.len())
            .field("answers_left", &state.answers.len())
            .finish()
    }
}
