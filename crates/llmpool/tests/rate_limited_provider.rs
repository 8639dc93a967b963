//! The provider model of the flow-control matrix: its limits, its headers, and its responses.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "support/rate_limited_provider.rs"]
mod rate_limited_provider;

use std::sync::Arc;
use std::time::Duration;

use rate_limited_provider::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WINDOWS: [Window; 3] = [Window::Bucket, Window::Fixed, Window::Sliding];

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn limit(window: Window, requests: u32, span: Duration) -> RequestLimit {
    RequestLimit {
        requests,
        span,
        window,
        phase: Duration::ZERO,
        counts_refused: false,
    }
}

fn state(remaining: u32, next: u64, whole: u64) -> LimitState {
    LimitState {
        remaining,
        next: ms(next),
        whole: ms(whole),
    }
}

/// Sends requests at random times for a thousand spans, at about three times the limit. Returns the times of the admitted ones.
fn admitted_at_random(limit: RequestLimit, seed: u64) -> Vec<Duration> {
    let mut limiter = RequestLimiter::new(limit);
    let mut random = Random(seed);
    let mut now = Duration::ZERO;
    let mut admitted = Vec::new();
    while now < limit.span * 1000 {
        now += (limit.span / limit.requests).mul_f64(random.share() * 2.0 / 3.0);
        if limiter.admit(now) {
            admitted.push(now);
        }
    }
    admitted
}

