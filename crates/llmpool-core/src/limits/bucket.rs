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
//! exceptions are a charge of more tokens than are available, and the end of a time in which the bucket admits
//! single tokens: `capacity - 1` further tokens are then available at once.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::rate_limit::{MAX_STEPS_TO_FILL, RateLimit, STEPS_PER_NANO};
use crate::time::Timestamp;

/// Maximum number of stored peaks (levels just before a charge). Beyond this number, the two oldest peaks are
/// merged. If a charge from that time is refunded, the refund may return fewer tokens than the charge took,
/// but never more.
const MAX_PEAKS: usize = 64;

/// Number of parts into which a token is divided when the level of a bucket is converted to another rate
/// limit.
const PARTS: u128 = 1 << 20;

/// A token bucket, initially full.
///
/// The bucket reads no clock: the caller passes `now`. If the clock steps back, the bucket may admit less,
/// but never more.
#[derive(Clone, Debug)]
pub struct Bucket {
    rate_limit: RateLimit,
    /// Until this time, the capacity is 1.
    pub(super) single_until: Timestamp,
    /// Sum of all charges since the rate limit was last replaced, minus the refunded charges and the reductions
    /// of the capacity, in steps.
    charged: i128,
    /// The peaks (the bucket's levels just before charges), oldest first. Each peak is higher than all later
    /// peaks. The first peak determines the current level. The others are kept because a refund can remove the
    /// peaks before them.
    peaks: VecDeque<Peak>,
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
            single_until: Timestamp::ZERO,
            charged: 0,
            peaks: VecDeque::from([Peak { seq, height: 0 }]),
        }
    }

    /// Returns the capacity and refill rate of the bucket.
    pub fn rate_limit(&self) -> &RateLimit {
        &self.rate_limit
    }

    fn capacity_at(&self, now: Timestamp) -> u32 {
        if now < self.single_until {
            1
        } else {
            self.rate_limit.capacity()
        }
    }

    /// Reduces the capacity to 1 until `until`, unless it is reduced for longer already. Debt is kept, and so is
    /// one available token.
    pub(super) fn admit_single_until(&mut self, until: Timestamp, now: Timestamp) {
        let capacity = self.capacity_at(now);
        self.single_until = self.single_until.max(until);
        let reduced_by = capacity - self.capacity_at(now);
        self.charged -= self.steps_for(reduced_by);
    }

    /// Returns the earliest time by which `total` tokens can have been charged, if necessary in several
    /// charges.
    ///
    /// `total` may exceed the capacity. Returns `now` if `total` tokens are already available.
    pub(super) fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let empty_at = self.full_at().max(steps_at(now)) + self.rate_limit.steps_for(total);
        let ready_at = |capacity: u32| {
            let steps = empty_at.saturating_sub(self.rate_limit.steps_for(capacity.into()));
            timestamp_at(steps).max(now)
        };
        let with_burst = ready_at(self.rate_limit.capacity());
        if now < self.single_until {
            ready_at(1).min(with_burst.max(self.single_until))
        } else {
            with_burst
        }
    }

    /// Charges `amount` tokens, even if fewer are available. The missing tokens become debt, which the refill
    /// must repay before tokens become available again.
    pub(super) fn charge(&mut self, amount: u32, seq: u64, now: Timestamp) {
        self.charge_steps(self.steps_for(amount), seq, now);
    }

    fn charge_steps(&mut self, steps: i128, seq: u64, now: Timestamp) {
        let height = steps_at(now).cast_signed() - self.charged;
        while self.peaks.back().is_some_and(|last| last.height <= height) {
            self.peaks.pop_back();
        }
        self.peaks.push_back(Peak { seq, height });
        self.charged += steps;
        if self.peaks.len() > MAX_PEAKS
            && let Some(oldest) = self.peaks.pop_front()
            && let Some(next) = self.peaks.front_mut()
        {
            next.height = oldest.height;
        }
    }

    /// Returns the number of tokens that are missing in the full bucket, rounded up to 2⁻²⁰.
    pub(super) fn missing(&self, now: Timestamp) -> f64 {
        let missing = self.full_at().saturating_sub(steps_at(now));
        let parts = missing.saturating_mul(PARTS);
        parts.div_ceil(self.rate_limit.steps_per_token) as f64 / PARTS as f64
    }

    /// Charges the tokens that were missing in a bucket `elapsed` ago, without those that were refilled
    /// since.
    pub(super) fn charge_missing(&mut self, missing: f64, elapsed: Duration, seq: u64, now: Timestamp) {
        let parts = (missing * PARTS as f64).ceil() as u128;
        let steps = parts
            .saturating_mul(self.rate_limit.steps_per_token)
            .div_ceil(PARTS)
            .saturating_sub(elapsed.as_nanos().saturating_mul(STEPS_PER_NANO));
        self.charge_steps(steps.min(MAX_STEPS_TO_FILL).cast_signed(), seq, now);
    }

    /// Refunds the charge that was made with the sequence number `seq`, so that the bucket is as if this
    /// charge had never been made. `amount` must equal the charged amount.
    pub(super) fn refund(&mut self, amount: u32, seq: u64) {
        let steps = self.steps_for(amount);
        self.charged -= steps;
        let later = self.peaks.partition_point(|peak| peak.seq <= seq);
        for peak in self.peaks.range_mut(later..) {
            peak.height += steps;
        }
        if let Some(height) = self.peaks.get(later).map(|peak| peak.height) {
            let earlier = self.peaks.range(..later).rev();
            let exceeded = earlier.take_while(|peak| peak.height <= height).count();
            self.peaks.drain(later - exceeded..later);
        }
    }

    /// Returns the number of whole tokens available at `now`; 0 while the bucket is in debt.
    pub fn available(&self, now: Timestamp) -> u32 {
        let missing = self.full_at().saturating_sub(steps_at(now));
        let full = self.rate_limit.steps_for(self.capacity_at(now).into());
        let available = full.saturating_sub(missing) / self.rate_limit.steps_per_token;
        u32::try_from(available).unwrap_or(u32::MAX)
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
        let level = f64::from(self.capacity_at(now)) - self.missing(now);
        *self = Self {
            single_until: self.single_until,
            ..Self::new(rate_limit, seq)
        };
        let missing = f64::from(self.capacity_at(now)) - level;
        self.charge_missing(missing, Duration::ZERO, seq, now);
    }

    /// Returns the time, in steps, at which the bucket will be full if nothing more is charged.
    fn full_at(&self) -> u128 {
        let height = self.peaks.front().map_or(0, |peak| peak.height);
        u128::try_from(height + self.charged).unwrap_or(0)
    }

    fn steps_for(&self, amount: u32) -> i128 {
        self.rate_limit.steps_for(amount.into()).cast_signed()
    }
}

fn steps_at(at: Timestamp) -> u128 {
    u128::from(at.as_nanos()) * STEPS_PER_NANO
}

/// Converts steps to a timestamp. Rounds up, so that the tokens are available at the returned time.
fn timestamp_at(steps: u128) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(steps.div_ceil(STEPS_PER_NANO)).unwrap_or(u64::MAX))
}
