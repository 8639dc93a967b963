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
/// When this many fair clocks are stored, outdated clocks are removed before another clock is added.
const MAX_CLOCKS: usize = 64;

/// The fair clocks of all callers of one provider: for each caller, a virtual time that determines when the
/// caller is served.
#[derive(Clone, Debug, Default)]
pub struct FairClocks {
    /// Current virtual time: the fair clock of the most recently granted caller, just before the grant
    /// advanced that clock.
    now: u64,
    /// Id and fair clock of the most recently granted caller. Stored apart from `clocks`, so that `clocks`
    /// stays empty while there is only one caller.
    last: (u64, u64),
    /// Fair clocks of all callers except the most recently granted one, by caller id.
    clocks: BTreeMap<u64, u64>,
    /// For each waiting caller, by id: the number of queues in which the caller waits, and its fair clock
    /// when it began to wait. The stored clock stays the same when the caller joins another queue.
    waiting: BTreeMap<u64, (usize, u64)>,
}

impl FairClocks {
    /// Records that a caller begins to wait in a queue. Returns the fair clock that determines the caller's
    /// position in the queue.
    pub(super) fn start_waiting(&mut self, caller: Caller) -> u64 {
        let own = self.clock_of(caller);
        let start = own.max(self.now);
        let (queues, since) = self.waiting.entry(caller.id).or_insert((0, start));
        *queues += 1;
        own.max(*since)
    }

    /// Records that a caller no longer waits in one of its queues.
    pub(super) fn stop_waiting(&mut self, caller: Caller) {
        if let Some((queues, _)) = self.waiting.get_mut(&caller.id) {
            *queues -= 1;
            if *queues == 0 {
                self.waiting.remove(&caller.id);
            }
        }
    }

    /// Returns the stored fair clock of a caller, or 0 if none is stored.
    pub(super) fn clock_of(&self, caller: Caller) -> u64 {
        if self.last.0 == caller.id {
            return self.last.1;
        }
        self.clocks.get(&caller.id).copied().unwrap_or(0)
    }

    /// Advances the fair clock of a caller whose request was granted, by an amount inversely proportional to
    /// the caller's weight.
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
