//! Reads the events of a streamed answer from the response body, classifies them, and enforces the timeouts
//! of the call.
//!
//! Invariants: the permit is released when the stream ends or is dropped. Dropping a stream in the middle of
//! an answer closes the connection at once; a stream whose end has arrived or is near gives it back to the
//! pool. A stream without a terminal event (`[DONE]`, for example) ends with an error. The idle timeout
//! starts when a poll finds no bytes to read, so that a caller that stops polling does not cause an idle
//! timeout.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::framing::{self, AnswerReplay, Framing};
use llmpool_core::provider_error::ProviderError;
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::{EventFlags, EventRepeat, StreamView};
use llmpool_core::time::Timestamp;

use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::document_buffer::{DocumentBuffer, END_GRACE, USAGE_GRACE};
use crate::report::Conversion;
use crate::tokens::StreamPermit;
use crate::transport::{Body, BodyError, MAX_DRAIN_BYTES, MAX_DRAIN_TIME};
use crate::unstreamed_answer::{self, Parts};

/// The maximum size of one event, in bytes. A larger event ends the stream with an error.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// Why an answer is invalid that has an event which is not a JSON object of the expected shape.
pub(crate) const UNREADABLE_EVENT: &str = "an event cannot be read";
/// Why an answer is invalid that has ended before any output of the model.
pub(crate) const WITHOUT_CONTENT: &str = "the stream ended without content";
/// Why an answer is invalid that came as a document and has nothing to make events from.
const WITHOUT_OUTPUT: &str = "a document without choices or output";

/// One event of a streamed answer, with its classification.
#[derive(Debug)]
#[non_exhaustive]
pub struct RawEvent {
    /// The event as the provider sent it.
    pub event: SseEvent,
    /// What the event contains: content, usage, an error or the end of the answer.
    pub flags: EventFlags,
    /// Set if the event equals an earlier event except for a few values: the positions of these values. With
    /// the positions, the decoder avoids parsing the whole event.
    pub(crate) repeat: Option<EventRepeat>,
}

/// The stream of the events of one answer. Holds the permit of the attempt until the stream ends.
pub(crate) struct RawEventStream {
    body: Option<Body>,
    input: Input,
    /// Events that follow before those of the decoder: made from a document or from a complete answer in an event.
    pending: VecDeque<SseEvent>,
    conversion: Option<Conversion>,
    /// The document from which the events were made, if they were.
    document: Option<Bytes>,
    /// Converts events that contain complete answers. `None` before the first of them.
    replay: Option<Box<AnswerReplay>>,
    /// Why the body ended early, if it did.
    lost: Option<BodyError>,
    is_ended: bool,
    decoder: SseDecoder,
    view: StreamView,
    permit: Option<StreamPermit>,
    recorder: Option<AffinityRecorder>,
    limits: StreamLimits,
    /// The time at which the stream began to wait for more bytes, which is when the idle timeout starts.
    /// `None` while bytes are arriving, and before the first content if a limit for that applies.
    waiting_since: Option<Timestamp>,
    /// After the answer was complete: for how long the stream waits for what may still come, and when this
    /// wait began.
    ending: Option<(Duration, Timestamp)>,
    /// The number of bytes that were read after `[DONE]`, only to reach the end of the body.
    drained: usize,
    timer: Timer,
}

/// What the body of an answer contains.
enum Input {
    /// Nothing has arrived yet.
    Unknown,
    Events,
    /// A document, another text, or too little to tell.
    Document(Box<DocumentBuffer>),
}

/// The time limits of a stream: the deadlines for its first content and its end, and the maximum time without
/// new bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// Before this time, only the first content is waited for. `None` if the idle timeout applies from the start.
    pub(crate) first_content_at: Option<Timestamp>,
    pub(crate) idle: Option<Duration>,
    pub(crate) deadline: Timestamp,
}

