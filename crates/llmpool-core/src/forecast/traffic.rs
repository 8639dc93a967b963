//! The traffic of a forecast: the arrivals, the latencies and the token counts of the simulated calls.

use std::time::Duration;

use super::log_normal::LogNormal;

/// The description of the calls in a span of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// The times at which calls arrive.
    pub arrivals: Arrivals,
    /// Additional calls in regular bursts; `None` for no bursts.
    pub burst: Option<Burst>,
    /// The duration during which calls arrive, from the start of the forecast.
    pub span: Duration,
    /// The time from admission to the complete response, in seconds. Not used for recorded calls that state their own latency.
    pub latency: LogNormal,
    /// The number of tokens of a prompt. Not used for recorded calls that state their own number.
    pub prompt_tokens: LogNormal,
    /// The number of tokens of a response. Not used for recorded calls that state their own number.
    pub output_tokens: LogNormal,
    /// The number of output tokens that a call reserves if a limit counts tokens. `None` means the
    /// [`expected_output`](super::ModelSetup::expected_output) of the model.
    pub expected_output: Option<u32>,
    /// The maximum time that a call waits for admission. A call that cannot be admitted within this time is rejected.
    pub patience: Duration,
    /// The seed of all random choices. The same seed produces the same calls.
    pub seed: u64,
}

/// The times at which calls arrive.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// A Poisson process: independent arrivals at an average rate.
    Random {
        /// The average number of calls per second.
        per_second: f64,
    },
    /// Arrivals at equal intervals.
    Even {
        /// The number of calls per second.
        per_second: f64,
    },
    /// A closed loop of the given number of callers. Each caller sends its next call when the response to the previous call is complete, or
    /// one second after a rejection.
    Callers(u32),
    /// Recorded calls in any order. Calls that arrive after the span are omitted.
    Recorded(Vec<RecordedCall>),
}

/// A recorded call. A field that is `None` is drawn from the distribution in [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordedCall {
    /// The time of the arrival, from the start of the forecast.
    pub at: Duration,
    /// The number of tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// The number of tokens of the response.
    pub output_tokens: Option<u32>,
    /// The time from the admission of the call to the complete response.
    pub latency: Option<Duration>,
    /// The id of the caller. Admission is fair between the callers that wait.
    pub caller: u64,
    /// The zero-based index of the model that the call uses. An index that is out of range means the last model.
    pub model: usize,
}

/// Bursts at regular intervals. The calls of a burst arrive at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The number of calls in each burst.
    pub calls: u32,
    /// The interval between two bursts. The first burst arrives one interval after the start of the forecast.
    pub every: Duration,
}

impl Traffic {
    /// Returns the approximate number of calls that arrive independently of responses: all calls except those of a closed loop.
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

    /// Returns the number of callers in the closed loop; 0 if the arrivals are not a closed loop.
    pub(super) fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Callers(callers) => callers,
            _ => 0,
        }
    }
}
