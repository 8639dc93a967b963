//! The configuration of a provider's limits.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::window::WindowKind;
use crate::scenario::ScenarioError;
use crate::seconds::{self, MAX_DURATION};

/// The limits that a provider enforces for a key or an account. The default value has no limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderLimits {
    /// Maximum number of requests in each window of length [`per`](Self::per). Default: unlimited.
    pub requests: Option<NonZeroU32>,
    /// Maximum number of tokens, prompt and answer together, in each window of length [`per`](Self::per). Default:
    /// unlimited.
    pub tokens: Option<NonZeroU32>,
    /// The length of the window in which `requests` and `tokens` are counted: more than 0, at most a year.
    /// Default 60 s.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub per: Duration,
    /// Maximum number of requests in each window of 24 hours. Default: unlimited.
    pub requests_per_day: Option<NonZeroU32>,
    /// Maximum number of requests in flight. A request is in flight from its arrival to the last byte of its
    /// response. Default: unlimited.
    pub concurrency: Option<NonZeroU32>,
    /// The kind of window in which `requests`, `tokens` and `requests_per_day` are counted. Default
    /// [`WindowKind::Bucket`].
    pub window: WindowKind,
    /// Whether a denied request counts towards `requests` and `requests_per_day`. A denied request never
    /// counts towards `tokens`, and a request denied by `quota` counts towards no limit. Default `false`.
    pub count_denied: bool,
    /// The number of requests that pass before all further requests are denied, as with prepaid credit.
    /// Default: unlimited.
    pub quota: Option<RequestQuota>,
}

/// A number of requests after which a provider denies all further requests, until the quota resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestQuota {
    /// The number of requests that pass before the quota is used up. 0 denies every request.
    pub requests: u32,
    /// The time after which a used-up quota is available again in full, counted from the last request that
    /// passed: more than 0, at most a year. Default: the quota never resets.
    #[serde(default, deserialize_with = "seconds::deserialize_some")]
    pub resets_after: Option<Duration>,
}

/// One of the limits in [`ProviderLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderLimitKind {
    /// The limit on requests per window, [`ProviderLimits::requests`].
    Requests,
    /// The limit on tokens per window, [`ProviderLimits::tokens`].
    Tokens,
    /// The limit on requests per day, [`ProviderLimits::requests_per_day`].
    Day,
    /// The limit on requests in flight, [`ProviderLimits::concurrency`].
    Concurrency,
    /// The limit on the total number of requests, [`ProviderLimits::quota`].
    Quota,
}

impl ProviderLimits {
    pub(crate) fn validate(&self, place: &str) -> Result<(), ScenarioError> {
        let error = |problem: &str| Err(ScenarioError::new(format!("{place}{problem}")));
        let Self {
            requests,
            tokens,
            per,
            requests_per_day,
            concurrency,
            window: _,
            count_denied: _,
            quota,
        } = *self;
        let numbers = [requests, tokens, requests_per_day, concurrency];
        if numbers.iter().all(Option::is_none) && quota.is_none() {
            return error(
                " has no limit; give requests, tokens, requests_per_day, concurrency or quota, or remove the field",
            );
        }
        let reset = quota.and_then(|quota| quota.resets_after);
        if reset.is_some() && quota.is_some_and(|quota| quota.requests == 0) {
            return error(
                ".quota has 0 requests, so resets_after has no effect; give at least 1 request or remove resets_after",
            );
        }
        if per.is_zero() || reset.is_some_and(|reset| reset.is_zero()) {
            return error(" has a duration of 0; set per and quota.resets_after above 0");
        }
        if per.max(reset.unwrap_or_default()) > MAX_DURATION {
            return error(" has a duration of more than a year; give at most 366 days");
        }
        Ok(())
    }
}

impl Default for ProviderLimits {
    fn default() -> Self {
        Self {
            requests: None,
            tokens: None,
            per: Duration::from_secs(60),
            requests_per_day: None,
            concurrency: None,
            window: WindowKind::default(),
            count_denied: false,
            quota: None,
        }
    }
}
