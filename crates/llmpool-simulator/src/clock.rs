//! The simulator's clock. The clock is based on tokio's clock, so tests can pause and advance the time. Its
//! dates include the clock skew that the scenario configures.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A clock that starts when the simulator starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// The simulator's date and time at `started`, including the clock skew.
    date: SystemTime,
}

impl Clock {
    /// Starts the clock now. `skew` is the number of seconds by which the simulator's dates are ahead of the
    /// real time; a negative `skew` means that the dates are behind.
    pub(crate) fn start(skew: f64) -> Self {
        Self {
            started: Instant::now(),
            date: skewed(SystemTime::now(), skew),
        }
    }

    /// Returns the time since the clock started.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the simulator's current date and time, including the clock skew.
    pub(crate) fn date(&self) -> SystemTime {
        self.date + self.elapsed()
    }
}

/// Returns `date` plus `skew` seconds, or `date` unchanged if the sum is not representable. Scenario validation limits
/// the skew to a year.
fn skewed(date: SystemTime, skew: f64) -> SystemTime {
    let distance = Duration::try_from_secs_f64(skew.abs()).unwrap_or_default();
    let skewed = if skew < 0.0 {
        date.checked_sub(distance)
    } else {
        date.checked_add(distance)
    };
    skewed.unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clock_follows_paused_time() {
        let clock = Clock::start(0.0);
        let date = clock.date();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
        assert_eq!(clock.date(), date + Duration::from_secs(3600));
    }

    #[test]
    fn skew_can_be_positive_or_negative() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(skewed(date, 1.5), date + Duration::from_millis(1500));
        assert_eq!(skewed(date, -1.5), date - Duration::from_millis(1500));
    }
}
