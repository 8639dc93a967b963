//! Logs advice about keys for which the provider names the same account.

use http::{HeaderMap, HeaderName};
use llmpool_core::limits::KeyId;

use crate::observe;
use crate::provider::Provider;

/// The response header in which a provider names the account of the key.
static ACCOUNT: HeaderName = HeaderName::from_static("openai-organization");

/// Records the account that the response headers name for the key. Logs a warning if the headers name the same
/// account as those of another key, and the configuration does not say whether the two keys share an account.
pub(crate) fn record(provider: &Provider, key: Option<KeyId>, headers: &HeaderMap) {
    let account = headers.get(&ACCOUNT).and_then(|name| name.to_str().ok());
    let (Some(key), Some(account)) = (key, account) else {
        return;
    };
    if provider.keys.len() < 2 {
        return;
    }
    let other = provider.account_names().record(key, account);
    if let Some(other) = other.filter(|other| provider.may_share_account(key, *other)) {
        observe::account_may_be_shared(provider, other, key);
    }
}
