//! A probability distribution for latencies and token counts, which vary from call to call.

use crate::seeded_rng::SeededRng;

/// The 95th percentile of the standard normal distribution.
const NORMAL_P95: f64 = 1.644_853_626_951_472_2;

/// A log-normal distribution or a constant. Latencies and output lengths are often log-normal: most values
/// are below the mean, and a few are far above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogNormal {
    mean: f64,
    /// The standard deviation of the natural logarithm of the values. Zero if the distribution is a constant.
    deviation: f64,
}

impl LogNormal {
    /// Creates a constant: a distribution in which every value is `amount`.
    pub const fn fixed(amount: f64) -> Self {
        Self {
            mean: amount,
            deviation: 0.0,
        }
    }

    /// Creates a log-normal distribution with the given mean and 95th percentile.
    ///
    /// Returns `None` if the numbers are out of range: `mean` must be positive, and `p95` must be at least
    /// `mean` and at most about `3.8 * mean`.
    pub fn with_p95(mean: f64, p95: f64) -> Option<Self> {
        let ratio = p95 / mean;
        let discriminant = NORMAL_P95 * NORMAL_P95 - 2.0 * ratio.ln();
        (mean > 0.0 && ratio >= 1.0 && discriminant >= 0.0).then(|| Self {
            mean,
            deviation: NORMAL_P95 - discriminant.sqrt(),
        })
    }

    /// Returns the mean of the distribution.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    pub(super) fn sample(&self, rng: &mut SeededRng) -> f64 {
        if self.deviation == 0.0 {
            return self.mean;
        }
        // The Box-Muller transform yields a normally distributed number.
        let (radius, angle) = (1.0 - rng.next_f64(), rng.next_f64());
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
    /// Creates a constant whose value is the duration in seconds.
    fn from(duration: std::time::Duration) -> Self {
        Self::fixed(duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_the_given_mean_and_p95() {
        for (mean, p95) in [(2.0, 5.0), (300.0, 310.0), (1.0, 3.8)] {
            let distribution = LogNormal::with_p95(mean, p95).unwrap();
            let mut rng = SeededRng::new(3);
            let mut samples: Vec<f64> = (0..200_000).map(|_| distribution.sample(&mut rng)).collect();
            let average = samples.iter().sum::<f64>() / samples.len() as f64;
            samples.sort_by(f64::total_cmp);
            let tail = samples[samples.len() * 95 / 100];
            assert!((average / mean - 1.0).abs() < 0.03, "{average} for {mean}");
            assert!((tail / p95 - 1.0).abs() < 0.03, "{tail} for {p95}");
            assert!(samples[0] > 0.0);
        }
    }

    #[test]
    fn impossible_mean_and_p95_are_rejected() {
        for (mean, p95) in [(2.0, 1.9), (1.0, 3.9), (0.0, 1.0), (1.0, f64::NAN)] {
            assert_eq!(LogNormal::with_p95(mean, p95), None, "{mean}:{p95}");
        }
        let constant = LogNormal::with_p95(2.0, 2.0).unwrap();
        assert_eq!(constant.sample(&mut SeededRng::new(1)), 2.0);
    }
}
