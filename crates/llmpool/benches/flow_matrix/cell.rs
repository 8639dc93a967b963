//! Cells of the matrix: a saturated provider that enforces and discloses its limit in one way, and a target with one configuration.

use std::ops::Range;
use std::time::Duration;

use crate::load;
use crate::metric::{Bar, Metric, Sample, Unit};
use crate::rate_limited_provider::{Disclosure, RateLimitedProvider, RequestLimit, Window};
use crate::setting::{Configured, Provider, RATE};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) enforced: Enforced,
    pub(crate) disclosure: Disclosure,
    pub(crate) configured: Configured,
    pub(crate) counts_refused: bool,
}

/// The window of a limit, with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforced {
    Bucket,
    Bucket60,
    Fixed5,
    Fixed60,
    Sliding5,
    Sliding60,
}

impl Enforced {
    fn parts(self) -> (&'static str, Window, u32) {
        match self {
            Self::Bucket => ("bucket", Window::Bucket, 1),
            Self::Bucket60 => ("bucket-60", Window::Bucket, 60),
            Self::Fixed5 => ("fixed-5", Window::Fixed, 5),
            Self::Fixed60 => ("fixed-60", Window::Fixed, 60),
            Self::Sliding5 => ("sliding-5", Window::Sliding, 5),
            Self::Sliding60 => ("sliding-60", Window::Sliding, 60),
        }
    }

    fn is_long(self) -> bool {
        matches!(self, Self::Bucket60 | Self::Fixed60 | Self::Sliding60)
    }
}

fn disclosure_name(disclosure: Disclosure) -> &'static str {
    match disclosure {
        Disclosure::ResetToNext => "next",
        Disclosure::ResetToWhole => "whole",
        Disclosure::LimitPerMinute => "per-minute",
        Disclosure::RetryAfterSeconds => "seconds",
        Disclosure::RetryAfterMs => "ms",
        Disclosure::Nothing => "nothing",
        Disclosure::BareText => "bare",
    }
}

impl Cell {
    /// Returns the cells of a table. `extra` adds a provider that states exact times in its refusals, and a large bucket.
    pub(crate) fn all(counts_refused: bool, extra: bool) -> Vec<Self> {
        let mut windows = vec![
            Enforced::Bucket,
            Enforced::Fixed5,
            Enforced::Fixed60,
            Enforced::Sliding5,
            Enforced::Sliding60,
        ];
        let mut disclosures = vec![
            Disclosure::ResetToNext,
            Disclosure::ResetToWhole,
            Disclosure::LimitPerMinute,
            Disclosure::RetryAfterSeconds,
            Disclosure::Nothing,
            Disclosure::BareText,
        ];
        if extra {
            windows.push(Enforced::Bucket60);
            disclosures.push(Disclosure::RetryAfterMs);
        }
        let configurations = [
            Configured::Nothing,
            Configured::TrueBucket,
            Configured::DoubleBucket,
            Configured::Rpm,
        ];
        let mut cells = Vec::new();
        for enforced in windows {
            for disclosure in &disclosures {
                cells.extend(configurations.map(|configured| Self {
                    enforced,
                    disclosure: *disclosure,
                    configured,
                    counts_refused,
                }));
            }
        }
        cells
    }

    /// Returns the cells that also run over loopback sockets, in real time. Their windows are short, so that a run takes 200 s.
    pub(crate) fn over_sockets() -> Vec<Self> {
        let cells = [
            (Enforced::Bucket, Disclosure::Nothing, Configured::TrueBucket),
            (
                Enforced::Bucket,
                Disclosure::RetryAfterSeconds,
                Configured::Nothing,
            ),
            (Enforced::Fixed5, Disclosure::ResetToNext, Configured::Nothing),
            (
                Enforced::Sliding5,
                Disclosure::LimitPerMinute,
                Configured::DoubleBucket,
            ),
            (Enforced::Sliding5, Disclosure::Nothing, Configured::Nothing),
            (Enforced::Sliding5, Disclosure::ResetToWhole, Configured::Rpm),
        ];
        let cell = |(enforced, disclosure, configured)| Self {
            enforced,
            disclosure,
            configured,
            counts_refused: false,
        };
        cells.map(cell).to_vec()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let (enforced, ..) = self.enforced.parts();
        vec![enforced, disclosure_name(self.disclosure), self.configured.name()]
    }

