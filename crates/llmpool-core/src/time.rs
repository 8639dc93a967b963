//! Timestamps as plain numbers, so that functions can receive the current time as an argument instead of
//! reading a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in nanoseconds since an origin that the program chooses. In the `llmpool` crate, the
/// origin is the first reading of the clock.
///
/// Arithmetic saturates. [`Timestamp::MAX`] means "never": adding a duration to [`Timestamp::MAX`] returns
/// [`Timestamp::MAX`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The origin, from which all timestamps are measured.
    pub const ZERO: Self = Self(0);
    /// The latest possible time, which stands for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Creates the timestamp that is `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the number of nanoseconds from the origin to this time.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the duration from `earlier` to this time, or zero if `earlier` is later than this time.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time that is `nanos` nanoseconds later, but at most [`Timestamp::MAX`].
    pub const fn saturating_add_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Returns the time that is `nanos` nanoseconds earlier, but at least [`Timestamp::ZERO`].
    pub const fn saturating_sub_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add_nanos(nanos_of(duration))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub_nanos(nanos_of(duration))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MAX => f.write_str("never"),
            Self(nanos) => write!(f, "t+{:?}", Duration::from_nanos(nanos)),
        }
    }
}

/// Converts a duration to nanoseconds. Returns `u64::MAX` for durations of more than 584 years.
fn nanos_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_stays_never() {
        assert_eq!(Timestamp::MAX + Duration::from_secs(1), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::ZERO - Duration::from_secs(1), Timestamp::ZERO);
    }

    #[test]
    fn since_is_zero_for_the_future() {
        let later = Timestamp::ZERO + Duration::from_secs(2);
        assert_eq!(later.since(Timestamp::ZERO), Duration::from_secs(2));
        assert_eq!(Timestamp::ZERO.since(later), Duration::ZERO);
    }
}
