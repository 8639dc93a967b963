//! Reads providers and models.

use std::time::Duration;

use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::limits::LimitScope;

use super::field::{Field, Fields};
use super::reader::{FileReader, is_comment};
use crate::base_url::endpoint;
use crate::provider_entry::{ModelEntry, ProviderEntry};
use crate::target_settings::TargetSettings;

const MODEL_FIELDS: [&str; 22] = [
    "model_name",
    "api",
    "api_keys",
    "base_url",
    "max_retries",
    "retry_delay",
    "rate_limit_capacity",
    "rate_limit_refill_rate",
    "rpm",
    "tpm",
    "rpd",
    "max_concurrency",
    "expected_output_tokens",
    "learn_limits",
    "limit_scope",
    "structured_output",
    "breaker",
    "on_status",
    "context_window",
    "api_params",
    "headers",
    "timeouts",
];
/// The required fields of a model, each with an example value for error messages.
const REQUIRED: [(&str, &str); 3] = [
    ("model_name", "\"gpt-4o-mini\""),
    ("api_keys", "[\"${OPENAI_API_KEY}\"]"),
    ("base_url", "\"https://api.openai.com/v1\""),
];

const FILE_EXAMPLE: &str = r#"{"openai": [{…}]}"#;

impl<'a> FileReader<'a> {
    /// Reads all providers of the file. Records a warning if models get the default rate limit.
    pub(super) fn providers(&mut self, file: &Field<'a>) -> Vec<ProviderEntry> {
        let mut providers = Vec::new();
        let members = self.object(file, FILE_EXAMPLE);
        for (id, field) in members.iter().flat_map(Fields::iter) {
            if *id != "$schema" && !is_comment(id) {
                providers.extend(self.provider(id, &field));
            }
        }
        if providers.is_empty() && !self.has_errors() {
            let help = format!("add a provider, as in {FILE_EXAMPLE}");
            self.error(file, "no provider is defined", &help);
        }
        if self.without_rate_limit > 0 {
            let count = self.without_rate_limit;
            let message = format!(
                "{count} model(s) set no rate limit and get the default: capacity 10, 1.0 requests/s"
            );
            let help = "set rate_limit_capacity and rate_limit_refill_rate, or null for no limit";
            self.warn(file, &message, help);
        }
        providers
    }

    fn provider(&mut self, id: &str, field: &Field<'a>) -> Option<ProviderEntry> {
        if id.is_empty() || id.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            let message = "a provider name must not be empty or contain a slash or whitespace";
            self.error(
                field,
                message,
                "rename it; models are addressed as provider/model",
            );
        }
        let items = self.array(field, r#"[{"model_name": "gpt-4o-mini", …}]"#)?;
        if items.is_empty() {
            let help = "add a model, or remove the provider";
            self.error(field, "the provider has no models", help);
        }
        let mut models: Vec<ModelEntry> = Vec::new();
        for item in items {
            let Some(model) = self.model(&item) else {
                continue;
            };
            if models
                .iter()
                .any(|earlier| earlier.model_name == model.model_name)
            {
                let name = Field {
                    path: format!("{}.model_name", item.path),
                    value: item.value,
                };
                let help = "rename or remove one of the two models";
                self.error(&name, "the provider has another model of this name", help);
            }
            models.push(model);
        }
        let id = id.to_owned();
        Some(ProviderEntry { id, models })
    }

    fn model(&mut self, field: &Field<'a>) -> Option<ModelEntry> {
        let members = self.object_of(field, &MODEL_FIELDS, r#"{"model_name": "gpt-4o-mini", …}"#)?;
        for (name, example) in REQUIRED {
            if members.get(name).is_none() {
                self.missing(field, &members, name, example);
            }
        }
        let model_name = members.get("model_name").and_then(|field| self.string(&field));
        let api_keys = members.get("api_keys").map(|field| self.keys(&field));
        let base_url = members.get("base_url").and_then(|field| self.base_url(&field));
        let settings = self.settings(&members);
        Some(ModelEntry {
            model_name: model_name?,
            api_keys: api_keys?,
            base_url: base_url?,
            settings,
        })
    }

    fn settings(&mut self, members: &Fields<'a>) -> TargetSettings {
        let defaults = TargetSettings::default();
        let api_formats =
            [ApiFormat::ChatCompletions, ApiFormat::Responses].map(|format| (format.as_str(), format));
        let scopes = [LimitScope::Key, LimitScope::Model].map(|scope| (scope.as_str(), scope));
        let answer_formats = AnswerFormat::ALL.map(|format| (format.as_str(), format));
        let rate_limit = self.model_rate_limit(members);
        let get = |name| members.get_non_null(name);
        TargetSettings {
            api: get("api")
                .and_then(|field| self.one_of(&field, &api_formats))
                .unwrap_or_default(),
            limits: self.limits(rate_limit, members),
            expected_output_tokens: self.optional_integer(members, "expected_output_tokens", 1, u32::MAX),
            breaker: self.optional_integer(members, "breaker", 1, 1_000_000),
            on_status: self.status_policy(get("on_status")),
            learn_limits: get("learn_limits")
                .and_then(|field| self.boolean(&field))
                .unwrap_or(true),
            limit_scope: get("limit_scope").and_then(|field| self.one_of(&field, &scopes)),
            structured_output: get("structured_output")
                .and_then(|field| self.one_of(&field, &answer_formats)),
            max_retries: self
                .optional_integer(members, "max_retries", 0, 100)
                .unwrap_or(defaults.max_retries),
            retry_delay: get("retry_delay")
                .and_then(|field| self.non_negative_number(&field, "use 0 or a larger number"))
                .map_or(defaults.retry_delay, |delay| {
                    Duration::from_secs_f64(delay.min(86_400.0))
                }),
            timeouts: self.timeouts(get("timeouts")),
            context_window: self
                .optional_integer(members, "context_window", 1, u32::MAX)
                .unwrap_or(defaults.context_window),
            api_params: self.api_params(get("api_params")),
            headers: self.headers(get("headers")),
        }
    }

    fn base_url(&mut self, field: &Field<'a>) -> Option<String> {
        let url = self.string(field)?;
        if url.trim_end_matches('/').ends_with("/chat/completions") {
            let message = "this is the URL of an endpoint, not a base URL";
            self.error(field, message, "remove /chat/completions from its end");
            return None;
        }
        if let Err(error) = endpoint(&url, "chat/completions") {
            self.error(
                field,
                &error.to_string(),
                "write it as in https://api.openai.com/v1",
            );
            return None;
        }
        Some(url)
    }
}
