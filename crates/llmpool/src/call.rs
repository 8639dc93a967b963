//! The retry loop of a call: makes attempts until one succeeds or the call gives up.
//!
//! The loop neither builds requests nor interprets answers. A [`RequestEncoder`] encodes the request for the
//! target, and the function that started the call decodes the answer. Core's [`Attempts`] decides whether the
//! loop makes another attempt, backs off or gives up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::status_policy::{self, KeyAction, KeyScope};
use llmpool_core::failure::{Blame, Certainty, Failure, FailureKind};
use llmpool_core::limits::KeyId;
use llmpool_core::limits::{AcquireRequest, Ticket};
use llmpool_core::limits::{CooldownReason, KeyConstraint, ProvisionalCooldown, RefusalWait};
use llmpool_core::routing::attempts::{Attempts, FailedAttempt, KeyOutcome, NextAction};
use llmpool_core::time::Timestamp;

use crate::affinity;
use crate::call_deadlines::CallDeadlines;
use crate::clock;
use crate::encoded_request::{EncodedRequest, RequestEncoder};
use crate::error::{Error, ErrorKind};
use crate::exchange::{self, AttemptResponse};
use crate::limits::{Permit, Rejection};
use crate::observe;
use crate::options::{CallOptions, Timeouts};
use crate::rejection;
use crate::report::{AttemptReport, CallReport, TraceId};
use crate::target::Target;
use crate::tokens::{self, StreamPermit};

/// Maximum time to wait for a permit before each attempt, if the call options set no timeout.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Total timeout of a call if neither the call options nor the target set one. Stands for "no timeout".
const NO_TOTAL: Duration = Duration::from_secs(366 * 86_400);
/// Length of the cooldown of a key after a failure, other than a 429, for which either the key or the request may be
/// to blame. During the cooldown, the call tries another key. If that key fails in the same way, the request is to
/// blame.
const PROVISIONAL_COOLDOWN: Duration = Duration::from_secs(10);
/// Length of the cooldown of a key that is disabled for one model. Stands for "until an operator enables the
/// key again".
const UNTIL_ENABLED: Duration = Duration::from_secs(100 * 366 * 86_400);

/// The outcome of a successful call: the answer and the report of the call.
pub(crate) struct CallOutcome {
    pub(crate) response: AttemptResponse,
    pub(crate) report: CallReport,
    pub(crate) started: Timestamp,
    pub(crate) request_body: Bytes,
}

/// Runs a call: makes attempts until the answer is complete or, if the answer is streamed, until its first
/// content has arrived.
pub(crate) async fn run(
    target: &Arc<Target>,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<CallOutcome, Error> {
    let mut call = Call::new(target, options);
    let mut now = call.started;
    loop {
        match call.attempts.next(now) {
            NextAction::Admit => {
                let request = call.encode(encoder)?;
                let Some(mut permit) = call.acquire(&request).await? else {
                    return Err(call.give_up());
                };
                // Boxed, so that calls that wait for a permit take less memory.
                let attempt = Box::pin(exchange::send_attempt(
                    target,
                    &mut permit,
                    &request,
                    &call.deadlines,
                    call.admitted,
                ));
                let result = attempt.await;
                let request_body = request.body.clone();
                if let Some(response) = call.end_attempt(permit, request, result) {
                    return Ok(CallOutcome {
                        response,
                        report: call.report,
                        started: call.started,
                        request_body,
                    });
                }
            }
            NextAction::Retry(_)
                if call.requested_wait_is_too_long(now) || !try_spend_budget(target, &call.report) =>
            {
                return Err(call.give_up());
            }
            NextAction::Retry(until) => clock::sleep_until(until).await,
            NextAction::Yield(until) => {
                clock::sleep_until(until.min(call.deadlines.deadline)).await;
                // Others probe the key first: this call may be refused whatever the state of the key.
                call.ticket = target.provider.admission.next_ticket();
            }
            NextAction::GiveUp => return Err(call.give_up()),
        }
        now = clock::now();
    }
}

struct Call<'a> {
    target: &'a Arc<Target>,
    options: &'a CallOptions,
    deadlines: CallDeadlines,
    started: Timestamp,
    /// Time at which the call acquired its most recent permit. Before the first permit, the start of the
    /// call.
    admitted: Timestamp,
    /// The place of the call in the wait queue. A call that yields gets a new one.
    ticket: Ticket,
    attempts: Attempts,
    /// The encoded request of the previous attempt, which the next attempt sends again. `None` if the next
    /// attempt must encode the request.
    request: Option<EncodedRequest>,
    /// The keys that the call may use for this request.
    constraint: KeyConstraint,
    /// Boxed, so that calls that wait take less memory.
    last_failure: Option<Box<Failure>>,
    /// Cooldowns that this call started when it was unclear whether the key or the request was to blame. If
    /// the request turns out to be to blame, the call reverts these cooldowns.
    cooldowns: Vec<ProvisionalCooldown>,
    report: CallReport,
}

