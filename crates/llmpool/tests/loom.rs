//! The library's lock and wakers under every interleaving: its own files, compiled against loom's mutex.
//!
//! Time advances only where a test sets it, so a waiter is only ever woken by another thread. A lost wake-up is a deadlock, which
//! loom reports. Drivers are not spawned: a test that needs one polls it.
#![allow(
    dead_code,
    unused_imports,
    clippy::default_constructed_unit_structs,
    clippy::unwrap_used,
    reason = "only a part of the shell is used; a failed unwrap is a failed test"
)]

#[path = "../src/limits/mod.rs"]
mod limits;

/// Replaces the library's `sync`.
mod sync {
    pub(crate) use std::sync::Arc;

    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

/// Replaces the library's `clock`.
mod clock {
    use std::cell::{Cell, RefCell};
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use llmpool_core::time::Timestamp;

    /// The only runtime.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) struct RuntimeId;

    type Task = Pin<Box<dyn Future<Output = ()>>>;

    // All threads of a model run on one thread of the process, so they share these variables.
    thread_local! {
        static SECONDS: Cell<u64> = const { Cell::new(1) };
        static SPAWNED: RefCell<Option<Task>> = const { RefCell::new(None) };
    }

    pub(crate) fn now() -> Timestamp {
        Timestamp::from_nanos(SECONDS.get() * 1_000_000_000)
    }

    pub(crate) fn set(seconds: u64) {
        SECONDS.set(seconds);
    }

    /// Keeps the task, which is polled by [`poll_spawned`] only.
    pub(crate) fn spawn<F>(task: impl FnOnce(RuntimeId) -> Option<F>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(task) = task(RuntimeId) {
            let previous = SPAWNED.replace(Some(Box::pin(task)));
            drop(previous);
        }
    }

    /// Polls the task that was spawned last.
    pub(crate) fn poll_spawned(cx: &mut Context<'_>) {
        if let Some(mut task) = SPAWNED.take()
            && task.as_mut().poll(cx).is_pending()
        {
            SPAWNED.set(Some(task));
        }
    }

    /// A timer that never fires.
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
use llmpool_core::limits::{
    AcquireRequest, Caller, CooldownReason, Demand, KeyConstraint, KeyId, KeyLimits, Limits, RateLimit,
    RefusalWait, TargetId, TargetLimits,
};
use llmpool_core::time::Timestamp;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{Builder, JoinHandle};
use sync::Arc;

/// Words of the stack of a thread. Loom's default is too small for code that is not optimized.
const STACK_SIZE: usize = 1 << 15;

fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(STACK_SIZE).spawn(body).unwrap()
}

fn model(body: impl Fn() + Send + Sync + 'static) {
    model_with(None, body);
}

/// Runs `body` in every interleaving, or in those with at most so many preemptions.
fn model_with(preemption_bound: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemption_bound.or(builder.preemption_bound);
    let body = Arc::new(body);
    builder.check(move || {
        let body = body.clone();
        spawn(move || body()).join().unwrap();
    });
}

fn add_key(admission: &SharedAdmission, limits: Limits) -> KeyId {
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    admission.change(|limiter, _| limiter.add_key(limits))
}

fn add_target(admission: &SharedAdmission, key: KeyId, limits: impl Into<TargetLimits>) -> TargetId {
    admission.change(|limiter, now| limiter.add_target(&[key], limits, now))
}

fn set_enabled(slot: &SingleSlot, enabled: bool) {
    let key = slot.admission.key_ids()[0];
    slot.admission
        .change(|limiter, now| limiter.set_enabled(key, enabled, now));
}

/// A target with one key that has one slot.
struct SingleSlot {
    admission: Arc<SharedAdmission>,
    target: TargetId,
    holders: AtomicUsize,
}

impl SingleSlot {
    fn new(rate_limit: Option<RateLimit>) -> Arc<Self> {
        let admission = Arc::new(SharedAdmission::default());
        let limits = Limits {
            max_concurrency: Some(1),
            ..Limits::default()
        };
        let key = add_key(&admission, limits);
        let target = add_target(&admission, key, rate_limit);
        Arc::new(Self {
            admission,
            target,
            holders: AtomicUsize::new(0),
        })
    }

    fn request(&self) -> AcquireRequest {
        AcquireRequest {
            ticket: self.admission.next_ticket(),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
            wait_for_keys: true,
        }
    }

    /// Waits for a permit, checks that no other is held, and releases it.
    fn acquire_and_release(&self) {
        let acquire = self.admission.acquire(self.target, self.request());
        let mut permit = loom::future::block_on(acquire).unwrap();
        assert_eq!(
            self.holders.fetch_add(1, Ordering::SeqCst),
            0,
            "two grants of one slot"
        );
        permit.mark_used();
        self.holders.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }

