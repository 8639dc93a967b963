//! Sliding-window counter: a cap on what may be charged in any span of 60 s or 24 h, in bounded memory.
//!
//! Charges are counted in segments of the span, and a segment counts as long as any part of it lies within the last span. So the window may admit
//! up to one segment too late, never too early. A charge can be corrected as long as it counts.
//!
//! Invariant: what is charged in any span is at most `limit`, except for upward corrections; these are debt, and deny everything until they
//! leave the span.

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
    /// Number of segments for which a segment counts.
    count: u64,
}

/// 60 s, plus a guard of one segment for requests that arrive less evenly than they were sent.
const MINUTE: WindowShape = WindowShape {
    segment: SECOND / 4,
    count: 240 + 1 + 1,
};
const DAY: WindowShape = WindowShape {
    segment: 15 * 60 * SECOND,
    count: 96 + 1,
};

/// A sliding-window counter over 60 s or 24 h. Reads no clock; a `now` earlier than a previous one only makes it stricter.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    pub(super) limit: u32,
    shape: WindowShape,
    charged: u64,
    /// Segments with charges, oldest first.
    segments: VecDeque<WindowSegment>,
    /// The first segment that may be charged: a charge from before a reset must not correct a later one.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct WindowSegment {
    number: u64,
    charged: u64,
}

/// The segment of a charge, to correct it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCharge {
    /// Segment number plus one.
    segment: NonZeroU64,
}

impl SlidingWindow {
    /// Returns a window of 60 s.
    pub fn minute(limit: u32) -> Self {
        Self::new(limit, MINUTE)
    }

    /// Returns a window of 24 h.
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

    /// Returns the earliest time at which the last of `total` can be charged, if it is charged in portions as early as possible.
    ///
    /// `now` if everything fits already, [`Timestamp::MAX`] if the cap is 0.
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

    /// Returns when `amount` can be charged, if `unsettled` of the charges turn out to be unused.
    pub fn ready_at_without(&self, unsettled: u64, amount: u64, now: Timestamp) -> Timestamp {
        if amount > u64::from(self.limit) {
            return Timestamp::MAX;
        }
        self.reduced_to((u64::from(self.limit) - amount).saturating_add(unsettled), now)
    }

    /// Returns when at most `rest` of the charges still counts.
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

    /// Charges `amount`, whether there is room or not.
    pub fn charge(&mut self, amount: u32, now: Timestamp) -> WindowCharge {
        self.remove_expired(now);
        // A clock that stepped back charges the latest segment, which keeps the order and is stricter.
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

    /// Corrects a charge from `before` to `amount`, unless it has expired, and returns whether that makes room.
    pub fn correct(&mut self, charge: WindowCharge, before: u32, amount: u32) -> bool {
        let number = charge.segment.get() - 1;
        let found = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number);
        let Some(segment) = found.ok().and_then(|at| self.segments.get_mut(at)) else {
            return false;
        };
        // Saturates, since the charge may stem from an earlier window if the limit was removed and set again.
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

    /// The time from which a segment no longer counts.
    fn expiry_of(&self, segment: u64) -> Timestamp {
        let end = segment.saturating_add(self.shape.count);
        Timestamp::from_nanos(end.saturating_mul(self.shape.segment))
    }
}
