//! What is to come: who calls when, and how long an answer takes.

use std::iter::Peekable;
use std::time::Duration;

use super::{LogNormal, ModelSetup};
use crate::routing::retry::SeededRng;

/// Calls over a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Who calls when.
    pub arrivals: Arrivals,
    /// So many more calls at once, again and again.
    pub burst: Option<Burst>,
    /// For how long calls begin.
    pub span: Duration,
    /// How long an answer takes, in seconds, where a recorded call does not say.
    pub latency: LogNormal,
    /// Tokens of a call's prompt where a recorded call does not say.
    pub prompt_tokens: LogNormal,
    /// Tokens of its answer where a recorded call does not say.
    pub answer_tokens: LogNormal,
    /// Tokens of an answer that a call reserves; `None`: as many as the model expects, or as answers are seen to have.
    pub expected_answer: Option<u32>,
    /// How long a call waits for its turn before it gives up.
    pub patience: Duration,
    /// Decides what is left to chance.
    pub seed: u64,
}

/// Who calls when.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Independent of each other, so many a second on average (Poisson).
    Random {
        /// Calls a second.
        per_second: f64,
    },
    /// Evenly, so many a second.
    Even {
        /// Calls a second.
        per_second: f64,
    },
    /// So many callers, each of whom calls again as soon as he has his answer; one who was turned away tries again a second later.
    Callers(u32),
    /// Calls that were recorded, in any order; those after the span do not come.
    Recorded(Vec<Recorded>),
}

/// One recorded call. What it does not say is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recorded {
    /// When it came, from the beginning.
    pub at: Duration,
    /// Tokens of its prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens of its answer.
    pub answer_tokens: Option<u32>,
    /// How long its answer took.
    pub latency: Option<Duration>,
    /// Who called: callers share fairly.
    pub caller: u64,
    /// Which of the models it was for.
    pub model: usize,
}

/// Many calls at once, again and again; the first after one `every`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How many.
    pub calls: u32,
    /// How often.
    pub every: Duration,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) model: usize,
    pub(super) prompt_tokens: u32,
    pub(super) answer_tokens: u32,
    pub(super) latency: Duration,
    pub(super) caller: u64,
    /// Whether another one follows when it is over.
    pub(super) again: bool,
}

impl Call {
    pub(super) fn tokens(&self) -> u32 {
        self.prompt_tokens.saturating_add(self.answer_tokens)
    }
}

impl Traffic {
    /// About how many calls come whatever becomes of others.
    pub(super) fn expected(&self) -> f64 {
        let seconds = self.span.as_secs_f64();
        let steady = match &self.arrivals {
            Arrivals::Random { per_second } | Arrivals::Even { per_second } => per_second * seconds,
            Arrivals::Callers(_) => 0.0,
            Arrivals::Recorded(calls) => calls.len() as f64,
        };
        let bursts = self.burst.map_or(0.0, |burst| {
            f64::from(burst.calls) * seconds / burst.every.as_secs_f64()
        });
        steady + bursts
    }

    /// Those who call again and again.
    pub(super) fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Callers(callers) => callers,
            _ => 0,
        }
    }

    pub(super) fn calls_of<'a>(&'a self, models: &'a [ModelSetup]) -> Calls<'a> {
        let steady: Box<dyn Iterator<Item = Coming>> = match &self.arrivals {
            Arrivals::Random { per_second } => Box::new(random_instants(*per_second, self.seed).map(unsaid)),
            Arrivals::Even { per_second } => Box::new(even_instants(*per_second).map(unsaid)),
            Arrivals::Callers(_) => Box::new(std::iter::empty()),
            Arrivals::Recorded(calls) => {
                let mut calls: Vec<&Recorded> = calls.iter().collect();
                calls.sort_by_key(|call| call.at);
                let said = |call: &Recorded| (call.at.as_secs_f64(), Some(*call));
                Box::new(calls.into_iter().map(said))
            }
        };
        let bursts: Box<dyn Iterator<Item = Coming>> = match self.burst {
            None => Box::new(std::iter::empty()),
            Some(Burst { calls, every }) => {
                let instants = even_instants(1.0 / every.as_secs_f64()).skip(1);
                Box::new(instants.flat_map(move |at| std::iter::repeat_n(unsaid(at), calls as usize)))
            }
        };
        Calls {
            traffic: self,
            models,
            shares: models.iter().map(|model| model.share.max(0.0)).sum(),
            // Other numbers than those that say when calls come, so that these stay the same.
            chance: SeededRng::new(!self.seed),
            steady: steady.peekable(),
            bursts: bursts.peekable(),
        }
    }
}

