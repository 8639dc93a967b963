//! Start-time fair queueing between callers.
//!
//! Every caller has a clock that each grant advances by one over the caller's weight, and the caller with the earliest clock is served next. A
//! caller returning from idle starts at the current time of the queue: idling accumulates no credit, and calls that leave without a grant cost
//! nothing.

use std::collections::BTreeMap;

/// Who sends a request. Requests of one caller are served in ticket order; callers share capacity by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Identity of the caller.
    pub id: u64,
    /// Share relative to other callers that wait; 0 counts as 1.
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

/// Advance of the clock per grant, for a caller of weight 1.
const GRANT: u64 = 1 << 20;
/// Clocks kept before outdated ones are removed.
const MAX_CLOCKS: usize = 64;

/// The fair clocks of all callers.
#[derive(Clone, Debug, Default)]
pub struct FairClocks {
    /// The clock of the last caller before its grant.
    now: u64,
    /// The last caller and its clock. With a single caller the maps below stay empty.
    last: (u64, u64),
    /// Clocks of the other callers.
    clocks: BTreeMap<u64, u64>,
    /// For each waiting caller, the number of queues it waits in, and its clock when it began to wait. A caller that waits in one queue is not
    /// new in another.
    waiting: BTreeMap<u64, (usize, u64)>,
}

impl FairClocks {
    /// Records that a caller begins to wait in a queue, and returns its clock.
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

    /// The clock of a caller that waits already.
    pub(super) fn clock_of(&self, caller: Caller) -> u64 {
        if self.last.0 == caller.id {
            return self.last.1;
        }
        self.clocks.get(&caller.id).copied().unwrap_or(0)
    }

    /// Advances the clock of a caller that was granted a request.
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
            // A clock that is not ahead carries no information.
            let now = self.now;
            self.clocks.retain(|_, clock| *clock > now);
        }
        self.clocks.insert(id, clock);
    }
}
