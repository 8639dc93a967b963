//! Parses durations and timestamps in the notations that providers use in headers and error bodies.
//!
//! Timestamps are returned as durations since the Unix epoch. All functions return `None` for an unknown
//! notation, and for waits of more than 366 days.

use std::time::Duration;

/// The longest plausible wait: 366 days. A longer wait is treated as a misread value.
const MAX_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// Parses a wait and returns its duration. The text states either the duration or the time at which the wait
/// ends.
///
/// The end can be an HTTP date, an RFC 3339 date in UTC, or a number of seconds or milliseconds since the
/// Unix epoch. The wait then lasts from `now` (a duration since the Unix epoch) to the end, and is zero if
/// the end is in the past. If `now` is `None`, only a text that states the duration is accepted.
pub(crate) fn parse_wait(text: &str, now: Option<Duration>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && number > 1e9
    {
        let epoch = if number > 1e12 { number / 1e3 } else { number };
        return plausible_wait(Duration::try_from_secs_f64(epoch).ok()?.saturating_sub(now?));
    }
    if let Some(wait) = parse_duration(text) {
        return Some(wait);
    }
    let timestamp = parse_http_date(text).or_else(|| parse_rfc3339(text))?;
    plausible_wait(timestamp.saturating_sub(now?))
}

/// Parses a duration in seconds (`2`, `0.5`) or in Go's notation (`1h2m3.5s`, `20ms`). Returns zero if the
/// number of seconds is negative.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() {
            return None;
        }
        return plausible_wait(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    if text.is_empty() {
        return None;
    }
    plausible_wait(Duration::try_from_secs_f64(total).ok()?)
}

/// Returns `wait`, or `None` if `wait` is longer than [`MAX_WAIT`].
pub(crate) fn plausible_wait(wait: Duration) -> Option<Duration> {
    Some(wait).filter(|wait| *wait <= MAX_WAIT)
}

/// Parses an HTTP date such as `Fri, 02 Jan 2026 03:04:15 GMT`, and returns the duration since the Unix
/// epoch. Returns `None` for a date before 1970.
pub(crate) fn parse_http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text.trim())
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
}

/// Parses an RFC 3339 date in UTC such as `2026-01-02T03:04:05Z`, and returns the duration since the Unix
/// epoch. Ignores fractions of a second. Returns `None` if the offset is not `Z`, because no known provider
/// sends another offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Duration> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !text.ends_with(['Z', 'z']) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since the Unix epoch in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second)
        .ok()
        .map(Duration::from_secs)
}
