//! The lock-and-wake shell under every order of events: the very files of the library, over loom's mutex and its wakers.
//!
//! Time stands still here, so whoever waits is only ever woken by somebody else; a lost wake-up is a deadlock, and loom reports it.
#![allow(
    dead_code,
    unused_imports,
    clippy::default_constructed_unit_structs,
    clippy::unwrap_used,
    reason = "only a part of the shell is used; a failed unwrap is a failed test"
)]

#[path = "../src/limits/mod.rs"]
mod limits;

/// Stands in for the library's own.
mod sync {
    pub(crate) use std::sync::Arc;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

/// Stands in for the library's own.
mod clock {
    use std::task::{Context, Poll};

    use llmpool_core::time::Timestamp;

    pub(crate) fn now() -> Timestamp {
        Timestamp::from_nanos(1_000_000_000)
    }

    /// Never fires.
    #[derive(Debug, Default)]
    pub(crate) struct Timer;

    impl Timer {
        pub(crate) fn set(&mut self, _: Timestamp) {}

        pub(crate) fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
}

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use limits::SharedAdmission;
use llmpool_core::limits::key::KeyLimits;
use llmpool_core::limits::limiter::{KeyConstraint, TargetId};
use llmpool_core::limits::rate_limit::RateLimit;
use llmpool_core::limits::wait_queue::{AcquireRequest, Caller};
use llmpool_core::limits::{Demand, Limits};
use llmpool_core::time::Timestamp;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use sync::Arc;

/// One key with one slot.
struct Shop {
    admission: Arc<SharedAdmission>,
    target: TargetId,
    inside: AtomicUsize,
}

impl Shop {
    fn open(burst: Option<RateLimit>) -> Arc<Self> {
        let admission = Arc::new(SharedAdmission::default());
        let limits = Limits {
            max_concurrency: Some(1),
            ..Limits::default()
        };
        let key = admission.add_key(KeyLimits {
            limits,
            ..KeyLimits::default()
        });
        let target = admission.add_target(&[key], burst);
        Arc::new(Self {
            admission,
            target,
            inside: AtomicUsize::new(0),
        })
    }

    fn request(&self) -> AcquireRequest {
        AcquireRequest {
            ticket: self.admission.ticket(),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
        }
    }

    /// Waits, is inside alone, and leaves.
    fn visit(&self) {
        let enter = self.admission.enter(self.target, self.request());
        let mut permit = loom::future::block_on(enter).unwrap();
        assert_eq!(
            self.inside.fetch_add(1, Ordering::SeqCst),
            0,
            "two grants of one slot"
        );
        permit.hand_over();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }

    /// Waits for a moment, and goes away if it takes longer.
    fn glance(&self) {
        let mut enter = pin!(self.admission.enter(self.target, self.request()));
        if let std::task::Poll::Ready(permit) = enter.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            assert_eq!(
                self.inside.fetch_add(1, Ordering::SeqCst),
                0,
                "two grants of one slot"
            );
            self.inside.fetch_sub(1, Ordering::SeqCst);
            drop(permit);
        }
    }
}

fn at_once(shop: &Arc<Shop>, visits: Vec<fn(&Shop)>) {
    let threads: Vec<_> = visits
        .into_iter()
        .map(|visit| {
            let shop = shop.clone();
            thread::spawn(move || visit(&shop))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let free = shop
        .admission
        .look(|limiter| limiter.key_ids().iter().all(|key| limiter.in_flight(*key) == 0));
    assert!(free && shop.admission.waiting(shop.target) == 0);
}

#[test]
fn nobody_is_forgotten_and_nobody_is_let_in_twice() {
    loom::model(|| {
        let shop = Shop::open(None);
        at_once(&shop, vec![Shop::visit, Shop::visit]);
    });
}

#[test]
fn who_goes_away_takes_no_wake_up_along() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let shop = Shop::open(None);
        at_once(&shop, vec![Shop::visit, Shop::glance, Shop::visit]);
    });
}

#[test]
fn a_reset_reaches_those_who_wait_for_the_rate() {
    loom::model(|| {
        let shop = Shop::open(Some(RateLimit::new(1, 0.001).unwrap()));
        shop.visit();
        at_once(&shop, vec![Shop::visit, |shop| shop.admission.reset(shop.target)]);
    });
}

#[test]
fn a_key_that_is_enabled_again_reaches_those_who_wait_for_it() {
    loom::model(|| {
        let shop = Shop::open(None);
        let key = shop.admission.key_ids()[0];
        shop.admission.set_enabled(key, false);
        at_once(
            &shop,
            vec![
                |shop| {
                    let request = AcquireRequest {
                        // Nothing but an operator brings it back.
                        deadline: Timestamp::MAX,
                        ..shop.request()
                    };
                    let entered = loom::future::block_on(shop.admission.enter(shop.target, request));
                    drop(entered.unwrap());
                },
                |shop| shop.admission.set_enabled(shop.admission.key_ids()[0], true),
            ],
        );
    });
}
