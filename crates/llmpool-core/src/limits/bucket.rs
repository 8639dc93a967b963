//! A token bucket with exact integer arithmetic.
//!
//! Providers refill continuously and allow short bursts, and so does a token bucket. A fixed window would not: it admits twice its limit around the
//! edge between two windows. All times are computed in integers, so "ready at `t`" is exact. Levels are measured in steps, fractions of a nanosecond
//! of refill time.
//!
//! A charge can be refunded, which leaves the bucket as if the charge had never been made. That differs from adding the tokens back: without the
//! charge the bucket might have been full in the meantime, and the overflow would have been lost. Therefore the bucket remembers the levels before
//! earlier charges ("peaks"), as far as a refund may need them.
//!
//! The caller gives each charge a sequence number, so that one number serves all buckets that an attempt is charged to. Sequence numbers must
//! increase with every change of the bucket. A bucket whose charges are never refunded can use the same number throughout.
//!
//! Invariant: the charges in any span, less refunds, are at most `capacity + rate * span`. Only a reset, or a charge beyond what is available, can
//! exceed this.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::rate_limit::{RateLimit, STEPS_PER_NANO};
use crate::time::Timestamp;

/// Maximum number of older peaks. Beyond this number, the two oldest peaks are merged. A refund of a charge made before may then return fewer tokens
/// than it took, never more.
const MAX_PEAKS: usize = 64;

/// Parts per token, the unit in which fractions of a token are carried over from one rate limit to another.
const PARTS: u128 = 1 << 20;

/// Upper bound of a bucket level in steps. It is later than any timestamp, and low enough for sums of levels not to overflow.
const MAX_STEPS: u128 = 1 << 124;

/// A token bucket, initially full.
///
/// The bucket reads no clock: the caller passes `now`. If `now` is earlier than in a previous call, the bucket admits less, never more.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate_limit: RateLimit,
    /// Sum of all charges that were not refunded, in steps.
    charged: i128,
    /// The peak before the latest charge.
    latest: Peak,
    /// Peaks before earlier charges, oldest first. Each is higher than every later peak. The first peak determines the current level; refunds can
    /// make a later peak decisive.
    older: VecDeque<Peak>,
}

/// The level of a bucket just before a charge. Its height is the time of the charge minus the sum of all earlier charges, in steps.
#[derive(Clone, Copy, Debug)]
struct Peak {
    seq: u64,
    height: i128,
}

/// Why a bucket denies an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDenied {
    /// The amount is available at this time, provided that nothing else is charged before.
    Until(Timestamp),
    /// The amount is never available, because it exceeds the capacity of the bucket.
    Never {
        /// Maximum number of tokens that the bucket holds.
        capacity: u32,
    },
}

impl Bucket {
    /// Returns a full bucket. Charges with sequence numbers up to and including `seq` cannot be refunded.
    pub fn new(rate_limit: RateLimit, seq: u64) -> Self {
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

    /// Checks whether `amount` tokens are available, without charging them.
    pub fn check(&self, amount: u32, now: Timestamp) -> Result<(), BucketDenied> {
        if self.has(amount, now) {
            return Ok(());
        }
        let capacity = self.rate_limit.capacity();
        Err(if amount > capacity {
            BucketDenied::Never { capacity }
        } else {
            BucketDenied::Until(self.ready_at(u64::from(amount), now))
        })
    }

    #[inline(always)]
    fn has(&self, amount: u32, now: Timestamp) -> bool {
        let (full_at, now) = (self.full_at(), steps_at(now));
        if full_at <= now {
            return amount <= self.rate_limit.capacity();
        }
        // Compares in steps, because timestamps near the end of the range would all be equal.
        full_at + self.rate_limit.steps_for(u64::from(amount)) <= now + self.rate_limit.steps_to_fill()
    }

    /// Returns the earliest time at which `total` tokens can have been charged, if they are charged in portions as early as possible.
    ///
    /// `total` may exceed the capacity. Returns `now` if that many tokens are already available.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let full_at = self.full_at().max(steps_at(now)) + self.rate_limit.steps_for(total);
        timestamp_at(full_at.saturating_sub(self.rate_limit.steps_to_fill())).max(now)
    }

    /// Charges `amount` even if fewer tokens are available. The missing tokens become debt, which is repaid from the refill before tokens become
    /// available again.
    #[inline(always)]
    pub fn charge(&mut self, amount: u32, seq: u64, now: Timestamp) {
        self.push_peak(seq, steps_at(now).cast_signed() - self.charged);
        self.charged += self.steps_for(amount);
    }

    /// Refunds the charge with the sequence number `seq`: the bucket is left as if this charge had never been made. `amount` must be the charged
    /// amount.
    pub fn refund(&mut self, amount: u32, seq: u64) {
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
    pub fn reset(&mut self, seq: u64) {
        self.start_at(seq, -self.charged);
    }

    /// Reduces the available tokens to at most `limit`.
    pub fn cap_at(&mut self, limit: u32, seq: u64, now: Timestamp) {
        let available = self.available(now);
        if available > limit {
            self.charge(available - limit, seq, now);
        }
    }

    /// Replaces the rate limit.
    ///
    /// Available tokens are kept, up to the new capacity, and debt is kept. A larger capacity adds no tokens. Earlier charges can no longer be
    /// refunded.
    pub fn set_rate_limit(&mut self, rate_limit: RateLimit, seq: u64, now: Timestamp) {
        if rate_limit == self.rate_limit {
            return;
        }
        let missing = self.full_at().saturating_sub(steps_at(now));
        let missing = missing
            .saturating_mul(PARTS)
            .div_ceil(self.rate_limit.steps_per_token);
        let (before, after) = (self.rate_limit.capacity(), rate_limit.capacity());
        let grown = u128::from(after.saturating_sub(before)) * PARTS;
        let shrunk = u128::from(before.saturating_sub(after)) * PARTS;
        let missing = (missing.saturating_add(grown)).saturating_sub(shrunk);
        let missing = missing.saturating_mul(rate_limit.steps_per_token).div_ceil(PARTS);
        self.rate_limit = rate_limit;
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