impl<'a> Call<'a> {
    fn new(target: &'a Arc<Target>, options: &'a CallOptions) -> Self {
        let started = clock::now();
        let timeouts = options.timeouts.unwrap_or(target.timeouts);
        let deadline = started + options.timeout.or(timeouts.total).unwrap_or(NO_TOTAL);
        let admission = &target.provider.admission;
        let trace_id = options
            .trace_id
            .clone()
            .map_or_else(TraceId::generate, TraceId::Given);
        Self {
            target,
            options,
            deadlines: CallDeadlines { timeouts, deadline },
            started,
            admitted: started,
            ticket: admission.record_call(target.id, started),
            attempts: Attempts::new(
                target.retry,
                target.keys.len(),
                deadline,
                crate::random::fresh_seed(),
            ),
            request: None,
            constraint: KeyConstraint::Any,
            last_failure: None,
            cooldowns: Vec::new(),
            report: CallReport {
                target: target.name.clone(),
                trace_id,
                ..CallReport::default()
            },
        }
    }

    /// Returns the encoded request of the previous attempt if it can be sent again. Otherwise encodes the
    /// request, and determines the keys that the call may use.
    fn encode(&mut self, encoder: &dyn RequestEncoder) -> Result<EncodedRequest, Error> {
        if let Some(request) = self.request.take() {
            return Ok(request);
        }
        let encoded = encoder.encode(self.target).and_then(|request| {
            self.constraint = affinity::key_constraint(self.target, &request.body)?;
            Ok(request)
        });
        let request = encoded.map_err(|error| error.with_report(self.take_report()))?;
        self.report.dropped.clone_from(&request.dropped);
        Ok(request)
    }

    /// Returns the time at which a wait that starts at `now` must have ended: the deadline of the call or, if
    /// the caller set no timeout, [`MAX_WAIT`] if that is earlier.
    fn end_of_wait(&self, now: Timestamp) -> Timestamp {
        match self.options.timeout {
            Some(_) => self.deadlines.deadline,
            None => self.deadlines.deadline.min(now + MAX_WAIT),
        }
    }

    /// Returns whether the provider asked for a wait that the call must not make.
    fn requested_wait_is_too_long(&self, now: Timestamp) -> bool {
        let failure = self.last_failure.as_ref();
        let wait = failure.and_then(|failure| failure.retry_after);
        wait.is_some_and(|wait| now + wait > self.end_of_wait(now))
    }

