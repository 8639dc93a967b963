//! Hints for settings that are valid but probably not intended.

use std::ops::RangeInclusive;

use llmpool::provider_file::{Diagnostic, ProviderFile};
use llmpool::{Limits, Secret};

use super::server_location;

/// Burst sizes that most accounts allow, in requests.
const USUAL_CAPACITY: RangeInclusive<u32> = 10..=50;
/// Request rates that most accounts allow, in requests per second.
const USUAL_RATE: RangeInclusive<f64> = 0.5..=5.0;

/// An API key, with the provider and the file in which it occurs.
struct KeyOccurrence<'a> {
    secret: &'a Secret,
    file: &'a str,
    provider: &'a str,
}

/// Returns the hints for each file, sorted by line. `files` pairs each file with the name by which hints
/// refer to it. A key that occurs in two files is reported only for the second file.
pub(super) fn find(files: &[(String, ProviderFile)]) -> Vec<Vec<Diagnostic>> {
    let mut known_keys: Vec<KeyOccurrence<'_>> = Vec::new();
    let mut all = Vec::new();
    for (name, file) in files {
        let mut hints = Vec::new();
        for provider in &file.providers {
            for (index, model) in provider.models.iter().enumerate() {
                let path = format!("{}[{index}]", provider.id);
                hints.extend(unusual_rate_limit(file, &path, model.settings.limits));
                hints.extend(unencrypted(file, &path, &model.base_url));
                for (index, key) in model.api_keys.iter().enumerate() {
                    let field = format!("{path}.api_keys[{index}]");
                    hints.extend(unusual_rate_limit(file, &field, key.limits.limits));
                    let key = KeyOccurrence {
                        secret: &key.secret,
                        file: name,
                        provider: &provider.id,
                    };
                    hints.extend(shared_key(file, &field, &key, &known_keys));
                }
            }
            let keys = provider.models.iter().flat_map(|model| &model.api_keys);
            known_keys.extend(keys.map(|key| KeyOccurrence {
                secret: &key.secret,
                file: name,
                provider: &provider.id,
            }));
        }
        hints.sort_by_key(|hint| (hint.line, hint.column));
        all.push(hints);
    }
    all
}

/// Returns the full path of the field `name` if the file sets the field. Returns `None` for a default value,
/// which is never suspicious.
fn explicit_field(file: &ProviderFile, path: &str, name: &str) -> Option<String> {
    let field = format!("{path}.{name}");
    file.source_map.get(&field).map(|_| field)
}

/// Returns the hints for the rate limit of the model or key at `path`.
fn unusual_rate_limit(file: &ProviderFile, path: &str, limits: Limits) -> impl Iterator<Item = Diagnostic> {
    let rate_limit = limits.rate_limit;
    let capacity = rate_limit.and_then(|limit| unusual_capacity(file, path, limit.capacity()));
    let rate = rate_limit.and_then(|limit| unusual_rate(file, path, limit.per_second()));
    capacity.into_iter().chain(rate)
}

fn unusual_capacity(file: &ProviderFile, path: &str, capacity: u32) -> Option<Diagnostic> {
    let field =
        explicit_field(file, path, "rate_limit_capacity").filter(|_| !USUAL_CAPACITY.contains(&capacity))?;
    Some(file.diagnostic(
        &field,
        format!("a burst of {capacity} requests is outside the usual range of 10 to 50"),
        "keep it if the provider allows it; llmpool plan simulates its effect",
    ))
}

fn unusual_rate(file: &ProviderFile, path: &str, rate: f64) -> Option<Diagnostic> {
    let field =
        explicit_field(file, path, "rate_limit_refill_rate").filter(|_| !USUAL_RATE.contains(&rate))?;
    Some(file.diagnostic(
        &field,
        format!("{rate} requests per second is outside the usual range of 0.5 to 5"),
        "if the limit is per minute, use rpm instead",
    ))
}

