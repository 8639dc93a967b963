//! What the headers of an answer tell of its key: what is left of the limits, and whose account it is.

use std::hash::{DefaultHasher, Hasher};

use http::HeaderMap;
use llmpool_core::limits::KeyId;
use llmpool_core::rate_headers::LimitHeaders;

use crate::clock;
use crate::limits::Permit;
use crate::observe;
use crate::target::{Provider, Target};

/// Believes what an answer says of its key.
pub(crate) fn note(target: &Target, permit: &Permit, headers: &HeaderMap) {
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
        let kin = target
            .provider
            .kinship()
            .observe(key, account.map(fingerprint), &requests, clock::now());
        if let Some(kin) = kin {
            share(&target.provider, &kin);
        }
    }
}

/// These keys turned out to be one account: from now on its limit counts once for all of them.
fn share(provider: &Provider, keys: &[KeyId]) {
    let known = provider.admission.with_limiter(|limiter| {
        let group = limiter.group_of(keys[0]);
        group.is_some() && keys.iter().all(|key| limiter.group_of(*key) == group)
    });
    if known {
        return;
    }
    let limits = provider.admission.with_limiter(|limiter| {
        let all = keys.iter().map(|key| match limiter.configured_limits(*key) {
            (own, Some(account)) => own.stricter(&account),
            (own, None) => own,
        });
        all.reduce(|a, b| a.stricter(&b)).unwrap_or_default()
    });
    let limits = llmpool_core::limits::Limits {
        max_concurrency: None,
        ..limits
    };
    let learn = provider
        .admission
        .with_limiter(|limiter| keys.iter().any(|key| limiter.observes_limits(*key)));
    provider.admission.join_keys(keys, limits, learn);
    observe::one_quota(provider, keys);
}

fn fingerprint(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}
