//! A call that is observed or logged. Other calls cost one branch.
//!
//! Invariant: a watched call that has started ends exactly once. If the call is dropped, the watched call ends with it.

use std::sync::Arc;
use std::time::Duration;

use llmpool_core::failure::FailureKind;
use llmpool_core::limits::WaitReason;
use llmpool_core::time::Timestamp;

use crate::clock;
use crate::encoded_request::RequestEncoder;
use crate::error::Error;
use crate::key_status::KeyState;
use crate::limits::{KeyChange, KeyWatcher};
use crate::observe;
use crate::observer::{
    AttemptEnded, CallEnd, CallEnded, CallStarted, KeyStateChanged, LimitChanged, Observers, WaitCause,
    Waited,
};
use crate::report::{AttemptReport, CallReport, TraceId};
use crate::target::Target;
use crate::target_handle::TargetHandle;

/// Ratio between two paces at which raises of a learned pace are reported.
const RAISE: f64 = 1.1;

/// A call whose events are passed to observers and logged. Dropping it ends the call as dropped.
pub(crate) struct WatchedCall {
    keys: Arc<WatchedKeys>,
    endpoint: &'static str,
    is_streamed: bool,
    started: Timestamp,
    /// What has happened so far, for the report of a call that is dropped.
    so_far: CallReport,
    last_failure: Option<FailureKind>,
    has_ended: bool,
}

/// Reports state changes of a target's keys to observers and to the log.
pub(crate) struct WatchedKeys {
    target: Arc<Target>,
    observers: Observers,
}

impl WatchedCall {
    /// Returns the watched call of a call that starts now, or `None` if it is neither observed nor logged.
    #[inline]
    pub(crate) fn start(
        handle: &TargetHandle,
        encoder: &dyn RequestEncoder,
        trace_id: &TraceId,
        started: Timestamp,
    ) -> Option<Box<Self>> {
        let is_watched = !handle.observers.is_empty() || observe::is_verbose();
        is_watched.then(|| Self::begin(handle, encoder, trace_id, started))
    }

    #[cold]
    #[inline(never)]
    fn begin(
        handle: &TargetHandle,
        encoder: &dyn RequestEncoder,
        trace_id: &TraceId,
        started: Timestamp,
    ) -> Box<Self> {
        let (endpoint, is_streamed) = encoder.destination();
        let endpoint = endpoint.path(handle.target.format);
        let event = CallStarted {
            target: &handle.target.name,
            trace_id,
            endpoint,
            is_streamed,
        };
        observe::call_started(&event);
        handle.observers.notify(|observer| observer.call_started(&event));
        Box::new(Self {
            keys: Arc::new(WatchedKeys::new(handle)),
            endpoint,
            is_streamed,
            started,
            so_far: CallReport {
                target: handle.target.name.clone(),
                trace_id: trace_id.clone(),
                ..CallReport::default()
            },
            last_failure: None,
            has_ended: false,
        })
    }

    /// Returns the watcher of the permits of the call.
    pub(crate) fn key_watcher(&self) -> Arc<dyn KeyWatcher> {
        self.keys.clone()
    }

    /// Reports that the call has waited for a permit.
    #[cold]
    pub(crate) fn waited_for_permit(&mut self, duration: Duration, reason: Option<WaitReason>) {
        self.so_far.waited += duration;
        self.report_wait(duration, WaitCause::Permit(reason));
    }

    /// Reports that the call has waited before a retry, after the last attempt failed.
    #[cold]
    pub(crate) fn backed_off(&mut self, duration: Duration) {
        if let Some(kind) = self.last_failure {
            self.report_wait(duration, WaitCause::Backoff(kind));
        }
    }

    fn report_wait(&self, duration: Duration, cause: WaitCause) {
        let event = Waited {
            target: &self.so_far.target,
            trace_id: &self.so_far.trace_id,
            duration,
            cause,
        };
        observe::waited(&event);
        self.keys.observers.notify(|observer| observer.waited(&event));
    }

    /// Reports that an attempt has ended. `is_sent`: whether its request was passed to a connection.
    #[cold]
    pub(crate) fn attempt_ended(&mut self, report: &AttemptReport, is_sent: bool) {
        let event = AttemptEnded {
            target: &self.so_far.target,
            trace_id: &self.so_far.trace_id,
            report,
            is_sent,
        };
        observe::attempt_ended(&event);
        self.keys
            .observers
            .notify(|observer| observer.attempt_ended(&event));
        self.last_failure = report.failure;
        let attempts = if is_sent {
            &mut self.so_far.attempts
        } else {
            &mut self.so_far.unsent
        };
        attempts.push(report.clone());
    }

