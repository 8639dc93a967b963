//! A request from its arrival to its end.
//!
//! The handler owns an [`InFlightRequest`] first, then the response body. Dropping it ends the request exactly once,
//! whether the response completed, a behaviour cut it, or the client disconnected (L41, L44).

use std::sync::Arc;

use crate::key_limiters::InFlightSlot;
use crate::limits::ProviderLimitKind;
use crate::stats::{AbortPhase, LogIndex, Recorder, RequestOrigin};

/// A request in flight. If it is dropped before [`finish`](Self::finish), it counts as aborted by the client.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    recorder: Arc<Recorder>,
    origin: RequestOrigin,
    log_index: LogIndex,
    phase: AbortPhase,
    finished: bool,
    /// The concurrency slot that the request holds in the limits of its key.
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

    /// Records that the request passed the limits of its key.
    pub(crate) fn limits_passed(&mut self, slot: InFlightSlot) {
        self.slot = Some(slot);
    }

    /// Records that a limit denied the request.
    pub(crate) fn denied(&mut self, limit: ProviderLimitKind) {
        self.recorder.request_denied(self.origin, self.log_index, limit);
    }

    /// Records that the request was read to its end.
    pub(crate) fn request_read(&mut self) {
        self.phase = AbortPhase::BeforeHead;
    }

    /// Records the status of the response before its head is sent.
    pub(crate) fn response_started(&mut self, status: u16) {
        self.phase = AbortPhase::MidStream;
        self.recorder
            .response_started(self.origin, self.log_index, status);
    }

    /// Marks the end as intended, so that dropping does not count as an abort by the client.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        // Release the slot before the stats change: a test that waits for them may send its next request at once.
        self.slot = None;
        let aborted_in = (!self.finished).then_some(self.phase);
        self.recorder
            .request_ended(self.origin, self.log_index, aborted_in);
    }
}
