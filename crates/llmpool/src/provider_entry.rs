//! The configuration of providers and their models. A configuration is read from a provider file or built in
//! code.

use std::fmt;

use http::Uri;
use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::limits::{LimitScope, Limits};
use llmpool_core::provider_profile::ProviderProfile;

use crate::base_url::redacted;
use crate::key_entry::KeyEntry;
use crate::target_settings::TargetSettings;

/// The configuration of a provider and its models.
#[derive(Clone, Debug)]
pub struct ProviderEntry {
    /// The provider's name, which is the first part of a model id such as `openai/gpt-4o-mini`. Must be
    /// non-empty and contain no slash.
    pub id: String,
    /// The provider's models, each with a different model name.
    pub models: Vec<ModelEntry>,
}

/// The configuration of a model.
#[derive(Clone)]
pub struct ModelEntry {
    /// The model name that is sent to the provider. Also the second part of the model's id.
    pub model_name: String,
    /// The model's API keys, of which there must be at least one. A key that occurs twice is used as one key.
    pub api_keys: Vec<KeyEntry>,
    /// The base URL, for example `https://api.openai.com/v1`. Requests go to this URL followed by a path such
    /// as `/chat/completions`.
    pub base_url: String,
    /// All other settings of the model, including its limits. For a model from a provider file that sets no
    /// rate limit, the settings contain the default rate limit: a burst of 10 requests, refilled at 1 request
    /// per second.
    pub settings: TargetSettings,
}

impl ModelEntry {
    /// Creates a model with default settings. A key can be given as a string, as a [`Secret`](crate::Secret),
    /// or as a [`KeyEntry`], which also has a weight and limits.
    ///
    /// Requests go to the base URL followed by a path such as `/chat/completions`. The base URL must
    /// therefore include the provider's path prefix, which is usually `/v1`.
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

    /// Replaces all settings of the model, including its limits.
    pub fn with_settings(mut self, settings: TargetSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the limits of the model, which apply to all its keys together.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Returns to what the provider's rate limits apply: the configured [`limit_scope`](TargetSettings::limit_scope)
    /// or, without one, that of the provider at the base URL.
    pub fn limit_scope(&self) -> LimitScope {
        self.settings
            .limit_scope
            .unwrap_or_else(|| self.profile().limit_scope)
    }

    /// Returns the format in which the first call with [`adapt_schema`](crate::CallOptions::adapt_schema) asks for a
    /// structured answer: the configured [`structured_output`](TargetSettings::structured_output) or, without one, the
    /// strongest format that the provider at the base URL is not known to ignore.
    pub fn structured_output(&self) -> AnswerFormat {
        self.settings
            .structured_output
            .unwrap_or_else(|| self.profile().answer_format)
    }

    fn profile(&self) -> &'static ProviderProfile {
        let uri: Option<Uri> = self.base_url.parse().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        ProviderProfile::for_authority(authority.map_or("", |host| host.as_str()))
    }

    /// Returns the base URL for display. The value of each query parameter except `api-version` is replaced
    /// by `…`, because a query parameter may contain a key.
    pub fn redacted_base_url(&self) -> String {
        redacted(&self.base_url)
    }
}

impl fmt::Debug for ModelEntry {
    /// Redacts the base URL, because the query of the URL may contain a key.
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
