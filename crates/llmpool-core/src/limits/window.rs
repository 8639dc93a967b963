//! Sliding-window counter: limits the charges in any span of 60 s or 24 h, in bounded memory.
//!
//! Time is divided into *segments*, and the charges of each segment are added up. A segment counts while any
//! part of it lies within the last 60 s or 24 h. Therefore the window never admits a charge too early, but
//! may admit the charge up to one segment later than necessary (up to two in a minute window, which has a
//! guard of one segment). A charge can be corrected while its segment counts.
//!
//! Invariant: the charges in any span are at most `limit`, apart from upward corrections and charges beyond
//! the limit. Such an excess is debt: nothing is available until enough charges have left the span.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::charge_id::ChargeId;
use super::saved_limits::{SavedCharge, millis, remaining};
use crate::time::Timestamp;

const SECOND: u64 = 1_000_000_000;

/// Length and number of the segments of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowShape {
    /// Length of a segment in nanoseconds.
    segment: u64,
    /// Number of segments during which a charge counts, starting with the segment of the charge.
    count: u64,
}

/// 60 s, plus a guard of one segment because requests may arrive at the provider less evenly than they were
/// sent.
const MINUTE: WindowShape = WindowShape {
    segment: SECOND / 4,
    count: 240 + 1 + 1,
};
const DAY: WindowShape = WindowShape {
    segment: 15 * 60 * SECOND,
    count: 96 + 1,
};

/// A sliding-window counter over 60 s or 24 h.
///
/// The window reads no clock: the caller passes `now`. If the clock steps back, the window may admit less,
/// but never more.
#[derive(Clone, Debug)]
pub(super) struct SlidingWindow {
    pub(super) limit: u32,
    shape: WindowShape,
    charged: u64,
    /// Segments with charges that still count, oldest first.
    segments: VecDeque<WindowSegment>,
    /// Charges with sequence numbers up to and including this one are not in the window: they were made before
    /// the window was created or reset.
    empty_at: u64,
    /// The time, in nanoseconds before the origin of all timestamps, at which the segment with the number 0
    /// begins. Far enough before the origin for all segments of an earlier process that still count.
    shift: u64,
}

#[derive(Clone, Copy, Debug)]
struct WindowSegment {
    number: u64,
    charged: u64,
}

impl SlidingWindow {
    /// Returns an empty window that admits charges of at most `limit` in any 60 s. Charges with sequence numbers
    /// up to and including `seq` are not corrected.
    pub(super) fn minute(limit: u32, seq: u64) -> Self {
        Self::new(limit, MINUTE, seq)
    }

    /// Like [`minute`](Self::minute), but in any 24 h.
    pub(super) fn day(limit: u32, seq: u64) -> Self {
        Self::new(limit, DAY, seq)
    }

    fn new(limit: u32, shape: WindowShape, seq: u64) -> Self {
        Self {
            limit,
            shape,
            charged: 0,
            segments: VecDeque::new(),
            empty_at: seq,
            shift: shape.segment * shape.count,
        }
    }