/// When, in seconds, and what is known of it.
type Coming = (f64, Option<Recorded>);

fn unsaid(at: f64) -> Coming {
    (at, None)
}

/// The calls of traffic, one after the other.
pub(super) struct Calls<'a> {
    traffic: &'a Traffic,
    models: &'a [ModelSetup],
    /// All of them together.
    shares: f64,
    chance: SeededRng,
    steady: Peekable<Box<dyn Iterator<Item = Coming> + 'a>>,
    bursts: Peekable<Box<dyn Iterator<Item = Coming> + 'a>>,
}

impl Calls<'_> {
    /// When the next one comes of those that come whatever becomes of others; `None` once the span is over.
    pub(super) fn next_at(&mut self) -> Option<Duration> {
        let next = [self.steady.peek(), self.bursts.peek()];
        let first = next.into_iter().flatten().map(|(at, _)| *at).reduce(f64::min);
        // Not a number is no instant.
        let within = first.filter(|at| *at < self.traffic.span.as_secs_f64())?;
        Some(Duration::from_secs_f64(within))
    }

    /// That one.
    pub(super) fn next(&mut self) -> Option<Call> {
        let steady = self.steady.peek().map_or(f64::INFINITY, |(at, _)| *at);
        let burst = self.bursts.peek().map_or(f64::INFINITY, |(at, _)| *at);
        let (_, said) = if burst < steady {
            self.bursts.next()?
        } else {
            self.steady.next()?
        };
        let call = self.call(false);
        Some(match said {
            None => call,
            Some(said) => Call {
                model: said.model.min(self.models.len().saturating_sub(1)),
                prompt_tokens: said.prompt_tokens.unwrap_or(call.prompt_tokens),
                answer_tokens: said.answer_tokens.unwrap_or(call.answer_tokens),
                latency: said.latency.unwrap_or(call.latency),
                caller: said.caller,
                again: false,
            },
        })
    }

    /// One of somebody who calls again and again.
    pub(super) fn again(&mut self) -> Call {
        self.call(true)
    }

    fn call(&mut self, again: bool) -> Call {
        let Traffic {
            latency,
            prompt_tokens,
            answer_tokens,
            ..
        } = self.traffic;
        let latency = latency.draw(&mut self.chance);
        Call {
            model: self.model(),
            // `as` saturates.
            prompt_tokens: prompt_tokens.draw(&mut self.chance).round() as u32,
            answer_tokens: answer_tokens.draw(&mut self.chance).round() as u32,
            latency: Duration::try_from_secs_f64(latency).unwrap_or(Duration::MAX),
            caller: 0,
            again,
        }
    }

    fn model(&mut self) -> usize {
        if self.models.len() < 2 {
            return 0;
        }
        let mut drawn = self.chance.fraction() * self.shares;
        let below = self.models.iter().position(|model| {
            drawn -= model.share.max(0.0);
            drawn < 0.0
        });
        below.unwrap_or(0)
    }
}

fn even_instants(per_second: f64) -> impl Iterator<Item = f64> {
    (0_u64..).map(move |at| at as f64 / per_second)
}

fn random_instants(per_second: f64, seed: u64) -> impl Iterator<Item = f64> {
    let mut chance = SeededRng::new(seed);
    let mut at = 0.0;
    std::iter::repeat_with(move || {
        at += -(1.0 - chance.fraction()).ln() / per_second;
        at
    })
}
