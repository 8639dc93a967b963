//! What the headers of an answer tell of its key: what is left of the limits, and whose account it is.

use http::HeaderMap;
use llmpool_core::limits::key::KeyId;
use llmpool_core::rate_headers;
use sha2::{Digest, Sha256};

use crate::clock;
use crate::limits::Permit;
use crate::observe;
use crate::target::{Provider, Target};

/// Believes what an answer says of its key.
pub(crate) fn note(target: &Target, permit: &Permit, headers: &HeaderMap) {
    let Some(key) = permit.key() else { return };
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let sights = rate_headers::sights(get, Some(clock::wall_now()));
    if let Some(sights) = &sights {
        permit.observed(sights);
    }
    if target.provider.keys.len() > 1 {
        let account = headers
            .get("openai-organization")
            .map(|name| fingerprint(name.as_bytes()));
        let requests = sights.unwrap_or_default().requests;
        if account.is_some() || requests.remaining.is_some() {
            let kin = target.provider.kinship().answered(key, account, &requests);
            if let Some(kin) = kin {
                share(&target.provider, &kin);
            }
        }
    }
}

/// These keys turned out to be one account: from now on its limit counts once for all of them.
fn share(provider: &Provider, keys: &[KeyId]) {
    let known = provider.admission.look(|ledger| {
        let group = ledger.group_of(keys[0]);
        group.is_some() && keys.iter().all(|key| ledger.group_of(*key) == group)
    });
    if known {
        return;
    }
    let limits = provider.admission.look(|ledger| {
        let all = keys.iter().map(|key| match ledger.configured(*key) {
            (own, Some(account)) => own.stricter(&account),
            (own, None) => own,
        });
        all.reduce(|a, b| a.stricter(&b)).unwrap_or_default()
    });
    let limits = llmpool_core::limits::ledger::Limits {
        max_concurrency: None,
        ..limits
    };
    provider.admission.join_keys(keys, limits, true);
    observe::one_quota(provider, keys);
}

fn fingerprint(name: &[u8]) -> u64 {
    let hash = Sha256::digest(name);
    hash.iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
