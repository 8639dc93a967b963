//! What providers say in headers about when to come back.

use std::time::Duration;

use crate::limits::observed_limits::{LimitSnapshot, LimitSnapshots};
use crate::provider_error::ProviderError;

/// A wait longer than this is a mistake in reading.
const LONGEST_WAIT: Duration = Duration::from_secs(366 * 86_400);

/// What the headers of an answer say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RateHeaders {
    /// How long to wait, measured from the answer.
    pub retry_after: Option<Duration>,
    /// The provider's id of the exchange.
    pub request_id: Option<String>,
}

impl RateHeaders {
    /// Reads the headers by name. Absolute times are read against the answer's own `Date`, else against `wall_now` (since 1970).
    pub fn read<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        error: Option<&ProviderError>,
        wall_now: Option<Duration>,
    ) -> Self {
        let now = get("date").and_then(http_date).or(wall_now);
        let milliseconds = || span(&format!("{}ms", get("retry-after-ms")?.trim()));
        let seconds = || get("retry-after").and_then(|text| instant_or_span(text, now));
        let body = || error?.retry_delay;
        let retry_after = milliseconds()
            .or_else(seconds)
            .or_else(body)
            .or_else(|| exhausted_reset(&get, now));
        // A quota is not back sooner because a header asks for a shorter pause.
        let renewed = error.and_then(|error| sane(error.resets_at?.saturating_sub(now?)));
        let retry_after = retry_after.max(renewed);
        let request_id = get("x-request-id")
            .or_else(|| get("request-id"))
            .map(str::to_owned);
        Self {
            retry_after,
            request_id,
        }
    }
}

/// What the headers of any answer tell of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitHeaders<'a> {
    /// What is left of the limits, where it is said and more than a quarter of one is gone.
    pub sights: Option<LimitSnapshots>,
    /// Whose account it is, where it is said.
    pub account: Option<&'a str>,
}

impl<'a> LimitHeaders<'a> {
    /// Looks at every header once. Absolute times are read against the answer's own `Date`, else against `wall_now` (since 1970).
    pub fn read(
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        wall_now: impl Fn() -> Option<Duration>,
    ) -> Self {
        Self::read_if(headers, wall_now, is_scarce)
    }

    /// As [`read`](Self::read), and the sights however much is left.
    pub fn read_all(
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        wall_now: impl Fn() -> Option<Duration>,
    ) -> Self {
        Self::read_if(headers, wall_now, |of| of[LIMIT].or(of[REMAINING]).is_some())
    }

    #[inline]
    fn read_if(
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        wall_now: impl Fn() -> Option<Duration>,
        is_of_interest: impl Fn(&[Option<&str>]) -> bool,
    ) -> Self {
        let mut account = None;
        let mut date = None;
        let mut found: [Option<&str>; 6] = [None; 6];
        for (name, value) in headers {
            // Most headers are none of these, which their first letter tells.
            if !matches!(name.as_bytes().first(), Some(b'x' | b'a' | b'o' | b'd')) {
                continue;
            }
            let place = match name {
                "openai-organization" => {
                    account = std::str::from_utf8(value).ok();
                    continue;
                }
                "date" => {
                    date = Some(value);
                    continue;
                }
                _ => place_of(name),
            };
            if let Some(place) = place {
                found[place] = std::str::from_utf8(value).ok();
            }
        }
        let now = || {
            let date = date.and_then(|date| http_date(std::str::from_utf8(date).ok()?));
            date.or_else(&wall_now)
        };
        let sight = |of: &[Option<&str>]| LimitSnapshot {
            limit: of[LIMIT].and_then(count),
            remaining: of[REMAINING].and_then(count),
            reset: of[RESET].and_then(|text| {
                span(text)
                    .filter(|span| span.as_secs() < 1_000_000_000)
                    .or_else(|| instant_or_span(text, now()))
            }),
        };
        let told = [0, TOKENS]
            .into_iter()
            .any(|of| is_of_interest(&found[of..of + TOKENS]));
        Self {
            sights: told.then(|| LimitSnapshots {
                requests: sight(&found[..TOKENS]),
                tokens: sight(&found[TOKENS..]),
            }),
            account,
        }
    }
}

