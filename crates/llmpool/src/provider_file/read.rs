//! From the text to checked entries, gathering every defect on the way.

use std::borrow::Cow;
use std::time::Duration;

use llmpool_core::api_format::ApiFormat;
use llmpool_core::limits::Limits;
use llmpool_core::limits::rate_limit::RateLimit;
use serde_json::value::RawValue;

use super::defects::{Diagnostic, ProviderFileError, Warning};
use super::json::{Kind, Members, position};
use super::places::SourceMap;
use super::{Environment, ModelEntry, ProviderEntry, ProviderFile};
use crate::base_url::endpoint;
use crate::target_settings::TargetSettings;

pub(super) const MODEL_FIELDS: [&str; 20] = [
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
    "breaker",
    "on_status",
    "context_window",
    "api_params",
    "headers",
    "timeouts",
];
pub(super) const KEY_FIELDS: [&str; 7] = [
    "key",
    "weight",
    "max_concurrency",
    "rpm",
    "tpm",
    "rpd",
    "quota_group",
];
/// Fields that the design promises and this version does not have yet.
const LATER: [&str; 1] = ["pricing"];
mod keys;
mod limits;
mod request;
mod statuses;

/// How references become keys.
#[derive(Clone, Copy)]
pub(super) struct References<'a> {
    pub(super) env: Environment<'a>,
    /// Whether one that leads nowhere stands for a key of its own.
    pub(super) stand_in: bool,
}

type Named<'a> = (Cow<'a, str>, &'a RawValue);

pub(super) fn file(
    text: &str,
    origin: &str,
    references: References<'_>,
) -> Result<ProviderFile, ProviderFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
        let problem = format!("this is not JSON: {}", cause_of(&error));
        let cure = "mend the syntax here".to_owned();
        let (line, column) = (error.line().max(1), error.column().max(1));
        ProviderFileError::new(
            origin,
            vec![Diagnostic {
                line,
                column,
                field: String::new(),
                problem,
                cure,
            }],
        )
    })?;
    let mut reader = Reader {
        text,
        references,
        defects: Vec::new(),
        warnings: Vec::new(),
        without_limits: 0,
    };
    let providers = reader.providers(whole);
    if !reader.defects.is_empty() {
        return Err(ProviderFileError::new(origin, reader.defects));
    }
    if reader.without_limits > 0 {
        let models = reader.without_limits;
        let problem = format!("{models} model(s) set no rate limit and get capacity 10 and 1.0 requests/s");
        let cure = "set rate_limit_capacity and rate_limit_refill_rate, or null for no limit";
        reader.warn(whole, "", &problem, cure);
    }
    Ok(ProviderFile {
        providers,
        warnings: reader.warnings,
        places: SourceMap::of(text),
    })
}

/// serde's words without the position, which is told separately.
fn cause_of(error: &serde_json::Error) -> String {
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or_default().to_owned()
}

struct Reader<'a> {
    text: &'a str,
    references: References<'a>,
    defects: Vec<Diagnostic>,
    warnings: Vec<Warning>,
    without_limits: usize,
}

impl<'a> Reader<'a> {
    fn defect_at(&self, at: &str, field: &str, problem: &str, cure: &str) -> Diagnostic {
        let (line, column) = position(self.text, at);
        let [field, problem, cure] = [field, problem, cure].map(str::to_owned);
        Diagnostic {
            line,
            column,
            field,
            problem,
            cure,
        }
    }

    fn defect(&mut self, at: &RawValue, field: &str, problem: &str, cure: &str) {
        let defect = self.defect_at(at.get(), field, problem, cure);
        self.defects.push(defect);
    }

    fn warn(&mut self, at: &RawValue, field: &str, problem: &str, cure: &str) {
        let defect = self.defect_at(at.get(), field, problem, cure);
        self.warnings.push(Warning(defect));
    }

    fn wrong_type(&mut self, at: &RawValue, field: &str, wanted: &str) {
        let problem = format!("this has to be {wanted}, not {}", Kind::of(at).name());
        self.defect(at, field, &problem, "change the value");
    }

