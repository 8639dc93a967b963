//! The one loop: what is asked goes out, and what comes back is either the answer or the reason why there is none.
//!
//! It carries bytes. What to send is rendered once its target is known, and kept while the target stays the same; what
//! comes back is decoded by whoever called. `Attempts` in the core decides what comes next, and nothing else tries again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::status_policy::{self, KeyAction, KeyScope};
use llmpool_core::failure::{Blame, Failure, FailureKind};
use llmpool_core::limits::{
    AcquireRequest, CooldownReason, KeyAvailability, KeyConstraint, KeyId, LimitKind, ProvisionalCooldown,
    Ticket, Unsatisfiable, WaitReason,
};
use llmpool_core::routing::attempts::{Attempts, KeyOutcome, NextAction};
use llmpool_core::time::Timestamp;

use crate::affinity;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::exchange::{self, CallDeadlines, Rendered, Reply};
use crate::fail_fast;
use crate::limits::{MAX_WAITING, Permit, Rejection};
use crate::observe;
use crate::options::CallOptions;
use crate::report::{AttemptReport, CallReport, TraceId};
use crate::target::Target;
use crate::tokens::{self, StreamPermit};

/// A wait in line ends after this where the caller named no deadline of his own.
const LONGEST_STAY: Duration = Duration::from_secs(30);
/// The total of a call whose target has none configured is far enough away to be none.
const NO_TOTAL: Duration = Duration::from_secs(366 * 86_400);
/// How long a key rests until another key's answer shows whether it was to blame.
const PROVISIONAL_REST: Duration = Duration::from_secs(10);

/// Until somebody enables the key again.
const FOR_GOOD: Duration = Duration::from_secs(100 * 366 * 86_400);

/// A time so far away is none that anybody could wait for.
const NEVER: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What somebody wants to send, encoded once it is known where to.
pub(crate) trait RequestEncoder: Sync {
    /// Encodes the request for this target.
    fn render(&self, target: &Target) -> Result<Rendered, Error>;
}

/// An answer and what happened on the way to it.
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) report: CallReport,
    pub(crate) started: Timestamp,
    /// The body that was answered.
    pub(crate) sent: Bytes,
}

/// Runs one call to its answer: a whole plain body, or a stream whose first content has come.
pub(crate) async fn run(
    target: &Arc<Target>,
    outgoing: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<Answer, Error> {
    let mut call = Call::begin(target, options);
    let mut now = call.started;
    loop {
        match call.attempts.next(now) {
            NextAction::Admit => {
                let rendered = call.render(outgoing)?;
                let Some(permit) = call.enter(&rendered).await? else {
                    return Err(call.give_up());
                };
                let sent = rendered.body.clone();
                if let Some(reply) = call.attempt(permit, rendered).await? {
                    return Ok(Answer {
                        reply,
                        report: call.report,
                        started: call.started,
                        sent,
                    });
                }
            }
            NextAction::Backoff(_) if !target.provider.admission.try_spend_retry(target.id) => {
                observe::no_retry_left(&call.report);
                return Err(call.give_up());
            }
            NextAction::Backoff(until) => clock::sleep_until(until).await,
            NextAction::GiveUp => return Err(call.give_up()),
        }
        now = clock::now();
    }
}

struct Call<'a> {
    target: &'a Arc<Target>,
    options: &'a CallOptions,
    patience: CallDeadlines,
    started: Timestamp,
    /// When the last permit was given.
    entered: Timestamp,
    ticket: Ticket,
    attempts: Attempts,
    rendered: Option<Rendered>,
    /// Which keys the request may use.
    constraint: KeyConstraint,
    last: Option<Failure>,
    /// Rests to take back should it turn out that the call is to blame.
    cooldown: Vec<ProvisionalCooldown>,
    report: CallReport,
}

