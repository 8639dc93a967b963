//! A token bucket with exact integer arithmetic.
//!
//! Providers refill continuously and allow short bursts, so this is a bucket rather than a fixed window: a window admits twice its limit around
//! an edge. All times are computed in integers, so "ready at `t`" is exact.
//!
//! A charge can be refunded, and the bucket is then as if it had never been charged. That differs from adding the tokens back: without the charge
//! the bucket might have been full in the meantime, and the overflow would have been lost. So the bucket remembers its earlier levels, as far
//! as a refund may need them.
//!
//! Charges carry a sequence number from the caller, so that one number serves all buckets that an attempt is charged to. Numbers must grow from
//! change to change; a bucket without refunds needs none.
//!
//! Invariant: what is charged and not refunded in any span is at most `capacity + rate * span`, except around a reset.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::rate_limit::{RateLimit, STEPS_PER_NANO};
use crate::time::Timestamp;

/// Maximum number of older peaks. Beyond it the oldest are merged: a refund of an earlier charge may then return less, never more.
const MAX_PEAKS: usize = 64;

/// Parts of a token, to carry a fraction from one rate limit to another.
const PARTS: u128 = 1 << 20;

/// Upper bound of a level: later than any timestamp, and low enough that sums do not overflow.
const MAX_STEPS: u128 = 1 << 124;

/// A token bucket. Starts full. Reads no clock: the caller passes `now`, and a `now` earlier than a previous one only makes it stricter.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate_limit: RateLimit,
    /// Steps of all charges that were not refunded.
    charged: i128,
    /// The peak before the latest charge.
    latest: Peak,
    /// Peaks before older charges. Each is higher than all later ones; the first decides now, a later one decides after refunds.
    older: VecDeque<Peak>,
}

/// The level of a bucket before a charge: the time of the charge minus all earlier charges, in steps.
#[derive(Clone, Copy, Debug)]
struct Peak {
    seq: u64,
    height: i128,
}

/// Why a bucket denies an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDenied {
    /// Available at this time, if nothing else is charged before.
    Until(Timestamp),
    /// Never available: the amount exceeds the capacity.
    Never {
        /// Tokens in a full bucket.
        capacity: u32,
    },
}

impl Bucket {
    /// Returns a full bucket. Charges up to `seq` cannot be refunded to it.
    pub fn new(rate_limit: RateLimit, seq: u64) -> Self {
        Self {
            rate_limit,
            charged: 0,
            latest: Peak { seq, height: 0 },
            older: VecDeque::new(),
        }
    }

    /// Capacity and refill rate.
    pub fn rate_limit(&self) -> &RateLimit {
        &self.rate_limit
    }

    /// Checks whether `amount` is available, without charging it.
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
        // Compared in steps: as timestamps, all times near the end of the range would be equal.
        full_at + self.rate_limit.steps_for(u64::from(amount)) <= now + self.rate_limit.steps_to_fill()
    }

    /// Returns the earliest time at which the last of `total` tokens is available, if they are charged in portions as early as possible.
    /// `now` if all are available already.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let full_at = self.full_at().max(steps_at(now)) + self.rate_limit.steps_for(total);
        timestamp_at(full_at.saturating_sub(self.rate_limit.steps_to_fill())).max(now)
    }

    /// Charges `amount` whether it is available or not. What is missing becomes debt, which is paid before anything else.
    #[inline(always)]
    pub fn charge(&mut self, amount: u32, seq: u64, now: Timestamp) {
        self.push_peak(seq, steps_at(now).cast_signed() - self.charged);
        self.charged += self.steps_for(amount);
    }

    /// Refunds the charge with this sequence number: the bucket is then as if it had never been charged.
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

    /// The whole tokens available now; 0 while in debt.
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

    /// Reduces the available tokens to `limit`.
    pub fn cap_at(&mut self, limit: u32, seq: u64, now: Timestamp) {
        let available = self.available(now);
        if available > limit {
            self.charge(available - limit, seq, now);
        }
    }

    /// Replaces the rate limit. Available tokens stay, up to the new capacity; missing tokens stay missing; earlier charges can no longer be
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

    /// The time, in steps, at which the bucket will be full if nothing more is charged.
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

/// Rounds up, so that the tokens are available at the returned time.
fn timestamp_at(steps: u128) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(steps.div_ceil(STEPS_PER_NANO)).unwrap_or(u64::MAX))
}
