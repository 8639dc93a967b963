//! Cost of an uncontended permit (acquired, settled, released with success), and of waiting calls.

use std::hint::black_box;
use std::task::Waker;
use std::time::Duration;

use llmpool_core::limits::{
    AcquireRequest, Admission, AdmissionOutcome, Caller, Demand, KeyConstraint, KeyLimits, Limiter, Limits,
    MAX_WAITING, RateLimit, TargetId, Ticket,
};
use llmpool_core::time::Timestamp;

/// An admission with a number of keys and one target.
pub(crate) struct Permits {
    admission: Admission<()>,
    target: TargetId,
    now: Timestamp,
    ticket: u64,
    demand: Demand,
}

impl Permits {
    /// Keys with slots; the target has a rate limit.
    pub(crate) fn new(keys: usize) -> Self {
        let limits = Limits {
            max_concurrency: Some(8),
            ..Limits::default()
        };
        Self::with_limits(keys, limits, Demand::ONE)
    }

    /// Keys with every kind of limit; the target has a rate limit.
    pub(crate) fn with_all_limits(keys: usize) -> Self {
        let limits = Limits {
            rate_limit: Some(RateLimit::new(1000, 4e6 / 60.0).unwrap()),
            rpm: Some(4_000_000),
            tpm: Some(1_000_000_000),
            rpd: Some(1_000_000_000),
            max_concurrency: Some(8),
        };
        let demand = Demand {
            requests: 1,
            tokens: 1000,
        };
        Self::with_limits(keys, limits, demand)
    }

    fn with_limits(keys: usize, limits: Limits, demand: Demand) -> Self {
        let mut limiter = Limiter::new();
        let now = Timestamp::from_nanos(1_000_000_000);
        let limits = KeyLimits {
            limits,
            ..KeyLimits::default()
        };
        let keys: Vec<_> = (0..keys).map(|_| limiter.add_key(limits)).collect();
        let limits = Limits {
            rate_limit: Some(RateLimit::new(1_000_000, 1e6).unwrap()),
            ..Limits::default()
        };
        let target = limiter.add_target(&keys, limits, now);
        Self {
            admission: Admission::over(limiter),
            target,
            now,
            ticket: 0,
            demand,
        }
    }

    pub(crate) fn use_one(&mut self) {
        self.now = self.now + Duration::from_micros(100);
        self.ticket += 1;
        let request = AcquireRequest {
            ticket: Ticket(self.ticket),
            caller: Caller::default(),
            demand: self.demand,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
            wait_for_keys: false,
        };
        let mut wakes = Vec::new();
        let AdmissionOutcome::Granted(mut grant) =
            self.admission
                .acquire(self.target, &request, &(), self.now, &mut wakes)
        else {
            panic!("denied without contention")
        };
        black_box(&grant);
        self.now = self.now + Duration::from_micros(100);
        if self.demand.tokens > 0 {
            self.admission.change(self.now, &mut wakes, |limiter| {
                limiter.settle(&mut grant, 100, self.now);
            });
        }
        self.admission.change(self.now, &mut wakes, |limiter| {
            limiter.complete(&mut grant, self.now);
        });
    }
}

/// An admission with a number of waiters, spread over as many queues as needed.
pub(crate) struct Waiters {
    admission: Admission<Waker>,
    now: Timestamp,
    waiting: Vec<(TargetId, AcquireRequest)>,
}

impl Waiters {
    pub(crate) fn new(waiters: usize) -> Self {
        let mut limiter = Limiter::new();
        let now = Timestamp::from_nanos(1_000_000_000);
        let limits = KeyLimits {
            limits: Limits {
                max_concurrency: Some(1),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let key = limiter.add_key(limits);
        let targets: Vec<_> = (0..waiters.div_ceil(MAX_WAITING))
            .map(|_| limiter.add_target(&[key], Limits::default(), now))
            .collect();
        let mut admission = Admission::over(limiter);
        let request = request(0);
        let mut wakes = Vec::new();
        let outcome = admission.acquire(targets[0], &request, Waker::noop(), now, &mut wakes);
        assert!(matches!(outcome, AdmissionOutcome::Granted(_)));
        Self {
            admission,
            now,
            waiting: (0..waiters)
                .map(|at| (targets[at % targets.len()], self::request(1 + at as u64)))
                .collect(),
        }
    }

    pub(crate) fn acquire_all(&mut self) {
        let mut wakes = Vec::new();
        for (target, request) in &self.waiting {
            let outcome = self
                .admission
                .acquire(*target, request, Waker::noop(), self.now, &mut wakes);
            assert!(matches!(outcome, AdmissionOutcome::Wait));
        }
    }

    /// Cancels a number of waiters from all over the queues.
    pub(crate) fn cancel(&mut self, calls: usize) {
        let mut wakes = Vec::new();
        for at in 0..calls {
            // Spaced by a prime, so that they are spread over the queues.
            let (target, request) = &self.waiting[at * 7919 % self.waiting.len()];
            self.admission.cancel(*target, request, self.now, &mut wakes);
        }
    }
}

fn request(ticket: u64) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller: Caller::default(),
        demand: Demand::ONE,
        constraint: KeyConstraint::Any,
        deadline: Timestamp::MAX,
        wait_for_keys: false,
    }
}
