//! What is to come: who calls when, and how long an answer takes.

use std::time::Duration;

use crate::routing::retry::Chance;

/// Calls of one model over a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Who calls when.
    pub arrivals: Arrivals,
    /// So many more calls at once, again and again.
    pub burst: Option<Burst>,
    /// For how long calls begin.
    pub span: Duration,
    /// How long an answer takes where a recorded call does not say.
    pub latency: Duration,
    /// Tokens of a call's prompt where a recorded call does not say.
    pub prompt_tokens: u32,
    /// Tokens of its answer where a recorded call does not say.
    pub answer_tokens: u32,
    /// Tokens of an answer that a call reserves; `None`: as many as answers are seen to have, as in earnest.
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
    /// Calls that were recorded, in any order.
    Recorded(Vec<Recorded>),
}

/// One recorded call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// When it came, from the beginning.
    pub at: Duration,
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Tokens of its answer.
    pub answer_tokens: u32,
    /// How long its answer took.
    pub latency: Duration,
    /// Who called: callers share fairly.
    pub caller: u64,
}

/// Many calls at once, again and again; the first after one `every`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How many.
    pub calls: u32,
    /// How often.
    pub every: Duration,
}

/// One call to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) at: Duration,
    pub(super) prompt_tokens: u32,
    pub(super) answer_tokens: u32,
    pub(super) latency: Duration,
    pub(super) caller: u64,
    /// Whether another one follows when it is over.
    pub(super) again: bool,
}

impl Traffic {
    /// About how many calls that is; of callers, how many there are at once.
    pub fn calls(&self) -> f64 {
        let seconds = self.span.as_secs_f64();
        let steady = match &self.arrivals {
            Arrivals::Random { per_second } | Arrivals::Even { per_second } => per_second * seconds,
            Arrivals::Callers(callers) => f64::from(*callers),
            Arrivals::Recorded(calls) => calls.len() as f64,
        };
        let bursts = self.burst.map_or(0.0, |burst| {
            f64::from(burst.calls) * (seconds / burst.every.as_secs_f64()).floor()
        });
        steady + bursts
    }

    /// The calls that come whatever becomes of others, in the order in which they come.
    pub(super) fn calls_to_come(&self) -> Vec<Call> {
        let mut calls = match &self.arrivals {
            Arrivals::Random { per_second } => self.at(random_instants(*per_second, self.span, self.seed)),
            Arrivals::Even { per_second } => self.at(even_instants(*per_second, self.span)),
            Arrivals::Callers(callers) => (0..*callers).map(|_| self.call(Duration::ZERO, true)).collect(),
            Arrivals::Recorded(calls) => calls.iter().map(Recorded::call).collect(),
        };
        if let Some(Burst { calls: many, every }) = self.burst {
            let instants = even_instants(1.0 / every.as_secs_f64(), self.span);
            let instants = instants.into_iter().filter(|at| !at.is_zero());
            calls.extend(instants.flat_map(|at| (0..many).map(move |_| self.call(at, false))));
        }
        calls.sort_by_key(|call| call.at);
        calls
    }

    fn at(&self, instants: Vec<Duration>) -> Vec<Call> {
        instants.into_iter().map(|at| self.call(at, false)).collect()
    }

    pub(super) fn call(&self, at: Duration, again: bool) -> Call {
        Call {
            at,
            prompt_tokens: self.prompt_tokens,
            answer_tokens: self.answer_tokens,
            latency: self.latency,
            caller: 0,
            again,
        }
    }
}

impl Recorded {
    fn call(&self) -> Call {
        Call {
            at: self.at,
            prompt_tokens: self.prompt_tokens,
            answer_tokens: self.answer_tokens,
            latency: self.latency,
            caller: self.caller,
            again: false,
        }
    }
}

fn even_instants(per_second: f64, span: Duration) -> Vec<Duration> {
    let instants = (0_u64..).map(|at| at as f64 / per_second);
    let within = instants.take_while(|at| *at < span.as_secs_f64());
    within.map(Duration::from_secs_f64).collect()
}

fn random_instants(per_second: f64, span: Duration, seed: u64) -> Vec<Duration> {
    let mut chance = Chance::new(seed);
    let mut at = 0.0;
    let instants = std::iter::from_fn(|| {
        at += -(1.0 - chance.fraction()).ln() / per_second;
        Some(at).filter(|at| *at < span.as_secs_f64())
    });
    instants.map(Duration::from_secs_f64).collect()
}
