//! Reading `provider.json`: accepted files, and one diagnostic with file, line, field and help for each error.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool::RateLimit;
use llmpool::provider_file::{PROVIDER_SCHEMA, ProviderFile};
use llmpool::{AnswerFormat, ErrorKind, Providers};
use proptest::prelude::*;

fn env(name: &str) -> Option<String> {
    (name == "SET").then(|| "sk-from-env".to_owned())
}

fn parse(text: &str) -> Result<ProviderFile, String> {
    ProviderFile::parse(text, "provider.json", &env).map_err(|error| error.to_string())
}

fn with(members: &str) -> String {
    format!(r#"{{"p":[{{"model_name":"m","api_keys":["${{SET}}"],"base_url":"https://h/v1"{members}}}]}}"#)
}

const ORIGIN: &str = r#"{
  "openai": [
    {
      "model_name": "gpt-4o-mini",
      "api_keys": ["sk-canary-1", "sk-canary-2", "sk-canary-1"],
      "base_url": "https://api.openai.com/v1/",
      "max_retries": 3,
      "retry_delay": 0.5,
      "rate_limit_capacity": 20,
      "rate_limit_refill_rate": 2.5,
      "context_window": 128000
    }
  ],
  "local": [{"model_name": "x", "api_keys": ["sk-canary-3"], "base_url": "http://127.0.0.1:1/v1"}]
}"#;

#[test]
fn file_of_the_original_framework_loads_unchanged() {
    let file = parse(ORIGIN).unwrap();
    let openai = &file.providers[0].models[0];
    assert_eq!(
        (
            openai.settings.max_retries,
            openai.settings.limits.rate_limit,
            openai.settings.context_window
        ),
        (3, Some(RateLimit::new(20, 2.5).unwrap()), 128_000)
    );
    assert_eq!(openai.api_keys.len(), 2);
    let local = &file.providers[1].models[0];
    assert_eq!(
        (
            local.settings.max_retries,
            local.settings.limits.rate_limit,
            local.settings.context_window
        ),
        (5, Some(RateLimit::new(10, 1.0).unwrap()), 200_000)
    );
}

// U13, O24, L80
#[test]
fn warnings_name_positions_but_not_keys() {
    let file = parse(ORIGIN).unwrap();
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("openai[0].api_keys[2]")
                && warning.contains("same secret as key 1"))
    );
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("capacity 10, 1.0 requests/s"))
    );
    assert!(!format!("{warnings:?} {file:?}").contains("canary"));
}