    /// Returns the earliest time by which `total` can have been charged, if necessary in several charges.
    ///
    /// Returns `now` if `total` can be charged at once, and [`Timestamp::MAX`] if the limit is 0.
    pub(super) fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        if self.limit == 0 || total == 0 {
            return if total == 0 { now } else { Timestamp::MAX };
        }
        let (limit, others) = (u64::from(self.limit), total - 1);
        let ready = self.reduced_to(limit - 1 - others % limit, now);
        let span = self.shape.segment * (self.shape.count - 1);
        ready.saturating_add_nanos((others / limit).saturating_mul(span))
    }

    /// Returns the earliest time at which `amount` can be charged, assuming that `unsettled` of the amount
    /// charged so far turns out to be unused. [`Timestamp::MAX`] if `amount` exceeds the limit.
    pub(super) fn ready_at_without(&self, unsettled: u64, amount: u64, now: Timestamp) -> Timestamp {
        if amount > u64::from(self.limit) {
            return Timestamp::MAX;
        }
        self.reduced_to((u64::from(self.limit) - amount).saturating_add(unsettled), now)
    }

    /// Returns the earliest time at which the charges that still count add up to at most `rest`.
    fn reduced_to(&self, rest: u64, now: Timestamp) -> Timestamp {
        let (mut charged, mut ready) = (self.charged, now);
        for segment in &self.segments {
            if charged <= rest {
                break;
            }
            charged -= segment.charged;
            ready = ready.max(self.expiry_of(segment.number));
        }
        ready
    }

    /// Charges `amount`, even beyond the limit.
    pub(super) fn charge(&mut self, amount: u32, now: Timestamp) {
        self.remove_expired(now);
        // If the clock has stepped back, charges the latest segment. This keeps the segments in order and
        // admits less, not more.
        let latest = self.segments.back().map_or(0, |last| last.number);
        let number = self.number_at(now).max(latest);
        self.charged += u64::from(amount);
        match self.segments.back_mut() {
            Some(last) if last.number == number => last.charged += u64::from(amount),
            _ => self.segments.push_back(WindowSegment {
                number,
                charged: u64::from(amount),
            }),
        }
    }

    /// Returns whether a charge was made after the window was created or reset.
    pub(super) fn contains(&self, charge: ChargeId) -> bool {
        self.empty_at < charge.seq
    }

    /// Corrects the amount of a charge from `before` to `amount`. Has no effect if the charge no longer counts.
    /// Returns whether the correction makes room for other charges.
    pub(super) fn correct(&mut self, charge: ChargeId, before: u32, amount: u32) -> bool {
        let (number, is_contained) = (self.number_at(charge.at), self.contains(charge));
        let found = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number);
        let segment = found.ok().and_then(|at| self.segments.get_mut(at));
        let Some(segment) = segment.filter(|_| is_contained) else {
            return false;
        };
        // Saturates, because the charge may be in a later segment if the clock has stepped back.
        let corrected = (segment.charged + u64::from(amount)).saturating_sub(u64::from(before));
        self.charged = self.charged + corrected - segment.charged;
        segment.charged = corrected;
        amount < before
    }

    /// Removes all charges. Charges with sequence numbers up to and including `seq` can no longer be corrected.
    pub(super) fn reset(&mut self, seq: u64) {
        self.empty_at = seq;
        self.charged = 0;
        self.segments.clear();
    }

    /// Returns the charges that still count at `now`.
    pub(super) fn save(&self, now: Timestamp) -> Vec<SavedCharge> {
        let charges = self.segments.iter().map(|segment| SavedCharge {
            counts_for_ms: millis(self.expiry_of(segment.number).since(now)),
            amount: u32::try_from(segment.charged).unwrap_or(u32::MAX),
        });
        charges
            .filter(|charge| charge.counts_for_ms > 0 && charge.amount > 0)
            .collect()
    }

    /// Adds charges that were saved `elapsed` ago. They count for as long as they would have counted in the
    /// process that saved them or, if this window has charges of its own, up to one segment longer.
    pub(super) fn load(&mut self, saved: &[SavedCharge], elapsed: Duration, seq: u64, now: Timestamp) {
        self.remove_expired(now);
        for charge in saved {
            let left = remaining(charge.counts_for_ms, elapsed);
            if left.is_zero() {
                continue;
            }
            let expiry = (now + left).as_nanos();
            if self.segments.is_empty() {
                // Continues the segments of the other process. Otherwise, charges would last longer with each
                // restart, and restarts in quick succession would never let them expire.
                let span = self.shape.segment * self.shape.count;
                self.shift = span + self.shape.segment - 1 - (expiry - 1) % self.shape.segment;
                self.empty_at = seq;
            }
            let end = expiry.saturating_add(self.shift).div_ceil(self.shape.segment);
            // All charges were made before now.
            let number = end.saturating_sub(self.shape.count).min(self.number_at(now));
            let charged = u64::from(charge.amount);
            self.charged += charged;
            match self
                .segments
                .binary_search_by_key(&number, |segment| segment.number)
            {
                Ok(at) => self.segments[at].charged += charged,
                Err(at) => self.segments.insert(at, WindowSegment { number, charged }),
            }
        }
    }

    fn number_at(&self, time: Timestamp) -> u64 {
        time.as_nanos().saturating_add(self.shift) / self.shape.segment
    }

    fn remove_expired(&mut self, now: Timestamp) {
        while let Some(oldest) = self.segments.front() {
            if self.expiry_of(oldest.number) > now {
                return;
            }
            self.charged -= oldest.charged;
            self.segments.pop_front();
        }
    }

    /// Returns the time from which a segment no longer counts.
    fn expiry_of(&self, segment: u64) -> Timestamp {
        let end = segment.saturating_add(self.shape.count);
        Timestamp::from_nanos(end.saturating_mul(self.shape.segment).saturating_sub(self.shift))
    }
}
