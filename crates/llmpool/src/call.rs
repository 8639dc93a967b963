//! The retry loop of a call: makes attempts until one succeeds or the call gives up.
//!
//! The loop neither builds requests nor interprets answers. A [`RequestEncoder`] encodes the request for the
//! target, and the function that started the call decodes the answer. Core's [`Attempts`] decides whether the
//! loop makes another attempt, backs off or gives up.

mod failures;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::{Blame, Failure, FailureKind};
use llmpool_core::limits::{AcquireRequest, KeyConstraint, KeyId, ProvisionalCooldown, Ticket};
use llmpool_core::routing::attempts::{Attempts, NextAction};
use llmpool_core::time::Timestamp;

use crate::affinity;
use crate::call_deadlines::CallDeadlines;
use crate::clock;
use crate::encoded_request::{EncodedRequest, RequestEncoder};
use crate::error::{Error, ErrorKind};
use crate::exchange::{self, AttemptResponse};
use crate::limits::{Permit, Rejection};
use crate::observe;
use crate::options::CallOptions;
use crate::rejection;
use crate::report::{AttemptReport, CallReport, TraceId};
use crate::target::Target;
use crate::target_handle::TargetHandle;
use crate::tokens::{self, StreamPermit};
use crate::watched_call::WatchedCall;

/// Maximum time to wait for a permit before each attempt, if the call options set no timeout.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// Total timeout of a call if neither the call options nor the target set one. Stands for "no timeout".
const NO_TOTAL: Duration = Duration::from_secs(366 * 86_400);
/// The outcome of a successful call: the answer and the report of the call.
pub(crate) struct CallOutcome {
    pub(crate) response: AttemptResponse,
    pub(crate) report: CallReport,
    pub(crate) started: Timestamp,
    pub(crate) request_body: Bytes,
    /// The receiver of the end of the call. `None` if the call is neither observed nor logged.
    pub(crate) watched: Option<Box<WatchedCall>>,
}

/// Runs a call: makes attempts until the answer is complete or, if the answer is streamed, until its first
/// content has arrived.
pub(crate) async fn run(
    handle: &TargetHandle,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<CallOutcome, Error> {
    let target = &handle.target;
    let mut call = RunningCall::new(target, options);
    call.watched = WatchedCall::start(handle, encoder, &call.report.trace_id, call.started);
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
                        watched: call.watched,
                    });
                }
            }
            NextAction::Retry(_)
                if call.requested_wait_is_too_long(now) || !try_spend_budget(target, &call.report) =>
            {
                return Err(call.give_up());
            }
            NextAction::Retry(until) => call.back_off(until, now).await,
            NextAction::Yield(until) => {
                call.back_off(until.min(call.deadlines.deadline), now).await;
                // Others probe the key first: this call may be refused whatever the state of the key.
                call.ticket = target.provider.admission.next_ticket();
            }
            NextAction::GiveUp => return Err(call.give_up()),
        }
        now = clock::now();
    }
}

struct RunningCall<'a> {
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
    /// `None` if the call is neither observed nor logged.
    watched: Option<Box<WatchedCall>>,
}

impl<'a> RunningCall<'a> {
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
            watched: None,
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
        let request = encoded.map_err(|error| self.failed(error))?;
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
        let is_too_long = wait.is_some_and(|wait| now + wait > self.end_of_wait(now));
        if is_too_long {
            observe::wait_too_long(&self.report);
        }
        is_too_long
    }

    /// Waits before a retry, until `until`.
    async fn back_off(&mut self, until: Timestamp, now: Timestamp) {
        observe::retries(&self.report, until.since(now));
        clock::sleep_until(until).await;
        if let Some(watched) = &mut self.watched
            && until > now
        {
            watched.backed_off(clock::now().since(now));
        }
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
        let acquired = match &mut self.watched {
            None => {
                let admission = &self.target.provider.admission;
                admission.acquire(self.target.id, acquire_request).await
            }
            // Boxed, so that calls that are not watched take less memory.
            Some(watched) => Box::pin(acquire_watched(self.target, acquire_request, watched)).await,
        };
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
                let attempt = AttemptReport {
                    request_id: head.request_id.clone(),
                    ..attempt
                };
                if let Some(watched) = &mut self.watched {
                    watched.attempt_ended(&attempt, true);
                }
                self.report.attempts.push(attempt);
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
            return self.failed(Error::new(ErrorKind::LimitReached, message));
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
            None => self.failed(error),
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
        let error = self.failed(Error::from_failure(failure));
        match retry_in {
            Some(wait) => error.with_retry_in(wait),
            None if is_out_of_quota => error.without_credit(),
            None => error,
        }
    }

    /// Ends the call with `error`, and adds the report of the call to the error.
    fn failed(&mut self, error: Error) -> Error {
        self.report.elapsed = clock::now().since(self.started);
        let error = error.with_report(std::mem::take(&mut self.report));
        if let Some(watched) = self.watched.take() {
            watched.fail(&error);
        }
        error
    }
}

/// Waits for a permit. Reports the wait and its cause if the permit was not granted at once. The permit reports the
/// changes of keys that it causes.
async fn acquire_watched(
    target: &Target,
    request: AcquireRequest,
    watched: &mut WatchedCall,
) -> Result<Permit, Rejection> {
    let admission = &target.provider.admission;
    let since = clock::now();
    let mut acquiring = pin!(admission.acquire(target.id, request));
    let acquired = match poll_fn(|cx| Poll::Ready(acquiring.as_mut().poll(cx))).await {
        Poll::Ready(acquired) => acquired,
        Poll::Pending => {
            let reason = admission.wait_reason_of(target.id, &request);
            let acquired = acquiring.await;
            watched.waited_for_permit(clock::now().since(since), reason);
            acquired
        }
    };
    acquired.map(|mut permit| {
        permit.watch(watched.key_watcher());
        permit
    })
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
