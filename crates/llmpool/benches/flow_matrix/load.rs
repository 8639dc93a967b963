//! Load on a target, and what the provider and the callers saw of it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{CallOptions, LlmInterface, OpenAiCompatible};
use tokio::task::JoinSet;

use crate::rate_limited_provider::{Arrival, RateLimitedProvider};

pub(crate) const CALLERS: usize = 64;
/// Deadline of each call. No call runs longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(300);
/// Pause of a caller after a failed call, so that local rejections do not stop the paused time.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The calls of a run. All times are the provider's.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) arrivals: Vec<Arrival>,
    /// End of each successful call, for each caller.
    pub(crate) answers: Vec<Vec<Duration>>,
    pub(crate) failures: Vec<Failure>,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: Duration,
    pub(crate) text: String,
}

/// Results of one caller.
#[derive(Default)]
struct CallerRecord {
    answers: Vec<Duration>,
    failures: Vec<Failure>,
}

/// Runs callers that send their next call when the previous one has ended, until `end`. Calls that have not ended by `stop` are dropped and not counted.
pub(crate) async fn closed_loop(
    target: &OpenAiCompatible,
    provider: &Arc<RateLimitedProvider>,
    end: Duration,
    stop: Duration,
) -> Record {
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (target, provider) = (target.clone(), provider.clone());
        callers.spawn(async move {
            let mut record = CallerRecord::default();
            while provider.elapsed() < end {
                let left = stop.saturating_sub(provider.elapsed());
                match tokio::time::timeout(left, call(&target, &provider, &mut record)).await {
                    Ok(true) => {}
                    Ok(false) => tokio::time::sleep(PAUSE_AFTER_FAILURE).await,
                    Err(_) => break,
                }
            }
            record
        });
    }
    collect(callers, provider).await
}

/// Starts calls at a constant rate until `end`. The last calls run to their ends, at most until their deadlines.
pub(crate) async fn open_loop(
    target: &OpenAiCompatible,
    provider: &Arc<RateLimitedProvider>,
    per_second: f64,
    end: Duration,
) -> Record {
    let mut calls = JoinSet::new();
    for number in 0..(end.as_secs_f64() * per_second) as u64 {
        let start = Duration::from_secs_f64(number as f64 / per_second);
        tokio::time::sleep(start.saturating_sub(provider.elapsed())).await;
        let (target, provider) = (target.clone(), provider.clone());
        calls.spawn(async move {
            let mut record = CallerRecord::default();
            call(&target, &provider, &mut record).await;
            record
        });
    }
    collect(calls, provider).await
}

/// Makes one call. Returns whether the call succeeded.
async fn call(target: &OpenAiCompatible, provider: &RateLimitedProvider, record: &mut CallerRecord) -> bool {
    let options = CallOptions {
        timeout: Some(DEADLINE),
        ..CallOptions::default()
    };
    let answer = target.chat_with(&ChatRequest::user("hi"), &options).await;
    let at = provider.elapsed();
    match answer {
        Ok(_) => {
            record.answers.push(at);
            true
        }
        Err(error) => {
            record.failures.push(Failure {
                at,
                text: format!("{:?}: {error}", error.kind()),
            });
            false
        }
    }
}

async fn collect(mut callers: JoinSet<CallerRecord>, provider: &RateLimitedProvider) -> Record {
    let mut all = Record::default();
    while let Some(caller) = callers.join_next().await {
        let caller = caller.unwrap();
        all.answers.push(caller.answers);
        all.failures.extend(caller.failures);
    }
    all.failures.sort_by_key(|failure| failure.at);
    all.arrivals = provider.arrivals();
    all
}

impl Record {
    /// Returns the number of requests that the provider admitted.
    pub(crate) fn served(&self, times: Range<Duration>) -> usize {
        self.within(times).filter(|arrival| arrival.status == 200).count()
    }

    /// Returns the refused share of the requests.
    pub(crate) fn refused_share(&self, times: Range<Duration>) -> f64 {
        let refused = self
            .within(times.clone())
            .filter(|arrival| arrival.status == 429)
            .count();
        refused as f64 / self.within(times).count().max(1) as f64
    }

    fn within(&self, times: Range<Duration>) -> impl Iterator<Item = &Arrival> {
        self.arrivals
            .iter()
            .filter(move |arrival| times.contains(&arrival.at))
    }

    /// Returns the largest number of requests in any second after `from`.
    pub(crate) fn peak_per_second(&self, from: Duration) -> usize {
        let later: Vec<Duration> = self
            .arrivals
            .iter()
            .map(|arrival| arrival.at)
            .filter(|at| *at >= from)
            .collect();
        let second = Duration::from_secs(1);
        let mut first = 0;
        let counts = later.iter().enumerate().map(|(last, at)| {
            while later[first] + second <= *at {
                first += 1;
            }
            last + 1 - first
        });
        counts.max().unwrap_or(0)
    }

    /// Returns Jain's fairness index of the answers per caller.
    pub(crate) fn jain(&self, times: Range<Duration>) -> f64 {
        let counts = self
            .answers
            .iter()
            .map(|answers| answers.iter().filter(|at| times.contains(at)).count() as f64);
        let (sum, squares) = counts.fold((0.0, 0.0), |(sum, squares), count| {
            (sum + count, squares + count * count)
        });
        if squares == 0.0 {
            return 0.0;
        }
        sum * sum / (self.answers.len() as f64 * squares)
    }
}
