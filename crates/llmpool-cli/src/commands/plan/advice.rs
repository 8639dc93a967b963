//! Searches for the rate limit and the number of keys that a model needs, by repeated simulation.

use std::process::ExitCode;
use std::time::Duration;

use llmpool::RateLimit;
use llmpool::forecast::{Arrivals, Forecast, Traffic};

use super::plan_setup::{ForecastError, PlanSetup};

/// Maximum number of calls in the current forecast for the model. With more calls, the search is skipped,
/// because it consists of about twenty simulations and would take too long.
const MAX_CALLS: u64 = 200_000;
const MAX_KEYS: usize = 4096;
const MAX_CAPACITY: usize = 1 << 20;
/// The ratio of the recommended rate to the average rate of calls. It is greater than 1, because at the
/// average rate a queue that builds up by chance never empties.
const HEADROOM: f64 = 1.25;

/// The result of the search. A configuration is sufficient for a model if none of the model's calls is
/// rejected and 99 % of them wait no longer than the target.
pub(super) enum Advice {
    /// The current configuration is sufficient. `keys` is the smallest number of keys with which it is still
    /// sufficient.
    Sufficient { keys: usize },
    /// The current configuration is not sufficient, but the contained one is.
    Change(Box<Change>),
    /// More keys and a higher rate limit do not help, because of another limit. The contained forecast, which
    /// has the maximum number of keys and no rate limit, shows the other limit.
    OtherLimit(Box<Forecast>),
    /// The search was skipped or gave up, because the traffic has too many calls or needs too large a burst.
    Unknown,
}

/// A recommended configuration, which is sufficient for the model.
pub(super) struct Change {
    /// The number of keys. Keys beyond the configured number have the limits of the first key and separate
    /// accounts.
    pub(super) keys: usize,
    /// The burst size of the model's rate limit, in requests.
    pub(super) capacity: u32,
    /// The refill rate of the model's rate limit, in requests per second.
    pub(super) refill_rate: f64,
    /// The forecast for the model with the recommended configuration.
    pub(super) forecast: Forecast,
}

impl Advice {
    /// Searches for a sufficient configuration of the planned model at `index`. Does not change the other
    /// models. `current` is the forecast for the model with its current configuration.
    pub(super) fn find(
        setup: &PlanSetup,
        index: usize,
        traffic: &Traffic,
        current: &Forecast,
        target_wait: Duration,
    ) -> Result<Self, ExitCode> {
        if current.offered > MAX_CALLS {
            return Ok(Self::Unknown);
        }
        let search = AdviceSearch {
            setup,
            index,
            traffic,
            target_wait,
        };
        match search.run(current) {
            Ok(advice) => Ok(advice),
            Err(ForecastError::TooManyCalls(_)) => Ok(Self::Unknown),
            Err(error @ ForecastError::Invalid(_)) => Err(error.exit()),
        }
    }
}

struct AdviceSearch<'a> {
    setup: &'a PlanSetup,
    index: usize,
    traffic: &'a Traffic,
    target_wait: Duration,
}

impl AdviceSearch<'_> {
    fn run(&self, current: &Forecast) -> Result<Advice, ForecastError> {
        let (setup, index) = (self.setup, self.index);
        if self.is_sufficient(current) {
            let configured = setup.entry(index).map_or(1, |model| model.api_keys.len());
            let keys = smallest(configured, |keys| self.simulate(&setup.with_keys(index, keys)))?;
            let keys = keys.unwrap_or(configured);
            return Ok(Advice::Sufficient { keys });
        }
        let unlimited = setup.with_rate(index, None);
        let Some(keys) = smallest(MAX_KEYS, |keys| self.simulate(&unlimited.with_keys(index, keys)))? else {
            let forecast = self.forecast(&unlimited.with_keys(index, MAX_KEYS))?;
            return Ok(Advice::OtherLimit(Box::new(forecast)));
        };
        let average = self.average_rate(&self.forecast(&unlimited.with_keys(index, keys))?);
        let refill_rate = round_up(average * HEADROOM);
        let with_keys = setup.with_keys(index, keys);
        let with_capacity =
            |capacity: usize| with_keys.with_rate(index, RateLimit::new(capacity as u32, refill_rate).ok());
        let capacity = smallest(MAX_CAPACITY, |capacity| self.simulate(&with_capacity(capacity)))?;
        let Some(capacity) = capacity else {
            return Ok(Advice::Unknown);
        };
        Ok(Advice::Change(Box::new(Change {
            keys,
            capacity: capacity as u32,
            refill_rate,
            forecast: self.forecast(&with_capacity(capacity))?,
        })))
    }

    fn forecast(&self, setup: &PlanSetup) -> Result<Forecast, ForecastError> {
        Ok(setup.forecast(self.traffic)?.swap_remove(self.index))
    }

    /// Simulates the traffic, and returns whether the setup is sufficient for the model.
    fn simulate(&self, setup: &PlanSetup) -> Result<bool, ForecastError> {
        Ok(self.is_sufficient(&self.forecast(setup)?))
    }

    fn is_sufficient(&self, forecast: &Forecast) -> bool {
        forecast.rejected.total() == 0 && forecast.wait_quantile(0.99) <= self.target_wait
    }

    /// Returns the average number of calls per second. For a fixed number of callers, this is the rate at
    /// which they call if they never wait for a rate limit.
    fn average_rate(&self, unlimited: &Forecast) -> f64 {
        match self.traffic.arrivals {
            Arrivals::Callers(_) => unlimited.goodput(),
            _ => unlimited.offered as f64 / unlimited.span.as_secs_f64(),
        }
    }
}

/// Rounds up to three significant digits. Rounds rates above 1000 up to the next integer.
fn round_up(rate: f64) -> f64 {
    let digits = 2 - rate.log10().floor() as i32;
    let scale = 10_f64.powi(digits.max(0));
    (rate * scale).ceil() / scale
}

/// Returns the smallest sufficient number from 1 to `max`, or `None` if no number is sufficient. Uses binary
/// search, which requires that every number above a sufficient number is sufficient too.
fn smallest<E>(max: usize, is_sufficient: impl Fn(usize) -> Result<bool, E>) -> Result<Option<usize>, E> {
    let (mut too_small, mut sufficient) = (0, 1);
    while !is_sufficient(sufficient)? {
        if sufficient >= max {
            return Ok(None);
        }
        too_small = sufficient;
        sufficient = (sufficient * 2).min(max);
    }
    while too_small + 1 < sufficient {
        let middle = too_small.midpoint(sufficient);
        if is_sufficient(middle)? {
            sufficient = middle;
        } else {
            too_small = middle;
        }
    }
    Ok(Some(sufficient))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_sufficient_number_is_found() {
        for expected in [1, 2, 3, 7, 8, 9, 65, 100] {
            let found = smallest(100, |number| Ok::<_, ()>(number >= expected));
            assert_eq!(found, Ok(Some(expected)));
        }
        assert_eq!(smallest(100, |_| Ok::<_, ()>(false)), Ok(None));
    }

    #[test]
    fn rate_is_rounded_up_to_three_digits() {
        for (rate, rounded) in [
            (0.123_41, "0.124"),
            (25.0, "25"),
            (25.01, "25.1"),
            (6.594, "6.6"),
            (1234.5, "1235"),
        ] {
            assert_eq!(round_up(rate).to_string(), rounded);
        }
    }
}
