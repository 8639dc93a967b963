//! A provider that limits the requests of each key and reports the limits as real providers do, over in-memory pipes or a loopback socket.
//!
//! The limiter is written from the documentation of providers and shares no code with the library or the simulator. All times are tokio's and
//! measured from the creation of the provider.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each program uses a part of it, and a failed unwrap is a failed test"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::transport::{Connect, ConnectError, Connected};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// How a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Token bucket: holds `requests` at most and refills continuously, `requests` per `span`.
    Bucket,
    /// Counter that is reset at the end of each span.
    Fixed,
    /// At most `requests` in any span.
    Sliding,
}

/// The limit of one key.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimit {
    pub requests: u32,
    pub span: Duration,
    pub window: Window,
    /// The part of the first fixed window that has passed when the provider is created.
    pub phase: Duration,
    /// Whether a refused request counts, too. With a bucket, a refused request takes what is left of the next token.
    pub counts_refused: bool,
}

/// The state of a limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Requests that would be admitted at once.
    pub remaining: u32,
    /// Time until `remaining` grows. With no request remaining, this is the time until the next request is admitted.
    pub next: Duration,
    /// Time until the whole limit remains.
    pub whole: Duration,
}

/// Counts the requests of one key.
#[derive(Debug)]
pub struct RequestLimiter {
    limit: RequestLimit,
    counter: Counter,
}

#[derive(Debug)]
enum Counter {
    /// The level of the bucket as the time in which it refills to that level.
    Bucket {
        level: Duration,
        updated: Duration,
    },
    Fixed {
        number: u128,
        used: u32,
    },
    /// Times of the counted requests of the last span.
    Sliding(VecDeque<Duration>),
}

impl RequestLimiter {
    pub fn new(limit: RequestLimit) -> Self {
        let counter = match limit.window {
            Window::Bucket => Counter::Bucket {
                level: limit.span,
                updated: Duration::ZERO,
            },
            Window::Fixed => Counter::Fixed { number: 0, used: 0 },
            Window::Sliding => Counter::Sliding(VecDeque::new()),
        };
        Self { limit, counter }
    }

    /// Counts a request. Returns whether the request is admitted. `now` must not decrease.
    pub fn admit(&mut self, now: Duration) -> bool {
        self.update(now);
        let RequestLimit {
            requests,
            counts_refused,
            ..
        } = self.limit;
        let per_token = self.limit.span / requests;
        match &mut self.counter {
            Counter::Bucket { level, .. } => {
                let is_admitted = *level >= per_token;
                if is_admitted {
                    *level -= per_token;
                } else if counts_refused {
                    *level = Duration::ZERO;
                }
                is_admitted
            }
            Counter::Fixed { used, .. } => {
                let is_admitted = *used < requests;
                if is_admitted || counts_refused {
                    *used += 1;
                }
                is_admitted
            }
            Counter::Sliding(times) => {
                let is_admitted = times.len() < requests as usize;
                if is_admitted || counts_refused {
                    times.push_back(now);
                }
                is_admitted
            }
        }
    }

    pub fn state(&mut self, now: Duration) -> LimitState {
        self.update(now);
        let RequestLimit {
            requests,
            span,
            phase,
            ..
        } = self.limit;
        match &self.counter {
            Counter::Bucket { level, .. } => {
                let per_token = (span / requests).as_nanos();
                let whole = span - *level;
                let missing = per_token - level.as_nanos() % per_token;
                LimitState {
                    remaining: (level.as_nanos() / per_token) as u32,
                    next: whole.min(Duration::from_nanos(missing as u64)),
                    whole,
                }
            }
            Counter::Fixed { used, .. } => {
                let passed = (now + phase).as_nanos() % span.as_nanos();
                let left = span - Duration::from_nanos(passed as u64);
                LimitState {
                    remaining: requests.saturating_sub(*used),
                    next: left,
                    whole: left,
                }
            }
            Counter::Sliding(times) => {
                let left = |time: Option<&Duration>| time.map_or(Duration::ZERO, |time| *time + span - now);
                LimitState {
                    remaining: requests.saturating_sub(times.len() as u32),
                    next: left(times.get(times.len().saturating_sub(requests as usize))),
                    whole: left(times.back()),
                }
            }
        }
    }

    fn update(&mut self, now: Duration) {
        let RequestLimit { span, phase, .. } = self.limit;
        match &mut self.counter {
            Counter::Bucket { level, updated } => {
                *level = span.min(*level + (now - *updated));
                *updated = now;
            }
            Counter::Fixed { number, used } => {
                let current = (now + phase).as_nanos() / span.as_nanos();
                if current != *number {
                    (*number, *used) = (current, 0);
                }
            }
            Counter::Sliding(times) => {
                while times.front().is_some_and(|time| *time + span <= now) {
                    times.pop_front();
                }
            }
        }
    }
}

