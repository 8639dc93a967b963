//! Applies the rate limits that response headers report, and logs advice about keys that seem to belong to
//! one account.

use http::HeaderMap;
use llmpool_core::limits::KeyId;
use llmpool_core::rate_headers::LimitHeaders;

use crate::clock;
use crate::limits::Permit;
use crate::observe;
use crate::provider::Provider;
use crate::target::Target;

/// Records the rate limits that the response headers report for the key. Logs a warning if the headers name
/// the same account as those of another key, and the configuration does not say whether the two keys share
/// an account.
pub(crate) fn record(target: &Target, permit: &Permit, headers: &HeaderMap) {
    let Some(key) = permit.key() else { return };
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let LimitHeaders { limits, account } = LimitHeaders::parse(headers, || Some(clock::wall_now()));
    if let Some(limits) = &limits {
        permit.record_limits(limits);
    }
    if let Some(account) = account.filter(|_| target.provider.keys.len() > 1) {
        record_account(&target.provider, key, account);
    }
}

fn record_account(provider: &Provider, key: KeyId, account: &str) {
    let other = provider.account_names().record(key, account);
    if let Some(other) = other.filter(|other| provider.may_share_account(key, *other)) {
        observe::account_may_be_shared(provider, other, key);
    }
}
