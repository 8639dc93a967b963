//! Durations in scenarios, which are numbers of seconds in JSON.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::scenario::ScenarioError;

/// The longest duration that a scenario accepts: a year of 366 days. The bound keeps sums of durations from
/// overflowing.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// A duration that deserializes from a number of seconds.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Seconds(#[serde(deserialize_with = "deserialize")] pub(crate) Duration);

/// Deserializes a duration from a number of seconds, from 0 to [`MAX_DURATION`] inclusive.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{seconds} seconds are out of range; give 0 to 31622400 (366 days)"
            ))
        })
}

/// Deserializes the duration of an optional field that is present, in the same way as [`deserialize`].
pub(crate) fn deserialize_some<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// Returns an error if `duration` is longer than [`MAX_DURATION`], which is possible in a scenario that was built in
/// Rust.
pub(crate) fn validate(place: &str, duration: Duration) -> Result<(), ScenarioError> {
    if duration > MAX_DURATION {
        return Err(ScenarioError::new(format!(
            "{place} has a duration of more than a year; give at most 366 days"
        )));
    }
    Ok(())
}
