//! What in a provider file works and still may not be meant.

use llmpool::Secret;
use llmpool::provider_file::{Diagnostic, ProviderFile, SourceLocation};

/// Bursts and rates that most accounts are made for.
const USUAL_CAPACITY: std::ops::RangeInclusive<u32> = 10..=50;
const USUAL_RATE: std::ops::RangeInclusive<f64> = 0.5..=5.0;

/// A key and who uses it.
struct Used<'a> {
    secret: &'a Secret,
    file: &'a str,
    provider: &'a str,
}

/// Hints for each of the files, which go by these names. What concerns two of them is told of the later one.
pub(super) fn of(files: &[(String, ProviderFile)]) -> Vec<Vec<Diagnostic>> {
    let mut used: Vec<Used<'_>> = Vec::new();
    let mut hints = Vec::new();
    for (name, file) in files {
        let mut told = Vec::new();
        for provider in &file.providers {
            for (at, model) in provider.models.iter().enumerate() {
                let path = format!("{}[{at}]", provider.id);
                let settings = &model.settings;
                if let Some((capacity, rate)) = settings.rate_limit {
                    told.extend(unusual_capacity(file, &path, capacity));
                    told.extend(unusual_rate(file, &path, rate));
                }
                told.extend(in_the_clear(file, &path, &model.base_url));
                for (index, key) in model.api_keys.iter().enumerate() {
                    let field = format!("{path}.api_keys[{index}]");
                    told.extend(shared(file, &field, name, &provider.id, &key.secret, &used));
                }
            }
            let keys = provider.models.iter().flat_map(|model| &model.api_keys);
            used.extend(keys.map(|key| Used {
                secret: &key.secret,
                file: name,
                provider: &provider.id,
            }));
        }
        told.sort_by_key(|hint| (hint.line, hint.column));
        hints.push(told);
    }
    hints
}

fn hint(file: &ProviderFile, field: &str, problem: String, cure: &str) -> Diagnostic {
    file.diagnostic(field, problem, cure)
}

fn stated<'a>(file: &'a ProviderFile, path: &str, field: &str) -> Option<(&'a SourceLocation, String)> {
    let field = format!("{path}.{field}");
    Some((file.source_map.get(&field)?, field))
}

fn unusual_capacity(file: &ProviderFile, path: &str, capacity: u32) -> Option<Diagnostic> {
    let (_, field) =
        stated(file, path, "rate_limit_capacity").filter(|_| !USUAL_CAPACITY.contains(&capacity))?;
    let problem = format!("{capacity} at once is outside of the usual 10 to 50");
    Some(hint(
        file,
        &field,
        problem,
        "keep it if the provider allows so many; llmpool plan tells what it gives",
    ))
}

fn unusual_rate(file: &ProviderFile, path: &str, rate: f64) -> Option<Diagnostic> {
    let (_, field) = stated(file, path, "rate_limit_refill_rate").filter(|_| !USUAL_RATE.contains(&rate))?;
    let problem = format!("{rate} a second is outside of the usual 0.5 to 5");
    Some(hint(
        file,
        &field,
        problem,
        "is it meant a second, and not a minute? for a minute there is rpm",
    ))
}

/// A key goes along with every request.
fn in_the_clear(file: &ProviderFile, path: &str, base_url: &str) -> Option<Diagnostic> {
    let host = host(base_url.strip_prefix("http://")?);
    let problem = format!("keys go to {host} in the clear");
    let field = format!("{path}.base_url");
    let is_far = host.contains('.') && !is_local(base_url);
    is_far.then(|| hint(file, &field, problem, "write https:// if the server speaks it"))
}

/// Whether a server is on this machine or in its network.
pub(super) fn is_local(base_url: &str) -> bool {
    let place = base_url.split_once("://").map_or(base_url, |(_, place)| place);
    let host = host(place);
    host == "localhost" || host.parse().is_ok_and(|ip| is_near(&ip))
}

fn host(place: &str) -> &str {
    let host = place.split(['/', '?']).next().unwrap_or_default();
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_near(ip: &std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn shared(
    file: &ProviderFile,
    field: &str,
    name: &str,
    provider: &str,
    secret: &Secret,
    used: &[Used<'_>],
) -> Option<Diagnostic> {
    let elsewhere =
        |used: &&Used<'_>| used.secret == secret && (used.file != name || used.provider != provider);
    let other = used.iter().find(elsewhere)?;
    let (whose, cure) = match other.file == name {
        true => (
            format!("a key of {} too", other.provider),
            "limits and states of keys are counted by provider: name each key once, or give both models to one provider",
        ),
        false => (
            format!("a key of {} in {} too", other.provider, other.file),
            "what one of them uses is gone for the other without its knowing: give each environment a key of its own",
        ),
    };
    Some(hint(file, field, format!("this is {whose}"), cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> (String, ProviderFile) {
        let env = |name: &str| Some(format!("sk-{name}"));
        (name.to_owned(), ProviderFile::parse(text, name, &env).unwrap())
    }

    fn told(files: &[(String, ProviderFile)]) -> Vec<String> {
        let hints = of(files).into_iter().flatten();
        hints
            .map(|hint| format!("{}:{} {}: {}", hint.line, hint.column, hint.field, hint.message))
            .collect()
    }

    #[test]
    fn what_is_usual_has_no_hint() {
        let usual = r#"{"p": [{"model_name": "m", "api_keys": ["${A}"], "base_url": "https://h.example/v1",
            "rate_limit_capacity": 10, "rate_limit_refill_rate": 5.0},
            {"model_name": "n", "api_keys": ["${A}"], "base_url": "http://127.0.0.1:1/v1", "rpm": 60000},
            {"model_name": "o", "api_keys": ["${A}"], "base_url": "http://[fd00::1]:1/v1", "rate_limit_capacity": null}]}"#;
        assert_eq!(told(&[file("a", usual)]), Vec::<String>::new());
    }

    #[test]
    fn unusual_limits_and_plain_text_are_told_with_their_places() {
        let text = "{\"p\": [{\"model_name\": \"m\", \"api_keys\": [\"${A}\"], \"base_url\": \"http://h.example/v1?key=x\",\n\
                    \"rate_limit_capacity\": 51,\n\"rate_limit_refill_rate\": 0.4}]}";
        assert_eq!(
            told(&[file("a", text)]),
            [
                "1:62 p[0].base_url: keys go to h.example in the clear",
                "2:24 p[0].rate_limit_capacity: 51 at once is outside of the usual 10 to 50",
                "3:27 p[0].rate_limit_refill_rate: 0.4 a second is outside of the usual 0.5 to 5",
            ]
        );
    }

    #[test]
    fn keys_that_are_shared_by_providers_and_by_files_are_told_once_each() {
        let model = |keys: &str| {
            format!(r#"{{"model_name": "m", "api_keys": [{keys}], "base_url": "https://h/v1", "rpm": 9}}"#)
        };
        let (one, two) = (model(r#""${A}""#), model(r#""${B}", "${A}""#));
        let first = file("prod.json", &format!(r#"{{"p": [{one}], "q": [{two}]}}"#));
        let second = file("test.json", &format!(r#"{{"p": [{one}]}}"#));
        assert_eq!(
            told(&[first, second]),
            [
                "1:137 q[0].api_keys[1]: this is a key of p too",
                "1:41 p[0].api_keys[0]: this is a key of p in prod.json too",
            ]
        );
    }
}
