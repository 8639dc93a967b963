//! A token bucket with exact integer arithmetic.
//!
//! Like the limits of most providers, a token bucket refills continuously and allows short bursts. By
//! contrast, a fixed window can admit twice its limit around the boundary between two windows. All times are
//! computed in integers, so a time that the bucket returns is exact. Levels are measured in *steps*: one step
//! is a millionth of a nanosecond of refill time.
//!
//! A refund leaves the bucket as if the refunded charge had never been made. That is not the same as adding
//! the tokens back: without the charge, the bucket might have been full for a while and lost the refill of
//! that time. Therefore the bucket remembers its levels just before earlier charges (*peaks*), as far as a
//! refund may need them.
//!
//! The caller passes a sequence number with each charge, and the same number with the refund of that charge.
//! An attempt that is charged to several buckets can use one number for all of them. Sequence numbers must
//! increase with every change of the bucket. If the charges of a bucket are never refunded, they can all have
//! the same number.
//!
//! Invariant: in any span of time, the charges minus the refunds are at most `capacity + rate * span`. The
//! exceptions are a reset of the bucket, and a charge of more tokens than are available.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::rate_limit::{MAX_STEPS_TO_FILL, RateLimit, STEPS_PER_NANO};
use crate::time::Timestamp;

/// Maximum number of stored peaks (levels just before a charge), not counting the latest peak. Beyond this
/// number, the two oldest peaks are merged. If a charge from that time is refunded, the refund may return
/// fewer tokens than the charge took, but never more.
const MAX_PEAKS: usize = 64;

/// Number of parts into which a token is divided when the level of a bucket is converted to another rate
/// limit.
const PARTS: u128 = 1 << 20;

/// Upper bound on the time, in steps, at which a bucket is full. The bound is later than any timestamp, and
/// low enough that sums do not overflow.
const MAX_STEPS: u128 = 1 << 124;

/// A token bucket, initially full.
///
/// The bucket reads no clock: the caller passes `now`. If the clock steps back, the bucket may admit less,
/// but never more.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate_limit: RateLimit,
    /// Sum of all charges since the rate limit was last replaced, minus the refunded charges, in steps.
    charged: i128,
    /// The peak (the bucket's level just before a charge) of the latest charge.
    latest: Peak,
    /// Peaks of earlier charges, oldest first. Each peak is higher than all later peaks. The first peak
    /// determines the current level. The others are kept because a refund can remove the peaks before them.
    older: VecDeque<Peak>,
}

/// The level of a bucket just before a charge. `height` is the time of the charge minus the sum of all
/// earlier charges, in steps.
#[derive(Clone, Copy, Debug)]
struct Peak {
    seq: u64,
    height: i128,
}

impl Bucket {
    /// Returns a full bucket. Charges with sequence numbers up to and including `seq` cannot be refunded.
    pub(super) fn new(rate_limit: RateLimit, seq: u64) -> Self {
        Self {
            rate_limit,
            charged: 0,
            latest: Peak { seq, height: 0 },
            older: VecDeque::new(),
        }
    }

    /// Returns the capacity and refill rate of the bucket.
    pub fn rate_limit(&self) -> &RateLimit {
        &self.rate_limit
    }

    /// Returns the time from which `amount` tokens are available if no other charge is made before then, or
    /// [`Timestamp::MAX`] if `amount` exceeds the capacity.
    #[inline(always)]
    pub(super) fn available_at(&self, amount: u32, now: Timestamp) -> Timestamp {
        if amount > self.rate_limit.capacity() {
            return Timestamp::MAX;
        }
        self.ready_at(u64::from(amount), now)
    }

