//! Providers and their models, as configured by a provider file or in code.

use crate::base_url::redacted;
use crate::key_entry::KeyEntry;
use crate::openai_compatible::TargetSettings;

/// A provider with its models.
#[derive(Clone, Debug)]
pub struct ProviderEntry {
    /// The provider's name; not empty, without a slash.
    pub id: String,
    /// The provider's models.
    pub models: Vec<ModelEntry>,
}

/// A model of a provider.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// The model name that is sent to the provider.
    pub model_name: String,
    /// The model's API keys: at least one, without duplicates.
    pub api_keys: Vec<KeyEntry>,
    /// The URL to which a path such as `chat/completions` is appended.
    pub base_url: String,
    /// All other settings. A provider file that sets no rate limit gets 10 requests at once and 1.0 requests per second.
    pub settings: TargetSettings,
}

impl ModelEntry {
    /// Returns the base URL for display. Values of query parameters are replaced, because they may contain a key.
    pub fn redacted_base_url(&self) -> String {
        redacted(&self.base_url)
    }
}
