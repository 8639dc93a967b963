//! Applies two facts from response headers: the rate limits of the key, and the account to which the key
//! belongs.

use std::hash::{DefaultHasher, Hasher};

use http::HeaderMap;
use llmpool_core::limits::{KeyId, Limits};
use llmpool_core::rate_headers::LimitHeaders;

use crate::clock;
use crate::limits::Permit;
use crate::observe;
use crate::provider::Provider;
use crate::target::Target;

/// Records the rate limits that the response headers report for the key. Also detects which keys share an
/// account.
pub(crate) fn record(target: &Target, permit: &Permit, headers: &HeaderMap) {
    let Some(key) = permit.key() else { return };
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let LimitHeaders { limits, account } = LimitHeaders::parse(headers, || Some(clock::wall_now()));
    if let Some(limits) = &limits {
        permit.record_limits(limits);
    }
    if target.provider.keys.len() < 2 {
        return;
    }
    let requests = limits.unwrap_or_default().requests;
    if account.is_some() || requests.remaining.is_some() {
        let shared =
            target
                .provider
                .shared_quota()
                .observe(key, account.map(fingerprint), &requests, clock::now());
        if let Some(keys) = shared {
            join_keys(&target.provider, &keys);
        }
    }
}

/// Puts keys that share an account into one quota group, so that the account's limits apply to these keys
/// together. Does nothing if the keys already belong to one group.
fn join_keys(provider: &Provider, keys: &[KeyId]) {
    let is_joined = provider.admission.with_limiter(|limiter| {
        let group = limiter.group_of(keys[0]);
        group.is_some() && keys.iter().all(|key| limiter.group_of(*key) == group)
    });
    if is_joined {
        return;
    }
    let (limits, learn) = provider.admission.with_limiter(|limiter| {
        let limits = keys.iter().map(|key| match limiter.configured_limits(*key) {
            (own, Some(account)) => own.stricter(&account),
            (own, None) => own,
        });
        let limits = limits.reduce(|a, b| a.stricter(&b)).unwrap_or_default();
        (limits, keys.iter().any(|key| limiter.observes_limits(*key)))
    });
    let limits = Limits {
        max_concurrency: None,
        ..limits
    };
    provider.admission.join_keys(keys, limits, learn);
    observe::quota_shared(provider, keys);
}

fn fingerprint(account: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(account.as_bytes());
    hasher.finish()
}
