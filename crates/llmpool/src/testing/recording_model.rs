//! Records the calls of a model in a file.
//!
//! The file has one JSON object per line: `{"request": …, "answer": …}`, both in the Chat Completions format. The
//! answer of a stream is recorded whole. Failed calls are not recorded.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest};
use serde_json::{Value, json};

use super::scripted_answer::ScriptedAnswer;
use crate::error::{Error, ErrorKind};
use crate::interface::{ChatResponse, ChatStream, ChunkSource, LlmInterface};
use crate::options::CallOptions;
use crate::report::CallReport;

/// A model that forwards calls to another one and writes them to a file, which
/// [`ScriptedModel::replay`](super::ScriptedModel::replay) reads.
///
/// A call that cannot be written succeeds all the same; [`finish`](Self::finish) returns the error. The file contains
/// prompts and answers, but no keys.
#[derive(Debug)]
pub struct RecordingModel<M> {
    model: M,
    recording: Arc<Recording>,
}

#[derive(Debug)]
struct Recording {
    path: PathBuf,
    /// The file, or the first error of writing it.
    file: Mutex<Result<File, io::Error>>,
}

impl<M: LlmInterface> RecordingModel<M> {
    /// Records the calls of `model` in a new file at `path`. An existing file is replaced.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn new(model: M, path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = Mutex::new(Ok(opened.map_err(|error| cannot("write", &path, error))?));
        Ok(Self {
            model,
            recording: Arc::new(Recording { path, file }),
        })
    }

    /// Checks that all calls have been recorded.
    ///
    /// # Errors
    /// Fails if a call could not be written, for example because the disk is full. No later call has been written then.
    pub fn finish(self) -> Result<(), Error> {
        let error = self
            .recording
            .file()
            .as_ref()
            .err()
            .map(|error| io::Error::new(error.kind(), error.to_string()));
        error.map_or(Ok(()), |error| Err(cannot("write", &self.recording.path, error)))
    }
}

impl Recording {
    fn write(&self, request: &Value, answer: &ChatCompletion) {
        let line = format!("{}\n", json!({"request": request, "answer": answer}));
        let mut file = self.file();
        let written = file.as_mut().map(|file| file.write_all(line.as_bytes()));
        if let Ok(Err(error)) = written {
            *file = Err(error);
        }
    }

    fn file(&self) -> MutexGuard<'_, Result<File, io::Error>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cannot(action: &str, path: &Path, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("cannot {action} {}: {error}", path.display()),
    )
    .with_source(error)
}

/// Reads a file that a [`RecordingModel`] wrote.
pub(super) fn read_recording(path: &Path) -> Result<Vec<ScriptedAnswer>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| cannot("read", path, error))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let not_recorded = || {
                let place = format!("{}:{}", path.display(), index + 1);
                Error::new(ErrorKind::Config, format!("{place} is not a recorded call"))
                    .with_help("record the calls again")
            };
            let mut call: Value = serde_json::from_str(line).map_err(|_| not_recorded())?;
            let (request, answer) = (call["request"].take(), call["answer"].take());
            let answer = serde_json::from_str(&answer.to_string()).map_err(|_| not_recorded())?;
            if !request.is_object() {
                return Err(not_recorded());
            }
            Ok(ScriptedAnswer::recorded(request, answer))
        })
        .collect()
}

impl<M: LlmInterface> LlmInterface for RecordingModel<M> {
    fn model_name(&self) -> &str {
        self.model.model_name()
    }

    fn context_window(&self) -> u32 {
        self.model.context_window()
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        Box::pin(async move {
            let response = self.model.chat_with(request, options).await?;
            self.recording.write(&json!(request), &response.completion);
            Ok(response)
        })
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        Box::pin(async move {
            let stream = self.model.chat_stream_with(request, options).await?;
            Ok(ChatStream::from_source(RecordedStream {
                stream,
                request: json!(request),
                assembler: Some(Assembler::new()),
                recording: self.recording.clone(),
            }))
        })
    }
}

/// A stream that records its answer when it ends.
struct RecordedStream {
    stream: ChatStream,
    request: Value,
    /// `None` once the answer is recorded, or after an error.
    assembler: Option<Assembler>,
    recording: Arc<Recording>,
}

impl Stream for RecordedStream {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(Pin::new(&mut self.stream).poll_next(cx));
        match &chunk {
            Some(Ok(chunk)) => {
                if let Some(assembler) = &mut self.assembler {
                    assembler.push(chunk.clone());
                }
            }
            Some(Err(_)) => self.assembler = None,
            None => {
                if let Some(assembler) = self.assembler.take() {
                    self.recording.write(&self.request, &assembler.finish());
                }
            }
        }
        Poll::Ready(chunk)
    }
}

impl ChunkSource for RecordedStream {
    fn report(&self) -> CallReport {
        self.stream.report()
    }
}
