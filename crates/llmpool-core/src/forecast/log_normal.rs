//! Amounts that differ from call to call.

use crate::routing::retry::SeededRng;

/// The 95th of a hundred parts of a normal distribution, in deviations.
const P95: f64 = 1.644_853_626_951_472_2;

/// An amount: always the same, or with a long tail, as times and lengths of answers have (log-normal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    mean: f64,
    /// Of the logarithm; 0 where it is always the same.
    deviation: f64,
}

impl LogNormal {
    /// Always this.
    pub const fn fixed(amount: f64) -> Self {
        Self {
            mean: amount,
            deviation: 0.0,
        }
    }

    /// This on average, and less than `p95` in 95 of 100 cases. `None` unless `p95` is at least the mean and at most 3.8 times as much:
    /// there is no such distribution otherwise.
    pub fn tailed(mean: f64, p95: f64) -> Option<Self> {
        let ratio = p95 / mean;
        let rest = P95 * P95 - 2.0 * ratio.ln();
        (mean > 0.0 && ratio >= 1.0 && rest >= 0.0).then(|| Self {
            mean,
            deviation: P95 - rest.sqrt(),
        })
    }

    /// What it is on average.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn draw(&self, chance: &mut SeededRng) -> f64 {
        if self.deviation == 0.0 {
            return self.mean;
        }
        // Box and Muller.
        let (radius, angle) = (1.0 - chance.fraction(), chance.fraction());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        self.mean * (self.deviation * (normal - self.deviation / 2.0)).exp()
    }
}

impl From<u32> for LogNormal {
    fn from(amount: u32) -> Self {
        Self::fixed(f64::from(amount))
    }
}

impl From<std::time::Duration> for LogNormal {
    /// In seconds.
    fn from(span: std::time::Duration) -> Self {
        Self::fixed(span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_tail_are_as_asked_for() {
        for (mean, p95) in [(2.0, 5.0), (300.0, 310.0), (1.0, 3.8)] {
            let spread = LogNormal::tailed(mean, p95).unwrap();
            let mut chance = SeededRng::new(3);
            let mut drawn: Vec<f64> = (0..200_000).map(|_| spread.draw(&mut chance)).collect();
            let average = drawn.iter().sum::<f64>() / drawn.len() as f64;
            drawn.sort_by(f64::total_cmp);
            let tail = drawn[drawn.len() * 95 / 100];
            assert!((average / mean - 1.0).abs() < 0.03, "{average} for {mean}");
            assert!((tail / p95 - 1.0).abs() < 0.03, "{tail} for {p95}");
            assert!(drawn[0] > 0.0);
        }
    }

    #[test]
    fn what_no_distribution_has_is_refused() {
        for (mean, p95) in [(2.0, 1.9), (1.0, 3.9), (0.0, 1.0), (1.0, f64::NAN)] {
            assert_eq!(LogNormal::tailed(mean, p95), None, "{mean}:{p95}");
        }
        let same = LogNormal::tailed(2.0, 2.0).unwrap();
        assert_eq!(same.draw(&mut SeededRng::new(1)), 2.0);
    }
}