/// Returns the most times in any span of half-open length.
fn most_in(times: &[Duration], span: Duration) -> usize {
    let within = |first: &Duration| {
        times
            .iter()
            .filter(|at| **at >= *first && **at < *first + span)
            .count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

#[test]
fn fixed_window_admits_exactly_its_limit_in_each_window() {
    let limit = RequestLimit {
        phase: ms(4500),
        ..limit(Window::Fixed, 10, ms(5000))
    };
    let mut counts = vec![0; 1002];
    for at in admitted_at_random(limit, 1) {
        counts[((at + limit.phase).as_nanos() / limit.span.as_nanos()) as usize] += 1;
    }
    assert!(counts[1..1000].iter().all(|count| *count == 10), "{counts:?}");
}

#[test]
fn sliding_window_admits_its_limit_in_any_span_and_no_more() {
    let limit = limit(Window::Sliding, 10, ms(5000));
    let admitted = admitted_at_random(limit, 2);
    assert_eq!(most_in(&admitted, limit.span), 10);
    assert!(admitted.len() >= 9 * 1000, "{}", admitted.len());
}

#[test]
fn bucket_admits_its_capacity_at_once_and_its_rate_in_the_long_run() {
    let limit = limit(Window::Bucket, 5, ms(1000));
    let admitted = admitted_at_random(limit, 3);
    let rate = admitted.len() as f64 / 1000.0;
    assert!((4.99..=5.01).contains(&rate), "{rate}");
    for tokens in [1_u32, 5, 20] {
        let most = most_in(&admitted, ms(200) * tokens);
        assert!(most <= 5 + tokens as usize, "{most} in {tokens} refills");
    }
    let mut limiter = RequestLimiter::new(limit);
    assert_eq!((0..8).filter(|_| limiter.admit(ms(0))).count(), 5);
    assert!(!limiter.admit(ms(199)));
    assert!(limiter.admit(ms(200)));
}

#[test]
fn request_is_admitted_at_the_reported_time_and_not_before() {
    for window in WINDOWS {
        for counts_refused in [false, true] {
            let limit = RequestLimit {
                counts_refused,
                ..limit(window, 5, ms(1000))
            };
            // A request before the reported time would count, so each case needs its own limiter.
            for (early, expected) in [(1, false), (0, true)] {
                let mut limiter = RequestLimiter::new(limit);
                for step in 0..7 {
                    limiter.admit(ms(step * 20));
                }
                let wait = limiter.state(ms(120)).next;
                assert_eq!(limiter.admit(ms(120) + wait - ms(early)), expected, "{limit:?}");
            }
        }
    }
}

#[test]
fn refused_requests_count_where_asked_to() {
    // Requests at eight times the limit: all but the first are refused as long as they count.
    for (window, expected) in [(Window::Bucket, 5), (Window::Fixed, 50), (Window::Sliding, 5)] {
        for (counts_refused, expected) in [(false, 50), (true, expected)] {
            let mut limiter = RequestLimiter::new(RequestLimit {
                counts_refused,
                ..limit(window, 5, ms(1000))
            });
            let admitted = (0..400).filter(|step| limiter.admit(ms(step * 25))).count();
            let bucket_start = if window == Window::Bucket && !counts_refused {
                4
            } else {
                0
            };
            assert_eq!(admitted, expected + bucket_start, "{window:?} {counts_refused}");
        }
    }
}

#[test]
fn states_tell_next_and_whole_reset_apart() {
    let after = |window, requests: &[u64], now| {
        let mut limiter = RequestLimiter::new(limit(window, 5, ms(1000)));
        requests.iter().for_each(|at| {
            limiter.admit(ms(*at));
        });
        limiter.state(ms(now))
    };
    assert_eq!(after(Window::Bucket, &[], 0), state(5, 0, 0));
    assert_eq!(after(Window::Bucket, &[0], 60_000), state(5, 0, 0));
    assert_eq!(after(Window::Bucket, &[0, 0], 50), state(3, 150, 350));
    assert_eq!(after(Window::Bucket, &[0; 6], 50), state(0, 150, 950));
    assert_eq!(after(Window::Fixed, &[100, 200], 300), state(3, 700, 700));
    assert_eq!(after(Window::Fixed, &[100, 200], 1300), state(5, 700, 700));
    assert_eq!(after(Window::Sliding, &[], 300), state(5, 0, 0));
    assert_eq!(after(Window::Sliding, &[100, 200], 300), state(3, 800, 900));
    assert_eq!(
        after(Window::Sliding, &[0, 10, 20, 30, 40, 50], 300),
        state(0, 700, 740)
    );
}

#[test]
fn fixed_window_ends_according_to_its_phase() {
    let mut limiter = RequestLimiter::new(RequestLimit {
        phase: ms(300),
        ..limit(Window::Fixed, 1, ms(1000))
    });
    assert!(limiter.admit(ms(0)));
    assert_eq!(limiter.state(ms(600)), state(0, 100, 100));
    assert!(!limiter.admit(ms(699)));
    assert!(limiter.admit(ms(700)));
}

#[test]
fn headers_match_the_disclosure() {
    let limit = limit(Window::Sliding, 25, ms(5000));
    let state = state(0, 1234, 4700);
    let headers = |disclosure: Disclosure, is_admitted| disclosure.headers(&limit, state, is_admitted);
    let report = |limit, reset| {
        format!(
            "x-ratelimit-limit-requests: {limit}\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: {reset}\r\n"
        )
    };
    for is_admitted in [true, false] {
        assert_eq!(
            headers(Disclosure::ResetToNext, is_admitted),
            report(25, "1.234s")
        );
        assert_eq!(headers(Disclosure::ResetToWhole, is_admitted), report(25, "4.7s"));
        assert_eq!(
            headers(Disclosure::LimitPerMinute, is_admitted),
            report(300, "4.7s")
        );
        assert_eq!(headers(Disclosure::Nothing, is_admitted), "");
    }
    assert_eq!(headers(Disclosure::RetryAfterSeconds, true), "");
    assert_eq!(
        headers(Disclosure::RetryAfterSeconds, false),
        "retry-after: 2\r\n"
    );
    assert_eq!(headers(Disclosure::RetryAfterMs, true), "");
    assert_eq!(
        headers(Disclosure::RetryAfterMs, false),
        "retry-after-ms: 1234\r\n"
    );
}

#[test]
fn durations_are_written_like_those_of_go_and_rounded_up() {
    let texts = [
        (Duration::ZERO, "0ms"),
        (Duration::from_nanos(1), "1ms"),
        (ms(20), "20ms"),
        (ms(1000), "1s"),
        (ms(7660), "7.66s"),
        (ms(60_000), "1m0s"),
        (ms(3_723_500), "1h2m3.5s"),
    ];
    for (duration, text) in texts {
        assert_eq!(duration_text(duration), text);
    }
}

fn settings(limit: RequestLimit) -> ProviderSettings {
    ProviderSettings {
        limit,
        disclosure: Disclosure::RetryAfterSeconds,
        answer_time: AnswerTime::Uniform(0.2, 1.5),
        outage: None,
        stray_refusals: 0.0,
        seed: 1,
    }
}

/// Sends requests one after the other over one connection. Returns the responses.
async fn exchange(provider: &Arc<RateLimitedProvider>, key: &str, requests: usize) -> Vec<String> {
    let uri = http::Uri::from_static("http://provider/");
    let mut io = llmpool::transport::Connect::connect(&Pipes(provider.clone()), &uri)
        .await
        .unwrap()
        .io;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {key}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    let mut responses = Vec::new();
    for _ in 0..requests {
        io.write_all(request.as_bytes()).await.unwrap();
        let mut part = [0; 4096];
        let read = io.read(&mut part).await.unwrap();
        responses.push(String::from_utf8_lossy(&part[..read]).into_owned());
    }
    responses
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_limit_and_refusals_have_the_form_of_openai() {
    let provider = RateLimitedProvider::new(settings(limit(Window::Sliding, 2, ms(60_000))));
    for key in ["a", "b"] {
        let responses = exchange(&provider, key, 3).await;
        assert!(
            responses[..2]
                .iter()
                .all(|response| response.starts_with("HTTP/1.1 200 "))
        );
        let (head, body) = responses[2].split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 429 "));
        assert!(head.contains("\r\nretry-after: 5"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let error = &body["error"];
        assert_eq!(
            (&error["type"], &error["code"], &error["param"]),
            (
                &"requests".into(),
                &"rate_limit_exceeded".into(),
                &serde_json::Value::Null
            )
        );
    }
    let statuses: Vec<u16> = provider.arrivals().iter().map(|arrival| arrival.status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn outages_and_stray_refusals_do_not_count_and_carry_no_headers() {
    let outage = |kind| Outage {
        from: Duration::ZERO,
        until: ms(10_000),
        kind,
    };
    let faults = [
        (Some(outage(OutageKind::RateLimited)), 0.0, "429"),
        (Some(outage(OutageKind::Overloaded)), 0.0, "503"),
        (None, 1.0, "429"),
    ];
    for (outage, stray_refusals, status) in faults {
        let provider = RateLimitedProvider::new(ProviderSettings {
            outage,
            stray_refusals,
            ..settings(limit(Window::Fixed, 1, ms(60_000)))
        });
        for response in exchange(&provider, "a", 5).await {
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
            assert!(!response.contains("retry-after"));
        }
        if outage.is_some() {
            tokio::time::sleep(ms(10_000) - provider.elapsed()).await;
            assert!(exchange(&provider, "a", 1).await[0].starts_with("HTTP/1.1 200 "));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_refusals_have_the_given_share() {
    let mixed = ProviderSettings {
        outage: Some(Outage {
            from: Duration::ZERO,
            until: ms(10_000_000),
            kind: OutageKind::Mixed,
        }),
        ..settings(limit(Window::Fixed, 1, ms(60_000)))
    };
    let stray = ProviderSettings {
        stray_refusals: 0.1,
        ..settings(limit(Window::Fixed, 1000, ms(10_000_000)))
    };
    for (settings, expected) in [(mixed, 100..=150), (stray, 15..=35)] {
        let provider = RateLimitedProvider::new(settings);
        exchange(&provider, "a", 250).await;
        let arrivals = provider.arrivals();
        let refused = arrivals.iter().filter(|arrival| arrival.status == 429).count();
        assert!(expected.contains(&refused), "{refused} of 250");
    }
}

#[test]
fn random_times_have_the_given_distribution() {
    let mut random = Random(2);
    let mut sorted = |distribution| {
        let mut times: Vec<f64> = (0..10_001)
            .map(|_| random.duration(distribution).as_secs_f64())
            .collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let uniform = sorted(AnswerTime::Uniform(0.2, 1.5));
    assert!(uniform[0] >= 0.2 && uniform[10_000] < 1.5);
    assert!((0.83..0.87).contains(&uniform[5000]), "{}", uniform[5000]);
    let log_normal = sorted(AnswerTime::LogNormal(0.6, 0.5));
    assert!((0.58..0.62).contains(&log_normal[5000]), "{}", log_normal[5000]);
    // One standard deviation above the median, at the 84th percentile.
    assert!((0.95..1.03).contains(&log_normal[8413]), "{}", log_normal[8413]);
}
