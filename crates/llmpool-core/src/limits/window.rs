//! Sliding-window counter: a maximum of charges in any span of 60 s or 24 h, in bounded memory.
//!
//! Charges are counted in *segments* of the span. A segment counts as long as any part of it lies within the last span. Therefore the window may
//! admit a charge up to a segment later than necessary (two with the guard of a minute window), never too early. A charge can be corrected as long as
//! its segment counts.
//!
//! Invariant: the charges in any span are at most `limit`, except after upward corrections and charges beyond the limit. The excess is debt: nothing
//! is available until enough charges have left the span.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroU64;

use crate::time::Timestamp;

const SECOND: u64 = 1_000_000_000;

/// Length and number of the segments of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WindowShape {
    /// Length of a segment in nanoseconds.
    segment: u64,
    /// Number of segments, starting with a segment itself, after which that segment no longer counts.
    count: u64,
}

/// 60 s, plus a guard of one segment because requests may arrive less evenly than they were sent.
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
/// The window reads no clock: the caller passes `now`. If `now` is earlier than in a previous call, the window admits less, never more.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    pub(super) limit: u32,
    shape: WindowShape,
    charged: u64,
    /// Segments with charges that still count, oldest first.
    segments: VecDeque<WindowSegment>,
    /// Number of the first segment that may be charged. It ensures that a correction of a charge made before a reset does not affect later charges.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct WindowSegment {
    number: u64,
    charged: u64,
}

/// Identifies the segment of a charge, for later corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCharge {
    /// Number of the segment plus 1.
    segment: NonZeroU64,
}

impl SlidingWindow {
    /// Returns an empty window of 60 s that admits `limit`.
    pub fn minute(limit: u32) -> Self {
        Self::new(limit, MINUTE)
    }

    /// Returns an empty window of 24 h that admits `limit`.
    pub fn day(limit: u32) -> Self {
        Self::new(limit, DAY)
    }

    fn new(limit: u32, shape: WindowShape) -> Self {
        Self {
            limit,
            shape,
            charged: 0,
            segments: VecDeque::new(),
            first: 0,
        }
    }

    /// Returns the earliest time at which `total` can have been charged, if it is charged in portions as early as possible.
    ///
    /// Returns `now` if `total` is already available, and [`Timestamp::MAX`] if the limit is 0.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        if self.limit == 0 || total == 0 {
            return if total == 0 { now } else { Timestamp::MAX };
        }
        let limit = u64::from(self.limit);
        let spans = (total - 1) / limit;
        let ready = self.reduced_to(limit - (total - spans * limit), now);
        let span = self.shape.segment * (self.shape.count - 1);
        ready.saturating_add_nanos(spans.saturating_mul(span))
    }

    /// Returns the earliest time at which `amount` can be charged, assuming that `unsettled` of the charges turn out to be unused.
    pub fn ready_at_without(&self, unsettled: u64, amount: u64, now: Timestamp) -> Timestamp {
        if amount > u64::from(self.limit) {
            return Timestamp::MAX;
        }
        self.reduced_to((u64::from(self.limit) - amount).saturating_add(unsettled), now)
    }

    /// Returns the earliest time at which at most `rest` of the charges still counts.
    fn reduced_to(&self, rest: u64, now: Timestamp) -> Timestamp {
        if self.charged <= rest {
            return now;
        }
        let mut charged = self.charged;
        for segment in &self.segments {
            charged -= segment.charged;
            if charged <= rest {
                return self.expiry_of(segment.number).max(now);
            }
        }
        now
    }

    /// Charges `amount`, even beyond the limit.
    pub fn charge(&mut self, amount: u32, now: Timestamp) -> WindowCharge {
        self.remove_expired(now);
        // If the clock has stepped back, charges the latest segment. That keeps the order of segments and admits less.
        let latest = self.segments.back().map_or(self.first, |last| last.number);
        let number = (now.as_nanos() / self.shape.segment).max(latest);
        self.charged += u64::from(amount);
        match self.segments.back_mut() {
            Some(last) if last.number == number => last.charged += u64::from(amount),
            _ => self.segments.push_back(WindowSegment {
                number,
                charged: u64::from(amount),
            }),
        }
        WindowCharge {
            segment: NonZeroU64::MIN.saturating_add(number),
        }
    }

    /// Corrects a charge from `before` to `amount`, unless its segment no longer counts. Returns whether that makes room.
    pub fn correct(&mut self, charge: WindowCharge, before: u32, amount: u32) -> bool {
        let number = charge.segment.get() - 1;
        let found = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number);
        let Some(segment) = found.ok().and_then(|at| self.segments.get_mut(at)) else {
            return false;
        };
        // Saturates, because the limit may have been removed and set again, and the charge may stem from the earlier window.
        let corrected = (segment.charged + u64::from(amount)).saturating_sub(u64::from(before));
        self.charged = self.charged + corrected - segment.charged;
        segment.charged = corrected;
        amount < before
    }

    /// Adds the charges of another window of the same span.
    pub fn merge(&mut self, other: &Self) {
        for segment in &other.segments {
            self.charged += segment.charged;
            let found = self
                .segments
                .binary_search_by_key(&segment.number, |own| own.number);
            match found {
                Ok(at) => self.segments[at].charged += segment.charged,
                Err(at) => self.segments.insert(at, *segment),
            }
        }
    }

    /// Removes all charges.
    pub fn reset(&mut self) {
        if let Some(latest) = self.segments.back() {
            self.first = latest.number + 1;
        }
        self.charged = 0;
        self.segments.clear();
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
        Timestamp::from_nanos(end.saturating_mul(self.shape.segment))
    }
}
