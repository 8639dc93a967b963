//! A run of refusals: a pause, one probe, a longer pause if the probe is refused, and so on.

use std::time::Duration;

use crate::time::Timestamp;

/// Time after which a probe that was not refused counts as admitted. The answer itself can take minutes.
pub(in crate::limits) const PROBE_TIME: Duration = Duration::from_millis(250);
/// Factor on the pause after each refused probe, if the provider names no time.
const LONGER: u32 = 3;
/// Maximum pause in the first [`LASTING_RUN`] of a run and afterwards, if the provider names no time. A probe that
/// comes late by this time costs 5 % of a limit that counts over a minute.
const MAX_PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(300)];
const LASTING_RUN: Duration = Duration::from_secs(600);

/// A series of refusals without an admitted request in between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    pub(super) began: Timestamp,
    /// Requests per second that were not refused in the minute before the run. `None` if they were too few to
    /// infer a pace.
    pub(super) before: Option<f64>,
    /// Whether the run follows a pace that worked. `None` if the run does not change the pace.
    pub(super) after_success: Option<bool>,
    pub(super) pause: Duration,
    /// The end of the pause.
    pub(super) until: Timestamp,
    /// The time at which the probe was sent. `None` before that.
    pub(super) probe: Option<Timestamp>,
    /// The time from which the probe counts as admitted.
    pub(super) probe_until: Timestamp,
}

impl Run {
    /// Returns whether the request that was sent at `sent_at` is the probe, or was sent after it.
    pub(super) fn is_probe(&self, sent_at: Timestamp) -> bool {
        self.probe.is_some_and(|probe| sent_at >= probe)
    }

    /// Returns whether the probe was not refused in time.
    pub(super) fn is_admitted(&self, now: Timestamp) -> bool {
        self.probe >= Some(self.until) && self.probe_until <= now
    }

    /// Pauses again after the probe was refused: until `named` has passed, or for longer than before.
    pub(super) fn lengthen(&mut self, named: Option<Duration>, now: Timestamp) {
        let longest = MAX_PAUSES[usize::from(now.since(self.began) > LASTING_RUN)];
        self.pause = (self.pause * LONGER).min(longest).max(self.pause);
        self.until = self.until.max(now + named.unwrap_or(self.pause));
        self.probe = None;
    }
}