impl RawEventStream {
    /// Creates a stream of the events in `body`; without a body, [`with_events`](Self::with_events) adds them. `view` is the state before the first event. `recorder` records
    /// the resources that the answer creates, such as a stored response.
    pub(crate) fn new(
        body: Option<Body>,
        view: StreamView,
        limits: StreamLimits,
        recorder: Option<AffinityRecorder>,
    ) -> Self {
        Self {
            body,
            input: Input::Unknown,
            pending: VecDeque::new(),
            conversion: None,
            document: None,
            replay: None,
            lost: None,
            is_ended: false,
            decoder: SseDecoder::new(MAX_EVENT_BYTES),
            view,
            permit: None,
            recorder,
            limits,
            waiting_since: None,
            ending: None,
            drained: 0,
            timer: Timer::default(),
        }
    }

    /// Puts `events` before those of the body.
    pub(crate) fn with_events(mut self, events: Vec<SseEvent>) -> Self {
        self.pending = events.into();
        self
    }

    /// Holds the permit until the stream ends or is dropped. If the stream has already ended, releases the
    /// permit at once.
    pub(crate) fn hold(&mut self, permit: StreamPermit) {
        if !self.is_ended {
            self.permit = Some(permit);
        }
    }

    /// Returns how the answer was converted so far.
    pub(crate) fn converted(&self) -> Option<Conversion> {
        self.conversion
    }

    /// Returns the document that came in place of events, if one did.
    pub(crate) fn document(&self) -> Option<&Bytes> {
        self.document.as_ref()
    }

    /// Returns what the events so far have revealed: whether content arrived, the usage, and whether the
    /// answer is complete.
    pub(crate) fn view(&self) -> &StreamView {
        &self.view
    }