    /// Ends the call, whose answer is complete.
    #[cold]
    pub(crate) fn succeed(mut self: Box<Self>, report: &CallReport) {
        self.end(report, CallEnd::Succeeded);
    }

    /// Ends the call with its error.
    #[cold]
    pub(crate) fn fail(mut self: Box<Self>, error: &Error) {
        self.end(error.report(), CallEnd::Failed(error.kind()));
    }

    /// Ends the call, whose stream was dropped.
    #[cold]
    pub(crate) fn abandon(mut self: Box<Self>, report: &CallReport) {
        self.end(report, CallEnd::Dropped);
    }

    fn end(&mut self, report: &CallReport, outcome: CallEnd) {
        self.has_ended = true;
        let event = CallEnded {
            endpoint: self.endpoint,
            is_streamed: self.is_streamed,
            outcome,
            report,
        };
        observe::call_ended(&event);
        self.keys.observers.notify(|observer| observer.call_ended(&event));
    }
}

impl Drop for WatchedCall {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut report = std::mem::take(&mut self.so_far);
            report.elapsed = clock::now().since(self.started);
            self.end(&report, CallEnd::Dropped);
        }
    }
}

impl WatchedKeys {
    pub(crate) fn new(handle: &TargetHandle) -> Self {
        Self {
            target: handle.target.clone(),
            observers: handle.observers.clone(),
        }
    }

    fn report_state(&self, change: &KeyChange) {
        let KeyChange { before, after, .. } = change;
        let states = |before, after| (KeyState::from(before), KeyState::from(after));
        let for_all = states(before.for_all, after.for_all);
        let for_target = states(before.for_target, after.for_target);
        let (states, until, target) = if for_all.0 != for_all.1 {
            (for_all, after.for_all.until(), None)
        } else if for_target.0 != for_target.1 {
            (for_target, after.for_target.until(), Some(&*self.target.name))
        } else {
            return;
        };
        let event = KeyStateChanged {
            provider: &self.target.provider.id,
            key: &self.target.provider.key(change.key).label,
            target,
            before: states.0,
            after: states.1,
            retry_in: until.map(|until| until.since(change.at)),
        };
        observe::key_state_changed(&event);
        self.observers
            .notify(|observer| observer.key_state_changed(&event));
    }

    fn report_pace(&self, change: &KeyChange) {
        let (before, after) = (change.before.per_minute, change.after.per_minute);
        if !change.is_own || !is_reported(before, after) {
            return;
        }
        let event = LimitChanged {
            provider: &self.target.provider.id,
            key: &self.target.provider.key(change.key).label,
            target: &self.target.name,
            before,
            per_minute: after,
        };
        observe::limit_changed(&event);
        self.observers.notify(|observer| observer.limit_changed(&event));
    }
}

impl KeyWatcher for WatchedKeys {
    fn key_changed(&self, change: &KeyChange) {
        self.report_state(change);
        self.report_pace(change);
    }
}

/// Returns whether the change of a pace is reported: all changes are, except raises within one step.
fn is_reported(before: Option<f64>, after: Option<f64>) -> bool {
    match (before, after) {
        (None, None) => false,
        (Some(before), Some(after)) if after >= before => step(after) > step(before),
        _ => true,
    }
}

/// Returns the number of the step to which a pace belongs: steps begin at the powers of [`RAISE`].
fn step(per_minute: f64) -> f64 {
    per_minute.log(RAISE).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_are_reported_once_per_step() {
        assert!(is_reported(None, Some(60.0)) && is_reported(Some(60.0), None));
        assert!(is_reported(Some(60.0), Some(59.9)) && !is_reported(None, None));
        let mut pace = 60.0;
        let mut reported = 0;
        while pace < 120.0 {
            let raised = pace * 1.0007;
            reported += u32::from(is_reported(Some(pace), Some(raised)));
            pace = raised;
        }
        // 1.1 to the power of 7.27 is 2.
        assert!((7..=8).contains(&reported), "{reported}");
        assert!(!is_reported(Some(60.0), Some(60.0)));
    }
}
