//! Parses the response headers that state rate limits, the wait before the next attempt, or the ID of the
//! request.

use std::time::Duration;

use crate::provider_error::ProviderError;
use crate::time_format::{parse_duration, parse_http_date, parse_wait, plausible_wait};

/// State of one rate limit, as reported by the headers of a response. A field is `None` if the headers do not
/// report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// Number of requests or tokens that the limit admits if none of it has been used.
    pub limit: Option<u32>,
    /// Number of requests or tokens that the limit still admits.
    pub remaining: Option<u32>,
    /// Time from the arrival of the response until the full limit is available again or, with some providers,
    /// until the next request is admitted.
    pub reset: Option<Duration>,
}

/// State of the limits on requests and on tokens, as reported by the headers of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshots {
    /// State of the limit on requests. All fields are `None` if not reported.
    pub requests: LimitSnapshot,
    /// State of the limit on tokens. All fields are `None` if not reported.
    pub tokens: LimitSnapshot,
}

/// The waits and the request ID that the headers of an error response state. The wait that the provider
/// requests may also come from the body.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ErrorHeaders {
    /// The wait that the provider requests before the next attempt, measured from the arrival of the
    /// response. Never zero. `None` if the provider requests no wait.
    pub retry_after: Option<Duration>,
    /// The time until all exhausted rate limits of the key are reset, measured from the arrival of the
    /// response. Never zero. `None` if there is a `retry_after`, or if
    /// the headers report no exhausted limit.
    pub limit_reset: Option<Duration>,
    /// The time until all exhausted rate limits are reset according to the headers that the body quotes. Never
    /// zero. `None` under the same conditions as `limit_reset`. Other than the headers of the response, these
    /// headers belong to the error: they describe the limit that caused it, also if that is a quota.
    pub quoted_limit_reset: Option<Duration>,
    /// The ID that the provider assigned to the request, from the header `x-request-id` or `request-id`.
    pub request_id: Option<String>,
}

impl ErrorHeaders {
    /// Parses the headers of an error response. `get` returns the value of the header with the given
    /// lower-case name, and `error` is the parsed response body.
    ///
    /// `retry_after` comes from the first of these sources that states a wait: `retry-after-ms`,
    /// `retry-after`, the body, these two headers as the body quotes them. A wait of zero, a negative wait and
    /// a time in the past are ignored: they say nothing about when to try again. If the body also states when a
    /// quota resets, the wait lasts at least until then.
    ///
    /// Timestamps are compared with the `Date` header of the response. If this header is missing, they are
    /// compared with `wall_now`, a duration since the Unix epoch.
    pub fn parse<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        error: Option<&ProviderError>,
        wall_now: Option<Duration>,
    ) -> Self {
        let now = get("date").and_then(parse_http_date).or(wall_now);
        let quoted = |name: &str| quoted_header(error?, name);
        let retry_after = requested_wait(&get, now)
            .or_else(|| positive(error?.retry_delay?))
            .or_else(|| requested_wait(&quoted, now));
        let quota_reset = error.and_then(|error| plausible_wait(error.resets_at?.saturating_sub(now?)));
        let retry_after = retry_after.max(quota_reset.and_then(positive));
        let limit_reset =
            |reset: Option<Duration>| reset.and_then(positive).filter(|_| retry_after.is_none());
        let request_id = get("x-request-id").or_else(|| get("request-id"));
        Self {
            retry_after,
            limit_reset: limit_reset(exhausted_reset(&get, now)),
            quoted_limit_reset: limit_reset(exhausted_reset(&quoted, now)),
            request_id: request_id.map(str::to_owned),
        }
    }
}

fn positive(wait: Duration) -> Option<Duration> {
    (!wait.is_zero()).then_some(wait)
}

/// Returns the wait that the headers `retry-after-ms` and `retry-after` request, if it is not zero.
fn requested_wait<'a>(get: &impl Fn(&str) -> Option<&'a str>, now: Option<Duration>) -> Option<Duration> {
    let milliseconds = || parse_duration(&format!("{}ms", get("retry-after-ms")?.trim()));
    milliseconds()
        .and_then(positive)
        .or_else(|| positive(parse_wait(get("retry-after")?, now)?))
}

fn quoted_header<'a>(error: &'a ProviderError, name: &str) -> Option<&'a str> {
    let quoted = error.headers.iter().find(|(known, _)| known == name);
    quoted.map(|(_, value)| value.as_str())
}

/// The rate limits and the account of an API key, as the headers of a response report them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitHeaders<'a> {
    /// The state of the limits on requests and tokens. `None` if the headers report no limit.
    pub limits: Option<LimitSnapshots>,
    /// The name of the account that the API key belongs to, from the header `openai-organization`.
    pub account: Option<&'a str>,
}

impl<'a> LimitHeaders<'a> {
    /// Parses the headers of a response.
    ///
    /// Timestamps are compared with the `Date` header of the response. If this header is missing, they are
    /// compared with `wall_now`, a duration since the Unix epoch.
    pub fn parse(headers: impl Iterator<Item = (&'a str, &'a [u8])>, wall_now: Option<Duration>) -> Self {
        let mut account = None;
        let mut date = None;
        let [mut requests, mut tokens] = [LimitFields::default(); 2];
        for (name, value) in headers {
            let field = match name {
                "openai-organization" => &mut account,
                "date" => &mut date,
                _ => match limit_field(name, &mut requests, &mut tokens) {
                    Some(field) => field,
                    None => continue,
                },
            };
            *field = std::str::from_utf8(value).ok();
        }
        let now = date.and_then(parse_http_date).or(wall_now);
        Self {
            limits: (requests.is_reported() || tokens.is_reported()).then(|| LimitSnapshots {
                requests: requests.snapshot(now),
                tokens: tokens.snapshot(now),
            }),
            account,
        }
    }
}