const LIMIT: usize = 0;
const REMAINING: usize = 1;
const RESET: usize = 2;
const TOKENS: usize = 3;

/// Whether more than a quarter of a limit is gone, or nobody can tell: what is left is of interest only then.
fn is_scarce(of: &[Option<&str>]) -> bool {
    let Some(remaining) = of[REMAINING] else {
        return false;
    };
    match (count(remaining), of[LIMIT].and_then(count)) {
        (Some(remaining), Some(limit)) => remaining <= limit / 4 * 3,
        (remaining, _) => remaining.is_some(),
    }
}

/// Which of the six (limit, remaining and reset of requests, then of tokens) a header is, in any dialect.
fn place_of(name: &str) -> Option<usize> {
    if let Some(what) = name.strip_prefix("x-ratelimit-") {
        return Some(match what {
            "limit-requests" | "limit" => LIMIT,
            "remaining-requests" | "remaining" => REMAINING,
            "reset-requests" | "reset" => RESET,
            "limit-tokens" => TOKENS + LIMIT,
            "remaining-tokens" => TOKENS + REMAINING,
            "reset-tokens" => TOKENS + RESET,
            _ => return None,
        });
    }
    Some(match name.strip_prefix("anthropic-ratelimit-")? {
        "requests-limit" => LIMIT,
        "requests-remaining" => REMAINING,
        "requests-reset" => RESET,
        "tokens-limit" => TOKENS + LIMIT,
        "tokens-remaining" => TOKENS + REMAINING,
        "tokens-reset" => TOKENS + RESET,
        _ => return None,
    })
}

fn count(text: &str) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Some say -1 for what they do not count.
        (0.0..=f64::from(u32::MAX))
            .contains(&number)
            .then_some(number as u32)
    })
}

/// The latest reset of what is used up; with nothing said about what remains, the only reset there is.
fn exhausted_reset<'a>(get: &impl Fn(&str) -> Option<&'a str>, now: Option<Duration>) -> Option<Duration> {
    let windows = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("ratelimit-remaining", "ratelimit-reset"),
        (
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        (
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ),
    ];
    let found: Vec<(Option<f64>, Duration)> = windows
        .iter()
        .filter_map(|(remaining, reset)| {
            let reset = instant_or_span(get(reset)?, now)?;
            Some((get(remaining).and_then(|text| text.trim().parse().ok()), reset))
        })
        .collect();
    let exhausted = found
        .iter()
        .filter(|(left, _)| left.is_some_and(|left| left <= 0.0))
        .map(|(_, reset)| *reset);
    exhausted.max().or(match found.as_slice() {
        [(None, reset)] => Some(*reset),
        _ => None,
    })
}

/// A span, an HTTP date, an RFC 3339 date in UTC, or seconds or milliseconds since 1970.
fn instant_or_span(text: &str, now: Option<Duration>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>()
        && number > 1e9
    {
        let epoch = if number > 1e12 { number / 1e3 } else { number };
        return sane(Duration::try_from_secs_f64(epoch).ok()?.saturating_sub(now?));
    }
    if let Some(span) = span(text) {
        return Some(span);
    }
    let instant = http_date(text).or_else(|| rfc3339(text))?;
    sane(instant.saturating_sub(now?))
}

/// Seconds, or Go's notation: `1h2m3.5s`, `20ms`. Below zero is zero; nonsense is nothing.
pub(crate) fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds.is_nan() || seconds.is_infinite() {
            return None;
        }
        return sane(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?);
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
        None
    } else {
        sane(Duration::try_from_secs_f64(total).ok()?)
    }
}

