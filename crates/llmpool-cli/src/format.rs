//! Formats numbers and durations for output.

use std::time::Duration;

/// Formats a count with its noun, as in `1 line` and `2 lines`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        several => format!("{several} {noun}s"),
    }
}

/// Converts a duration to seconds for JSON output, rounded to milliseconds.
pub(crate) fn json_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e3).round() / 1e3
}
