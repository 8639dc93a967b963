//! What would be enough: found by trying, with the same forecast.

use std::process::ExitCode;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Forecast, Traffic};

use super::setup::{Setup, Unforetold};

/// More calls than these are not tried twenty times over.
const MOST_CALLS: u64 = 200_000;
const MOST_KEYS: usize = 4096;
const MOST_CAPACITY: usize = 1 << 20;
/// A rate has to be above the average, or what piles up by chance is never worked off.
const HEADROOM: f64 = 1.25;

/// What would be enough for 99 of 100 calls of a model to wait no longer than wanted, and for none to be turned away.
pub(super) enum Advice {
    /// The file as it is, and as it would be with only so many of its keys.
    Enough { keys: usize },
    /// These instead.
    Change(Box<Change>),
    /// No number of keys and no rate: something else binds, as this forecast without them shows.
    Elsewhere(Box<Forecast>),
    /// It would take too long to find out.
    Unknown,
}

/// What to change.
pub(super) struct Change {
    /// So many keys like the first, each with an account of its own.
    pub(super) keys: usize,
    /// The model's own rate: so many at once.
    pub(super) capacity: u32,
    /// And so many a second.
    pub(super) refill_rate: f64,
    /// What becomes of the traffic then.
    pub(super) forecast: Forecast,
}

impl Advice {
    /// For one of the models, as long as the others stay as they are.
    pub(super) fn seek(
        setup: &Setup,
        at: usize,
        traffic: &Traffic,
        now: &Forecast,
        wait: Duration,
    ) -> Result<Self, ExitCode> {
        if now.offered > MOST_CALLS {
            return Ok(Self::Unknown);
        }
        let search = Search {
            setup,
            at,
            traffic,
            wait,
        };
        match search.run(now) {
            Ok(advice) => Ok(advice),
            Err(Unforetold::TooManyCalls(_)) => Ok(Self::Unknown),
            Err(wrong @ Unforetold::Wrong(_)) => Err(wrong.ended()),
        }
    }
}

struct Search<'a> {
    setup: &'a Setup,
    at: usize,
    traffic: &'a Traffic,
    wait: Duration,
}

impl Search<'_> {
    fn run(&self, now: &Forecast) -> Result<Advice, Unforetold> {
        let (setup, at) = (self.setup, self.at);
        if self.is_enough(now) {
            let present = setup.model(at).map_or(1, |model| model.api_keys.len());
            let keys = least(present, |keys| self.try_out(&setup.with_keys(at, keys)))?;
            let keys = keys.unwrap_or(present);
            return Ok(Advice::Enough { keys });
        }
        let free = setup.with_rate(at, None);
        let Some(keys) = least(MOST_KEYS, |keys| self.try_out(&free.with_keys(at, keys)))? else {
            let unbound = self.forecast(&free.with_keys(at, MOST_KEYS))?;
            return Ok(Advice::Elsewhere(Box::new(unbound)));
        };
        let refill_rate = rounded_up(self.average(&self.forecast(&free.with_keys(at, keys))?) * HEADROOM);
        let many = setup.with_keys(at, keys);
        let with_capacity = |capacity: usize| many.with_rate(at, Some((capacity as u32, refill_rate)));
        let capacity = least(MOST_CAPACITY, |capacity| self.try_out(&with_capacity(capacity)))?;
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

    fn forecast(&self, setup: &Setup) -> Result<Forecast, Unforetold> {
        Ok(setup.forecast(self.traffic)?.swap_remove(self.at))
    }

    fn try_out(&self, setup: &Setup) -> Result<bool, Unforetold> {
        Ok(self.is_enough(&self.forecast(setup)?))
    }

    fn is_enough(&self, told: &Forecast) -> bool {
        told.rejected.total() == 0 && told.wait_quantile(0.99) <= self.wait
    }

    /// Calls a second: of callers as many as they make when nothing keeps them waiting.
    fn average(&self, unbound: &Forecast) -> f64 {
        match self.traffic.arrivals {
            Arrivals::Callers(_) => unbound.goodput(),
            _ => unbound.offered as f64 / unbound.span.as_secs_f64(),
        }
    }
}

/// To three digits, or to whole numbers where these are more.
fn rounded_up(rate: f64) -> f64 {
    let digits = 2 - rate.log10().floor() as i32;
    let scale = 10_f64.powi(digits.max(0));
    (rate * scale).ceil() / scale
}

/// The least number up to `most` that is enough, where more is never less.
fn least<E>(most: usize, is_enough: impl Fn(usize) -> Result<bool, E>) -> Result<Option<usize>, E> {
    let (mut too_few, mut enough) = (0, 1);
    while !is_enough(enough)? {
        if enough >= most {
            return Ok(None);
        }
        too_few = enough;
        enough = (enough * 2).min(most);
    }
    while too_few + 1 < enough {
        let middle = too_few.midpoint(enough);
        if is_enough(middle)? {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Ok(Some(enough))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_is_enough_is_found() {
        for wanted in [1, 2, 3, 7, 8, 9, 65, 100] {
            let found = least(100, |number| Ok::<_, ()>(number >= wanted));
            assert_eq!(found, Ok(Some(wanted)));
        }
        assert_eq!(least(100, |_| Ok::<_, ()>(false)), Ok(None));
    }

    #[test]
    fn rates_are_rounded_up_to_three_digits_and_print_so() {
        for (rate, rounded) in [
            (0.123_41, "0.124"),
            (25.0, "25"),
            (25.01, "25.1"),
            (6.594, "6.6"),
            (1234.5, "1235"),
        ] {
            assert_eq!(rounded_up(rate).to_string(), rounded);
        }
    }
}
