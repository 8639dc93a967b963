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
/// A time is parsed as by [`parse_timestamp`]. The wait then lasts from `now` (a duration since the Unix
/// epoch) to that time, and is zero if the time is in the past. If `now` is `None`, only a text that states
/// the duration is accepted.
pub(crate) fn parse_wait(text: &str, now: Option<Duration>) -> Option<Duration> {
    match parse_timestamp(text) {
        Some(end) => plausible_wait(end.saturating_sub(now?)),
        None => parse_duration(text),
    }
}

/// Parses a time and returns the duration since the Unix epoch. The time is an HTTP date, an RFC 3339 date, or
/// a number of seconds or milliseconds since the Unix epoch. A number up to 10^9 is not a time.
pub(crate) fn parse_timestamp(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) if number > 1e12 => Duration::try_from_secs_f64(number / 1e3).ok(),
        Ok(number) if number > 1e9 => Duration::try_from_secs_f64(number).ok(),
        Ok(_) => None,
        Err(_) => parse_http_date(text).or_else(|| parse_rfc3339(text)),
    }
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

/// Parses an RFC 3339 date such as `2026-01-02T03:04:05Z` or `2026-01-02T11:04:05.5+08:00`, and returns the
/// duration since the Unix epoch. Ignores fractions of a second. Returns `None` for a date without an offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Duration> {
    let part = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let offset = parse_utc_offset(text.get(19..)?)?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since the Unix epoch in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
        .ok()
        .map(Duration::from_secs)
}

/// Parses the end of an RFC 3339 date: an optional fraction of a second and the offset, `Z` or `+08:00`.
/// Returns the offset in seconds.
fn parse_utc_offset(text: &str) -> Option<i64> {
    let offset = match text.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => text,
    };
    if matches!(offset, "Z" | "z") {
        return Some(0);
    }
    let sign = match offset.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = offset[1..].split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok())?
    };
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}