// O15, O28, L39, L90
#[test]
fn each_invalid_file_has_its_diagnostic() {
    let model = "p[0]";
    let table: Vec<(String, String)> = vec![
        ("".into(), "provider.json:1:1: invalid JSON: EOF while parsing a value; fix the JSON syntax at this position".into()),
        ("{\n  \"p\": [,]\n}".into(), "provider.json:2:9: invalid JSON: expected value; fix the JSON syntax at this position".into()),
        ("[]".into(), "provider.json:1:1: expected an object, found an array; write an object such as {\"openai\": [{…}]}".into()),
        ("{}".into(), "provider.json:1:1: no provider is defined; add a provider, as in {\"openai\": [{…}]}".into()),
        (r#"{"p":{}}"#.into(), "provider.json:1:6: p: expected an array, found an object; write an array such as [{\"model_name\": \"gpt-4o-mini\", …}]".into()),
        (r#"{"p":[]}"#.into(), "provider.json:1:6: p: the provider has no models; add a model, or remove the provider".into()),
        (r#"{"a/b":[]}"#.into(), "provider.json: 2 errors; file not loaded\nprovider.json:1:8: a/b: a provider name must not be empty or contain a slash or whitespace; rename it; models are addressed as provider/model\nprovider.json:1:8: a/b: the provider has no models; add a model, or remove the provider".into()),
        (with(r#","rate_limit_refil_rate":1"#), format!("provider.json:1:97: {model}.rate_limit_refil_rate: unknown field; did you mean `rate_limit_refill_rate`?")),
        (with(r#","zzz":1"#), format!("provider.json:1:79: {model}.zzz: unknown field; known fields are model_name, api, api_keys, base_url, max_retries, retry_delay, rate_limit_capacity, rate_limit_refill_rate, rpm, tpm, rpd, max_concurrency, expected_output_tokens, learn_limits, limit_scope, structured_output, breaker, on_status, context_window, api_params, headers, timeouts")),
        (with(r#","headers":{"Authorization":"sk-canary"}"#), format!("provider.json:1:100: {model}.headers.Authorization: llmpool sets this header itself; remove it; API keys go into api_keys")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: unclosed reference; write it as ${{NAME}}")),
        (r#"{"p":[{"model_name":"m","api_keys":["env:"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: the reference has no variable name; write it as ${{NAME}}")),
        (with(r#","rpm":0"#), format!("provider.json:1:79: {model}.rpm: a limit of 0 admits no request; use a positive number, or remove the field for no limit")),
        (with(r#","rpm":1.5"#), format!("provider.json:1:79: {model}.rpm: expected an integer from 1 to 4294967295; use an integer in this range")),
        (with(r#","tpm":0"#), format!("provider.json:1:79: {model}.tpm: a limit of 0 admits no request; use a positive number, or remove the field for no limit")),
        (with(r#","learn_limits":1"#), format!("provider.json:1:88: {model}.learn_limits: expected a boolean, found a number; write true or false without quotes")),
        (with(r#","api":"soap""#), format!("provider.json:1:79: {model}.api: unknown value; use one of \"chat_completions\", \"responses\"")),
        (with(r#","limit_scope":"keys""#), format!("provider.json:1:87: {model}.limit_scope: unknown value; use one of \"key\", \"model\"")),
        (with(r#","structured_output":"json""#), format!("provider.json:1:93: {model}.structured_output: unknown value; use one of \"json_schema\", \"json_object\", \"text\"")),
        (with(r#","structured_output":1"#), format!("provider.json:1:93: {model}.structured_output: expected a string, found a number; enclose it in double quotes")),
        (with(r#","limit_scope":true"#), format!("provider.json:1:87: {model}.limit_scope: expected a string, found a boolean; enclose it in double quotes")),
        (with(r#","pricing":1"#), format!("provider.json:1:83: {model}.pricing: this version does not support this field; remove it")),
        (with(r#","max_retries":-1"#), format!("provider.json:1:87: {model}.max_retries: expected an integer from 0 to 100; use an integer in this range")),
        (with(r#","rpm":-1"#), format!("provider.json:1:79: {model}.rpm: expected an integer from 1 to 4294967295; use an integer in this range")),
        (with(r#","retry_delay":-1"#), format!("provider.json:1:87: {model}.retry_delay: the number is negative; use 0 or a larger number")),
        (with(r#","timeouts":{"idle":-1}"#), format!("provider.json:1:92: {model}.timeouts.idle: the number is negative; use a positive number of seconds")),
        (with(r#","rate_limit_capacity":-1"#), format!("provider.json:1:95: {model}.rate_limit_capacity: the number is negative; use a positive number, or null for no limit; max_concurrency limits parallel requests, rpd requests per day")),
        (with(r#","on_status":{"429":"park"}"#), format!("provider.json:1:92: {model}.on_status.429: expected an object, found a string; write an object such as {{\"action\": \"disable\"}}")),
        (with(r#","on_status":{"429":{}}"#), format!("provider.json:1:92: {model}.on_status.429.action: missing required field; add it, as in \"action\": \"disable\"")),
        (with(r#","on_status":{"429":{"seconds":1}}"#), format!("provider.json:1:92: {model}.on_status.429.action: missing required field; add it, as in \"action\": \"park\"")),
        (r#"{"p":[{"model_name":"m","api_keys":[null],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: expected a string, found null; give a value or remove the field")),
        (r#"{"p":[{"model_name":7,"api_keys":["${SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:21: {model}.model_name: expected a string, found a number; enclose it in double quotes")),
        (r#"{"p":[{"model_name":["m"],"api_keys":["${SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:21: {model}.model_name: expected a string, found an array; write a string in double quotes")),
        (r#"{"p":[{"model_name":null,"api_keys":["${SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:21: {model}.model_name: expected a string, found null; give a value or remove the field")),
        (with(r#","max_retries":1.5"#), format!("provider.json:1:87: {model}.max_retries: expected an integer from 0 to 100; use an integer in this range")),
        (with(r#","retry_delay":1e999"#), format!("provider.json:1:87: {model}.retry_delay: the number is too large; use a smaller number")),
        (with(r#","retry_delay":"1""#), format!("provider.json:1:87: {model}.retry_delay: expected a number, found a string; write a number without quotes, such as 20")),
        (with(r#","rate_limit_refill_rate":0"#), format!("provider.json:1:98: {model}.rate_limit_refill_rate: a limit of 0 admits no request; use a positive number, or null for no limit; max_concurrency limits parallel requests, rpd requests per day")),
        (with(r#","rate_limit_capacity":0"#), format!("provider.json:1:95: {model}.rate_limit_capacity: a limit of 0 admits no request; use a positive number, or null for no limit; max_concurrency limits parallel requests, rpd requests per day")),
        (with(r#","api_params":{"model":"x"}"#), format!("provider.json:1:95: {model}.api_params.model: each call sets this parameter itself; remove it from api_params")),
        (with(r#","timeouts":{"idle":0}"#), format!("provider.json:1:92: {model}.timeouts.idle: a timeout of 0 fails every call; use a positive number of seconds, or null for no timeout")),
        (with(r#","headers":{"a b":"x"}"#), format!("provider.json:1:90: {model}.headers.a b: invalid header name; use letters, digits and hyphens")),
        (with(r#","max_retries":1,"max_retries":2"#), format!("provider.json:1:103: {model}.max_retries: duplicate field; remove one of the two")),
        (r#"{"p":[{"model_name":"m","api_keys":[],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:36: {model}.api_keys: the model has no API key; add a key, as in \"${{OPENAI_API_KEY}}\"")),
        (r#"{"p":[{"model_name":"m","api_keys":["${NOT_SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: environment variable NOT_SET is not set; set the variable, as in export NOT_SET=…")),
        (r#"{"p":[{"model_name":"m","api_keys":["sk canary"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: the key contains whitespace or characters that a header cannot contain; copy the key again")),
        (r#"{"p":[{"model_name":"m","api_keys":[{"kye":"x"}],"base_url":"https://h"}]}"#.into(), format!("provider.json: 2 errors; file not loaded\nprovider.json:1:37: {model}.api_keys[0].key: missing required field; add it, as in \"key\": \"${{OPENAI_API_KEY}}\"\nprovider.json:1:44: {model}.api_keys[0].kye: unknown field; did you mean `key`?")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET}"],"base_url":"api.openai.com/v1"}]}"#.into(), format!("provider.json:1:58: {model}.base_url: invalid base URL: not a URL; write it as in https://api.openai.com/v1")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET}"],"base_url":"https://h/v1/chat/completions"}]}"#.into(), format!("provider.json:1:58: {model}.base_url: this is the URL of an endpoint, not a base URL; remove /chat/completions from its end")),
        (r#"{"p":[{"api_keys":["${SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:7: {model}.model_name: missing required field; add it, as in \"model_name\": \"gpt-4o-mini\"")),
    ];
    for (text, message) in table {
        assert_eq!(parse(&text).unwrap_err(), message, "{text}");
    }
}

#[test]
fn duplicate_model_name_is_an_error() {
    let one = r#"{"model_name":"m","api_keys":["${SET}"],"base_url":"https://h"}"#;
    let error = parse(&format!(r#"{{"p":[{one},{one}]}}"#)).unwrap_err();
    assert!(
        error.contains("p[1].model_name: the provider has another model of this name"),
        "{error}"
    );
}

#[test]
fn all_errors_are_reported_in_the_order_of_the_file() {
    let text =
        "{\"p\": [\n{\"model_name\": \"\", \"api_keys\": [],\n\"base_url\": \"x\", \"max_retries\": -1}\n]}";
    let error = ProviderFile::parse(text, "f", &env).unwrap_err();
    let lines: Vec<usize> = error
        .diagnostics()
        .iter()
        .map(|diagnostic| diagnostic.line)
        .collect();
    assert_eq!(lines, [2, 2, 3, 3]);
}

#[test]
fn loading_error_gives_typed_diagnostics() {
    let error = Providers::from_json(
        r#"{"p":[{"model_name":"m","api_keys":["k"],"base_url":"https://h","rpm":"1"}]}"#,
    );
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let [diagnostic] = error.provider_file_error().unwrap().diagnostics() else {
        panic!("{error}");
    };
    let location = (&*diagnostic.file, diagnostic.line, diagnostic.column);
    assert_eq!(location, ("provider.json", 1, 71));
    assert_eq!(diagnostic.field, "p[0].rpm");
    assert_eq!(diagnostic.message, "expected a number, found a string");
    assert_eq!(diagnostic.help, "write a number without quotes, such as 20");
    assert_eq!(error.to_string(), diagnostic.to_string());
}

#[test]
fn rpm_replaces_the_default_rate_limit() {
    let of = |members: &str| {
        let file = parse(&with(members)).unwrap();
        let settings = &file.providers[0].models[0].settings;
        (
            settings.limits.rate_limit,
            settings.limits.rpm,
            file.warnings.len(),
        )
    };
    assert_eq!(of(""), (Some(RateLimit::new(10, 1.0).unwrap()), None, 1));
    assert_eq!(of(r#","rpm":60"#), (None, Some(60), 0));
    assert_eq!(
        of(r#","rpm":null"#),
        (Some(RateLimit::new(10, 1.0).unwrap()), None, 1)
    );
    assert_eq!(
        of(r#","rpm":60,"rate_limit_capacity":5"#),
        (Some(RateLimit::new(5, 1.0).unwrap()), Some(60), 0)
    );
    let key =
        r#"{"p":[{"model_name":"m","api_keys":[{"key":"k","rpm":30}],"base_url":"http://h/v1","rpm":100}]}"#;
    let file = parse(key).unwrap();
    let limits = file.providers[0].models[0].api_keys[0].limits.limits;
    assert_eq!((limits.rate_limit, limits.rpm), (None, Some(30)));
    let bucket = limits.per_minute_bucket().unwrap().unwrap();
    assert_eq!((bucket.capacity(), bucket.per_second()), (3, 0.5));
}

#[test]
fn structured_output_is_learned_unless_it_is_configured() {
    let of = |members: &str, url: &str| {
        let text = with(members).replace("https://h", url);
        let model = parse(&text).unwrap().providers.remove(0).models.remove(0);
        (model.settings.structured_output, model.structured_output())
    };
    for format in AnswerFormat::ALL {
        let member = format!(r#","structured_output":"{}""#, format.as_str());
        assert_eq!(of(&member, "https://h"), (Some(format), format));
    }
    for member in ["", r#","structured_output":null"#] {
        assert_eq!(of(member, "https://h"), (None, AnswerFormat::JsonSchema));
        assert_eq!(
            of(member, "https://api.anthropic.com"),
            (None, AnswerFormat::Text)
        );
    }
}

#[test]
fn key_can_have_a_rate_limit_and_has_none_by_default() {
    let of = |members: &str| {
        let key = format!(r#"{{"key":"k"{members}}}"#);
        let model = r#"{"p":[{"model_name":"m","base_url":"http://h/v1","rpm":9,"api_keys":["#;
        parse(&format!("{model}{key}]}}]}}")).map(|file| {
            let limits = file.providers[0].models[0].api_keys[0].limits.limits;
            (limits.rate_limit, limits.rpm)
        })
    };
    let rate_limit = |capacity, rate| Some(RateLimit::new(capacity, rate).unwrap());
    let both = r#","rate_limit_capacity":20,"rate_limit_refill_rate":2.5"#;
    assert_eq!(of(both).unwrap(), (rate_limit(20, 2.5), None));
    let with_rpm = of(&format!(r#"{both},"rpm":60"#));
    assert_eq!(with_rpm.unwrap(), (rate_limit(20, 2.5), Some(60)));
    let capacity = of(r#","rate_limit_capacity":5"#);
    assert_eq!(capacity.unwrap(), (rate_limit(5, 1.0), None));
    let rate = of(r#","rate_limit_refill_rate":3"#);
    assert_eq!(rate.unwrap(), (rate_limit(10, 3.0), None));
    for none in [
        "",
        r#","rate_limit_capacity":null"#,
        r#","rate_limit_capacity":5,"rate_limit_refill_rate":null"#,
    ] {
        assert_eq!(of(none).unwrap(), (None, None), "{none}");
    }
    let error = of(r#","rate_limit_refill_rate":0"#).unwrap_err();
    assert!(
        error.contains("p[0].api_keys[0].rate_limit_refill_rate: a limit of 0 admits no request"),
        "{error}"
    );
}

// O28
#[test]
fn references_resolve_from_the_environment_and_files() {
    let folder = std::env::temp_dir().join(format!("llmpool-key-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("key");
    std::fs::write(&path, "sk-from-file\n").unwrap();
    let keys = format!(
        r#"["${{SET}}", {{"key":"env:SET2"}}, "file:{}", "sk-plain"]"#,
        path.display()
    );
    let text = format!(r#"{{"p":[{{"model_name":"m","api_keys":{keys},"base_url":"https://h/v1"}}]}}"#);
    let env = |name: &str| match name {
        "SET" => Some("sk-one".to_owned()),
        "SET2" => Some("sk-two".to_owned()),
        _ => None,
    };
    let file = ProviderFile::parse(&text, "provider.json", &env).unwrap();
    let keys: Vec<_> = file.providers[0].models[0]
        .api_keys
        .iter()
        .map(|key| key.secret.expose())
        .collect();
    assert_eq!(keys, ["sk-one", "sk-two", "sk-from-file", "sk-plain"]);
    std::fs::write(&path, "\n").unwrap();
    let error = ProviderFile::parse(&text, "provider.json", &|_| None)
        .unwrap_err()
        .to_string();
    for expected in [
        "SET is not set",
        "SET2 is not set",
        "p[0].api_keys[2]: the referenced variable or file is empty",
    ] {
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(
        error
            .lines()
            .filter(|line| line.contains("p[0].api_keys"))
            .count(),
        3,
        "{error}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn missing_file_is_one_diagnostic() {
    let error = ProviderFile::read(std::path::Path::new("no/such/provider.json"), &env).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("no/such/provider.json: cannot read the file:") && text.contains("--config"),
        "{text}"
    );
}

#[test]
fn schema_and_reader_know_the_same_fields() {
    let schema: serde_json::Value = serde_json::from_str(PROVIDER_SCHEMA).unwrap();
    for (kind, example) in [
        ("model", with(r#","zzz":1"#)),
        ("key", with("").replace("\"${SET}\"", r#"{"key":"k","zzz":1}"#)),
    ] {
        let error = parse(&example).unwrap_err();
        let known = error.split("known fields are ").nth(1).unwrap();
        let mut known: Vec<&str> = known.split(", ").collect();
        known.sort_unstable();
        let mut named: Vec<&str> = schema["$defs"][kind]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        named.sort_unstable();
        assert_eq!(known, named, "{kind}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_rejected_without_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn diagnostics_of_a_damaged_file_show_no_key(at in 0_usize..ORIGIN.len(), with in "[\\[\\]{}\",:0-9a-z]{0,3}", cut in 0_usize..4) {
        let end = (at + cut).min(ORIGIN.len());
        if let Err(error) = parse(&format!("{}{with}{}", &ORIGIN[..at], &ORIGIN[end..])) {
            // The damage may turn a key into the name of a field. Diagnostics contain names of fields, but no values.
            prop_assert!(!error.contains("sk-canary-1\"") , "{error}");
        }
    }
}

#[test]
fn unresolved_references_become_distinct_placeholder_keys() {
    let folder = std::env::temp_dir().join(format!("llmpool-to-plan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("provider.json");
    let keys = r#"["${SET}", "${NOT SET}", "env:NOT SET", "file:/no/such", "sk-literal"]"#;
    let file =
        |keys: &str| format!(r#"{{"p":[{{"model_name":"m","api_keys":{keys},"base_url":"https://h/v1"}}]}}"#);
    std::fs::write(&path, file(keys)).unwrap();
    assert_eq!(
        ProviderFile::read(&path, &env).unwrap_err().diagnostics().len(),
        3
    );
    let read = ProviderFile::read_with_placeholders(&path, &env).unwrap();
    let keys = &read.providers[0].models[0].api_keys;
    assert_eq!(keys.len(), 4, "equal references are one key");
    assert_eq!(keys[0].secret.expose(), "sk-from-env");
    std::fs::write(&path, file(r#"["${}", "${OPEN"]"#)).unwrap();
    assert_eq!(
        ProviderFile::read_with_placeholders(&path, &env)
            .unwrap_err()
            .diagnostics()
            .len(),
        2
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn members_that_begin_with_two_slashes_are_comments() {
    let text = r#"{"//": "all", "//": "twice", "p": [{
        "//": "a model", "model_name": "m", "base_url": "https://h/v1", "//base_url": 1,
        "api_keys": [{"//": "a key", "key": "${SET}"}], "api_params": {"//": "sent"}}]}"#;
    let file = ProviderFile::parse(text, "p.json", &env).unwrap();
    let model = &file.providers[0].models[0];
    assert_eq!(file.providers.len(), 1);
    assert_eq!(
        model.settings.api_params.len(),
        1,
        "api_params are sent to the provider and have no comments"
    );
}