fn sane(wait: Duration) -> Option<Duration> {
    Some(wait).filter(|wait| *wait <= LONGEST_WAIT)
}

fn http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text.trim())
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()
}

/// `2026-01-02T03:04:05Z`, with or without a fraction; other offsets are not used by any provider.
pub(crate) fn rfc3339(text: &str) -> Option<Duration> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !text.ends_with(['Z', 'z']) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, with the year beginning in March.
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_323_045); // 2026-01-02T03:04:05Z

    fn retry_after(headers: &[(&str, &str)]) -> Option<f64> {
        let get = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        RateHeaders::read(get, None, Some(NOW))
            .retry_after
            .map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn what_is_left_in_every_dialect() {
        let read = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            LimitHeaders::read(headers, || Some(NOW)).sights
        };
        let sight = |limit, remaining, reset: f64| LimitSnapshot {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs_f64(reset)),
        };
        let openai = read(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "45"),
            ("x-ratelimit-reset-requests", "15s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
        ]);
        assert_eq!(openai.unwrap().requests, sight(60, 45, 15.0));
        assert_eq!(openai.unwrap().tokens, sight(150_000, 149_984, 0.006));
        let anthropic = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-01-02T03:04:35Z"),
        ]);
        assert_eq!(anthropic.unwrap().requests, sight(50, 0, 30.0));
        let short = read(&[
            ("x-ratelimit-limit", "3"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1767323055000"),
        ]);
        assert_eq!(short.unwrap().requests, sight(3, 0, 10.0));
        let azure = read(&[
            ("x-ratelimit-remaining-requests", "-1"),
            ("x-ratelimit-reset-requests", "0"),
        ]);
        assert_eq!(azure, None);
        let plenty = read(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "46"),
            ("x-ratelimit-reset-requests", "14s"),
        ]);
        assert_eq!(plenty, None, "what is plenty is of no interest");
        assert_eq!(read(&[("retry-after", "1")]), None);
    }

    // L20
    #[test]
    fn every_way_to_say_when() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: &[(Headers, Option<f64>)] = &[
            (&[("retry-after", "2")], Some(2.0)),
            (&[("retry-after", "0.5")], Some(0.5)),
            (&[("retry-after", "-3")], Some(0.0)),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "inf")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "1e300")], None),
            (&[("retry-after-ms", "1500"), ("retry-after", "9")], Some(1.5)),
            (&[("retry-after", "Fri, 02 Jan 2026 03:04:15 GMT")], Some(10.0)),
            (
                &[
                    ("date", "Fri, 02 Jan 2026 03:04:10 GMT"),
                    ("retry-after", "Fri, 02 Jan 2026 03:04:15 GMT"),
                ],
                Some(5.0),
            ),
            (&[("retry-after", "Fri, 02 Jan 2026 03:00:00 GMT")], Some(0.0)),
            (&[("x-ratelimit-reset-requests", "6m0s")], Some(360.0)),
            (&[("x-ratelimit-reset-requests", "20ms")], Some(0.02)),
            (&[("x-ratelimit-reset", "1h2m3.5s")], Some(3723.5)),
            (&[("x-ratelimit-reset", "1767323055")], Some(10.0)),
            (&[("x-ratelimit-reset", "1767323055000")], Some(10.0)),
            (
                &[("anthropic-ratelimit-tokens-reset", "2026-01-02T03:05:05Z")],
                Some(60.0),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "3s"),
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-tokens", "7.66s"),
                ],
                Some(7.66),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "3s"),
                    ("x-ratelimit-remaining-tokens", "10"),
                    ("x-ratelimit-reset-tokens", "9s"),
                ],
                Some(3.0),
            ),
            (
                &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "9s")],
                None,
            ),
            (&[], None),
        ];
        for (headers, expected) in table {
            assert_eq!(retry_after(headers), *expected, "{headers:?}");
        }
    }
}