    /// Returns the earliest time by which `total` tokens can have been charged, if necessary in several
    /// charges.
    ///
    /// `total` may exceed the capacity. Returns `now` if `total` tokens are already available.
    #[inline(always)]
    pub(super) fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let empty_at = self.full_at().max(steps_at(now)) + self.rate_limit.steps_for(total);
        let ready_at = empty_at.saturating_sub(self.rate_limit.steps_to_fill());
        // Avoids the division in the most frequent case.
        if ready_at <= steps_at(now) {
            return now;
        }
        timestamp_at(ready_at)
    }

    /// Charges `amount` tokens, even if fewer are available. The missing tokens become debt, which the refill
    /// must repay before tokens become available again.
    #[inline(always)]
    pub(super) fn charge(&mut self, amount: u32, seq: u64, now: Timestamp) {
        self.charge_steps(self.steps_for(amount), seq, now);
    }

    #[inline(always)]
    fn charge_steps(&mut self, steps: i128, seq: u64, now: Timestamp) {
        self.push_peak(seq, steps_at(now).cast_signed() - self.charged);
        self.charged += steps;
    }

    /// Returns the number of tokens that are missing in the full bucket, rounded up to 2⁻²⁰.
    pub(super) fn missing(&self, now: Timestamp) -> f64 {
        self.missing_parts(now) as f64 / PARTS as f64
    }

    /// Charges the tokens that were missing in a bucket `elapsed` ago, without those that were refilled
    /// since.
    pub(super) fn charge_missing(&mut self, missing: f64, elapsed: Duration, seq: u64, now: Timestamp) {
        let steps = self.steps_for_parts((missing * PARTS as f64).ceil() as u128);
        let steps = steps.saturating_sub(elapsed.as_nanos().saturating_mul(STEPS_PER_NANO));
        self.charge_steps(steps.min(MAX_STEPS_TO_FILL).cast_signed(), seq, now);
    }

    fn missing_parts(&self, now: Timestamp) -> u128 {
        let missing = self.full_at().saturating_sub(steps_at(now));
        missing
            .saturating_mul(PARTS)
            .div_ceil(self.rate_limit.steps_per_token)
    }

    fn steps_for_parts(&self, parts: u128) -> u128 {
        parts
            .saturating_mul(self.rate_limit.steps_per_token)
            .div_ceil(PARTS)
    }

    /// Refunds the charge that was made with the sequence number `seq`, so that the bucket is as if this
    /// charge had never been made. `amount` must equal the charged amount.
    pub(super) fn refund(&mut self, amount: u32, seq: u64) {
        let steps = self.steps_for(amount);
        self.charged -= steps;
        if self.latest.seq <= seq {
            return;
        }
        let later = self.older.partition_point(|peak| peak.seq <= seq);
        for peak in self.older.range_mut(later..) {
            peak.height += steps;
        }
        self.latest.height += steps;
        let height = self.older.get(later).unwrap_or(&self.latest).height;
        let exceeded = self.older.range(..later).rev();
        let exceeded = exceeded.take_while(|peak| peak.height <= height).count();
        self.older.drain(later - exceeded..later);
    }

    /// Returns the number of whole tokens available at `now`; 0 while the bucket is in debt.
    pub fn available(&self, now: Timestamp) -> u32 {
        let missing = self.full_at().saturating_sub(steps_at(now));
        let available =
            self.rate_limit.steps_to_fill().saturating_sub(missing) / self.rate_limit.steps_per_token;
        u32::try_from(available).unwrap_or(u32::MAX)
    }

    /// Fills the bucket. Earlier charges can no longer be refunded.
    pub(super) fn reset(&mut self, seq: u64) {
        self.start_at(seq, -self.charged);
    }

    /// Reduces the available tokens to at most `limit`.
    pub(super) fn cap_at(&mut self, limit: u32, seq: u64, now: Timestamp) {
        let excess = self.available(now).saturating_sub(limit);
        self.charge(excess, seq, now);
    }

    /// Replaces the rate limit.
    ///
    /// Debt is kept, and so are the available tokens, up to the new capacity. A larger capacity adds no
    /// tokens. Earlier charges can no longer be refunded.
    pub(super) fn set_rate_limit(&mut self, rate_limit: RateLimit, seq: u64, now: Timestamp) {
        if rate_limit == self.rate_limit {
            return;
        }
        let missing = self.missing_parts(now);
        let new_full = missing.saturating_add(u128::from(rate_limit.capacity()) * PARTS);
        let missing = new_full.saturating_sub(u128::from(self.rate_limit.capacity()) * PARTS);
        self.rate_limit = rate_limit;
        let missing = self.steps_for_parts(missing);
        self.charged = 0;
        let full_at = steps_at(now).saturating_add(missing).min(MAX_STEPS);
        self.start_at(seq, full_at.cast_signed());
    }

    /// Returns the time, in steps, at which the bucket will be full if nothing more is charged.
    #[inline(always)]
    fn full_at(&self) -> u128 {
        let height = self.older.front().unwrap_or(&self.latest).height;
        u128::try_from(height + self.charged).unwrap_or(0)
    }

    fn start_at(&mut self, seq: u64, height: i128) {
        self.older.clear();
        self.latest = Peak { seq, height };
    }

    #[inline(always)]
    fn push_peak(&mut self, seq: u64, height: i128) {
        if height < self.latest.height {
            self.store_latest();
        } else {
            while self.older.back().is_some_and(|last| last.height <= height) {
                self.older.pop_back();
            }
        }
        self.latest = Peak { seq, height };
    }

    fn store_latest(&mut self) {
        self.older.push_back(self.latest);
        if self.older.len() > MAX_PEAKS
            && let Some(oldest) = self.older.pop_front()
            && let Some(next) = self.older.front_mut()
        {
            next.height = oldest.height;
        }
    }

    fn steps_for(&self, amount: u32) -> i128 {
        self.rate_limit.steps_for(u64::from(amount)).cast_signed()
    }
}

fn steps_at(at: Timestamp) -> u128 {
    u128::from(at.as_nanos()) * STEPS_PER_NANO
}

/// Converts steps to a timestamp. Rounds up, so that the tokens are available at the returned time.
fn timestamp_at(steps: u128) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(steps.div_ceil(STEPS_PER_NANO)).unwrap_or(u64::MAX))
}
