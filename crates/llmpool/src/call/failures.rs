//! What a failed attempt changes: the limits, and the states of its key and target.

use std::time::Duration;

use llmpool_core::failure::status_policy::{self, KeyAction, KeyScope};
use llmpool_core::failure::{Blame, Certainty, Failure, FailureKind};
use llmpool_core::limits::{CooldownReason, KeyId, Limiter, RefusalWait};
use llmpool_core::routing::attempts::{Attempts, FailedAttempt, KeyOutcome};
use llmpool_core::time::Timestamp;

use super::RunningCall;
use crate::clock;
use crate::encoded_request::EncodedRequest;
use crate::limits::{Permit, Reach};
use crate::observe;
use crate::options::Timeouts;
use crate::report::AttemptReport;

/// Length of the cooldown of a key after a failure, other than a 429, for which either the key or the request may be
/// to blame. During the cooldown, the call tries another key. If that key fails in the same way, the request is to
/// blame.
const PROVISIONAL_COOLDOWN: Duration = Duration::from_secs(10);
/// Length of the cooldown of a key that is disabled for one model. Stands for "until an operator enables the
/// key again".
const UNTIL_ENABLED: Duration = Duration::from_secs(100 * 366 * 86_400);

impl RunningCall<'_> {
    pub(super) fn report_failure(
        &mut self,
        permit: &Permit,
        failure: &Failure,
        key: KeyId,
        duration: Duration,
    ) {
        let attempt = self.attempt_report(key, Some(failure.kind), failure.status, duration);
        let attempt = AttemptReport {
            request_id: failure.request_id.clone(),
            ..attempt
        };
        if let Some(watched) = &mut self.watched {
            watched.attempt_ended(&attempt, permit.is_used());
        }
        if permit.is_used() {
            self.report.attempts.push(attempt);
        } else {
            self.report.unsent.push(attempt);
        }
    }

    /// Handles a failed attempt: updates the limits and the states of the key and the target, and records the
    /// failure for the next step of the retry loop.
    pub(super) fn apply_failure(
        &mut self,
        permit: &mut Permit,
        failure: Failure,
        key: KeyId,
        request: EncodedRequest,
    ) {
        let target = self.target;
        let is_unclear = failure.certainty == Certainty::Ambiguous;
        let is_first = self.last_failure.is_none();
        let refuses_others =
            is_unclear && failure.kind == FailureKind::RateLimited && permit.refuses_other_calls(is_first);
        let action = target.on_status.action(failure.status);
        let failed = FailedAttempt {
            key,
            added_stream_options: request.added_stream_options,
            can_adapt: request.can_adapt(),
            keeps_key: action == Some(KeyAction::Ignore),
            refuses_others,
        };
        let constraint = self.constraint;
        let now = clock::now();
        let has_other_key = |attempts: &Attempts| {
            target.provider.admission.with_limiter(|limiter| {
                // Another key of the same account shows nothing about this key.
                let account = limiter.group_of(key);
                let excluded = |other| {
                    other == key
                        || account.is_some() && limiter.group_of(other) == account
                        || attempts.is_rejected_by(other)
                        || !limiter.allows(constraint, other)
                };
                limiter.has_other_key(target.id, excluded, now)
            })
        };
        let outcome = self.attempts.record_failure(&failure, failed, has_other_key, now);
        let blames_target = match failure.kind {
            FailureKind::DeadConnection => false,
            FailureKind::DeadlineExceeded => permit.is_used() && self.target_hung(now),
            kind => matches!(kind.blame(), Blame::Target | Blame::Network),
        };
        if blames_target {
            permit.record_target_failure(failure.retry_after);
        }
        match outcome {
            KeyOutcome::Unchanged => {}
            KeyOutcome::Cooldown | KeyOutcome::ProvisionalCooldown if action == Some(KeyAction::Ignore) => {}
            KeyOutcome::Cooldown if !is_unclear => self.cool_down(permit, &failure, key, action),
            KeyOutcome::Cooldown | KeyOutcome::ProvisionalCooldown => {
                self.cool_down_unclear(permit, &failure, is_first, refuses_others);
                if outcome == KeyOutcome::Cooldown {
                    observe::key_unavailable(&target.provider, key);
                }
            }
            KeyOutcome::RestoreAll => {
                // Each cooldown may have replaced the one before it.
                let cooldowns = std::mem::take(&mut self.cooldowns);
                for cooldown in cooldowns.into_iter().rev() {
                    self.change_key(cooldown.key(), |limiter, now| limiter.restore(cooldown, now));
                }
            }
        }
        if !request.learn_refusal(failure.kind, &target.capabilities, now) {
            self.request = Some(request);
        }
        if failure.status.is_some_and(|status| (400..500).contains(&status)) {
            // With a 4xx status, the provider has processed no tokens. The tokens are returned after the refusal of
            // the key is recorded, so that no waiting request uses them with this key.
            permit.settle(0);
        }
        self.last_failure = Some(Box::new(failure));
    }

    /// Changes the state of a key other than by the outcome of its attempt, and reports the change.
    fn change_key(&self, key: KeyId, change: impl FnOnce(&mut Limiter, Timestamp)) {
        let admission = &self.target.provider.admission;
        match &self.watched {
            Some(watched) => {
                admission.change_watched(&*watched.key_watcher(), (self.target.id, key), Reach::Any, change);
            }
            None => admission.change(change),
        }
    }

    /// Returns whether an attempt that passed the deadline of the call had as long as the target itself is
    /// allowed to take: until its own first-content or total timeout. With an earlier deadline, the caller
    /// may have been too impatient, which says nothing about the target.
    fn target_hung(&self, now: Timestamp) -> bool {
        let Timeouts {
            first_content, total, ..
        } = self.target.timeouts;
        let allowed = first_content.into_iter().chain(total).min();
        allowed.is_some_and(|allowed| now.since(self.admitted) >= allowed)
    }

    /// Starts a cooldown after a failure for which the request may be to blame. Reverted if another key shows that,
    /// unless the key refuses other calls as well. `is_first`: whether the call has not failed before.
    fn cool_down_unclear(
        &mut self,
        permit: &mut Permit,
        failure: &Failure,
        is_first: bool,
        refuses_others: bool,
    ) {
        let wait = match failure.kind {
            FailureKind::RateLimited if refuses_others => RefusalWait::Unknown,
            FailureKind::RateLimited => RefusalWait::Provisional(None),
            _ => RefusalWait::Provisional(Some(certain_wait(failure).unwrap_or(PROVISIONAL_COOLDOWN))),
        };
        // A request that is refused whatever the key is sent several times, and must not teach a pace each time.
        let reason = if failure.kind == FailureKind::RateLimited && is_first {
            CooldownReason::Throttled
        } else {
            CooldownReason::Unclear
        };
        self.cooldowns.extend(permit.record_refusal(reason, wait));
    }

    /// Takes the key of a failed attempt out of use. Disables the key if the configured status policy says
    /// so, otherwise starts a cooldown.
    fn cool_down(&self, permit: &mut Permit, failure: &Failure, key: KeyId, action: Option<KeyAction>) {
        let named = RefusalWait::new(failure.retry_after, failure.is_limit_reset);
        let (scope, wait) = match action {
            Some(KeyAction::Disable { scope: KeyScope::Key }) => {
                self.change_key(key, |limiter, now| limiter.set_enabled(key, false, now));
                observe::key_unavailable(&self.target.provider, key);
                return;
            }
            Some(KeyAction::Disable { scope }) => (Some(scope), RefusalWait::Exact(UNTIL_ENABLED)),
            Some(KeyAction::Park { pause, scope }) => {
                let pause = pause.max(certain_wait(failure).unwrap_or(pause));
                (Some(scope), RefusalWait::Exact(pause))
            }
            Some(KeyAction::Ignore) | None => (None, named),
        };
        permit.record_refusal(status_policy::cooldown_reason(failure, scope), wait);
        observe::key_unavailable(&self.target.provider, key);
    }
}

/// Returns the wait that the provider requests. `None` if it requests none, or names only the reset of a limit.
fn certain_wait(failure: &Failure) -> Option<Duration> {
    failure.retry_after.filter(|_| !failure.is_limit_reset)
}
