//! The list of the drivers of an admission (`driver.rs`), and until when each of them sleeps.

use std::task::Waker;

use llmpool_core::time::Timestamp;

use crate::clock::RuntimeId;

/// The drivers of an admission, one for each runtime.
#[derive(Debug, Default)]
pub(super) struct Drivers(Vec<SleepingDriver>);

#[derive(Debug)]
pub(super) struct SleepingDriver {
    runtime: RuntimeId,
    /// The time until which the driver sleeps.
    until: Timestamp,
    /// `None` before the first poll of the driver, and after the driver has been woken.
    waker: Option<Waker>,
}

impl Drivers {
    /// Adds a driver unless the runtime has one. Returns whether a driver was added, which the caller must
    /// then spawn.
    pub(super) fn add(&mut self, runtime: RuntimeId) -> bool {
        let is_new = self.0.iter().all(|driver| driver.runtime != runtime);
        if is_new {
            self.0.push(SleepingDriver {
                runtime,
                until: Timestamp::MAX,
                waker: None,
            });
        }
        is_new
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn remove(&mut self, runtime: RuntimeId) -> Option<SleepingDriver> {
        let index = self.0.iter().position(|driver| driver.runtime == runtime)?;
        Some(self.0.swap_remove(index))
    }

    pub(super) fn sleep(&mut self, runtime: RuntimeId, until: Timestamp, waker: &Waker) {
        if let Some(driver) = self.0.iter_mut().find(|driver| driver.runtime == runtime) {
            driver.until = until;
            driver.waker = Some(waker.clone());
        }
    }

    /// Appends the wakers of the drivers that sleep for too long.
    pub(super) fn wake_before(&mut self, next: Timestamp, wakes: &mut Vec<Waker>) {
        for driver in self.0.iter_mut().filter(|driver| next < driver.until) {
            wakes.extend(driver.waker.take());
        }
    }

    /// Appends the wakers of all drivers.
    pub(super) fn wake_all(&mut self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.0.iter_mut().filter_map(|driver| driver.waker.take()));
    }
}
