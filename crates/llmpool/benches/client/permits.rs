//! What one permit costs when nobody waits: taken, found healthy, settled, given back. And what those cost who wait.

use std::hint::black_box;
use std::task::Waker;
use std::time::Duration;

use llmpool_core::limits::desk::{Answer, Desk, LONGEST_LINE};
use llmpool_core::limits::key::KeyLimits;
use llmpool_core::limits::ledger::{Binding, Limits, Need, TargetId};
use llmpool_core::limits::quota::Quota;
use llmpool_core::limits::room::{Arrival, Caller, Ticket};
use llmpool_core::time::Timestamp;

/// A desk with so many keys and one target.
pub(crate) struct Permits {
    desk: Desk<()>,
    target: TargetId,
    now: Timestamp,
    ticket: u64,
    need: Need,
}

impl Permits {
    /// Keys with slots; the target has a rate.
    pub(crate) fn new(keys: usize) -> Self {
        let limits = Limits {
            max_concurrency: Some(8),
            ..Limits::default()
        };
        Self::with_limits(keys, limits, Need::ONE)
    }

    /// Keys with every kind of limit; the target has a rate.
    pub(crate) fn with_all_limits(keys: usize) -> Self {
        let limits = Limits {
            burst: None,
            minute: Some(Quota::per_minute(4_000_000, 1000).unwrap()),
            tokens: Some(1_000_000_000),
            day: Some(1_000_000_000),
            max_concurrency: Some(8),
        };
        let need = Need {
            requests: 1,
            tokens: 1000,
        };
        Self::with_limits(keys, limits, need)
    }

    fn with_limits(keys: usize, limits: Limits, need: Need) -> Self {
        let mut desk = Desk::default();
        let now = Timestamp::from_nanos(1_000_000_000);
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
            need,
        }
    }

    pub(crate) fn use_one(&mut self) {
        self.now = self.now + Duration::from_micros(100);
        self.ticket += 1;
        let arrival = Arrival {
            ticket: Ticket(self.ticket),
            caller: Caller::default(),
            need: self.need,
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
        if self.need.tokens > 0 {
            self.desk.settle(&mut grant, 100, self.now, &mut wakes);
        }
        self.desk.end_in_success(&mut grant, self.now, &mut wakes);
    }
}

/// A desk at which so many wait, in as many lines as their number needs.
pub(crate) struct Waiters {
    desk: Desk<Waker>,
    now: Timestamp,
    waiting: Vec<(TargetId, Arrival)>,
}

impl Waiters {
    pub(crate) fn new(waiters: usize) -> Self {
        let mut desk = Desk::default();
        let now = Timestamp::from_nanos(1_000_000_000);
        let limits = KeyLimits {
            limits: Limits {
                max_concurrency: Some(1),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let key = desk.ledger_mut().add_key(limits);
        let targets: Vec<_> = (0..waiters.div_ceil(LONGEST_LINE))
            .map(|_| desk.add_target(&[key], Limits::default(), now))
            .collect();
        let arrival = arrival(0);
        let mut wakes = Vec::new();
        let answer = desk.arrive(targets[0], &arrival, Waker::noop(), now, &mut wakes);
        assert!(matches!(answer, Answer::Granted(_)));
        Self {
            desk,
            now,
            waiting: (0..waiters)
                .map(|at| (targets[at % targets.len()], self::arrival(1 + at as u64)))
                .collect(),
        }
    }

    pub(crate) fn enter(&mut self) {
        let mut wakes = Vec::new();
        for (target, arrival) in &self.waiting {
            let answer = self
                .desk
                .arrive(*target, arrival, Waker::noop(), self.now, &mut wakes);
            assert!(matches!(answer, Answer::Wait(_)));
        }
    }

    /// So many of them go away, from all over the lines.
    pub(crate) fn cancel(&mut self, calls: usize) {
        let mut wakes = Vec::new();
        for at in 0..calls {
            // A prime apart, so that they are neither the first nor the last.
            let (target, arrival) = &self.waiting[at * 7919 % self.waiting.len()];
            self.desk.withdraw(*target, arrival, self.now, &mut wakes);
        }
    }
}

fn arrival(ticket: u64) -> Arrival {
    Arrival {
        ticket: Ticket(ticket),
        caller: Caller::default(),
        need: Need::ONE,
        binding: Binding::Any,
        deadline: Timestamp::MAX,
    }
}
