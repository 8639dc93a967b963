//! Simulates the calls of a forecast in virtual time, one event after another in chronological order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::time::Duration;

use super::call_generator::{CallGenerator, GeneratedCall};
use super::forecast_builder::ForecastBuilder;
use super::model_setup::ModelSetup;
use super::outcome::Forecast;
use super::traffic::Traffic;
use super::utilization::{UsageTotals, key_usage, model_utilization};
use crate::estimate::{self, OutputLengths};
use crate::limits::{
    AcquireRequest, Admission, AdmissionOutcome, Caller, Demand, Grant, KeyConstraint, Limiter, Ticket,
};
use crate::time::Timestamp;

/// The maximum number of calls in a forecast. The simulation of more calls would take minutes.
pub const MAX_CALLS: u64 = 2_000_000;

/// The pause of a caller in a closed loop between a rejected call and the caller's next call.
const PAUSE_AFTER_REJECTION: Duration = Duration::from_secs(1);

/// The error for traffic with more than [`MAX_CALLS`] calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCalls;

impl fmt::Display for TooManyCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the traffic has more than {MAX_CALLS} calls, the maximum of a forecast"
        )
    }
}

impl std::error::Error for TooManyCalls {}

/// Simulates the traffic, which begins at the time `start`, and returns one forecast per model, in the order
/// of `models`.
///
/// Models with the same limiter share the keys that they have in common. If no model has a positive share,
/// the first model receives all calls.
///
/// # Errors
///
/// Returns an error if the traffic has more than [`MAX_CALLS`] calls. In a closed loop, the number of calls
/// is not known in advance, so the error is returned only after that many calls have been simulated.
pub fn forecast(
    limiters: Vec<Limiter>,
    models: &[ModelSetup],
    traffic: &Traffic,
    start: Timestamp,
) -> Result<Vec<Forecast>, TooManyCalls> {
    // The number of calls of a closed loop is not known in advance.
    if traffic.expected_calls() > MAX_CALLS as f64 {
        return Err(TooManyCalls);
    }
    Simulation::new(limiters, models, traffic, start).run()
}

/// An event of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SimulationEvent {
    /// The response to the call at this index of [`Simulation::active`] is complete.
    Complete(usize),
    /// The admission at this index of [`Simulation::admissions`] has an event.
    Admission(usize),
    /// The next call that is not part of a closed loop arrives.
    NextArrival,
    /// The next call of a caller in a closed loop arrives.
    ClosedLoopArrival,
}

struct Simulation<'a> {
    traffic: &'a Traffic,
    models: &'a [ModelSetup],
    /// The admission control (a limiter with its wait queues) of each provider, in the order of the
    /// `limiters` argument of `forecast`.
    admissions: Vec<Admission<usize>>,
    /// For each admission, the time of its scheduled event. [`Timestamp::MAX`] if none is scheduled.
    scheduled_at: Vec<Timestamp>,
    start: Timestamp,
    now: Timestamp,
    /// The pending events, each with its time and a sequence number. Events at the same time are processed in
    /// the order in which they were scheduled.
    events: BinaryHeap<Reverse<(Timestamp, u64, SimulationEvent)>>,
    scheduled: u64,
    generator: CallGenerator<'a>,
    arrived: u64,
    active: Vec<ActiveCall>,
    /// The indices in `active` of calls that have ended. New calls reuse these indices.
    free: Vec<usize>,
    /// The indices in `active` of the waiting calls that the current event woke.
    woken: Vec<usize>,
    /// The state of each model, in the order of the `models` argument of `forecast`.
    model_states: Vec<ModelState>,
    /// The usage of each key, indexed first by limiter and then by key.
    key_totals: Vec<Vec<UsageTotals>>,
}

struct ModelState {
    counts_tokens: bool,
    output_lengths: OutputLengths,
    totals: UsageTotals,
    builder: ForecastBuilder,
}

struct ActiveCall {
    call: GeneratedCall,
    request: AcquireRequest,
    arrived: Timestamp,
    is_waiting: bool,
    grant: Option<Grant>,
}