    /// Returns the served share, the refused share, the failed calls and Jain's index.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let (served, refused) = self.bars();
        vec![
            Metric::new("served", Unit::Percent, Bar::at_least(served)),
            Metric::new("refused", Unit::Percent, refused.map_or(Bar::LOW, Bar::at_most)),
            Metric::new("failed", Unit::Count, Bar::at_most(0.0).in_each_run()),
            Metric::new("Jain", Unit::Index, Bar::at_least(0.98).in_each_run()),
        ]
    }

    /// Returns the least share of the limit to be served, and the highest share of requests to be refused.
    fn bars(&self) -> (f64, Option<f64>) {
        if self.counts_refused {
            return (0.88, None);
        }
        if self.configured == Configured::Rpm && self.enforced.is_long() {
            return (0.97, Some(0.001));
        }
        match self.disclosure {
            Disclosure::RetryAfterSeconds if self.enforced == Enforced::Sliding5 => (0.88, Some(0.03)),
            Disclosure::RetryAfterSeconds => (0.90, Some(0.03)),
            Disclosure::Nothing | Disclosure::BareText => (0.90, Some(0.08)),
            Disclosure::ResetToNext
            | Disclosure::ResetToWhole
            | Disclosure::LimitPerMinute
            | Disclosure::RetryAfterMs => (0.95, Some(0.03)),
        }
    }

    fn provider(&self) -> Provider {
        let (_, window, span) = self.enforced.parts();
        Provider {
            window,
            span: span * SECOND,
            counts_refused: self.counts_refused,
            disclosure: self.disclosure,
            ..Provider::SILENT_BUCKET
        }
    }

    /// Returns the whole windows that are counted: those of 60 s from the third, four of them; others between 30 s and 200 s.
    fn counted(&self, limit: &RequestLimit) -> Range<Duration> {
        if self.enforced.is_long() {
            whole_windows(limit, 120 * SECOND, 420 * SECOND)
        } else {
            whole_windows(limit, 30 * SECOND, 200 * SECOND)
        }
    }

    /// Runs the cell in paused time.
    pub(crate) async fn run(&self, seed: u64) -> Sample {
        let settings = self.provider().settings(seed);
        let counted = self.counted(&settings.limit);
        let provider = RateLimitedProvider::new(settings);
        let target = self.configured.target(&provider, None);
        let record =
            load::closed_loop(&target, &provider, counted.end, counted.end + 2 * load::DEADLINE).await;
        self.sample(&record, counted)
    }

    /// Runs the cell over a loopback socket, in real time.
    pub(crate) async fn run_over_socket(&self, seed: u64) -> Sample {
        let settings = self.provider().settings(seed);
        let counted = self.counted(&settings.limit);
        let provider = RateLimitedProvider::new(settings);
        let url = provider.listen().await;
        let target = self.configured.target(&provider, Some(&url));
        let record = load::closed_loop(&target, &provider, counted.end, counted.end + 2 * SECOND).await;
        self.sample(&record, counted)
    }

    fn sample(&self, record: &load::Record, counted: Range<Duration>) -> Sample {
        let possible = (counted.end - counted.start).as_secs_f64() * RATE;
        Sample {
            values: vec![
                record.served(counted.clone()) as f64 / possible,
                record.refused_share(counted.clone()),
                record.failures.len() as f64,
                record.jain(counted),
            ],
            failure: record.failures.first().cloned(),
        }
    }
}

/// Returns the whole windows of a limit between two times. The windows of a bucket and of a sliding window begin anywhere.
pub(crate) fn whole_windows(limit: &RequestLimit, from: Duration, to: Duration) -> Range<Duration> {
    let span = limit.span.as_nanos();
    let phase = match limit.window {
        Window::Fixed => limit.phase,
        Window::Bucket | Window::Sliding => Duration::ZERO,
    };
    let first = (from + phase).as_nanos().div_ceil(span);
    let last = (to + phase).as_nanos() / span;
    let start = |number: u128| Duration::from_nanos((number * span) as u64) - phase;
    start(first)..start(last)
}