    /// Waits for a permit. Returns `None` if the permit is for a key that this call has already tried, and no
    /// retry is left to try that key again.
    async fn acquire(&mut self, request: &EncodedRequest) -> Result<Option<Permit>, Error> {
        let arrived = clock::now();
        let acquire_request = AcquireRequest {
            ticket: self.ticket,
            caller: self.options.caller,
            demand: tokens::demand(self.target, request),
            constraint: self.constraint,
            deadline: self.end_of_wait(arrived),
            wait_for_keys: self.options.wait_for_keys,
        };
        let acquired = self
            .target
            .provider
            .admission
            .acquire(self.target.id, acquire_request)
            .await;
        self.admitted = clock::now();
        self.report.waited += self.admitted.since(arrived);
        let permit = acquired.map_err(|rejection| self.reject(rejection))?;
        let (target, report) = (self.target, &self.report);
        let try_spend = || try_spend_budget(target, report);
        let is_allowed = permit
            .key()
            .is_some_and(|key| self.attempts.try_use_key(key, try_spend));
        Ok(Some(permit).filter(|_| is_allowed))
    }

    /// Records the result of an attempt, and returns its response. If the attempt failed, records the failure
    /// for the next step of the retry loop and returns `None`.
    fn end_attempt(
        &mut self,
        mut permit: Permit,
        request: EncodedRequest,
        result: Result<AttemptResponse, Failure>,
    ) -> Option<AttemptResponse> {
        let key = permit.key()?;
        let ended = clock::now();
        let duration = ended.since(self.admitted);
        match result {
            Ok(mut response) => {
                self.report.elapsed = ended.since(self.started);
                let head = response.head();
                let attempt = self.attempt_report(key, None, Some(head.status), duration);
                self.report.attempts.push(AttemptReport {
                    request_id: head.request_id.clone(),
                    ..attempt
                });
                match &mut response {
                    AttemptResponse::Stream { events, .. } => {
                        permit.record_success();
                        self.report.first_content = Some(self.report.elapsed);
                        events.hold(StreamPermit {
                            permit,
                            target: self.target.clone(),
                            request_body: request.body,
                        });
                    }
                    AttemptResponse::Complete { body, converted, .. } => {
                        self.report.converted = *converted;
                        tokens::settle_plain(self.target, &mut permit, body);
                        permit.complete();
                    }
                }
                Some(response)
            }
            Err(failure) => {
                let failure = self.target.provider.masked(self.target.on_status.apply(failure));
                self.report_failure(&permit, &failure, key, duration);
                self.apply_failure(&mut permit, failure, key, request);
                None
            }
        }
    }

    fn report_failure(&mut self, permit: &Permit, failure: &Failure, key: KeyId, duration: Duration) {
        let attempt = self.attempt_report(key, Some(failure.kind), failure.status, duration);
        let attempt = AttemptReport {
            request_id: failure.request_id.clone(),
            ..attempt
        };
        observe::attempt_failed(&self.report, &attempt);
        if permit.is_used() {
            self.report.attempts.push(attempt);
        } else {
            self.report.unsent.push(attempt);
        }
    }

