//! The traffic of a forecast: when the simulated calls arrive, how long their responses take, and how many
//! tokens they use.

use std::time::Duration;

use super::log_normal::LogNormal;

/// A description of the calls to simulate in a forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// The arrival times of all calls that do not belong to a [`burst`](Traffic::burst).
    pub arrivals: Arrivals,
    /// Additional calls that arrive in regular bursts. `None` if there are no bursts.
    pub burst: Option<Burst>,
    /// The length of the period in which calls arrive, from the start of the forecast.
    pub span: Duration,
    /// The distribution of latencies in seconds. A latency is the time from the admission of a call to its
    /// complete response. Not used for recorded calls with a recorded latency.
    pub latency: LogNormal,
    /// The distribution of prompt lengths in tokens. Not used for recorded calls with a recorded prompt
    /// length.
    pub prompt_tokens: LogNormal,
    /// The distribution of response lengths in tokens. Not used for recorded calls with a recorded response
    /// length.
    pub output_tokens: LogNormal,
    /// The number of output tokens that each call reserves if a limit counts tokens. `None` means the
    /// [`expected_output`](super::ModelSetup::expected_output) of the call's model.
    pub expected_output: Option<u32>,
    /// The maximum time that a call waits for admission. A call that cannot be admitted within this time is
    /// rejected.
    pub patience: Duration,
    /// The seed of all random values. The same seed produces the same calls.
    pub seed: u64,
}

/// The rule that determines when calls arrive.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// A Poisson process: calls arrive independently of each other, at an average rate.
    Random {
        /// The average number of calls per second.
        per_second: f64,
    },
    /// Calls arrive at equal intervals, the first at the start of the forecast.
    Even {
        /// The number of calls per second.
        per_second: f64,
    },
    /// A closed loop with the given number of callers. Each caller sends its next call when the response to
    /// its previous call is complete, or one second after its previous call was rejected.
    Callers(u32),
    /// Recorded calls, in any order. Calls that arrive after the end of the span are omitted.
    Recorded(Vec<RecordedCall>),
}

/// A recorded call. If a field is `None`, the value is drawn from the distribution of the same name in
/// [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordedCall {
    /// The arrival time of the call, measured from the start of the forecast.
    pub at: Duration,
    /// The number of tokens in the prompt. `None` means a random number from [`Traffic::prompt_tokens`].
    pub prompt_tokens: Option<u32>,
    /// The number of tokens in the response. `None` means a random number from [`Traffic::output_tokens`].
    pub output_tokens: Option<u32>,
    /// The time from the admission of the call to its complete response. `None` means a random time from
    /// [`Traffic::latency`].
    pub latency: Option<Duration>,
    /// The id of the caller that sends the call. Callers that wait at the same time are admitted equally
    /// often.
    pub caller: u64,
    /// The zero-based index of the model that the call uses. An index out of range selects the last model.
    pub model: usize,
}

/// Bursts of calls at regular intervals. All calls of a burst arrive at the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// The number of calls in each burst.
    pub calls: u32,
    /// The time from one burst to the next, and from the start of the forecast to the first burst.
    pub every: Duration,
}

impl Traffic {
    /// Returns the approximate number of calls that are not part of a closed loop. (In a closed loop, the
    /// number of calls depends on the responses.)
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

    /// Returns the number of callers in the closed loop, or 0 if the traffic has no closed loop.
    pub(super) fn callers(&self) -> u32 {
        match self.arrivals {
            Arrivals::Callers(callers) => callers,
            _ => 0,
        }
    }
}