    pub(crate) async fn next_event(&mut self) -> Option<Result<RawEvent, Failure>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Polls for the next event. At the end of a complete answer, returns `None`. If the answer fails,
    /// returns one failure and then `None`.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Failure>>> {
        loop {
            let next = match self.pending.pop_front() {
                Some(event) => Ok(Some(event)),
                None => self.decoder.next_event(),
            };
            match next {
                Err(_) => {
                    let detail = format!("an event is larger than {} MiB", MAX_EVENT_BYTES >> 20);
                    return self.fail(Failure::new(FailureKind::UnusableAnswer).with_detail(detail));
                }
                // The rest of the body is only read to its end, so that the connection can be reused.
                Ok(Some(_)) if self.view.is_done() => continue,
                Ok(Some(event)) => match self.classify(event) {
                    Some(event) => return Poll::Ready(Some(event)),
                    None => continue,
                },
                Ok(None) => {}
            }
            let Some(body) = &mut self.body else {
                return match &self.lost {
                    _ if self.is_ended => Poll::Ready(None),
                    Some(error) => self.end(error.failure()),
                    None => self.end(Failure::new(FailureKind::Truncated)),
                };
            };
            match body.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.waiting_since = None;
                    if self.view.is_done() {
                        self.drained += piece.len();
                        if self.drained > MAX_DRAIN_BYTES {
                            return self.end(Failure::new(FailureKind::Truncated));
                        }
                    }
                    if let Err(failure) = self.push(piece) {
                        return self.fail(failure);
                    }
                }
                Poll::Ready(end) => {
                    self.lost = end.and_then(Result::err);
                    if let Err(failure) = self.end_input() {
                        return self.fail(failure);
                    }
                }
                Poll::Pending => {
                    let (deadline, kind) = self.next_timeout();
                    self.timer.set(deadline);
                    if self.timer.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    match self.end_silent_document() {
                        Ok(true) => {}
                        Ok(false) => return self.end(Failure::new(kind)),
                        Err(failure) => return self.fail(failure),
                    }
                }
            }
        }
    }

    /// Appends a piece of the body. The first bytes decide whether it is a stream of events.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), Failure> {
        match self.input {
            Input::Events => self.decoder.push(piece),
            Input::Unknown if framing::sniff(&piece) == Some(Framing::Events) => {
                self.input = Input::Events;
                self.decoder.push(piece);
            }
            _ => self.push_to_document(piece)?,
        }
        Ok(())
    }

    #[cold]
    fn push_to_document(&mut self, piece: Bytes) -> Result<(), Failure> {
        let mut document = match std::mem::replace(&mut self.input, Input::Events) {
            Input::Document(document) => document,
            Input::Unknown | Input::Events => Box::default(),
        };
        document.push(piece)?;
        if document.framing() == Some(Framing::Events) {
            self.decoder.push(document.finish());
        } else {
            self.input = Input::Document(document);
        }
        Ok(())
    }

    /// Handles the end of the body: converts a document to events, and takes the last event of a stream.
    fn end_input(&mut self) -> Result<(), Failure> {
        self.body = None;
        match std::mem::replace(&mut self.input, Input::Events) {
            Input::Document(document) => {
                if let Some(error) = &self.lost
                    && !document.has_whole_documents()
                {
                    return Err(error.failure());
                }
                self.conversion = Some(Conversion::DocumentToEvents);
                self.pending = match unstreamed_answer::parts(&document.finish())? {
                    Parts::Document(document) => {
                        let document = self.document.insert(document);
                        framing::document_to_events(self.view.api_format(), document)
                            .ok_or_else(|| {
                                Failure::new(FailureKind::InvalidResponse).with_detail(WITHOUT_OUTPUT)
                            })?
                            .into()
                    }
                    Parts::Events(events) => events.into(),
                };
                Ok(())
            }
            Input::Events if self.lost.is_none() => {
                let last = self.decoder.take_unfinished();
                self.pending.extend(last.filter(|_| !self.view.is_done()));
                Ok(())
            }
            Input::Unknown if self.lost.is_none() => Err(framing::unusable(b"")),
            Input::Unknown | Input::Events => Ok(()),
        }
    }

    /// Ends the body if a document is complete and its grace has passed, or if another timeout has fired after a
    /// document. Returns false if another timeout has fired that ends the stream.
    fn end_silent_document(&mut self) -> Result<bool, Failure> {
        let Input::Document(document) = &mut self.input else {
            return Ok(false);
        };
        let grace_end = document.grace().zip(self.waiting_since);
        let has_passed = grace_end.is_some_and(|(grace, since)| since + grace <= clock::now());
        let is_complete = if has_passed {
            document.is_complete_after_grace(Some(&self.view))
        } else {
            document.has_whole_documents()
        };
        if is_complete {
            self.end_input()?;
        }
        Ok(is_complete || has_passed)
    }

    /// Classifies the next event. Returns `None` if other events take its place.
    fn classify(&mut self, event: SseEvent) -> Option<Result<RawEvent, Failure>> {
        let observation = self.view.observe(&event);
        let flags = observation.flags;
        // After a complete answer, an error takes nothing away. A proxy sends one if it could not record the usage.
        if flags.error && !(self.view.is_complete() && self.view.has_content()) {
            let error = ProviderError::parse(&event.data).unwrap_or_default();
            return Some(Err(self.closed(classify_in_stream(&error))));
        }
        let is_unreadable = flags.corrupt && !self.view.has_content();
        if is_unreadable || flags.whole && !self.replay(&event) {
            let failure = Failure::new(FailureKind::InvalidResponse).with_detail(UNREADABLE_EVENT);
            return Some(Err(self.closed(failure)));
        }
        if flags.whole {
            return None;
        }
        if flags.creates_resources
            && let Some(recorder) = &self.recorder
        {
            recorder.record(&event.data);
        }
        Some(Ok(RawEvent {
            event,
            flags,
            repeat: observation.repeat,
        }))
    }

    /// Puts the events of a stream in the place of an event with a complete answer. Returns false if the event
    /// cannot be read.
    #[cold]
    fn replay(&mut self, event: &SseEvent) -> bool {
        let format = self.view.api_format();
        let replay = self
            .replay
            .get_or_insert_with(|| Box::new(AnswerReplay::new(format)));
        let events = replay.events_of(&event.data);
        self.conversion = self.conversion.or(Some(Conversion::AnswersToDeltas));
        let is_read = events.is_some();
        for event in events.into_iter().flatten().rev() {
            self.pending.push_front(event);
        }
        is_read
    }

    /// Returns the deadline for the next byte, and the kind of failure if no byte arrives before that
    /// deadline.
    fn next_timeout(&mut self) -> (Timestamp, FailureKind) {
        let StreamLimits {
            first_content_at,
            idle,
            deadline,
        } = self.limits;
        let mut timeout = if self.view.is_complete() {
            let grace = if self.view.is_done() {
                MAX_DRAIN_TIME
            } else if self.view.usage().is_some() {
                END_GRACE
            } else {
                USAGE_GRACE
            };
            let started = self.ending.filter(|(other, _)| *other == grace);
            let (_, since) = *self
                .ending
                .insert(started.unwrap_or_else(|| (grace, clock::now())));
            (since + grace, FailureKind::IdleTimeout)
        } else if let Some(at) = first_content_at
            && !self.view.has_content()
        {
            (at, FailureKind::FirstContentTimeout)
        } else {
            let since = *self.waiting_since.get_or_insert_with(clock::now);
            let idle_at = idle.map_or(Timestamp::MAX, |idle| since + idle);
            (idle_at, FailureKind::IdleTimeout)
        };
        if let Input::Document(document) = &self.input
            && let Some(grace) = document.grace()
        {
            let since = *self.waiting_since.get_or_insert_with(clock::now);
            timeout.0 = timeout.0.min(since + grace);
        }
        if deadline <= timeout.0 {
            (deadline, FailureKind::DeadlineExceeded)
        } else {
            timeout
        }
    }

    /// Ends the stream: without an error if the answer is complete, otherwise with a failure.
    fn end(&mut self, otherwise: Failure) -> Poll<Option<Result<RawEvent, Failure>>> {
        if self.view.is_complete() {
            self.close();
            return Poll::Ready(None);
        }
        self.fail(otherwise)
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<RawEvent, Failure>>> {
        Poll::Ready(Some(Err(self.closed(failure))))
    }

    /// Closes the stream, and returns `failure`.
    fn closed(&mut self, failure: Failure) -> Failure {
        self.close();
        failure
    }

    /// Closes the stream: drops the body, replaces the reserved tokens by the reported usage, and releases
    /// the permit. All later polls return `None`.
    pub(crate) fn close(&mut self) {
        self.body = None;
        self.is_ended = true;
        self.pending.clear();
        if let Some(permit) = self.permit.take() {
            permit.end(&self.view);
        }
        self.decoder = SseDecoder::new(MAX_EVENT_BYTES);
    }
}