/// What responses reveal about the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Limit, remaining requests, and the time until `remaining` grows, with every response.
    ResetToNext,
    /// Limit, remaining requests, and the time until the whole limit remains, with every response (OpenAI).
    ResetToWhole,
    /// Like `ResetToWhole`, but the limit is that of a minute, while remaining and reset are those of the enforced window.
    LimitPerMinute,
    /// `Retry-After` with each refusal, rounded up to whole seconds.
    RetryAfterSeconds,
    /// `Retry-After-Ms` with each refusal.
    RetryAfterMs,
    Nothing,
    /// Nothing, and the body of a refusal is plain text.
    BareText,
}

impl Disclosure {
    /// Returns the headers of a response, each with its line end.
    pub fn headers(self, limit: &RequestLimit, state: LimitState, is_admitted: bool) -> String {
        let report = |limit: u32, reset: Duration| {
            format!(
                "x-ratelimit-limit-requests: {limit}\r\nx-ratelimit-remaining-requests: {}\r\nx-ratelimit-reset-requests: {}\r\n",
                state.remaining,
                duration_text(reset)
            )
        };
        match self {
            Self::ResetToNext => report(limit.requests, state.next),
            Self::ResetToWhole => report(limit.requests, state.whole),
            Self::LimitPerMinute => {
                let per_minute = f64::from(limit.requests) * 60.0 / limit.span.as_secs_f64();
                report(per_minute.round() as u32, state.whole)
            }
            Self::RetryAfterSeconds if !is_admitted => {
                format!("retry-after: {}\r\n", state.next.as_secs_f64().ceil() as u64)
            }
            Self::RetryAfterMs if !is_admitted => format!("retry-after-ms: {}\r\n", whole_ms(state.next)),
            Self::RetryAfterSeconds | Self::RetryAfterMs | Self::Nothing | Self::BareText => String::new(),
        }
    }
}

/// Returns a duration in the notation of Go, such as `20ms`, `7.66s` or `1m0s`, rounded up to milliseconds.
pub fn duration_text(duration: Duration) -> String {
    let ms = whole_ms(duration);
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (minutes, ms) = (ms / 60_000, ms % 60_000);
    let seconds = ms as f64 / 1000.0;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn whole_ms(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

/// Time from the arrival of an admitted request to its response.
#[derive(Clone, Copy, Debug)]
pub enum AnswerTime {
    /// Even distribution between two times, in seconds.
    Uniform(f64, f64),
    /// Log-normal distribution with a median in seconds and the standard deviation of the logarithm.
    LogNormal(f64, f64),
}

/// Responses of an outage. They carry no rate limit headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageKind {
    /// Status 429.
    RateLimited,
    /// Status 503.
    Overloaded,
    /// Either, at random.
    Mixed,
}

/// A time in which no request is admitted.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub from: Duration,
    pub until: Duration,
    pub kind: OutageKind,
}

#[derive(Clone, Copy, Debug)]
pub struct ProviderSettings {
    pub limit: RequestLimit,
    pub disclosure: Disclosure,
    pub answer_time: AnswerTime,
    pub outage: Option<Outage>,
    /// Share of the requests that are answered with status 429 without headers, before they count.
    pub stray_refusals: f64,
    pub seed: u64,
}

/// Longest time from sending a request to its arrival at the limiter, in seconds.
const ARRIVAL_JITTER: f64 = 0.02;
/// Times from the arrival of a refused request to its response, in seconds.
const REFUSAL_TIME: AnswerTime = AnswerTime::Uniform(0.005, 0.03);

/// A request as the limiter saw it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Duration,
    /// Status of the response.
    pub status: u16,
}

/// A provider with one limit per key. A connector of the library, or a server on a loopback socket.
#[derive(Debug)]
pub struct RateLimitedProvider {
    settings: ProviderSettings,
    created: Instant,
    state: Mutex<ProviderState>,
}

#[derive(Debug)]
struct ProviderState {
    limiters: BTreeMap<String, RequestLimiter>,
    arrivals: Vec<Arrival>,
    random: Random,
}

