//! The events, one after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::outcome::Teller;
use super::traffic::{Call, Calls};
use super::utilization::{self, Tally};
use super::{Forecast, MOST_CALLS, ModelSetup, TooManyCalls, Traffic};
use crate::estimate::{self, AnswerLengths};
use crate::limits::Demand;
use crate::limits::admission::{Admission, AdmissionOutcome};
use crate::limits::limiter::{Grant, KeyConstraint, Limiter};
use crate::limits::wait_queue::{AcquireRequest, Caller, Ticket};
use crate::time::Timestamp;

/// A caller who was turned away tries again after this.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What happens. Numbers are places among the calls under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Complete(usize),
    Timer(usize),
    /// The next of the calls that come whatever becomes of others.
    Come,
    /// One who waited for his answer calls again.
    Again,
}

pub(super) struct Run<'a> {
    traffic: &'a Traffic,
    models: &'a [ModelSetup],
    admissions: Vec<Admission<usize>>,
    start: Timestamp,
    now: Timestamp,
    /// By instant, and in the order in which they were foreseen.
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    foreseen: u64,
    calls: Calls<'a>,
    came: u64,
    underway: Vec<Underway>,
    /// Places that are free again.
    free: Vec<usize>,
    wakes: Vec<usize>,
    /// One for each model.
    seen: Vec<Seen>,
    /// For each desk, of each key.
    tallies: Vec<Vec<Tally>>,
}

/// What is known of a model so far.
struct Seen {
    counts_tokens: bool,
    answers: AnswerLengths,
    tally: Tally,
    teller: Teller,
}