impl<'a> Simulation<'a> {
    fn new(limiters: Vec<Limiter>, models: &'a [ModelSetup], traffic: &'a Traffic, start: Timestamp) -> Self {
        let model_states = models.iter().map(|model| ModelState {
            counts_tokens: limiters[model.limiter].counts_tokens(model.target),
            output_lengths: OutputLengths::default(),
            totals: UsageTotals::default(),
            builder: ForecastBuilder::new(traffic.span, start),
        });
        let key_totals = |limiter: &Limiter| vec![UsageTotals::default(); limiter.key_ids().len()];
        Self {
            model_states: model_states.collect(),
            key_totals: limiters.iter().map(key_totals).collect(),
            scheduled_at: vec![Timestamp::MAX; limiters.len()],
            admissions: limiters.into_iter().map(Admission::over).collect(),
            generator: CallGenerator::new(traffic, models),
            traffic,
            models,
            start,
            now: start,
            events: BinaryHeap::new(),
            scheduled: 0,
            arrived: 0,
            active: Vec::new(),
            free: Vec::new(),
            woken: Vec::new(),
        }
    }

    fn run(mut self) -> Result<Vec<Forecast>, TooManyCalls> {
        for _ in 0..self.traffic.callers() {
            self.schedule(self.start, SimulationEvent::ClosedLoopArrival);
        }
        self.schedule_next_arrival();
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.advance_to(at);
            self.process(event);
            if self.arrived > MAX_CALLS {
                return Err(TooManyCalls);
            }
        }
        Ok(self.into_forecasts())
    }

    fn advance_to(&mut self, at: Timestamp) {
        let elapsed = at.since(self.now);
        if !elapsed.is_zero() {
            let now = self.now;
            for (state, model) in self.model_states.iter_mut().zip(self.models) {
                let admission = &mut self.admissions[model.limiter];
                let reason = || admission.wait_reason(model.target, now);
                state.builder.pass_time(elapsed, reason);
            }
        }
        self.now = at;
    }

    fn schedule(&mut self, at: Timestamp, event: SimulationEvent) {
        self.scheduled += 1;
        self.events.push(Reverse((at, self.scheduled, event)));
    }

    fn schedule_next_arrival(&mut self) {
        if let Some(at) = self.generator.next_at() {
            self.schedule(self.start + at, SimulationEvent::NextArrival);
        }
    }

    fn process(&mut self, event: SimulationEvent) {
        match event {
            SimulationEvent::NextArrival => {
                if let Some(call) = self.generator.next_call() {
                    self.arrive(call);
                }
                self.schedule_next_arrival();
            }
            SimulationEvent::ClosedLoopArrival => {
                let call = self.generator.draw(true);
                self.arrive(call);
            }
            SimulationEvent::Admission(index) => {
                self.scheduled_at[index] = Timestamp::MAX;
                self.admissions[index].advance(self.now, &mut self.woken);
            }
            SimulationEvent::Complete(index) => self.complete(index),
        }
        self.poll_woken();
        self.schedule_admissions();
    }

    /// Schedules the next event of each admission, unless an event that comes no later is scheduled.
    fn schedule_admissions(&mut self) {
        for index in 0..self.admissions.len() {
            let next = self.admissions[index].next_event();
            if let Some(at) = next.filter(|at| *at < self.scheduled_at[index]) {
                self.scheduled_at[index] = at;
                self.schedule(at, SimulationEvent::Admission(index));
            }
        }
    }

    /// Polls the woken calls in the order in which they were woken. If a poll wakes further calls, polls
    /// those calls as well.
    fn poll_woken(&mut self) {
        let mut next = 0;
        while let Some(index) = self.woken.get(next).copied() {
            next += 1;
            if self.active[index].is_waiting {
                self.poll(index);
            }
        }
        self.woken.clear();
    }

    fn arrive(&mut self, call: GeneratedCall) {
        self.arrived += 1;
        self.model_states[call.model].builder.record_arrival(self.now);
        let request = AcquireRequest {
            ticket: Ticket(self.arrived),
            caller: Caller::new(call.caller),
            demand: self.demand(&call),
            constraint: KeyConstraint::Any,
            deadline: self.now + self.traffic.patience,
            wait_for_keys: true,
        };
        let index = self.insert(ActiveCall {
            call,
            request,
            arrived: self.now,
            is_waiting: false,
            grant: None,
        });
        let ModelSetup { limiter, target, .. } = self.models[call.model];
        let outcome = self.admissions[limiter].acquire(target, &request, &index, self.now, &mut self.woken);
        self.apply(index, outcome);
    }

    /// Returns the numbers of requests and tokens that a real call with these values would reserve from the
    /// limits.
    fn demand(&self, call: &GeneratedCall) -> Demand {
        let state = &self.model_states[call.model];
        if !state.counts_tokens {
            return Demand::ONE;
        }
        let expected_output = self
            .traffic
            .expected_output
            .or(self.models[call.model].expected_output)
            .or_else(|| state.output_lengths.p95())
            .unwrap_or(estimate::DEFAULT_OUTPUT_TOKENS);
        Demand {
            tokens: call.prompt_tokens.saturating_add(expected_output).max(1),
            ..Demand::ONE
        }
    }

    fn insert(&mut self, call: ActiveCall) -> usize {
        if let Some(index) = self.free.pop() {
            self.active[index] = call;
            return index;
        }
        self.active.push(call);
        self.active.len() - 1
    }

    fn poll(&mut self, index: usize) {
        let ActiveCall { call, request, .. } = self.active[index];
        self.active[index].is_waiting = false;
        self.model_states[call.model].builder.end_wait();
        let ModelSetup { limiter, target, .. } = self.models[call.model];
        let outcome = self.admissions[limiter].poll(target, &request, &index, self.now, &mut self.woken);
        self.apply(index, outcome);
    }

    fn apply(&mut self, index: usize, outcome: AdmissionOutcome) {
        let model = self.active[index].call.model;
        match outcome {
            AdmissionOutcome::Wait => {
                self.model_states[model].builder.begin_wait();
                self.active[index].is_waiting = true;
            }
            AdmissionOutcome::Granted(grant) => self.serve(index, grant),
            AdmissionOutcome::Rejected(rejection) => {
                self.model_states[model]
                    .builder
                    .record_rejection(rejection, self.now);
                self.finish(index, PAUSE_AFTER_REJECTION);
            }
        }
    }

    fn serve(&mut self, index: usize, grant: Grant) {
        let ActiveCall { call, arrived, .. } = self.active[index];
        let tokens = u64::from(call.total_tokens());
        let state = &mut self.model_states[call.model];
        state
            .builder
            .record_admission(self.now.since(arrived), tokens, self.now);
        let rest_of_span = self.traffic.span.saturating_sub(self.now.since(self.start));
        if !rest_of_span.is_zero() {
            let usage = UsageTotals {
                calls: 1,
                tokens,
                busy_seconds: call.latency.min(rest_of_span).as_secs_f64(),
            };
            state.totals.add(&usage);
            if let Some(key) = grant.key() {
                self.key_totals[self.models[call.model].limiter][key.index()].add(&usage);
            }
        }
        self.active[index].grant = Some(grant);
        self.schedule(self.now + call.latency, SimulationEvent::Complete(index));
    }

    fn complete(&mut self, index: usize) {
        let Some(mut grant) = self.active[index].grant.take() else {
            return;
        };
        let call = self.active[index].call;
        let state = &mut self.model_states[call.model];
        let admission = &mut self.admissions[self.models[call.model].limiter];
        let (now, counts_tokens) = (self.now, state.counts_tokens);
        if counts_tokens {
            state.output_lengths.record(call.output_tokens);
        }
        admission.change(now, &mut self.woken, |limiter| {
            if counts_tokens {
                limiter.settle(&mut grant, call.total_tokens(), now);
            }
            limiter.complete(&mut grant, now);
        });
        self.finish(index, Duration::ZERO);
    }

    /// Removes a call that has ended. In a closed loop, also schedules the caller's next call after `pause`,
    /// if that time is within the span.
    fn finish(&mut self, index: usize, pause: Duration) {
        self.free.push(index);
        let at = self.now + pause;
        if self.active[index].call.is_in_closed_loop && at.since(self.start) < self.traffic.span {
            self.schedule(at, SimulationEvent::ClosedLoopArrival);
        }
    }

    fn into_forecasts(self) -> Vec<Forecast> {
        let span = self.traffic.span;
        let states = self.model_states.into_iter().zip(self.models);
        let forecasts = states.map(|(state, model)| {
            let limiter = self.admissions[model.limiter].limiter();
            let key_totals = &self.key_totals[model.limiter];
            let keys = limiter.keys_of(model.target).iter();
            let keys = keys.map(|key| key_usage(limiter, *key, key_totals, span));
            let model_limit = model_utilization(limiter, model.target, &state.totals, span);
            state.builder.build(model_limit, keys.collect())
        });
        forecasts.collect()
    }
}
