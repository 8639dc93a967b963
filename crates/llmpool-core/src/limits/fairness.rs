//! Start-time fair queueing between callers.
//!
//! Every caller has a *fair clock*, a virtual time that each grant advances by `1 / weight`. The caller with the earliest clock is served next. A
//! caller that returns from idle starts at the current virtual time, so idling accumulates no credit. A request that leaves the queue without a grant
//! does not advance the clock.

use std::collections::BTreeMap;

/// The sender of a request. Requests of one caller are served in ticket order. Different callers share the capacity in proportion to their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Identity of the caller. Requests with equal `id` and `weight` belong to the same caller.
    pub id: u64,
    /// Share of the capacity, relative to the weights of the other waiting callers. 0 counts as 1.
    pub weight: u32,
}

impl Caller {
    /// Returns a caller of weight 1.
    pub const fn new(id: u64) -> Self {
        Self { id, weight: 1 }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::new(0)
    }
}

/// Advance of the clock of a caller of weight 1 per grant.
const GRANT: u64 = 1 << 20;
/// Maximum number of stored clocks before outdated ones are removed.
const MAX_CLOCKS: usize = 64;

/// The fair clocks of all callers of one provider.
#[derive(Clone, Debug, Default)]
pub struct FairClocks {
    /// The current virtual time: the clock of the most recently granted caller, before that grant advanced it.
    now: u64,
    /// The id and the clock of the most recently granted caller. While there is only one caller, `clocks` stays empty.
    last: (u64, u64),
    /// Clocks of the other callers, by caller id.
    clocks: BTreeMap<u64, u64>,
    /// For each waiting caller, by id: the number of queues in which it waits, and its clock when it began to wait. A caller that already waits in
    /// one queue keeps that clock when it joins another queue.
    waiting: BTreeMap<u64, (usize, u64)>,
}

impl FairClocks {
    /// Records that a caller begins to wait in a queue. Returns the caller's clock.
    pub(super) fn start_waiting(&mut self, caller: Caller) -> u64 {
        let own = self.clock_of(caller);
        let start = own.max(self.now);
        let (queues, since) = self.waiting.entry(caller.id).or_insert((0, start));
        *queues += 1;
        own.max(*since)
    }

    /// Records that a caller no longer waits in a queue.
    pub(super) fn stop_waiting(&mut self, caller: Caller) {
        if let Some((queues, _)) = self.waiting.get_mut(&caller.id) {
            *queues -= 1;
            if *queues == 0 {
                self.waiting.remove(&caller.id);
            }
        }
    }

    /// Returns the stored clock of a caller; 0 if none is stored.
    pub(super) fn clock_of(&self, caller: Caller) -> u64 {
        if self.last.0 == caller.id {
            return self.last.1;
        }
        self.clocks.get(&caller.id).copied().unwrap_or(0)
    }

    /// Advances the clock of a caller whose request was granted.
    #[inline(always)]
    pub fn record_grant(&mut self, caller: Caller) {
        let start = self.clock_of(caller).max(self.now);
        self.now = start;
        if self.last.0 != caller.id {
            self.store_last();
        }
        self.last = (caller.id, start + GRANT / u64::from(caller.weight.max(1)));
    }

    fn store_last(&mut self) {
        let (id, clock) = self.last;
        if self.clocks.len() >= MAX_CLOCKS && !self.clocks.contains_key(&id) {
            // A clock that is not ahead of the virtual time carries no information.
            let now = self.now;
            self.clocks.retain(|_, clock| *clock > now);
        }
        self.clocks.insert(id, clock);
    }
}
