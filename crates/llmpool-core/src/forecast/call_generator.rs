//! Generates the simulated calls of a forecast from a description of the traffic.
//!
//! Traffic can include a closed loop: a fixed number of callers, each of which sends its next call only after
//! its previous call has ended.

use std::iter::Peekable;
use std::time::Duration;

use super::model_setup::ModelSetup;
use super::traffic::{Arrivals, Burst, RecordedCall, Traffic};
use crate::seeded_rng::SeededRng;

/// A simulated call with concrete values: random values have already been drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct GeneratedCall {
    pub(super) model: usize,
    pub(super) prompt_tokens: u32,
    pub(super) output_tokens: u32,
    pub(super) latency: Duration,
    pub(super) caller: u64,
    /// Whether the caller belongs to a closed loop, and therefore sends another call when this call ends.
    pub(super) is_in_closed_loop: bool,
}

impl GeneratedCall {
    pub(super) fn total_tokens(&self) -> u32 {
        self.prompt_tokens.saturating_add(self.output_tokens)
    }
}

/// The arrival time of a call, in seconds from the start of the forecast, and the recorded call. `None` if
/// the values of the call are drawn at random instead.
type ScheduledCall = (f64, Option<RecordedCall>);

/// A generator of simulated calls in the order of their arrival.
pub(super) struct CallGenerator<'a> {
    traffic: &'a Traffic,
    models: &'a [ModelSetup],
    /// The sum of the traffic shares of all models. A negative share counts as 0.
    total_share: f64,
    rng: SeededRng,
    steady: Peekable<Box<dyn Iterator<Item = ScheduledCall> + 'a>>,
    bursts: Peekable<Box<dyn Iterator<Item = ScheduledCall> + 'a>>,
}

impl<'a> CallGenerator<'a> {
    pub(super) fn new(traffic: &'a Traffic, models: &'a [ModelSetup]) -> Self {
        Self {
            traffic,
            models,
            total_share: models.iter().map(|model| model.share.max(0.0)).sum(),
            // Not the seed of the random arrivals, so that arrival times and values of calls are independent.
            rng: SeededRng::new(!traffic.seed),
            steady: steady_calls(traffic).peekable(),
            bursts: burst_calls(traffic).peekable(),
        }
    }

    /// Returns the arrival time of the next call that is not part of a closed loop, measured from the start
    /// of the forecast. Returns `None` if no further call of this kind arrives within the span.
    pub(super) fn next_at(&mut self) -> Option<Duration> {
        let next = [self.steady.peek(), self.bursts.peek()];
        let first = next.into_iter().flatten().map(|(at, _)| *at).reduce(f64::min);
        // The comparison also excludes NaN.
        let within_span = first.filter(|at| *at < self.traffic.span.as_secs_f64())?;
        Some(Duration::from_secs_f64(within_span))
    }

    /// Generates the call that arrives at the time returned by [`next_at`](Self::next_at). Does not check
    /// whether this time is within the span.
    pub(super) fn next_call(&mut self) -> Option<GeneratedCall> {
        let steady_at = self.steady.peek().map_or(f64::INFINITY, |(at, _)| *at);
        let burst_at = self.bursts.peek().map_or(f64::INFINITY, |(at, _)| *at);
        let (_, recorded) = if burst_at < steady_at {
            self.bursts.next()?
        } else {
            self.steady.next()?
        };
        let drawn = self.draw(false);
        Some(recorded.map_or(drawn, |recorded| GeneratedCall {
            model: recorded.model.min(self.models.len().saturating_sub(1)),
            prompt_tokens: recorded.prompt_tokens.unwrap_or(drawn.prompt_tokens),
            output_tokens: recorded.output_tokens.unwrap_or(drawn.output_tokens),
            latency: recorded.latency.unwrap_or(drawn.latency),
            caller: recorded.caller,
            is_in_closed_loop: false,
        }))
    }

    /// Generates a call with a random model, latency and token counts.
    pub(super) fn draw(&mut self, is_in_closed_loop: bool) -> GeneratedCall {
        let Traffic {
            latency,
            prompt_tokens,
            output_tokens,
            ..
        } = self.traffic;
        let latency = latency.sample(&mut self.rng);
        GeneratedCall {
            model: self.draw_model(),
            // `as` saturates at the bounds of `u32`.
            prompt_tokens: prompt_tokens.sample(&mut self.rng).round() as u32,
            output_tokens: output_tokens.sample(&mut self.rng).round() as u32,
            latency: Duration::try_from_secs_f64(latency).unwrap_or(Duration::MAX),
            caller: 0,
            is_in_closed_loop,
        }
    }

    /// Returns the zero-based index of a randomly chosen model. The probability of a model is proportional to
    /// its share. Returns 0 if no model has a positive share.
    fn draw_model(&mut self) -> usize {
        if self.models.len() < 2 {
            return 0;
        }
        let mut rest = self.rng.next_f64() * self.total_share;
        let drawn = self.models.iter().position(|model| {
            rest -= model.share.max(0.0);
            rest < 0.0
        });
        drawn.unwrap_or(0)
    }
}

fn steady_calls(traffic: &Traffic) -> Box<dyn Iterator<Item = ScheduledCall> + '_> {
    match &traffic.arrivals {
        Arrivals::Random { per_second } => {
            Box::new(random_arrivals(*per_second, traffic.seed).map(|at| (at, None)))
        }
        Arrivals::Even { per_second } => Box::new(even_arrivals(*per_second).map(|at| (at, None))),
        Arrivals::Callers(_) => Box::new(std::iter::empty()),
        Arrivals::Recorded(calls) => {
            let mut calls: Vec<&RecordedCall> = calls.iter().collect();
            calls.sort_by_key(|call| call.at);
            Box::new(calls.into_iter().map(|call| (call.at.as_secs_f64(), Some(*call))))
        }
    }
}

fn burst_calls(traffic: &Traffic) -> Box<dyn Iterator<Item = ScheduledCall>> {
    let Some(Burst { calls, every }) = traffic.burst else {
        return Box::new(std::iter::empty());
    };
    let arrivals = even_arrivals(1.0 / every.as_secs_f64()).skip(1);
    Box::new(arrivals.flat_map(move |at| std::iter::repeat_n((at, None), calls as usize)))
}

fn even_arrivals(per_second: f64) -> impl Iterator<Item = f64> {
    (0_u64..).map(move |at| at as f64 / per_second)
}

fn random_arrivals(per_second: f64, seed: u64) -> impl Iterator<Item = f64> {
    let mut rng = SeededRng::new(seed);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        at += -(1.0 - rng.next_f64()).ln() / per_second;
        at
    })
}