/// Returns a hint if the base URL of a remote server starts with `http://`, because API keys would be sent to
/// this server unencrypted.
fn unencrypted(file: &ProviderFile, path: &str, base_url: &str) -> Option<Diagnostic> {
    let host = server_location::host(base_url);
    let is_remote =
        base_url.starts_with("http://") && host.contains('.') && !server_location::is_local(base_url);
    is_remote.then(|| {
        file.diagnostic(
            &format!("{path}.base_url"),
            format!("keys are sent to {host} unencrypted"),
            "use https:// if the server supports it",
        )
    })
}

fn shared_key(
    file: &ProviderFile,
    field: &str,
    key: &KeyOccurrence<'_>,
    known: &[KeyOccurrence<'_>],
) -> Option<Diagnostic> {
    let other = known.iter().find(|other| {
        other.secret == key.secret && (other.file != key.file || other.provider != key.provider)
    })?;
    let (message, help) = match other.file == key.file {
        true => (
            format!("provider {} uses the same key", other.provider),
            "limits and key states are per provider: use the key in one provider only, or move both models to one provider",
        ),
        false => (
            format!("provider {} in {} uses the same key", other.provider, other.file),
            "programs with different files do not see each other's usage: use a separate key for each environment",
        ),
    };
    Some(file.diagnostic(field, message, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (String, ProviderFile) {
        let env = |name: &str| Some(format!("sk-{name}"));
        (name.to_owned(), ProviderFile::parse(text, name, &env).unwrap())
    }

    fn found(files: &[(String, ProviderFile)]) -> Vec<String> {
        let hints = find(files).into_iter().flatten();
        hints
            .map(|hint| format!("{}:{} {}: {}", hint.line, hint.column, hint.field, hint.message))
            .collect()
    }

    #[test]
    fn usual_settings_have_no_hint() {
        let usual = r#"{"p": [{"model_name": "m", "api_keys": ["${A}"], "base_url": "https://h.example/v1",
            "rate_limit_capacity": 10, "rate_limit_refill_rate": 5.0},
            {"model_name": "n", "api_keys": ["${A}"], "base_url": "http://127.0.0.1:1/v1", "rpm": 60000},
            {"model_name": "o", "api_keys": ["${A}"], "base_url": "http://[fd00::1]:1/v1", "rate_limit_capacity": null}]}"#;
        assert_eq!(found(&[file("a", usual)]), Vec::<String>::new());
    }

    #[test]
    fn unusual_limits_and_plain_http_are_located() {
        let text = "{\"p\": [{\"model_name\": \"m\", \"api_keys\": [\"${A}\"], \"base_url\": \"http://h.example/v1?key=x\",\n\
                    \"rate_limit_capacity\": 51,\n\"rate_limit_refill_rate\": 0.4}]}";
        assert_eq!(
            found(&[file("a", text)]),
            [
                "1:62 p[0].base_url: keys are sent to h.example unencrypted",
                "2:24 p[0].rate_limit_capacity: a burst of 51 requests is outside the usual range of 10 to 50",
                "3:27 p[0].rate_limit_refill_rate: 0.4 requests per second is outside the usual range of 0.5 to 5",
            ]
        );
    }

    #[test]
    fn key_shared_by_providers_or_files_is_reported_once() {
        let model = |keys: &str| {
            format!(r#"{{"model_name": "m", "api_keys": [{keys}], "base_url": "https://h/v1", "rpm": 9}}"#)
        };
        let (one, two) = (model(r#""${A}""#), model(r#""${B}", "${A}""#));
        let first = file("prod.json", &format!(r#"{{"p": [{one}], "q": [{two}]}}"#));
        let second = file("test.json", &format!(r#"{{"p": [{one}]}}"#));
        assert_eq!(
            found(&[first, second]),
            [
                "1:137 q[0].api_keys[1]: provider p uses the same key",
                "1:41 p[0].api_keys[0]: provider p in prod.json uses the same key",
            ]
        );
    }
}