impl<'a> Call<'a> {
    fn begin(target: &'a Arc<Target>, options: &'a CallOptions) -> Self {
        let started = clock::now();
        let timeouts = options.timeouts.unwrap_or(target.timeouts);
        let deadline = started + options.timeout.or(timeouts.total).unwrap_or(NO_TOTAL);
        let admission = &target.provider.admission;
        let trace_id = options
            .trace_id
            .clone()
            .map_or_else(TraceId::mint, TraceId::Given);
        Self {
            target,
            options,
            patience: CallDeadlines { timeouts, deadline },
            started,
            entered: started,
            ticket: admission.record_call(target.id, started),
            attempts: Attempts::new(
                target.retry,
                target.keys.len(),
                deadline,
                crate::random::fresh_seed(),
            ),
            rendered: None,
            constraint: KeyConstraint::Any,
            last: None,
            cooldown: Vec::new(),
            report: CallReport {
                target: target.name.clone(),
                trace_id,
                ..CallReport::default()
            },
        }
    }

    /// What to send: encoded once, and kept while it stays the same.
    fn render(&mut self, outgoing: &dyn RequestEncoder) -> Result<Rendered, Error> {
        match self.rendered.take() {
            Some(rendered) => Ok(rendered),
            None => {
                let rendered = outgoing
                    .render(self.target)
                    .and_then(|rendered| {
                        self.constraint = affinity::key_constraint(self.target, &rendered.body)?;
                        Ok(rendered)
                    })
                    .map_err(|error| error.with_report(self.closing_report()))?;
                self.report.dropped.clone_from(&rendered.dropped);
                Ok(rendered)
            }
        }
    }

    /// Waits for a permit. `None` where the key it came with would cost a retry that is no longer there.
    async fn enter(&mut self, rendered: &Rendered) -> Result<Option<Permit>, Error> {
        let arrived = clock::now();
        let deadline = match self.options.timeout {
            Some(_) => self.patience.deadline,
            None => self.patience.deadline.min(arrived + LONGEST_STAY),
        };
        let request = AcquireRequest {
            ticket: self.ticket,
            caller: self.options.caller,
            demand: tokens::need_of(self.target, rendered),
            constraint: self.constraint,
            deadline,
        };
        let line = self.target.provider.admission.acquire(self.target.id, request);
        let entered = if self.options.fail_fast {
            fail_fast::while_a_key_is_of_use(self.target, self.constraint, line).await
        } else {
            Ok(line.await)
        };
        self.entered = clock::now();
        self.report.waited += self.entered.since(arrived);
        match entered {
            Ok(Ok(permit)) => {
                let allowed = permit.key().is_some_and(|key| self.attempts.try_use_key(key));
                Ok(Some(permit).filter(|_| allowed))
            }
            Ok(Err(refusal)) => Err(self.turned_away(refusal)),
            Err(state) => Err(self.turned_away(Rejection::TooLate {
                ready_at: state.until(),
                why: WaitReason::KeysUnavailable(state),
            })),
        }
    }

    /// Makes one attempt. `None` where it failed and the next step is the core's to say.
    async fn attempt(&mut self, mut permit: Permit, rendered: Rendered) -> Result<Option<Reply>, Error> {
        let Some(key) = permit.key() else { return Ok(None) };
        let answer = exchange::once(self.target, &mut permit, &rendered, &self.patience).await;
        let ended = clock::now();
        let duration = ended.since(self.entered);
        match answer {
            Ok(mut reply) => {
                self.report.elapsed = ended.since(self.started);
                let head = reply.head();
                let attempt = self.attempt_report(key, None, Some(head.status), duration);
                self.report.attempts.push(AttemptReport {
                    request_id: head.request_id.clone(),
                    ..attempt
                });
                match &mut reply {
                    Reply::Stream { frames, .. } => {
                        permit.record_success();
                        self.report.first_content = Some(self.report.elapsed);
                        let target = self.target.clone();
                        frames.hold(StreamPermit { permit, target });
                    }
                    Reply::Plain { body, .. } => {
                        tokens::settle_plain(self.target, &mut permit, body);
                        permit.complete();
                    }
                }
                Ok(Some(reply))
            }
            Err(failure) => {
                let failure = self.target.provider.masked(self.target.on_status.apply(failure));
                self.note_failure(&permit, &failure, key, duration);
                self.judge(&mut permit, failure, key, rendered);
                Ok(None)
            }
        }
    }

