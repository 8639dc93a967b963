//! Refusals that say nothing about the limit: brown-outs of the provider, and stray refusals.

use std::time::Duration;

use crate::load::{self, Record};
use crate::metric::{Bar, Metric, Sample, Unit};
use crate::rate_limited_provider::{Outage, OutageKind, RateLimitedProvider};
use crate::setting::{Configured, Provider, RATE};

const SECOND: Duration = Duration::from_secs(1);

/// How the calls of a run start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// 64 callers in a closed loop.
    Full,
    /// Calls at half the rate that the provider admits.
    Half,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full-load",
            Self::Half => "half-load",
        }
    }

    async fn run(self, provider: &Provider, configured: Configured, seed: u64, end: Duration) -> Record {
        let provider = RateLimitedProvider::new(provider.settings(seed));
        let target = configured.target(&provider, None);
        match self {
            Self::Full => load::closed_loop(&target, &provider, end, end + 2 * load::DEADLINE).await,
            Self::Half => load::open_loop(&target, &provider, RATE / 2.0, end).await,
        }
    }
}

/// A time without any admitted request, and then a provider that enforces its limit without disclosing it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrownOut {
    seconds: u32,
    kind: OutageKind,
    load: Load,
    configured: Configured,
}

/// Start of a brown-out.
const BROWN_OUT: Duration = Duration::from_secs(90);
/// Time after a brown-out in which the pool may return to its rate.
const RETURN: Duration = Duration::from_secs(150);
/// Time over which a served rate is measured.
const RATE_SPAN: Duration = Duration::from_secs(10);
/// Time for which a returned rate has to last.
const LASTING: Duration = Duration::from_secs(30);

impl BrownOut {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (load, configured) in [
            (Load::Full, Configured::Nothing),
            (Load::Full, Configured::Rpm),
            (Load::Half, Configured::Nothing),
        ] {
            for seconds in [5, 30, 300] {
                for kind in [OutageKind::RateLimited, OutageKind::Overloaded, OutageKind::Mixed] {
                    all.push(Self {
                        seconds,
                        kind,
                        load,
                        configured,
                    });
                }
            }
        }
        all
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let seconds = match self.seconds {
            5 => "5s",
            30 => "30s",
            _ => "300s",
        };
        let kind = match self.kind {
            OutageKind::RateLimited => "429",
            OutageKind::Overloaded => "503",
            OutageKind::Mixed => "mixed",
        };
        vec![seconds, kind, self.load.name(), self.configured.name()]
    }

    pub(crate) fn metrics() -> Vec<Metric> {
        vec![
            Metric::new("served before", Unit::Percent, Bar::HIGH),
            Metric::new("back after", Unit::Seconds, Bar::at_most(30.0).in_each_run()),
            Metric::new("peak", Unit::Factor, Bar::at_most(2.0).in_each_run()),
            Metric::new("failed after", Unit::Count, Bar::LOW),
        ]
    }

    pub(crate) async fn run(&self, seed: u64) -> Sample {
        let until = BROWN_OUT + self.seconds * SECOND;
        let provider = Provider {
            outage: Some(Outage {
                from: BROWN_OUT,
                until,
                kind: self.kind,
            }),
            ..Provider::SILENT_BUCKET
        };
        let end = until + RETURN;
        let record = self.load.run(&provider, self.configured, seed, end).await;
        let before_span = BROWN_OUT - 30 * SECOND;
        let before = record.served(30 * SECOND..BROWN_OUT) as f64 / before_span.as_secs_f64();
        let is_back = |from: Duration| {
            [RATE_SPAN, LASTING]
                .into_iter()
                .all(|span| record.served(from..from + span) as f64 >= 0.95 * before * span.as_secs_f64())
        };
        let last = ((RETURN - LASTING).as_secs_f64() * 2.0) as u32;
        let back = (0..=last)
            .map(|half_seconds| half_seconds * SECOND / 2)
            .find(|after| is_back(until + *after));
        let failed = record
            .failures
            .iter()
            .filter(|failure| failure.at >= until + LASTING)
            .count();
        Sample {
            values: vec![
                before / RATE,
                back.map_or(f64::INFINITY, |after| after.as_secs_f64()),
                record.peak_per_second(until) as f64 / RATE,
                failed as f64,
            ],
            failure: record
                .failures
                .iter()
                .find(|failure| failure.at >= until + LASTING)
                .cloned(),
        }
    }
}

/// Refusals of random requests within the limit, compared with a run without them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrayRefusals {
    share: f64,
    load: Load,
    configured: Configured,
}

impl StrayRefusals {
    pub(crate) fn all() -> Vec<Self> {
        let configurations = [
            Configured::Nothing,
            Configured::TrueBucket,
            Configured::DoubleBucket,
            Configured::Rpm,
        ];
        let of = |share, load| {
            configurations.map(|configured| Self {
                share,
                load,
                configured,
            })
        };
        [of(0.01, Load::Full), of(0.05, Load::Half)].concat()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        let share = if self.share < 0.02 { "1%" } else { "5%" };
        vec![share, "429", self.load.name(), self.configured.name()]
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let cost = if self.load == Load::Full { 0.04 } else { 0.3 };
        vec![
            Metric::new("served without", Unit::Percent, Bar::HIGH),
            Metric::new("served with", Unit::Percent, Bar::HIGH),
            Metric::new("cost", Unit::Percent, Bar::at_most(cost)),
            Metric::new("failed", Unit::Count, Bar::LOW),
        ]
    }

    pub(crate) async fn run(&self, seed: u64) -> Sample {
        let counted = 30 * SECOND..330 * SECOND;
        let offered = match self.load {
            Load::Full => RATE,
            Load::Half => RATE / 2.0,
        };
        let possible = (counted.end - counted.start).as_secs_f64() * offered;
        let run = async |stray_refusals| {
            let provider = Provider {
                stray_refusals,
                ..Provider::SILENT_BUCKET
            };
            let record = self.load.run(&provider, self.configured, seed, counted.end).await;
            (record.served(counted.clone()) as f64 / possible, record.failures)
        };
        let (without, _) = run(0.0).await;
        let (with, failures) = run(self.share).await;
        Sample {
            values: vec![without, with, 1.0 - with / without, failures.len() as f64],
            failure: failures.first().cloned(),
        }
    }
}
