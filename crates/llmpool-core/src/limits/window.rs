//! Sliding-window counter: limits the charges in any span of 60 s or 24 h, in bounded memory.
//!
//! Charges that follow each other within a short time are added up in one *segment*. A segment counts until
//! the last charge that it can contain has left the last 60 s or 24 h. Therefore the window never admits a
//! charge too early, but may admit the charge up to one segment later than necessary (up to two in a minute
//! window, which has a guard of one segment). A charge can be corrected while its segment counts.
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

/// Span and segments of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowShape {
    /// For how long each charge counts at least.
    span: Duration,
    /// For how long after its first charge a segment takes further charges.
    segment: Duration,
}

/// 60 s, plus a guard of one segment because requests may arrive at the provider less evenly than they were
/// sent.
pub(super) const MINUTE: WindowShape = WindowShape {
    span: Duration::from_millis(60_250),
    segment: Duration::from_millis(250),
};
pub(super) const DAY: WindowShape = WindowShape {
    span: Duration::from_secs(24 * 3600),
    segment: Duration::from_secs(15 * 60),
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
    /// Segments with charges that still count, in the order of their expiry.
    segments: VecDeque<WindowSegment>,
    /// The latest sequence number when the window was created. Its charges have later ones.
    created_seq: u64,
}

#[derive(Clone, Copy, Debug)]
struct WindowSegment {
    /// The time from which the segment no longer counts.
    expiry: Timestamp,
    charged: u64,
    /// The part of `charged` that was loaded, and is not corrected.
    loaded: u64,
}

impl SlidingWindow {
    /// Returns an empty window that admits charges of at most `limit` in any span. Charges with sequence numbers
    /// up to and including `seq` are not corrected.
    pub(super) fn new(limit: u32, shape: WindowShape, seq: u64) -> Self {
        Self {
            limit,
            shape,
            charged: 0,
            segments: VecDeque::new(),
            created_seq: seq,
        }
    }

    /// Returns the earliest time by which `total` can have been charged, if necessary in several charges,
    /// assuming that `unused` of the amount charged so far is returned.
    ///
    /// Returns `now` if `total` can be charged at once, and [`Timestamp::MAX`] if the limit is 0.
    pub(super) fn ready_at(&self, total: u64, unused: u64, now: Timestamp) -> Timestamp {
        let limit = u64::from(self.limit);
        let Some(others) = total.checked_sub(1) else {
            return now;
        };
        let Some(spans) = others.checked_div(limit) else {
            return Timestamp::MAX;
        };
        let rest = (limit - 1 - others % limit).saturating_add(unused);
        let (mut charged, mut ready) = (self.charged, now);
        for segment in &self.segments {
            if charged <= rest {
                break;
            }
            charged -= segment.charged;
            ready = ready.max(segment.expiry);
        }
        let span = self.shape.span.as_nanos() as u64;
        ready.saturating_add_nanos(spans.saturating_mul(span))
    }

    /// Charges `amount`, even beyond the limit.
    pub(super) fn charge(&mut self, amount: u32, now: Timestamp) {
        while let Some(oldest) = self.segments.pop_front_if(|oldest| oldest.expiry <= now) {
            self.charged -= oldest.charged;
        }
        let charged = u64::from(amount);
        self.charged += charged;
        let counts_until = now + self.shape.span;
        match self.segments.back_mut() {
            // Also if the clock has stepped back. This keeps the segments in order and admits less, not more.
            Some(last) if last.expiry > counts_until => last.charged += charged,
            _ => {
                let expiry = counts_until + self.shape.segment;
                self.segments.push_back(WindowSegment {
                    expiry,
                    charged,
                    loaded: 0,
                });
            }
        }
    }

    /// Corrects the amount of a charge from `before` to `amount`. Has no effect if the charge no longer counts.
    /// Returns whether the correction makes room for other charges.
    pub(super) fn correct(&mut self, charge: ChargeId, before: u32, amount: u32) -> bool {
        let counts_until = charge.at + self.shape.span;
        let latest_expiry = counts_until + self.shape.segment;
        let end = self
            .segments
            .partition_point(|segment| segment.expiry <= latest_expiry);
        let segment = self.segments.range_mut(..end).next_back();
        let Some(segment) =
            segment.filter(|segment| charge.seq > self.created_seq && segment.expiry > counts_until)
        else {
            return false;
        };
        // Saturates, because the charge may be in another segment if the clock has stepped back, or if charges were
        // loaded since.
        let own = segment.charged - segment.loaded;
        let corrected = (own + u64::from(amount)).saturating_sub(u64::from(before));
        self.charged = self.charged + corrected - own;
        segment.charged = segment.loaded + corrected;
        amount < before
    }

    /// Returns the charges that still count at `now`.
    pub(super) fn save(&self, now: Timestamp) -> Vec<SavedCharge> {
        let segments = self.segments.iter();
        let counting = segments.filter(|segment| segment.expiry > now && segment.charged > 0);
        let charges = counting.map(|segment| SavedCharge {
            counts_for_ms: millis(segment.expiry.since(now)),
            amount: u32::try_from(segment.charged).unwrap_or(u32::MAX),
        });
        charges.collect()
    }

    /// Adds charges that were saved `elapsed` ago. They count for as long as they would have counted in the
    /// process that saved them or, if this window has charges already, up to one segment longer.
    pub(super) fn load(&mut self, saved: &[SavedCharge], elapsed: Duration, now: Timestamp) {
        let segment = self.shape.segment.as_nanos() as u64;
        // All charges were made before now.
        let latest_expiry = now + self.shape.span + self.shape.segment;
        let had_charges = !self.segments.is_empty();
        for charge in saved {
            let left = remaining(charge.counts_for_ms, elapsed);
            if left.is_zero() {
                continue;
            }
            let mut expiry = now + left;
            if had_charges {
                // The segments of several windows are joined, so that their number is bounded.
                let end = expiry.as_nanos().div_ceil(segment);
                expiry = Timestamp::from_nanos(end.saturating_mul(segment));
            }
            let expiry = expiry.min(latest_expiry);
            let charged = u64::from(charge.amount);
            self.charged += charged;
            match self.segments.binary_search_by_key(&expiry, |known| known.expiry) {
                Ok(at) => {
                    self.segments[at].charged += charged;
                    self.segments[at].loaded += charged;
                }
                Err(at) => self.segments.insert(
                    at,
                    WindowSegment {
                        expiry,
                        charged,
                        loaded: charged,
                    },
                ),
            }
        }
    }
}
