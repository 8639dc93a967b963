//! What one permit costs when nobody waits: taken, found healthy, settled, given back. Every kind of limit is on.

use std::hint::black_box;
use std::time::Duration;

use llmpool_core::limits::desk::{Answer, Desk};
use llmpool_core::limits::key::KeyLimits;
use llmpool_core::limits::ledger::{Binding, Limits, Need, TargetId};
use llmpool_core::limits::quota::Quota;
use llmpool_core::limits::room::{Arrival, Caller, Ticket};
use llmpool_core::time::Timestamp;

/// A desk with so many keys, each with slots and a rate; the target counts requests, tokens and days.
pub(crate) struct Permits {
    desk: Desk<()>,
    target: TargetId,
    now: Timestamp,
    ticket: u64,
}

impl Permits {
    pub(crate) fn new(keys: usize) -> Self {
        let mut desk = Desk::default();
        let now = Timestamp::from_nanos(1_000_000_000);
        let limits = Limits {
            max_concurrency: Some(8),
            ..Limits::default()
        };
        let limits = KeyLimits {
            limits,
            ..KeyLimits::default()
        };
        let keys: Vec<_> = (0..keys).map(|_| desk.ledger_mut().add_key(limits)).collect();
        let limits = Limits {
            burst: Some(Quota::new(1_000_000, 1e6).unwrap()),
            ..Limits::default()
        };
        let target = desk.add_target(&keys, limits, now);
        Self {
            desk,
            target,
            now,
            ticket: 0,
        }
    }

    pub(crate) fn use_one(&mut self) {
        self.now = self.now + Duration::from_micros(100);
        self.ticket += 1;
        let arrival = Arrival {
            ticket: Ticket(self.ticket),
            caller: Caller::default(),
            need: Need::ONE,
            binding: Binding::Any,
            deadline: Timestamp::MAX,
        };
        let mut wakes = Vec::new();
        let Answer::Granted(mut grant) = self.desk.arrive(self.target, &arrival, &(), self.now, &mut wakes)
        else {
            panic!("nobody waits, and nothing is used up")
        };
        black_box(&grant);
        self.now = self.now + Duration::from_micros(100);
        assert!(self.desk.ledger_mut().succeeded_as_expected(&grant));
        self.desk.ledger_mut().settle(&mut grant, 100, self.now);
        self.desk.put_back(&mut grant, true, self.now, &mut wakes);
    }
}
