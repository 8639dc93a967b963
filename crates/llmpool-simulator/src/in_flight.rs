//! Bookkeeping for a request from its arrival to its end.
//!
//! The request handler owns the [`InFlightRequest`] until the response starts, and the response body owns the
//! value after that. Dropping the [`InFlightRequest`] ends the request exactly once, whether the response was
//! completed, a behaviour cut the response, or the client disconnected.

use std::sync::Arc;

use crate::key_limiters::InFlightSlot;
use crate::limits::ProviderLimitKind;
use crate::stats::{AbortPhase, LogIndex, Recorder, RequestOrigin};

/// A request in flight. If the value is dropped before [`finish`](Self::finish) is called, the request is
/// recorded as aborted by the client.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    recorder: Arc<Recorder>,
    origin: RequestOrigin,
    log_index: LogIndex,
    phase: AbortPhase,
    finished: bool,
    /// The request's place in the concurrency limits of its key and account. `None` until the request has
    /// passed these limits.
    slot: Option<InFlightSlot>,
}

impl InFlightRequest {
    pub(crate) fn begin(recorder: Arc<Recorder>, origin: RequestOrigin) -> Self {
        let log_index = recorder.request_arrived(origin);
        Self {
            recorder,
            origin,
            log_index,
            phase: AbortPhase::Reading,
            finished: false,
            slot: None,
        }
    }

    /// Records that the request passed the limits of its key and account, and holds `slot` until the request
    /// ends.
    pub(crate) fn limits_passed(&mut self, slot: InFlightSlot) {
        self.slot = Some(slot);
    }

    /// Records that a limit denied the request.
    pub(crate) fn denied(&mut self, limit: ProviderLimitKind) {
        self.recorder.request_denied(self.origin, self.log_index, limit);
    }

    /// Records that the whole request has been read.
    pub(crate) fn request_read(&mut self) {
        self.phase = AbortPhase::BeforeHead;
    }

    /// Records the HTTP status of the response. Must be called before the head of the response is sent.
    pub(crate) fn response_started(&mut self, status: u16) {
        self.phase = AbortPhase::MidStream;
        self.recorder
            .response_started(self.origin, self.log_index, status);
    }

    /// Marks the request as ended by the simulator, so that dropping this value does not record an abort by
    /// the client.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        // Release the slot before the statistics change: a test that waits for the statistics may send its next request
        // at once.
        self.slot = None;
        let aborted_in = (!self.finished).then_some(self.phase);
        self.recorder
            .request_ended(self.origin, self.log_index, aborted_in);
    }
}
