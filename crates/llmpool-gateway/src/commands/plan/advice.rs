//! What would be enough: found by trying, with the same forecast.

use std::process::ExitCode;
use std::time::Duration;

use llmpool::forecast::{Arrivals, Forecast, Traffic};

use super::setup::Setup;

/// More calls than these are not tried twenty times over.
const MOST_CALLS: f64 = 200_000.0;
const MOST_KEYS: usize = 4096;
const MOST_CAPACITY: usize = 1 << 20;
/// A rate has to be above the average, or what piles up by chance is never worked off.
const HEADROOM: f64 = 1.25;

/// What would be enough for 99 of 100 calls to wait no longer than wanted, and for none to be turned away.
pub(super) enum Advice {
    /// The file as it is.
    Enough,
    /// These instead.
    Change(Change),
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
    pub(super) fn seek(
        setup: &Setup,
        traffic: &Traffic,
        now: &Forecast,
        wait: Duration,
    ) -> Result<Self, ExitCode> {
        let is_enough = |told: &Forecast| told.shed.total() == 0 && told.wait(0.99) <= wait;
        if is_enough(now) {
            return Ok(Self::Enough);
        }
        if now.offered as f64 > MOST_CALLS || traffic.calls() > MOST_CALLS {
            return Ok(Self::Unknown);
        }
        let free = setup.with_rate(None);
        let keys = least(MOST_KEYS, |keys| {
            Ok(is_enough(&free.with_keys(keys).forecast(traffic)?))
        })?;
        let Some(keys) = keys else {
            let unbound = free.with_keys(MOST_KEYS).forecast(traffic)?;
            return Ok(Self::Elsewhere(Box::new(unbound)));
        };
        let refill_rate = rounded_up(average(traffic, &free.with_keys(keys).forecast(traffic)?) * HEADROOM);
        let many = setup.with_keys(keys);
        let capacity = least(MOST_CAPACITY, |capacity| {
            let rate = Some((capacity as u32, refill_rate));
            Ok(is_enough(&many.with_rate(rate).forecast(traffic)?))
        })?;
        let Some(capacity) = capacity else {
            return Ok(Self::Unknown);
        };
        let capacity = capacity as u32;
        let forecast = many.with_rate(Some((capacity, refill_rate))).forecast(traffic)?;
        Ok(Self::Change(Change {
            keys,
            capacity,
            refill_rate,
            forecast,
        }))
    }
}

/// Calls a second: of callers as many as they make when nothing keeps them waiting.
fn average(traffic: &Traffic, unbound: &Forecast) -> f64 {
    match traffic.arrivals {
        Arrivals::Callers(_) => unbound.goodput(),
        _ => unbound.offered as f64 / unbound.span.as_secs_f64(),
    }
}

/// To three digits.
fn rounded_up(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 2.0);
    (rate / unit).ceil() * unit
}

/// The least number up to `most` that is enough, where more is never less.
fn least(
    most: usize,
    is_enough: impl Fn(usize) -> Result<bool, ExitCode>,
) -> Result<Option<usize>, ExitCode> {
    let (mut too_few, mut enough) = (0, 1);
    while !is_enough(enough)? {
        too_few = enough;
        enough *= 2;
        if enough > most {
            return Ok(None);
        }
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
        for wanted in [1, 2, 3, 7, 8, 9, 100] {
            assert_eq!(
                least(100, |number| Ok(number >= wanted)).unwrap(),
                Some(wanted.min(100)).filter(|_| wanted <= 64)
            );
        }
        assert_eq!(least(100, |_| Ok(false)).unwrap(), None);
    }

    #[test]
    fn rates_are_rounded_up_to_three_digits() {
        for (rate, rounded) in [(0.123_41, 0.124), (25.0, 25.0), (25.01, 25.1), (1234.5, 1240.0)] {
            assert!((rounded_up(rate) - rounded).abs() < 1e-9, "{rate}");
        }
    }
}