impl RateLimitedProvider {
    pub fn new(settings: ProviderSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            created: Instant::now(),
            state: Mutex::new(ProviderState {
                limiters: BTreeMap::new(),
                arrivals: Vec::new(),
                random: Random(settings.seed),
            }),
        })
    }

    pub fn elapsed(&self) -> Duration {
        self.created.elapsed()
    }

    /// Returns all requests so far, in the order of their arrival.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }

    /// Serves connections on a loopback socket. Returns the base URL.
    pub async fn listen(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let provider = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                tokio::spawn(provider.clone().serve(socket));
            }
        });
        url
    }

    async fn serve(self: Arc<Self>, mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut buffer = Vec::new();
        while let Some(key) = read_request(&mut socket, &mut buffer).await {
            let jitter = AnswerTime::Uniform(0.0, ARRIVAL_JITTER);
            let jitter = self.state.lock().unwrap().random.duration(jitter);
            tokio::time::sleep(jitter).await;
            let (duration, response) = self.respond(key);
            tokio::time::sleep(duration).await;
            if socket.write_all(&response).await.is_err() {
                return;
            }
        }
    }

    /// Counts a request that arrives now. Returns its response, and the time until the response is sent.
    fn respond(&self, key: String) -> (Duration, Vec<u8>) {
        let now = self.elapsed();
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let (status, headers) = match self.unfounded_refusal(now, &mut state.random) {
            Some(status) => (status, String::new()),
            None => {
                let limit = self.settings.limit;
                let limiter = state.limiters.entry(key);
                let limiter = limiter.or_insert_with(|| RequestLimiter::new(limit));
                let is_admitted = limiter.admit(now);
                let headers = self
                    .settings
                    .disclosure
                    .headers(&limit, limiter.state(now), is_admitted);
                (if is_admitted { 200 } else { 429 }, headers)
            }
        };
        state.arrivals.push(Arrival { at: now, status });
        let (duration, body) = match status {
            200 => (self.settings.answer_time, COMPLETION),
            429 if self.settings.disclosure == Disclosure::BareText => (REFUSAL_TIME, "Too Many Requests"),
            429 => (REFUSAL_TIME, RATE_LIMIT_ERROR),
            _ => (REFUSAL_TIME, OVERLOADED_ERROR),
        };
        let length = body.len();
        let media = if body.starts_with('{') {
            "application/json"
        } else {
            "text/plain"
        };
        let response = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        (state.random.duration(duration), response.into_bytes())
    }

    /// Returns the status of a refusal that has another reason than the limit.
    fn unfounded_refusal(&self, now: Duration, random: &mut Random) -> Option<u16> {
        let outage = self.settings.outage;
        if let Some(outage) = outage.filter(|outage| (outage.from..outage.until).contains(&now)) {
            return Some(match outage.kind {
                OutageKind::RateLimited => 429,
                OutageKind::Overloaded => 503,
                OutageKind::Mixed if random.share() < 0.5 => 429,
                OutageKind::Mixed => 503,
            });
        }
        (random.share() < self.settings.stray_refusals).then_some(429)
    }
}

/// A connector for [`RateLimitedProvider`] in paused time.
pub struct Pipes(pub Arc<RateLimitedProvider>);

impl Connect for Pipes {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let (ours, theirs) = tokio::io::duplex(8 << 10);
        tokio::spawn(self.0.clone().serve(theirs));
        Box::pin(async move { Ok(Connected::direct(ours)) })
    }
}

const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const RATE_LIMIT_ERROR: &str = r#"{"error":{"message":"Rate limit reached for requests","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
const OVERLOADED_ERROR: &str =
    r#"{"error":{"message":"The server is overloaded","type":"server_error","param":null,"code":null}}"#;

/// Reads a request with a `Content-Length`. Returns its API key, or `None` at the end of the connection.
async fn read_request(socket: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let header = |wanted: &str| {
                head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case(wanted).then(|| value.trim())
                })
            };
            let length: usize = header("content-length").unwrap().parse().unwrap();
            let key = header("authorization").unwrap().strip_prefix("Bearer ");
            if buffer.len() >= end + 4 + length {
                buffer.drain(..end + 4 + length);
                return key.map(str::to_owned);
            }
        }
        let mut part = [0; 4 << 10];
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&part[..read]),
        }
    }
}

/// A seeded generator of random numbers (splitmix64).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// Returns a number from 0 to 1, without 1.
    pub fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn duration(&mut self, distribution: AnswerTime) -> Duration {
        Duration::from_secs_f64(match distribution {
            AnswerTime::Uniform(from, to) => from + (to - from) * self.share(),
            AnswerTime::LogNormal(median, deviation) => {
                let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * self.share()).cos();
                median * (deviation * normal).exp()
            }
        })
    }
}