/// The values of the headers that describe one limit, not parsed yet.
#[derive(Clone, Copy, Default)]
struct LimitFields<'a> {
    limit: Option<&'a str>,
    remaining: Option<&'a str>,
    reset: Option<&'a str>,
}

impl LimitFields<'_> {
    fn is_reported(&self) -> bool {
        self.limit.or(self.remaining).is_some()
    }

    fn snapshot(&self, now: Option<Duration>) -> LimitSnapshot {
        LimitSnapshot {
            limit: self.limit.and_then(parse_count),
            remaining: self.remaining.and_then(parse_count),
            reset: self.reset.and_then(|text| {
                parse_duration(text)
                    // A number of at least 10^9 is a timestamp, not a wait in seconds.
                    .filter(|wait| wait.as_secs() < 1_000_000_000)
                    .or_else(|| parse_wait(text, now))
            }),
        }
    }
}

/// Returns the field of `requests` or `tokens` in which to store the value of the header `name`. Knows the
/// header names of OpenAI and Anthropic. Returns `None` for all other headers.
fn limit_field<'f, 'a>(
    name: &str,
    requests: &'f mut LimitFields<'a>,
    tokens: &'f mut LimitFields<'a>,
) -> Option<&'f mut Option<&'a str>> {
    if let Some(name) = name.strip_prefix("x-ratelimit-") {
        return Some(match name {
            "limit-requests" | "limit" => &mut requests.limit,
            "remaining-requests" | "remaining" => &mut requests.remaining,
            "reset-requests" | "reset" => &mut requests.reset,
            "limit-tokens" => &mut tokens.limit,
            "remaining-tokens" => &mut tokens.remaining,
            "reset-tokens" => &mut tokens.reset,
            _ => return None,
        });
    }
    Some(match name.strip_prefix("anthropic-ratelimit-")? {
        "requests-limit" => &mut requests.limit,
        "requests-remaining" => &mut requests.remaining,
        "requests-reset" => &mut requests.reset,
        "tokens-limit" => &mut tokens.limit,
        "tokens-remaining" => &mut tokens.remaining,
        "tokens-reset" => &mut tokens.reset,
        _ => return None,
    })
}

fn parse_count(text: &str) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        // Some providers send -1 for a limit that they do not enforce.
        (0.0..=f64::from(u32::MAX))
            .contains(&number)
            .then_some(number as u32)
    })
}

/// Returns the time until all exhausted limits are reset. A limit is exhausted if its remaining count is zero
/// or negative. If the headers report a reset time for only one limit, and no remaining count for it, this
/// limit is assumed to be exhausted. Returns `None` if no limit is exhausted.
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
            let reset = parse_wait(get(reset)?, now)?;
            Some((get(remaining).and_then(|text| text.trim().parse().ok()), reset))
        })
        .collect();
    let exhausted = found
        .iter()
        .filter(|(remaining, _)| remaining.is_some_and(|remaining| remaining <= 0.0))
        .map(|(_, reset)| *reset);
    exhausted.max().or(match found.as_slice() {
        [(None, reset)] => Some(*reset),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_323_045); // 2026-01-02T03:04:05Z

    /// Returns the wait and the time until the reset of a limit, in seconds.
    fn waits(headers: &[(&str, &str)]) -> (Option<f64>, Option<f64>) {
        let get = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        let parsed = ErrorHeaders::parse(get, None, Some(NOW));
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs_f64());
        (seconds(parsed.retry_after), seconds(parsed.limit_reset))
    }

    #[test]
    fn limit_headers_of_all_providers_are_parsed() {
        let parse = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
            LimitHeaders::parse(headers, Some(NOW)).limits
        };
        let snapshot = |limit, remaining, reset: f64| LimitSnapshot {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs_f64(reset)),
        };
        let openai = parse(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "45"),
            ("x-ratelimit-reset-requests", "15s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
        ]);
        assert_eq!(openai.unwrap().requests, snapshot(60, 45, 15.0));
        assert_eq!(openai.unwrap().tokens, snapshot(150_000, 149_984, 0.006));
        let anthropic = parse(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-01-02T03:04:35Z"),
        ]);
        assert_eq!(anthropic.unwrap().requests, snapshot(50, 0, 30.0));
        let short = parse(&[
            ("x-ratelimit-limit", "3"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1767323055000"),
        ]);
        assert_eq!(short.unwrap().requests, snapshot(3, 0, 10.0));
        let azure = parse(&[
            ("x-ratelimit-remaining-requests", "-1"),
            ("x-ratelimit-reset-requests", "0"),
        ]);
        let requests = azure.unwrap().requests;
        assert_eq!((requests.limit, requests.remaining), (None, None));
        assert_eq!(parse(&[("retry-after", "1")]), None);
    }

    // L20
    // reproduction 13
    #[test]
    fn retry_after_is_parsed_in_all_notations() {
        type Headers = &'static [(&'static str, &'static str)];
        let table: &[(Headers, Option<f64>)] = &[
            (&[("retry-after", "2")], Some(2.0)),
            (&[("retry-after", "0.5")], Some(0.5)),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after-ms", "0"), ("retry-after", "2")], Some(2.0)),
            (
                &[
                    ("retry-after", "0"),
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "4"),
                ],
                Some(4.0),
            ),
            (
                &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "0")],
                None,
            ),
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
            (&[("retry-after", "Fri, 02 Jan 2026 03:00:00 GMT")], None),
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
            let (wait, reset) = waits(headers);
            assert_eq!(wait.or(reset), *expected, "{headers:?}");
            assert!(wait.is_none() || reset.is_none(), "{headers:?}");
        }
    }
}