struct Underway {
    call: Call,
    request: AcquireRequest,
    came: Timestamp,
    /// When it asks again, while it waits.
    waits: Option<Timestamp>,
    grant: Option<Grant>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        ledgers: Vec<Limiter>,
        models: &'a [ModelSetup],
        traffic: &'a Traffic,
        start: Timestamp,
    ) -> Self {
        let seen = models.iter().map(|model| Seen {
            counts_tokens: ledgers[model.limiter].counts_tokens(model.target),
            answers: AnswerLengths::default(),
            tally: Tally::default(),
            teller: Teller::new(traffic.span, start),
        });
        let of_keys = |limiter: &Limiter| vec![Tally::default(); limiter.key_ids().len()];
        Self {
            seen: seen.collect(),
            tallies: ledgers.iter().map(of_keys).collect(),
            admissions: ledgers.into_iter().map(Admission::over).collect(),
            calls: traffic.calls_of(models),
            traffic,
            models,
            start,
            now: start,
            events: BinaryHeap::new(),
            foreseen: 0,
            came: 0,
            underway: Vec::new(),
            free: Vec::new(),
            wakes: Vec::new(),
        }
    }

    pub(super) fn finish(mut self) -> Result<Vec<Forecast>, TooManyCalls> {
        for _ in 0..self.traffic.callers() {
            self.foresee(self.start, Event::Again);
        }
        self.foresee_next();
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            let passed = at.since(self.now);
            if !passed.is_zero() {
                self.time_passes(passed);
            }
            self.now = at;
            self.happen(event);
            if self.came > MOST_CALLS {
                return Err(TooManyCalls);
            }
        }
        Ok(self.told())
    }

    fn time_passes(&mut self, time: Duration) {
        let now = self.now;
        for (seen, model) in self.seen.iter_mut().zip(self.models) {
            let admission = &mut self.admissions[model.limiter];
            seen.teller.wait_for(|| admission.waits_for(model.target, now));
            seen.teller.passes(time);
        }
    }

    fn foresee(&mut self, at: Timestamp, event: Event) {
        self.foreseen += 1;
        self.events.push(Reverse((at, self.foreseen, event)));
    }

    fn foresee_next(&mut self) {
        if let Some(at) = self.calls.next_at() {
            self.foresee(self.start + at, Event::Come);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Come => {
                if let Some(call) = self.calls.next() {
                    self.come(call);
                }
                self.foresee_next();
            }
            Event::Again => {
                let call = self.calls.again();
                self.come(call);
            }
            // One that was for an earlier call in this place finds nobody, or one who may ask at any time.
            Event::Timer(place) => {
                if self.underway[place].waits == Some(self.now) {
                    self.poll(place);
                }
            }
            Event::Complete(place) => self.complete(place),
        }
        self.wake();
    }

    /// Those who were told ask again, in the order in which they were told.
    fn wake(&mut self) {
        let mut at = 0;
        while let Some(place) = self.wakes.get(at).copied() {
            at += 1;
            if self.underway[place].waits.is_some() {
                self.poll(place);
            }
        }
        self.wakes.clear();
    }

    fn come(&mut self, call: Call) {
        self.came += 1;
        self.seen[call.model].teller.offered(self.now);
        let request = AcquireRequest {
            ticket: Ticket(self.came),
            caller: Caller::new(call.caller),
            demand: self.demand(&call),
            constraint: KeyConstraint::Any,
            deadline: self.now + self.traffic.patience,
        };
        let ModelSetup { limiter, target, .. } = self.models[call.model];
        let place = self.seat(Underway {
            call,
            request,
            came: self.now,
            waits: None,
            grant: None,
        });
        let answer = self.admissions[limiter].acquire(target, &request, &place, self.now, &mut self.wakes);
        self.note(place, answer);
    }

    /// As a call in earnest reserves it.
    fn demand(&self, call: &Call) -> Demand {
        let seen = &self.seen[call.model];
        if !seen.counts_tokens {
            return Demand::ONE;
        }
        let said = self.traffic.expected_answer;
        let expected = said.or(self.models[call.model].expected_answer);
        let expected = expected.or_else(|| seen.answers.p95());
        let expected = expected.unwrap_or(estimate::USUAL_ANSWER);
        Demand {
            tokens: call.prompt_tokens.saturating_add(expected).max(1),
            ..Demand::ONE
        }
    }

    fn seat(&mut self, call: Underway) -> usize {
        match self.free.pop() {
            Some(place) => {
                self.underway[place] = call;
                place
            }
            None => {
                self.underway.push(call);
                self.underway.len() - 1
            }
        }
    }

    fn poll(&mut self, place: usize) {
        let Underway { call, request, .. } = self.underway[place];
        self.underway[place].waits = None;
        self.seen[call.model].teller.waits_no_more();
        let ModelSetup { limiter, target, .. } = self.models[call.model];
        let answer = self.admissions[limiter].poll(target, &request, &place, self.now, &mut self.wakes);
        self.note(place, answer);
    }

    fn note(&mut self, place: usize, answer: AdmissionOutcome) {
        let model = self.underway[place].call.model;
        match answer {
            AdmissionOutcome::Wait(until) => {
                self.seen[model].teller.waits();
                self.underway[place].waits = Some(until);
                self.foresee(until, Event::Timer(place));
            }
            AdmissionOutcome::Granted(grant) => self.serve(place, grant),
            AdmissionOutcome::Refused(refusal) => {
                self.seen[model].teller.turned_away(refusal, self.now);
                self.leave(place, TRY_AGAIN);
            }
        }
    }

    fn serve(&mut self, place: usize, grant: Grant) {
        let Underway { call, came, .. } = self.underway[place];
        let waited = self.now.since(came);
        let tokens = u64::from(call.tokens());
        let left = self.traffic.span.saturating_sub(self.now.since(self.start));
        let seen = &mut self.seen[call.model];
        seen.teller.served(waited, tokens, self.now);
        if !left.is_zero() {
            let done = Tally {
                calls: 1,
                tokens,
                busy: call.latency.min(left).as_secs_f64(),
            };
            seen.tally.add(&done);
            if let Some(key) = grant.key() {
                self.tallies[self.models[call.model].limiter][key.index()].add(&done);
            }
        }
        self.underway[place].grant = Some(grant);
        self.foresee(self.now + call.latency, Event::Complete(place));
    }

    fn complete(&mut self, place: usize) {
        let Some(mut grant) = self.underway[place].grant.take() else {
            return;
        };
        let call = self.underway[place].call;
        let seen = &mut self.seen[call.model];
        let admission = &mut self.admissions[self.models[call.model].limiter];
        if seen.counts_tokens {
            seen.answers.note(call.answer_tokens);
            admission.settle(&mut grant, call.tokens(), self.now, &mut self.wakes);
        }
        admission.complete(&mut grant, self.now, &mut self.wakes);
        self.leave(place, Duration::ZERO);
    }

    /// A call is over; its caller goes on, while calls begin at all.
    fn leave(&mut self, place: usize, pause: Duration) {
        self.free.push(place);
        let at = self.now + pause;
        if self.underway[place].call.again && at.since(self.start) < self.traffic.span {
            self.foresee(at, Event::Again);
        }
    }

    fn told(self) -> Vec<Forecast> {
        let Self {
            seen,
            models,
            admissions,
            tallies,
            traffic,
            ..
        } = self;
        let told = seen.into_iter().zip(models).map(|(seen, model)| {
            let limiter = admissions[model.limiter].limiter();
            let own = utilization::of_model(limiter, model.target, &seen.tally, traffic.span);
            let keys = limiter.keys_of(model.target).iter();
            let keys =
                keys.map(|key| utilization::of_key(limiter, *key, &tallies[model.limiter], traffic.span));
            seen.teller.told(own, keys.collect())
        });
        told.collect()
    }
}