impl Drop for RawEventStream {
    fn drop(&mut self) {
        self.abandon();
        if let Some(body) = self.body.take()
            && self.view.is_complete()
        {
            body.drain_in_background(MAX_DRAIN_BYTES.saturating_sub(self.drained));
        }
    }
}

impl RawEventStream {
    /// Observes the events that have already arrived, and releases the permit of a stream that the caller drops.
    pub(crate) fn abandon(&mut self) {
        self.observe_arrived();
        if let Some(permit) = self.permit.take() {
            permit.abandon(&self.view);
        }
    }

    /// Observes the events that have already arrived, up to [`MAX_DRAIN_BYTES`]. They may contain the usage,
    /// and reading the end of the body gives its connection back to the pool. Waits for nothing.
    fn observe_arrived(&mut self) {
        for event in std::mem::take(&mut self.pending) {
            self.view.observe(&event);
        }
        loop {
            while let Ok(Some(event)) = self.decoder.next_event() {
                self.view.observe(&event);
            }
            let Some(body) = &mut self.body else { return };
            match body.try_data() {
                Poll::Ready(Some(Ok(piece))) if self.drained + piece.len() <= MAX_DRAIN_BYTES => {
                    self.drained += piece.len();
                    if self.push(piece).is_err() {
                        return;
                    }
                }
                Poll::Ready(end) => {
                    if end.is_none()
                        && let Some(event) = self.decoder.take_unfinished()
                    {
                        self.view.observe(&event);
                    }
                    self.body = None;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }
}
