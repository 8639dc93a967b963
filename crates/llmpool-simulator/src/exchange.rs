//! One request from arrival to end, kept honest by ownership.
//!
//! An [`Exchange`] lives first in the handler and then in the response body. However it ends (completed, cut by us,
//! handler or body dropped because the client left) its drop takes the request out of flight exactly once (L41, L44).

use std::sync::Arc;

use crate::gate::Permit;
use crate::limits::Meter;
use crate::stats::{Arrival, Entry, Phase, Recorder};

/// A request in flight. Dropped before [`finish`](Self::finish), it counts as left by the client.
#[derive(Debug)]
pub(crate) struct Exchange {
    recorder: Arc<Recorder>,
    arrival: Arrival,
    entry: Entry,
    phase: Phase,
    finished: bool,
    /// Its place among those in flight, as the limits of its key count them.
    permit: Option<Permit>,
}

impl Exchange {
    pub(crate) fn begin(recorder: Arc<Recorder>, arrival: Arrival) -> Self {
        let entry = recorder.arrived(arrival);
        Self {
            recorder,
            arrival,
            entry,
            phase: Phase::Reading,
            finished: false,
            permit: None,
        }
    }

    /// It passed the limits of its key.
    pub(crate) fn admitted(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// It did not pass them.
    pub(crate) fn denied(&mut self, by: Meter) {
        self.recorder.denied(self.arrival, self.entry, by);
    }

    /// The whole request is here.
    pub(crate) fn request_read(&mut self) {
        self.phase = Phase::BeforeHead;
    }

    /// The response begins with this status.
    pub(crate) fn answered(&mut self, status: u16) {
        self.phase = Phase::MidStream;
        self.recorder.answered(self.arrival, self.entry, status);
    }

    /// What happens from here on is our own doing.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Before the stats say so: who hears of a request's end may send the next.
        self.permit = None;
        let aborted_in = (!self.finished).then_some(self.phase);
        self.recorder.ended(self.arrival, self.entry, aborted_in);
    }
}
