//! Durations in scenarios, written in JSON as a number of seconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::scenario::ScenarioError;

/// The longest duration that a scenario accepts, so that sums of durations cannot overflow.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// A duration that deserializes from a number of seconds.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Seconds(#[serde(deserialize_with = "deserialize")] pub(crate) Duration);

/// Deserializes a duration from a number of seconds, 0 to [`MAX_DURATION`].
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{seconds} seconds are out of range; give 0 to a year"
            ))
        })
}

/// As [`deserialize`], for an optional field.
pub(crate) fn deserialize_some<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// Rejects a duration above [`MAX_DURATION`] in a scenario that was built in Rust.
pub(crate) fn validate(place: &str, duration: Duration) -> Result<(), ScenarioError> {
    if duration > MAX_DURATION {
        return Err(ScenarioError::new(format!(
            "{place} has a duration of more than a year; give a shorter one"
        )));
    }
    Ok(())
}