    /// Polls once for a permit, and cancels if it is pending.
    fn poll_and_cancel(&self) {
        let mut acquire = pin!(self.admission.acquire(self.target, self.request()));
        if let std::task::Poll::Ready(permit) = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            assert_eq!(
                self.holders.fetch_add(1, Ordering::SeqCst),
                0,
                "two grants of one slot"
            );
            self.holders.fetch_sub(1, Ordering::SeqCst);
            drop(permit);
        }
    }
}

fn run_threads(slot: &Arc<SingleSlot>, actions: Vec<fn(&SingleSlot)>) {
    let threads: Vec<_> = actions
        .into_iter()
        .map(|action| {
            let slot = slot.clone();
            spawn(move || action(&slot))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let free = slot
        .admission
        .with_limiter(|limiter| limiter.key_ids().iter().all(|key| limiter.in_flight(*key) == 0));
    assert!(free && slot.admission.waiting(slot.target) == 0);
}

#[test]
fn every_waiter_is_served_and_the_slot_is_granted_once() {
    model(|| {
        let slot = SingleSlot::new(None);
        run_threads(
            &slot,
            vec![SingleSlot::acquire_and_release, SingleSlot::acquire_and_release],
        );
    });
}

#[test]
fn cancelled_waiter_passes_its_wake_up_on() {
    model_with(Some(3), || {
        let slot = SingleSlot::new(None);
        run_threads(
            &slot,
            vec![
                SingleSlot::acquire_and_release,
                SingleSlot::poll_and_cancel,
                SingleSlot::acquire_and_release,
            ],
        );
    });
}

#[test]
fn reset_wakes_waiters_for_the_rate() {
    model(|| {
        let slot = SingleSlot::new(Some(RateLimit::new(1, 0.001).unwrap()));
        slot.acquire_and_release();
        run_threads(
            &slot,
            vec![SingleSlot::acquire_and_release, |slot| {
                slot.admission.change(|limiter, _| limiter.reset(slot.target));
            }],
        );
    });
}

#[test]
fn enabled_key_wakes_its_waiters() {
    model(|| {
        let slot = SingleSlot::new(None);
        set_enabled(&slot, false);
        run_threads(
            &slot,
            vec![
                |slot| {
                    let request = AcquireRequest {
                        // A disabled key returns at no known time.
                        deadline: Timestamp::MAX,
                        ..slot.request()
                    };
                    let result = loom::future::block_on(slot.admission.acquire(slot.target, request));
                    drop(result.unwrap());
                },
                |slot| set_enabled(slot, true),
            ],
        );
    });
}

#[test]
fn settled_tokens_wake_waiters_for_them() {
    model(|| {
        let admission = Arc::new(SharedAdmission::default());
        let limits = Limits {
            tpm: Some(100),
            ..Limits::default()
        };
        let key = add_key(&admission, Limits::default());
        let target = add_target(&admission, key, limits);
        let request = |admission: &SharedAdmission| AcquireRequest {
            ticket: admission.next_ticket(),
            caller: Caller::default(),
            demand: Demand {
                requests: 1,
                tokens: 80,
            },
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
            wait_for_keys: true,
        };
        let mut held = admission.try_acquire(target, &request(&admission)).unwrap();
        held.mark_used();
        let waiting = admission;
        let waiter = spawn(move || {
            let request = request(&waiting);
            drop(loom::future::block_on(waiting.acquire(target, request)).unwrap());
        });
        held.settle(10);
        waiter.join().unwrap();
        drop(held);
    });
}

/// Runs one thread that waits for the only slot while another thread ends the attempt that holds it.
fn slot_comes_back(end: fn(limits::Permit)) {
    model(move || {
        let slot = SingleSlot::new(None);
        let mut held = slot.admission.try_acquire(slot.target, &slot.request()).unwrap();
        held.mark_used();
        let waiter = spawn(move || slot.acquire_and_release());
        end(held);
        waiter.join().unwrap();
    });
}

#[test]
fn released_permit_wakes_a_waiter() {
    slot_comes_back(drop);
}

#[test]
fn completed_permit_wakes_a_waiter() {
    slot_comes_back(limits::Permit::complete);
}

#[test]
fn unused_permit_wakes_a_waiter() {
    slot_comes_back(|mut permit| {
        permit.mark_unused();
        drop(permit);
    });
}

/// Returns a target with one key and no limits, to which an attempt was refused a second ago, and the next attempt.
fn probe_after(reason: CooldownReason) -> (Arc<SingleSlot>, limits::Permit) {
    clock::set(1);
    let admission = Arc::new(SharedAdmission::default());
    let key = add_key(&admission, Limits::default());
    let target = add_target(&admission, key, None);
    let slot = Arc::new(SingleSlot {
        admission,
        target,
        holders: AtomicUsize::new(0),
    });
    let mut refused = slot.admission.try_acquire(target, &slot.request()).unwrap();
    let wait = std::time::Duration::from_secs(1);
    refused.record_refusal(reason, Some(wait).into());
    drop(refused);
    clock::set(5);
    let acquire = slot.admission.acquire(target, slot.request());
    let probe = loom::future::block_on(acquire).unwrap();
    assert!(slot.admission.try_acquire(target, &slot.request()).is_none());
    (slot, probe)
}

/// A single probe is in flight, and its success admits the others while it keeps its slot.
#[test]
fn success_of_a_probe_wakes_waiters() {
    model(|| {
        let (slot, mut probe) = probe_after(CooldownReason::Invalid);
        let waiter = spawn(move || slot.acquire_and_release());
        probe.record_success();
        waiter.join().unwrap();
        drop(probe);
    });
}

#[test]
fn restored_key_wakes_its_waiters() {
    model(|| {
        let slot = SingleSlot::new(None);
        let mut refused = slot.admission.try_acquire(slot.target, &slot.request()).unwrap();
        let wait = std::time::Duration::from_secs(10);
        let wait = RefusalWait::Provisional(Some(wait));
        let cooldown = refused.record_refusal(CooldownReason::Unclear, wait);
        drop(refused);
        let waiting = slot.clone();
        let waiter = spawn(move || waiting.acquire_and_release());
        slot.admission
            .change(|limiter, now| limiter.restore(cooldown.unwrap(), now));
        waiter.join().unwrap();
    });
}

/// A quarter of a second after the probe was sent, not after its connection may take to open, others are admitted.
#[test]
fn sending_of_a_probe_shortens_the_wait_of_others() {
    model(|| {
        let (slot, mut probe) = probe_after(CooldownReason::Throttled);
        let mut acquire = pin!(slot.admission.acquire(slot.target, slot.request()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(acquire.as_mut().poll(&mut cx).is_pending());
        let sender = spawn(move || {
            probe.mark_used();
            drive(6);
            probe
        });
        drop(loom::future::block_on(acquire).unwrap());
        drop(sender.join().unwrap());
    });
}

/// A call takes back all pauses that its refusals started at once.
#[test]
fn several_restored_keys_wake_their_waiters() {
    model(|| {
        let admission = Arc::new(SharedAdmission::default());
        let keys = [(); 2].map(|()| add_key(&admission, Limits::default()));
        let target = admission.change(|limiter, now| limiter.add_target(&keys, Limits::default(), now));
        let slot = Arc::new(SingleSlot {
            admission,
            target,
            holders: AtomicUsize::new(0),
        });
        let wait = RefusalWait::Provisional(Some(std::time::Duration::from_secs(10)));
        let refuse = |()| {
            let mut refused = slot.admission.try_acquire(target, &slot.request()).unwrap();
            refused.record_refusal(CooldownReason::Unclear, wait).unwrap()
        };
        let cooldowns = [(); 2].map(refuse);
        let waiting = slot.clone();
        let waiter = spawn(move || waiting.acquire_and_release());
        slot.admission.change(|limiter, now| {
            cooldowns
                .into_iter()
                .rev()
                .for_each(|cooldown| limiter.restore(cooldown, now));
        });
        waiter.join().unwrap();
    });
}

/// The loss of the last key rejects a waiter that does not wait for keys.
#[test]
fn lost_key_wakes_its_waiters() {
    model(|| {
        let slot = SingleSlot::new(None);
        let held = slot.admission.try_acquire(slot.target, &slot.request()).unwrap();
        let waiting = slot.clone();
        let waiter = spawn(move || {
            let request = AcquireRequest {
                wait_for_keys: false,
                ..waiting.request()
            };
            let acquire = waiting.admission.acquire(waiting.target, request);
            loom::future::block_on(acquire).unwrap_err();
        });
        set_enabled(&slot, false);
        waiter.join().unwrap();
        drop(held);
    });
}

/// Lets time pass and polls the driver once.
fn drive(seconds: u64) {
    clock::set(seconds);
    clock::poll_spawned(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn driver_serves_a_waiter_when_its_time_has_come() {
    model(|| {
        clock::set(1);
        let slot = SingleSlot::new(Some(RateLimit::new(1, 0.001).unwrap()));
        slot.acquire_and_release();
        let mut acquire = pin!(slot.admission.acquire(slot.target, slot.request()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(acquire.as_mut().poll(&mut cx).is_pending());
        let driver = spawn(|| drive(2000));
        loom::future::block_on(acquire).unwrap().mark_used();
        driver.join().unwrap();
    });
}

/// A grant whose owner does not poll goes to the next waiter, also while the owner cancels.
#[test]
fn driver_returns_the_grant_of_an_unpolled_head() {
    for cancels in [false, true] {
        model(move || {
            clock::set(1);
            let slot = SingleSlot::new(None);
            let held = slot.admission.try_acquire(slot.target, &slot.request()).unwrap();
            let mut idle = Box::pin(slot.admission.acquire(slot.target, slot.request()));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(idle.as_mut().poll(&mut cx).is_pending());
            let mut next = pin!(slot.admission.acquire(slot.target, slot.request()));
            assert!(next.as_mut().poll(&mut cx).is_pending());
            drop(held);
            let driver = spawn(|| drive(3));
            if cancels {
                drop(idle);
            }
            drop(loom::future::block_on(next).unwrap());
            driver.join().unwrap();
        });
    }
}
