//! Cost of single operations of the limiter, by the number of keys.
//!
//! Each operation is repeated on one limiter, so that the cost of one can be told from the difference between few and
//! many repetitions.

use std::hint::black_box;
use std::time::Duration;

use llmpool_core::limits::{
    Affinity, CooldownReason, Demand, Grant, KeyConstraint, KeyId, KeyLimits, Limiter, Limits, TargetId,
};
use llmpool_core::time::Timestamp;

pub(crate) const NAMES: [&str; 9] = [
    "grant",
    "denied-tokens",
    "denied-varied",
    "denied-slots",
    "bound-to-busy",
    "one-account",
    "account-full",
    "others-forbidden",
    "unknown-reference",
];
const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

/// A limiter in the state that an operation needs, and the operation.
pub(crate) struct Operation {
    limiter: Limiter,
    keys: Vec<KeyId>,
    target: TargetId,
    now: Timestamp,
    name: String,
    /// Number of repetitions so far.
    count: u32,
}

impl Operation {
    pub(crate) fn new(name: &str, keys: usize) -> Self {
        let of_key = match name {
            "denied-tokens" | "denied-varied" => Limits {
                tpm: Some(1000),
                ..Limits::default()
            },
            "denied-slots" | "bound-to-busy" => slots(1),
            _ => Limits::default(),
        };
        let of_key = KeyLimits {
            limits: of_key,
            ..KeyLimits::default()
        };
        let mut limiter = Limiter::new();
        let group = match name {
            "one-account" => Some(limiter.add_group(Limits::default(), true)),
            "account-full" => Some(limiter.add_group(slots(1), true)),
            _ => None,
        };
        let add = |_| match group {
            Some(group) => limiter.add_key_to_group(group, of_key),
            None => limiter.add_key(of_key),
        };
        let keys: Vec<KeyId> = (0..keys).map(add).collect();
        let target = limiter.add_target(&keys, Limits::default(), NOW);
        let mut operation = Self {
            limiter,
            keys,
            target,
            now: NOW,
            name: name.to_owned(),
            count: 0,
        };
        operation.prepare();
        // Uses every key, so that all collections have reached their size.
        (0..operation.keys.len() * 2).for_each(|_| operation.repeat());
        operation
    }

    fn prepare(&mut self) {
        match &*self.name {
            "denied-tokens" | "denied-varied" => {
                for _ in 0..self.keys.len() {
                    let mut grant = self
                        .acquire(
                            Demand {
                                requests: 1,
                                tokens: 999,
                            },
                            KeyConstraint::Any,
                        )
                        .unwrap();
                    self.limiter.settle(&mut grant, 999, self.now);
                    self.limiter.release(&mut grant, true, self.now);
                }
            }
            "denied-slots" => {
                for _ in 0..self.keys.len() {
                    self.acquire(Demand::ONE, KeyConstraint::Any).unwrap();
                }
            }
            "bound-to-busy" => {
                self.acquire(Demand::ONE, KeyConstraint::Key(self.keys[self.keys.len() - 1]))
                    .unwrap();
            }
            "account-full" => {
                self.acquire(Demand::ONE, KeyConstraint::Any).unwrap();
            }
            "others-forbidden" => {
                for key in self.keys.split_off(1) {
                    let mut grant = self.acquire(Demand::ONE, KeyConstraint::Key(key)).unwrap();
                    let hour = Duration::from_secs(3600);
                    self.limiter
                        .record_refusal(&grant, CooldownReason::Forbidden, Some(hour), self.now);
                    self.limiter.release(&mut grant, true, self.now);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn repeat(&mut self) {
        self.count += 1;
        self.now = self.now + Duration::from_nanos(100);
        match &*self.name {
            "denied-tokens" => self.is_denied(500, KeyConstraint::Any),
            "denied-varied" => {
                let tokens = 500 + self.count.wrapping_mul(2_654_435_761) % 500;
                self.is_denied(tokens, KeyConstraint::Any);
            }
            "denied-slots" | "account-full" => self.is_denied(0, KeyConstraint::Any),
            "bound-to-busy" => self.is_denied(0, KeyConstraint::Key(self.keys[self.keys.len() - 1])),
            "unknown-reference" => {
                let constraint = Affinity::default().constraint(&[1], &[], &self.limiter, self.target);
                black_box(constraint).ok();
            }
            _ => {
                let mut grant = self.acquire(Demand::ONE, KeyConstraint::Any).unwrap();
                self.limiter.record_success(&grant, self.now);
                self.limiter.release(&mut grant, true, self.now);
            }
        }
    }

    fn acquire(&mut self, demand: Demand, constraint: KeyConstraint) -> Option<Grant> {
        let grant = self.limiter.acquire(self.target, demand, constraint, self.now);
        grant.ok()
    }

    fn is_denied(&mut self, tokens: u32, constraint: KeyConstraint) {
        let demand = Demand { requests: 1, tokens };
        assert!(self.acquire(demand, constraint).is_none());
    }
}

fn slots(limit: u32) -> Limits {
    Limits {
        max_concurrency: Some(limit),
        ..Limits::default()
    }
}
