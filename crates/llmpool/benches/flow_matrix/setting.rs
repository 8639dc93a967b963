//! Four keys with 5 requests per second each: the provider that enforces them, and what the target is configured with.

use std::sync::Arc;
use std::time::Duration;

use llmpool::{ApiKeyPool, KeyLimits, Limits, OpenAiCompatible, RateLimit, TargetSettings};

use crate::rate_limited_provider::{
    AnswerTime, Disclosure, Outage, Pipes, ProviderSettings, RateLimitedProvider, RequestLimit, Window,
};

const KEYS: [&str; 4] = ["key-a", "key-b", "key-c", "key-d"];
const KEY_RATE: u32 = 5;
/// Requests per second that the provider admits.
pub(crate) const RATE: f64 = KEY_RATE as f64 * KEYS.len() as f64;

/// Limits that the target is configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Configured {
    Nothing,
    /// The target's token bucket, at the rate of all keys and with one second of it as burst.
    TrueBucket,
    /// The same at twice the rate.
    DoubleBucket,
    /// `rpm` of each key.
    Rpm,
}

impl Configured {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::TrueBucket => "true-bucket",
            Self::DoubleBucket => "double-bucket",
            Self::Rpm => "rpm",
        }
    }

    /// Returns a target that is connected to the provider by pipes, or by a socket if its URL is given.
    pub(crate) fn target(self, provider: &Arc<RateLimitedProvider>, url: Option<&str>) -> OpenAiCompatible {
        let bucket = |rate: f64| RateLimit::new(rate as u32, rate).unwrap();
        let target_bucket = match self {
            Self::TrueBucket => Some(bucket(RATE)),
            Self::DoubleBucket => Some(bucket(2.0 * RATE)),
            Self::Nothing | Self::Rpm => None,
        };
        let settings = TargetSettings {
            limits: Limits {
                rate_limit: target_bucket,
                ..Limits::default()
            },
            ..TargetSettings::default()
        };
        let key_limits = KeyLimits {
            limits: Limits {
                rpm: (self == Self::Rpm).then_some(KEY_RATE * 60),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let pool = ApiKeyPool::with_limits("p", KEYS.map(|key| (key.into(), key_limits))).unwrap();
        let builder = OpenAiCompatible::builder(&pool, "m", url.unwrap_or("http://provider/v1"));
        let builder = builder.settings(settings);
        match url {
            Some(_) => builder.build().unwrap(),
            None => builder
                .connector(Arc::new(Pipes(provider.clone())))
                .build()
                .unwrap(),
        }
    }
}

/// A provider with 5 requests per second and key, and its faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provider {
    pub(crate) window: Window,
    pub(crate) span: Duration,
    pub(crate) counts_refused: bool,
    pub(crate) disclosure: Disclosure,
    pub(crate) outage: Option<Outage>,
    pub(crate) stray_refusals: f64,
}

impl Provider {
    /// A token bucket of one second that discloses nothing.
    pub(crate) const SILENT_BUCKET: Self = Self {
        window: Window::Bucket,
        span: Duration::from_secs(1),
        counts_refused: false,
        disclosure: Disclosure::Nothing,
        outage: None,
        stray_refusals: 0.0,
    };

    /// The time from the creation of the provider to its second fixed window is random. Even seeds have log-normal answer times, odd seeds
    /// uniform ones.
    pub(crate) fn settings(&self, seed: u64) -> ProviderSettings {
        let mut random = crate::rate_limited_provider::Random(seed);
        let answer_time = match seed % 2 {
            0 => AnswerTime::LogNormal(0.6, 0.5),
            _ => AnswerTime::Uniform(0.2, 1.5),
        };
        ProviderSettings {
            limit: RequestLimit {
                requests: KEY_RATE * self.span.as_secs() as u32,
                span: self.span,
                window: self.window,
                phase: self.span.mul_f64(random.share()),
                counts_refused: self.counts_refused,
            },
            disclosure: self.disclosure,
            answer_time,
            outage: self.outage,
            stray_refusals: self.stray_refusals,
            seed,
        }
    }
}