    fn note_failure(&mut self, permit: &Permit, failure: &Failure, key: KeyId, duration: Duration) {
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

    /// Lets the core judge a failure, and does to the keys what it says.
    fn judge(&mut self, permit: &mut Permit, failure: Failure, key: KeyId, rendered: Rendered) {
        let added = rendered.added_stream_options;
        let other_key = self.target.provider.admission.with_limiter(|limiter| {
            limiter.has_other_key(self.target.id, |known| {
                known == key || self.attempts.is_rejected_by(known) || !limiter.allows(self.constraint, known)
            })
        });
        let verdict = self
            .attempts
            .record_failure(&failure, key, added, other_key, clock::now());
        if failure.status.is_some_and(|status| (400..500).contains(&status)) {
            // Refused before any token was read or written.
            permit.settle(0);
        }
        let of_target = matches!(failure.blame(), Blame::Target | Blame::Network);
        if of_target && failure.kind != FailureKind::DeadConnection {
            permit.record_target_failure(failure.retry_after);
        }
        let action = self.target.on_status.action(failure.status);
        match verdict {
            KeyOutcome::Unchanged => {}
            KeyOutcome::Cooldown | KeyOutcome::ProvisionalCooldown if action == Some(KeyAction::Ignore) => {}
            KeyOutcome::Cooldown => self.rest(permit, &failure, key, action),
            KeyOutcome::ProvisionalCooldown => {
                let pause = failure.retry_after.unwrap_or(PROVISIONAL_REST);
                self.cooldown.extend(match failure.kind {
                    FailureKind::RateLimited => permit.record_refusal(CooldownReason::Throttled, Some(pause)),
                    _ => permit.record_unclear_refusal(pause),
                });
            }
            KeyOutcome::RestoreAll => {
                self.cooldown
                    .drain(..)
                    .for_each(|cooldown| self.target.provider.admission.restore(cooldown));
            }
        }
        if failure.kind == FailureKind::StreamOptionsRefused && added {
            self.target.facts.refused_stream_options();
        } else {
            self.rendered = Some(rendered);
        }
        self.last = Some(failure);
    }

    /// The key of an attempt is to blame.
    fn rest(&self, permit: &Permit, failure: &Failure, key: KeyId, action: Option<KeyAction>) {
        let named = failure.retry_after;
        let (scope, pause) = match action {
            Some(KeyAction::Disable { scope: KeyScope::Key }) => {
                self.target.provider.admission.set_enabled(key, false);
                return observe::key_rests(&self.target.provider, key);
            }
            Some(KeyAction::Disable { scope }) => (Some(scope), Some(FOR_GOOD)),
            Some(KeyAction::Park { pause, scope }) => (Some(scope), named.max(Some(pause))),
            Some(KeyAction::Ignore) | None => (None, named),
        };
        permit.record_refusal(status_policy::cooldown_reason(failure.kind, scope), pause);
        observe::key_rests(&self.target.provider, key);
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

    fn give_up(&mut self) -> Error {
        let report = self.closing_report();
        let now = clock::now();
        let Some(failure) = self.last.take() else {
            return Error::new(ErrorKind::LimitReached, "the call's deadline has passed").with_report(report);
        };
        let retry_after = match failure.blame() {
            // Another key may return earlier than the last one that refused.
            Blame::Key => Some(self.next_chance(now)).filter(|wait| *wait < NEVER),
            Blame::Request => None,
            Blame::Target | Blame::Network => failure.retry_after,
        };
        let error = Error::from_failure(failure).with_report(report);
        match retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    fn next_chance(&self, now: Timestamp) -> Duration {
        self.target.provider.admission.earliest(self.target.id).since(now)
    }

    fn turned_away(&mut self, refusal: Rejection) -> Error {
        let report = self.closing_report();
        let now = clock::now();
        let (ready_at, why) = match refusal {
            Rejection::Unsatisfiable(never) => {
                return Error::new(ErrorKind::Unsendable, never_message(never)).with_report(report);
            }
            Rejection::QueueFull { ready_at } => {
                let message = format!("{MAX_WAITING} calls wait for it already");
                let error = match self.last.take() {
                    Some(failure) => Error::from_failure(failure),
                    None => Error::new(ErrorKind::LimitReached, message),
                };
                return error.with_report(report).with_retry_after(ready_at.since(now));
            }
            Rejection::TooLate { ready_at, why } => (ready_at.filter(|at| at.since(now) < NEVER), why),
        };
        let error = match self.last.take() {
            Some(failure) => Error::from_failure(failure),
            None => refused_error(why, ready_at.map(|at| at.since(now))),
        };
        let error = error.with_report(report);
        match ready_at {
            Some(at) => error.with_retry_after(at.since(now)),
            None => error,
        }
    }

    fn closing_report(&mut self) -> CallReport {
        self.report.elapsed = clock::now().since(self.started);
        std::mem::take(&mut self.report)
    }
}

fn never_message(never: Unsatisfiable) -> String {
    match never {
        Unsatisfiable::MoreThanCapacity { capacity } => {
            format!("it needs more than the {capacity} that the rate limit ever admits at once")
        }
        Unsatisfiable::MoreTokensThanLimit { tokens, limit } => {
            format!(
                "it needs about {tokens} tokens and the limit is {limit} a minute; make the prompt or max_tokens smaller"
            )
        }
        Unsatisfiable::UnknownKey => {
            "it is bound to a key or account that this target does not have".to_owned()
        }
    }
}

fn target_limit(counts: LimitKind) -> &'static str {
    match counts {
        LimitKind::Requests => "the rate limit admits it only after the deadline",
        LimitKind::Tokens => "the limit of tokens a minute admits it only after the deadline",
        LimitKind::Day => "the limit of requests a day is reached",
    }
}

fn key_limit(counts: LimitKind) -> &'static str {
    match counts {
        LimitKind::Requests => "the rate limits of its keys admit it only after the deadline",
        LimitKind::Tokens => "the limits of tokens a minute of its keys admit it only after the deadline",
        LimitKind::Day => "the limits of requests a day of its keys are reached",
    }
}

fn refused_error(why: WaitReason, wait: Option<Duration>) -> Error {
    let when = wait.map_or(String::new(), |wait| {
        format!("; the earliest would be in {:.1}s", wait.as_secs_f64())
    });
    let (kind, what) = match why {
        WaitReason::Target(counts) => (ErrorKind::LimitReached, target_limit(counts)),
        WaitReason::TargetConcurrency => (
            ErrorKind::LimitReached,
            "the model had no free slot before the deadline",
        ),
        WaitReason::TargetCooldown => (
            ErrorKind::Attempt(FailureKind::Overloaded),
            "the provider asked for a pause that lasts longer than the deadline",
        ),
        WaitReason::KeyLimits(counts) => (ErrorKind::LimitReached, key_limit(counts)),
        WaitReason::KeyConcurrency => (
            ErrorKind::LimitReached,
            "no key had a free slot before the deadline",
        ),
        WaitReason::KeysUnavailable(state) => match state {
            KeyAvailability::Invalid(_) => (
                ErrorKind::Attempt(FailureKind::InvalidKey),
                "every key was refused",
            ),
            KeyAvailability::NoQuota(_) => {
                (ErrorKind::Attempt(FailureKind::NoQuota), "no key has quota left")
            }
            KeyAvailability::Throttled(_) => (
                ErrorKind::Attempt(FailureKind::RateLimited),
                "every key is throttled",
            ),
            KeyAvailability::Forbidden(_) => (
                ErrorKind::Attempt(FailureKind::PermissionDenied),
                "no key may use this model",
            ),
            KeyAvailability::Disabled => (
                ErrorKind::Attempt(FailureKind::InvalidKey),
                "every key is disabled; enable one",
            ),
            KeyAvailability::Healthy | KeyAvailability::Probing => {
                (ErrorKind::LimitReached, "no key was free before the deadline")
            }
        },
    };
    Error::new(kind, format!("{what}{when}"))
}