    /// The members of an object; those that repeat or are not known are defects.
    fn members(&mut self, value: &'a RawValue, path: &str, known: Option<&[&str]>) -> Option<Vec<Named<'a>>> {
        let Ok(Members(members)) = serde_json::from_str(value.get()) else {
            self.wrong_type(value, path, "an object");
            return None;
        };
        for (index, (name, value)) in members.iter().enumerate() {
            let field = joined(path, name);
            if is_comment(name) && (known.is_some() || path.is_empty()) {
                continue;
            }
            if members[..index].iter().any(|(earlier, _)| earlier == name) {
                self.defect(value, &field, "this field is there twice", "remove one of them");
            }
            if let Some(known) = known.filter(|known| !known.contains(&name.as_ref())) {
                self.unknown(value, &field, name, known);
            }
        }
        Some(members)
    }

    fn unknown(&mut self, value: &RawValue, field: &str, name: &str, known: &[&str]) {
        if LATER.contains(&name) {
            self.defect(
                value,
                field,
                "not supported yet",
                "remove it; this version would not honour it",
            );
            return;
        }
        let near = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known));
        let near = near
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4);
        let cure = match near {
            Some((_, near)) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        self.defect(value, field, "unknown field", &cure);
    }

    fn list(&mut self, value: &'a RawValue, path: &str) -> Option<Vec<&'a RawValue>> {
        let list = serde_json::from_str(value.get()).ok();
        if list.is_none() {
            self.wrong_type(value, path, "a list");
        }
        list
    }

    fn text(&mut self, value: &RawValue, path: &str) -> Option<String> {
        let text = serde_json::from_str::<String>(value.get()).ok();
        match text {
            Some(text) if text.trim().is_empty() => {
                self.defect(value, path, "this is empty", "fill it in");
                None
            }
            Some(text) => Some(text),
            None => {
                self.wrong_type(value, path, "a text");
                None
            }
        }
    }

    fn number(&mut self, value: &RawValue, path: &str) -> Option<f64> {
        if Kind::of(value) != Kind::Number {
            self.wrong_type(value, path, "a number");
            return None;
        }
        match serde_json::from_str::<f64>(value.get())
            .ok()
            .filter(|number| number.is_finite())
        {
            Some(number) if number < 0.0 => {
                self.defect(value, path, "this is below 0", "give a number above 0");
                None
            }
            Some(number) => Some(number),
            None => {
                self.defect(value, path, "this number is too large", "give a finite number");
                None
            }
        }
    }

    fn whole(&mut self, value: &RawValue, path: &str, least: u32, most: u32) -> Option<u32> {
        let number = self.number(value, path)?;
        if number.fract() != 0.0 || number < f64::from(least) || number > f64::from(most) {
            let problem = format!("this has to be a whole number from {least} to {most}");
            self.defect(value, path, &problem, "change the value");
            return None;
        }
        Some(number as u32)
    }

    fn providers(&mut self, whole: &'a RawValue) -> Vec<ProviderEntry> {
        let members = self.members(whole, "", None).unwrap_or_default();
        let mut providers = Vec::new();
        for (id, value) in members
            .into_iter()
            .filter(|(id, _)| id != "$schema" && !is_comment(id))
        {
            if id.is_empty() || id.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
                let problem = "a provider's name must not be empty or hold a slash or a blank";
                self.defect(
                    value,
                    &id,
                    problem,
                    "rename it; models are addressed as provider/model",
                );
            }
            let Some(models) = self.list(value, &id) else {
                continue;
            };
            if models.is_empty() {
                self.defect(
                    value,
                    &id,
                    "this provider has no model",
                    "add one, or remove the provider",
                );
            }
            let models = self.models(&id, &models);
            providers.push(ProviderEntry {
                id: id.into_owned(),
                models,
            });
        }
        if providers.is_empty() && self.defects.is_empty() {
            self.defect(
                whole,
                "",
                "there is no provider",
                "add one, as in {\"openai\": [{…}]}",
            );
        }
        providers
    }

    fn models(&mut self, provider: &str, values: &[&'a RawValue]) -> Vec<ModelEntry> {
        let mut models: Vec<ModelEntry> = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let path = format!("{provider}[{index}]");
            let Some(model) = self.model(value, &path) else {
                continue;
            };
            if models
                .iter()
                .any(|earlier| earlier.model_name == model.model_name)
            {
                let problem = "this provider has a model of this name already";
                self.defect(
                    value,
                    &joined(&path, "model_name"),
                    problem,
                    "remove or rename one of them",
                );
            }
            models.push(model);
        }
        models
    }

    fn model(&mut self, value: &'a RawValue, path: &str) -> Option<ModelEntry> {
        let members = self.members(value, path, Some(&MODEL_FIELDS))?;
        let get = |name: &str| {
            members
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        let set = |name: &str| get(name).filter(|value| Kind::of(value) != Kind::Null);
        for name in ["model_name", "api_keys", "base_url"] {
            if get(name).is_none() {
                self.defect(value, &joined(path, name), "this field is missing", "add it");
            }
        }
        let model_name = get("model_name").and_then(|value| self.text(value, &joined(path, "model_name")));
        let api_keys = get("api_keys").map(|value| self.keys(value, &joined(path, "api_keys")));
        let base_url = get("base_url").and_then(|value| self.base_url(value, &joined(path, "base_url")));
        let max_retries =
            set("max_retries").map(|value| self.whole(value, &joined(path, "max_retries"), 0, 100));
        let retry_delay = set("retry_delay").map(|value| self.number(value, &joined(path, "retry_delay")));
        let window =
            set("context_window").map(|at| self.whole(at, &joined(path, "context_window"), 1, u32::MAX));
        let api = set("api").map(|value| self.api(value, &joined(path, "api")));
        let caps = self.caps(&members, path);
        let output = set("expected_output_tokens");
        let output = output.map(|at| self.whole(at, &joined(path, "expected_output_tokens"), 1, u32::MAX));
        let breaker = set("breaker").map(|at| self.whole(at, &joined(path, "breaker"), 1, 1_000_000));
        let learn = set("learn_limits").map(|at| self.yes_or_no(at, &joined(path, "learn_limits")));
        let on_status = set("on_status").map(|at| self.statuses(at, &joined(path, "on_status")));
        let rpm = caps.rpm;
        let rates = (get("rate_limit_capacity"), get("rate_limit_refill_rate"));
        let rate_limit = match (rates, rpm) {
            // A limit of requests a minute takes the place of the origin's.
            ((None, None), Some(_)) => None,
            ((capacity, rate), _) => self.rate_limit(capacity, rate, path),
        };
        let api_params = set("api_params").map(|value| self.api_params(value, &joined(path, "api_params")));
        let headers = set("headers").map(|value| self.headers(value, &joined(path, "headers")));
        let timeouts = set("timeouts").map(|value| self.timeouts(value, &joined(path, "timeouts")));
        let defaults = TargetSettings::default();
        Some(ModelEntry {
            model_name: model_name?,
            api_keys: api_keys?,
            base_url: base_url?,
            settings: TargetSettings {
                api: api.flatten().unwrap_or_default(),
                limits: Limits {
                    rate_limit: rate_limit.and_then(|(capacity, rate)| RateLimit::new(capacity, rate).ok()),
                    rpm,
                    tpm: caps.tpm,
                    rpd: caps.rpd,
                    max_concurrency: caps.max_concurrency,
                },
                expected_output_tokens: output.flatten(),
                breaker: breaker.flatten(),
                on_status: on_status.unwrap_or_default(),
                learn_limits: learn.flatten().unwrap_or(true),
                max_retries: max_retries.flatten().unwrap_or(defaults.max_retries),
                retry_delay: retry_delay.flatten().map_or(defaults.retry_delay, |delay| {
                    Duration::from_secs_f64(delay.min(86_400.0))
                }),
                timeouts: timeouts.unwrap_or_default(),
                context_window: window.flatten().unwrap_or(defaults.context_window),
                api_params: api_params.unwrap_or_default(),
                headers: headers.unwrap_or_default(),
            },
        })
    }

    fn api(&mut self, value: &RawValue, path: &str) -> Option<ApiFormat> {
        let name = self.text(value, path)?;
        let known = [ApiFormat::ChatCompletions, ApiFormat::Responses];
        let wire = known.into_iter().find(|wire| wire.as_str() == name);
        if wire.is_none() {
            let cure = "write \"chat_completions\" or \"responses\"";
            self.defect(value, path, "this is no format that llmpool speaks", cure);
        }
        wire
    }

    fn yes_or_no(&mut self, value: &RawValue, path: &str) -> Option<bool> {
        let answer = serde_json::from_str(value.get()).ok();
        if answer.is_none() {
            self.wrong_type(value, path, "true or false");
        }
        answer
    }

    fn base_url(&mut self, value: &RawValue, path: &str) -> Option<String> {
        let url = self.text(value, path)?;
        if url.trim_end_matches('/').ends_with("/chat/completions") {
            self.defect(
                value,
                path,
                "this is the URL of one endpoint",
                "leave out /chat/completions",
            );
            return None;
        }
        match endpoint(&url, "chat/completions") {
            Ok(_) => Some(url),
            Err(error) => {
                self.defect(
                    value,
                    path,
                    &error.to_string(),
                    "write it as in https://api.openai.com/v1",
                );
                None
            }
        }
    }
}

/// JSON has no comments: a member whose name begins so stands for one.
fn is_comment(name: &str) -> bool {
    name.starts_with("//")
}

pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
