//! The traffic of a forecast: when calls arrive, and how long and large they are.

use std::time::Duration;

use super::log_normal::LogNormal;

/// Calls over a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// When calls arrive.
    pub arrivals: Arrivals,
    /// Additional calls in regular bursts.
    pub burst: Option<Burst>,
    /// The time during which calls arrive.
    pub span: Duration,
    /// The latency of a response in seconds, unless a recorded call has its own.
    pub latency: LogNormal,
    /// The tokens of a prompt, unless a recorded call has its own.
    pub prompt_tokens: LogNormal,
    /// The tokens of a response, unless a recorded call has its own.
    pub output_tokens: LogNormal,
    /// Output tokens that a call reserves. `None`: what the model expects, else the 95th percentile of the responses so far.
    pub expected_output: Option<u32>,
    /// How long a call waits for admission before it gives up.
    pub patience: Duration,
    /// The seed of all random choices.
    pub seed: u64,
}

/// When calls arrive.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// A Poisson process: independent arrivals at an average rate.
    Random {
        /// Calls per second.
        per_second: f64,
    },
    /// Arrivals at equal intervals.
    Even {
        /// Calls per second.
        per_second: f64,
    },
    /// A closed loop of this many callers. Each sends its next call when it has its response, or one second after a rejection.
    Callers(u32),
    /// Recorded calls in any order. Those after the span are left out.
    Recorded(Vec<RecordedCall>),
}

/// A recorded call. Values that are `None` are taken from [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordedCall {
    /// The arrival, from the start of the forecast.
    pub at: Duration,
    /// The number of tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// The number of tokens of the response.
    pub output_tokens: Option<u32>,
    /// The time from admission to the complete response.
    pub latency: Option<Duration>,
    /// The id of the caller. Waiting callers are admitted fairly.
    pub caller: u64,
    /// The index of the model that the call uses. An index that is out of range means the last model.
    pub model: usize,
}

/// Many calls at the same instant, at regular intervals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The number of calls.
    pub calls: u32,
    /// The interval between two bursts. The first burst comes one interval after the start.
    pub every: Duration,
}

impl Traffic {
    /// Returns the approximate number of calls that arrive independently of responses.
    pub(super) fn expected_calls(&self) -> f64 {
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

    /// Returns the number of callers in a closed loop.
    pub(super) fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Callers(callers) => callers,
            _ => 0,
        }
    }
}
