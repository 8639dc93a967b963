//! The configuration of providers and their models, which comes from a provider file or from code.

use std::fmt;

use llmpool_core::limits::Limits;

use crate::base_url::redacted;
use crate::key_entry::KeyEntry;
use crate::target_settings::TargetSettings;

/// The configuration of a provider and its models.
#[derive(Clone, Debug)]
pub struct ProviderEntry {
    /// The provider's name. Must not be empty or contain a slash.
    pub id: String,
    /// The provider's models.
    pub models: Vec<ModelEntry>,
}

/// The configuration of a model.
#[derive(Clone)]
pub struct ModelEntry {
    /// The model name that is sent to the provider.
    pub model_name: String,
    /// The model's API keys: at least one key, and no duplicates.
    pub api_keys: Vec<KeyEntry>,
    /// The base URL, to which a path such as `chat/completions` is appended.
    pub base_url: String,
    /// All other settings of the model. In a provider file, a model without a rate limit gets a burst of 10 requests and 1.0 requests per
    /// second.
    pub settings: TargetSettings,
}

impl ModelEntry {
    /// Creates a model with default settings. A key is a string, a [`Secret`](crate::Secret), or a [`KeyEntry`] with weight and limits.
    ///
    /// A path such as `chat/completions` is appended to the base URL, so the base URL must include `/v1` if the provider's endpoints have
    /// it in their path.
    pub fn new(
        model_name: impl Into<String>,
        base_url: impl Into<String>,
        keys: impl IntoIterator<Item = impl Into<KeyEntry>>,
    ) -> Self {
        Self {
            model_name: model_name.into(),
            api_keys: keys.into_iter().map(Into::into).collect(),
            base_url: base_url.into(),
            settings: TargetSettings::default(),
        }
    }

    /// Replaces all settings.
    pub fn with_settings(mut self, settings: TargetSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the limits of the model.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Returns the base URL for display. Replaces the values of all query parameters except `api-version` by `…`, because they may contain
    /// a key.
    pub fn redacted_base_url(&self) -> String {
        redacted(&self.base_url)
    }
}

impl fmt::Debug for ModelEntry {
    /// Redacts the base URL, because its query may contain a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelEntry")
            .field("model_name", &self.model_name)
            .field("api_keys", &self.api_keys)
            .field("base_url", &self.redacted_base_url())
            .field("settings", &self.settings)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_of_a_model_contains_no_key() {
        let model = ModelEntry::new("m", "https://h/v1?code=canary-query", ["canary-key"]);
        let provider = ProviderEntry {
            id: "p".to_owned(),
            models: vec![model],
        };
        let debug = format!("{provider:?}");
        assert!(!debug.contains("canary"), "{debug}");
        assert!(debug.contains("https://h/v1?code=…"), "{debug}");
    }
}