    /// Handles a failed attempt: updates the limits and the states of the key and the target, and records the
    /// failure for the next step of the retry loop.
    fn apply_failure(&mut self, permit: &mut Permit, failure: Failure, key: KeyId, request: EncodedRequest) {
        let target = self.target;
        let is_unclear = failure.certainty == Certainty::Ambiguous;
        let is_first = self.last_failure.is_none();
        let refuses_others =
            is_unclear && failure.kind == FailureKind::RateLimited && permit.refuses_other_calls(is_first);
        let added = request.added_stream_options;
        let action = target.on_status.action(failure.status);
        let failed = FailedAttempt {
            key,
            added_stream_options: added,
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
                let cooldowns = self.cooldowns.drain(..).rev();
                target.provider.admission.change(|limiter, now| {
                    cooldowns.for_each(|cooldown| limiter.restore(cooldown, now));
                });
            }
        }
        if failure.kind == FailureKind::StreamOptionsRefused && added {
            target.capabilities.reject_stream_options();
        } else {
            self.request = Some(request);
        }
        if failure.status.is_some_and(|status| (400..500).contains(&status)) {
            // With a 4xx status, the provider has processed no tokens. The tokens are returned after the refusal of
            // the key is recorded, so that no waiting request uses them with this key.
            permit.settle(0);
        }
        self.last_failure = Some(Box::new(failure));
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
        permit: &Permit,
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
    fn cool_down(&self, permit: &Permit, failure: &Failure, key: KeyId, action: Option<KeyAction>) {
        let named = RefusalWait::new(failure.retry_after, failure.is_limit_reset);
        let (scope, wait) = match action {
            Some(KeyAction::Disable { scope: KeyScope::Key }) => {
                let admission = &self.target.provider.admission;
                admission.change(|limiter, now| limiter.set_enabled(key, false, now));
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

    fn attempt_report(
        &self,
        key: KeyId,
        failure: Option<FailureKind>,
        status: Option<u16>,
        duration: Duration,
    ) -> AttemptReport {
        AttemptReport {
            key: self.target.provider.key(key).label.clone(),
            failure,
            status,
            duration,
            dead_connection: failure == Some(FailureKind::DeadConnection),
            request_id: None,
        }
    }

    /// Ends the call and returns its error: the failure of the last attempt or, if no attempt was made, a
    /// message that the deadline has passed.
    fn give_up(&mut self) -> Error {
        let Some(failure) = self.last_failure.take() else {
            let message = "the call's deadline has passed";
            return Error::new(ErrorKind::LimitReached, message).with_report(self.take_report());
        };
        let wait = match failure.blame() {
            // Another key may be available earlier than the key that failed last.
            Blame::Key => {
                let ready_at = self.target.provider.admission.earliest(self.target.id);
                rejection::retry_in(ready_at, clock::now())
            }
            Blame::Request => None,
            Blame::Target | Blame::Network => failure.retry_after,
        };
        let is_out_of_quota = failure.kind == FailureKind::NoQuota;
        self.failure_error(*failure, wait, is_out_of_quota)
    }

    /// Returns the error of a call that gets no permit: the failure of the last attempt or, if no attempt was made,
    /// the reason for the rejection.
    fn reject(&mut self, rejection: Rejection) -> Error {
        let error = rejection::rejection_error(rejection, clock::now());
        match self.last_failure.take() {
            Some(failure) => {
                let quota = ErrorKind::Attempt(FailureKind::NoQuota);
                let is_out_of_quota = failure.kind == FailureKind::NoQuota && error.kind() == quota;
                self.failure_error(*failure, error.retry_in(), is_out_of_quota)
            }
            None => error.with_report(self.take_report()),
        }
    }

    /// Returns the error for the failure of the last attempt. `is_out_of_quota`: whether an exhausted quota is also the
    /// reason why the call makes no further attempt.
    fn failure_error(
        &mut self,
        failure: Failure,
        retry_in: Option<Duration>,
        is_out_of_quota: bool,
    ) -> Error {
        let retry_in = retry_in.or(failure.retry_after);
        let error = Error::from_failure(failure).with_report(self.take_report());
        match retry_in {
            Some(wait) => error.with_retry_in(wait),
            None if is_out_of_quota => error.without_credit(),
            None => error,
        }
    }

    fn take_report(&mut self) -> CallReport {
        self.report.elapsed = clock::now().since(self.started);
        std::mem::take(&mut self.report)
    }
}

/// Spends one retry of the target's retry budget. Returns false if the budget is used up.
fn try_spend_budget(target: &Target, report: &CallReport) -> bool {
    let admission = &target.provider.admission;
    let is_left = admission.change(|limiter, now| limiter.try_spend_retry(target.id, now));
    if !is_left {
        observe::retry_budget_exhausted(report);
    }
    is_left
}

/// Returns the wait that the provider requests. `None` if it requests none, or names only the reset of a limit.
fn certain_wait(failure: &Failure) -> Option<Duration> {
    failure.retry_after.filter(|_| !failure.is_limit_reset)
}
