//! The provider's time.
//!
//! It is tokio's, so that it stands still and jumps with the rest in a test with paused time; dates are told by it too,
//! as wrong as the scenario wants them.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A clock that started with the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// What the provider's calendar said then.
    date: SystemTime,
}

impl Clock {
    /// Starts now; `skew` is how many seconds the provider's calendar is fast, or slow if below 0.
    pub(crate) fn start(skew: f64) -> Self {
        Self {
            started: Instant::now(),
            date: skewed(SystemTime::now(), skew),
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The date, as far as the provider knows.
    pub(crate) fn date(&self) -> SystemTime {
        self.date + self.elapsed()
    }
}

/// A skew that leaves the calendar is none; scenarios are checked for it.
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
    async fn paused_time_stands_still_and_jumps() {
        let clock = Clock::start(0.0);
        let date = clock.date();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
        assert_eq!(clock.date(), date + Duration::from_secs(3600));
    }

    #[test]
    fn a_skew_goes_both_ways() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(skewed(date, 1.5), date + Duration::from_millis(1500));
        assert_eq!(skewed(date, -1.5), date - Duration::from_millis(1500));
    }
}
