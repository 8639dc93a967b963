//! Start-time fair queueing between callers.
//!
//! Every caller has a *fair clock*, a virtual time that advances by `1 / weight` with each grant to the
//! caller. The caller with the earliest clock is served next. When an idle caller sends a request again, its
//! clock is advanced to the current virtual time, so that idling earns no credit. A request that leaves its
//! queue without a grant does not advance the clock.

use std::collections::BTreeMap;

/// The sender of a request. Requests of one caller are served in order of arrival. Different callers share
/// the capacity in proportion to their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Identity of the caller. Requests with equal `id` and `weight` belong to the same caller.
    pub id: u64,
    /// Share of the capacity, relative to the weights of the other waiting callers. 0 counts as 1.
    pub weight: u32,
}

impl Caller {
    /// Returns a caller with this id and weight 1.
    pub const fn new(id: u64) -> Self {
        Self { id, weight: 1 }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::new(0)
    }
}

/// Amount by which one grant advances the fair clock of a caller of weight 1.
const GRANT: u64 = 1 << 20;
/// At least this many fair clocks are stored before some are removed.
const MIN_CLOCKS: usize = 64;

/// The fair clocks of all callers of one provider.
///
/// Invariant: no clock is ahead of the virtual time by more than one grant. Therefore a caller whose clock is
/// forgotten gains at most one grant.
#[derive(Clone, Debug, Default)]
pub(super) struct FairClocks {
    /// Current virtual time: the fair clock of the most recently granted caller, just before the grant
    /// advanced that clock.
    now: u64,
    /// Fair clocks by caller id.
    clocks: BTreeMap<u64, FairClock>,
    /// Before more clocks than this are stored, the clocks of callers that are not waiting are removed.
    max_clocks: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct FairClock {
    /// The virtual time that determines when the caller is served.
    at: u64,
    /// Number of queues in which the caller waits.
    queues: usize,
}

impl FairClocks {
    /// Records that a caller begins to wait in a queue. Returns the fair clock that determines the caller's
    /// position in the queue.
    pub(super) fn start_waiting(&mut self, caller: Caller) -> u64 {
        let now = self.now;
        let clock = self.clock_mut(caller);
        if clock.queues == 0 {
            clock.at = clock.at.max(now);
        }
        clock.queues += 1;
        clock.at
    }

    /// Records that a caller no longer waits in one of its queues.
    pub(super) fn stop_waiting(&mut self, caller: Caller) {
        self.clock_mut(caller).queues -= 1;
    }

    /// Returns the stored fair clock of a caller, or 0 if none is stored.
    pub(super) fn clock_of(&self, caller: Caller) -> u64 {
        self.clocks.get(&caller.id).map_or(0, |clock| clock.at)
    }

    /// Advances the fair clock of a caller whose request was granted, by an amount inversely proportional to
    /// the caller's weight.
    #[inline(always)]
    pub(super) fn record_grant(&mut self, caller: Caller) {
        let now = self.now;
        let clock = self.clock_mut(caller);
        let start = clock.at.max(now);
        clock.at = start + GRANT / u64::from(caller.weight.max(1));
        self.now = start;
    }

    fn clock_mut(&mut self, caller: Caller) -> &mut FairClock {
        if self.clocks.len() >= self.max_clocks && !self.clocks.contains_key(&caller.id) {
            self.clocks.retain(|_, clock| clock.queues > 0);
            // Twice the rest, so that a removal visits each added clock only a few times.
            self.max_clocks = (2 * self.clocks.len()).max(MIN_CLOCKS);
        }
        self.clocks.entry(caller.id).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_callers_that_do_not_wait_are_bounded() {
        let mut fair = FairClocks::default();
        let position = fair.start_waiting(Caller::new(0));
        for id in 1..1000 {
            fair.record_grant(Caller::new(id));
            assert!(fair.clocks.len() <= MIN_CLOCKS);
        }
        assert_eq!(
            fair.clock_of(Caller::new(0)),
            position,
            "a waiting caller keeps its clock"
        );
        for id in 0..1000 {
            fair.start_waiting(Caller::new(id));
        }
        let mut most = 0;
        for id in 1000..10_000 {
            fair.record_grant(Caller::new(id));
            most = fair.clocks.len().max(most);
        }
        assert_eq!(most, 2000, "1000 others may be stored beside 1000 that wait");
    }

    #[test]
    fn weight_of_0_counts_as_1() {
        for weight in [0, 1, 4] {
            let mut fair = FairClocks::default();
            let caller = Caller { id: 5, weight };
            (0..3).for_each(|_| fair.record_grant(caller));
            assert_eq!(fair.clock_of(caller), 3 * GRANT / u64::from(weight.max(1)));
        }
    }
}
