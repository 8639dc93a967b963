//! Whose turn it is, between callers who share what there is.
//!
//! Start-time fair queueing: every caller has a clock of his own that each grant moves on by one over his weight, and the caller whose
//! clock is furthest behind goes next. Who comes back after a silence starts where the others are: silence saves nothing up, and calls
//! that left without a grant cost nothing.

use std::collections::BTreeMap;

/// Who calls. Calls of one caller are served by ticket; callers share what there is by weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Which one.
    pub id: u64,
    /// His share, compared with the shares of others who wait; 0 counts as 1.
    pub weight: u32,
}

impl Caller {
    /// A caller with the same share as everybody else.
    pub const fn new(id: u64) -> Self {
        Self { id, weight: 1 }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self::new(0)
    }
}

/// One grant on the clock of a caller of weight 1.
const GRANT: u64 = 1 << 20;
const FEW: usize = 64;

/// The clocks of the callers.
#[derive(Clone, Debug, Default)]
pub struct FairClocks {
    /// Where the last one served stood before he was.
    now: u64,
    /// The last one served, and his clock; where there is one caller only, this is all there is.
    last: (u64, u64),
    /// Of the others.
    clocks: BTreeMap<u64, u64>,
    /// In how many lines a caller waits, and where his clock stood when he began: who waits in one already is no newcomer in another.
    waiting: BTreeMap<u64, (usize, u64)>,
}

impl FairClocks {
    fn clock(&self, caller: Caller) -> u64 {
        self.clock_of(caller).max(self.now)
    }

    /// A caller begins to wait in a line. Answers where his clock stands.
    pub(super) fn begins_to_wait(&mut self, caller: Caller) -> u64 {
        let new = self.clock(caller);
        let own = self.clock_of(caller);
        let (lines, since) = self.waiting.entry(caller.id).or_insert((0, new));
        *lines += 1;
        own.max(*since)
    }

    /// None of a caller's waits in a line any more.
    pub(super) fn ends_waiting(&mut self, caller: Caller) {
        if let Some((lines, _)) = self.waiting.get_mut(&caller.id) {
            *lines -= 1;
            if *lines == 0 {
                self.waiting.remove(&caller.id);
            }
        }
    }

    /// Where a caller's clock stands, for somebody of his who waits already.
    pub(super) fn clock_of(&self, caller: Caller) -> u64 {
        if self.last.0 == caller.id {
            return self.last.1;
        }
        self.clocks.get(&caller.id).copied().unwrap_or(0)
    }

    /// A caller was served.
    #[inline(always)]
    pub fn served(&mut self, caller: Caller) {
        let start = self.clock(caller);
        self.now = start;
        if self.last.0 != caller.id {
            self.keep_last();
        }
        self.last = (caller.id, start + GRANT / u64::from(caller.weight.max(1)));
    }

    fn keep_last(&mut self) {
        let (id, clock) = self.last;
        if self.clocks.len() >= FEW && !self.clocks.contains_key(&id) {
            self.forget();
        }
        self.clocks.insert(id, clock);
    }

    /// Clocks that are behind say nothing. Those ahead are of callers who wait or were just served.
    fn forget(&mut self) {
        let now = self.now;
        self.clocks.retain(|_, clock| *clock > now);
    }
}
