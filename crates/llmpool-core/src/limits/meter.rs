//! All request limits of one target or key together: a burst with a steady rate, and so many a minute.

use super::bucket::{Bucket, Denied, Taken};
use super::quota::Quota;
use crate::time::Timestamp;

/// The request limits of one target or key; all of them apply at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestLimits {
    /// So many at once, and so many a second.
    pub burst: Option<Quota>,
    /// So many in any 60 s: see [`Quota::per_minute`].
    pub minute: Option<Quota>,
}

impl From<Option<Quota>> for RequestLimits {
    fn from(burst: Option<Quota>) -> Self {
        Self { burst, minute: None }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Meter {
    buckets: [Option<Bucket>; 2],
}

/// What was taken from each bucket of a meter.
pub(super) type Charge = [Option<Taken>; 2];

impl Meter {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            buckets: [limits.burst, limits.minute].map(|quota| quota.map(Bucket::new)),
        }
    }

    /// The bucket of bursts.
    pub(super) fn burst(&self) -> Option<&Bucket> {
        self.buckets[0].as_ref()
    }

    /// Whether `amount` could be taken from all buckets now; if not, from when on as far as these are concerned.
    pub(super) fn check(&self, amount: u32, now: Timestamp) -> Result<(), Denied> {
        let mut latest = now;
        for bucket in self.buckets.iter().flatten() {
            match bucket.check(amount, now) {
                Ok(()) => {}
                Err(Denied::Until(until)) => latest = latest.max(until),
                Err(never) => return Err(never),
            }
        }
        if latest > now {
            Err(Denied::Until(latest))
        } else {
            Ok(())
        }
    }

    pub(super) fn charge(&mut self, amount: u32, now: Timestamp) -> Charge {
        self.buckets
            .each_mut()
            .map(|bucket| bucket.as_mut().map(|bucket| bucket.charge(amount, now)))
    }

    pub(super) fn refund(&mut self, charge: Charge) {
        for (bucket, taken) in self.buckets.iter_mut().zip(charge) {
            if let (Some(bucket), Some(taken)) = (bucket, taken) {
                bucket.refund(taken);
            }
        }
    }

    /// The most that can be taken at once, if anything bounds it.
    pub(super) fn capacity(&self) -> Option<u32> {
        let capacities = self
            .buckets
            .iter()
            .flatten()
            .map(|bucket| bucket.quota().capacity());
        capacities.min()
    }

    /// The earliest instant at which `total` could have been taken piece by piece.
    pub(super) fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let ends = self
            .buckets
            .iter()
            .flatten()
            .map(|bucket| bucket.ready_at(total, now));
        ends.max().unwrap_or(now)
    }

    pub(super) fn reset(&mut self) {
        self.buckets.iter_mut().flatten().for_each(Bucket::reset);
    }
}
