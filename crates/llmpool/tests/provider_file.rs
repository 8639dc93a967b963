//! Every defect of a `provider.json` gets one message with file, line, field and cure.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool::provider_file::{PROVIDER_SCHEMA, ProviderFile};
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
fn the_origins_file_loads_unchanged() {
    let file = parse(ORIGIN).unwrap();
    let openai = &file.providers[0].models[0];
    assert_eq!(
        (
            openai.settings.max_retries,
            openai.settings.rate_limit,
            openai.settings.context_window
        ),
        (3, Some((20, 2.5)), 128_000)
    );
    assert_eq!(openai.api_keys.len(), 2);
    let local = &file.providers[1].models[0];
    assert_eq!(
        (
            local.settings.max_retries,
            local.settings.rate_limit,
            local.settings.context_window
        ),
        (5, Some((10, 1.0)), 200_000)
    );
}

// U13, O24, L80
#[test]
fn warnings_name_positions_and_never_keys() {
    let file = parse(ORIGIN).unwrap();
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("openai[0].api_keys[2]") && warning.contains("number 1"))
    );
    assert!(warnings.iter().any(|warning| warning.contains("10 and 1.0")));
    assert!(!format!("{warnings:?} {file:?}").contains("canary"));
}

// O15, O28, L39, L90
#[test]
fn each_defect_has_its_message() {
    let model = "p[0]";
    let table: Vec<(String, String)> = vec![
        ("".into(), "provider.json:1:1: this is not JSON: EOF while parsing a value; mend the syntax here".into()),
        ("{\n  \"p\": [,]\n}".into(), "provider.json:2:9: this is not JSON: expected value; mend the syntax here".into()),
        ("[]".into(), "provider.json:1:1: this has to be an object, not a list; change the value".into()),
        ("{}".into(), "provider.json:1:1: there is no provider; add one, as in {\"openai\": [{…}]}".into()),
        (r#"{"p":{}}"#.into(), "provider.json:1:6: p: this has to be a list, not an object; change the value".into()),
        (r#"{"p":[]}"#.into(), "provider.json:1:6: p: this provider has no model; add one, or remove the provider".into()),
        (r#"{"a/b":[]}"#.into(), "provider.json has 2 defects, so nothing of it is used:\nprovider.json:1:8: a/b: a provider's name must not be empty or hold a slash or a blank; rename it; models are addressed as provider/model\nprovider.json:1:8: a/b: this provider has no model; add one, or remove the provider".into()),
        (with(r#","rate_limit_refil_rate":1"#), format!("provider.json:1:97: {model}.rate_limit_refil_rate: unknown field; did you mean `rate_limit_refill_rate`?")),
        (with(r#","zzz":1"#), format!("provider.json:1:79: {model}.zzz: unknown field; known are model_name, api, api_keys, base_url, max_retries, retry_delay, rate_limit_capacity, rate_limit_refill_rate, rpm, tpm, rpd, max_concurrency, expected_output_tokens, learn_limits, breaker, on_status, context_window, api_params, headers, timeouts")),
        (with(r#","headers":{"Authorization":"sk-canary"}"#), format!("provider.json:1:100: {model}.headers.Authorization: llmpool sets this header itself; remove it; keys belong into api_keys")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: this reference is not closed; write it as in ${{NAME}}")),
        (r#"{"p":[{"model_name":"m","api_keys":["env:"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: this reference names no variable; write it as in ${{NAME}}")),
        (with(r#","rpm":0"#), format!("provider.json:1:79: {model}.rpm: this would never admit a request; give a number above 0, or leave it out for no limit")),
        (with(r#","rpm":1.5"#), format!("provider.json:1:79: {model}.rpm: this has to be a whole number from 1 to 4294967295; change the value")),
        (with(r#","tpm":0"#), format!("provider.json:1:79: {model}.tpm: this would never admit a request; give a number above 0, or leave it out for no limit")),
        (with(r#","learn_limits":1"#), format!("provider.json:1:88: {model}.learn_limits: this has to be true or false, not a number; change the value")),
        (with(r#","api":"soap""#), format!("provider.json:1:79: {model}.api: this is no format that llmpool speaks; write \"chat_completions\" or \"responses\"")),
        (with(r#","pricing":1"#), format!("provider.json:1:83: {model}.pricing: not supported yet; remove it; this version would not honour it")),
        (with(r#","max_retries":-1"#), format!("provider.json:1:87: {model}.max_retries: this is below 0; give a number above 0")),
        (with(r#","max_retries":1.5"#), format!("provider.json:1:87: {model}.max_retries: this has to be a whole number from 0 to 100; change the value")),
        (with(r#","retry_delay":1e999"#), format!("provider.json:1:87: {model}.retry_delay: this number is too large; give a finite number")),
        (with(r#","retry_delay":"1""#), format!("provider.json:1:87: {model}.retry_delay: this has to be a number, not a text; change the value")),
        (with(r#","rate_limit_refill_rate":0"#), format!("provider.json:1:98: {model}.rate_limit_refill_rate: this would never admit a request; give a number above 0, or null for no limit; to bound what runs at once set max_concurrency, and for a day's total rpd")),
        (with(r#","rate_limit_capacity":0"#), format!("provider.json:1:95: {model}.rate_limit_capacity: this would never admit a request; give a number above 0, or null for no limit; to bound what runs at once set max_concurrency, and for a day's total rpd")),
        (with(r#","api_params":{"model":"x"}"#), format!("provider.json:1:95: {model}.api_params.model: this is said by each call; remove it")),
        (with(r#","timeouts":{"idle":0}"#), format!("provider.json:1:92: {model}.timeouts.idle: this would end every call at once; give seconds, or null for none")),
        (with(r#","headers":{"a b":"x"}"#), format!("provider.json:1:90: {model}.headers.a b: this is no name of a header; use letters, digits and dashes")),
        (with(r#","max_retries":1,"max_retries":2"#), format!("provider.json:1:103: {model}.max_retries: this field is there twice; remove one of them")),
        (r#"{"p":[{"model_name":"m","api_keys":[],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:36: {model}.api_keys: there is no key; add one, as in \"${{OPENAI_API_KEY}}\"")),
        (r#"{"p":[{"model_name":"m","api_keys":["${NOT_SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: the variable NOT_SET is not set; set it, as in export NOT_SET=…")),
        (r#"{"p":[{"model_name":"m","api_keys":["sk canary"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:37: {model}.api_keys[0]: this key holds blanks or signs that no header can carry; copy it again")),
        (r#"{"p":[{"model_name":"m","api_keys":[{"kye":"x"}],"base_url":"https://h"}]}"#.into(), format!("provider.json has 2 defects, so nothing of it is used:\nprovider.json:1:37: {model}.api_keys[0].key: this field is missing; add it\nprovider.json:1:44: {model}.api_keys[0].kye: unknown field; did you mean `key`?")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET}"],"base_url":"api.openai.com/v1"}]}"#.into(), format!("provider.json:1:58: {model}.base_url: base URL: it cannot be read as a URL; write it as in https://api.openai.com/v1")),
        (r#"{"p":[{"model_name":"m","api_keys":["${SET}"],"base_url":"https://h/v1/chat/completions"}]}"#.into(), format!("provider.json:1:58: {model}.base_url: this is the URL of one endpoint; leave out /chat/completions")),
        (r#"{"p":[{"api_keys":["${SET}"],"base_url":"https://h"}]}"#.into(), format!("provider.json:1:7: {model}.model_name: this field is missing; add it")),
    ];
    for (text, message) in table {
        assert_eq!(parse(&text).unwrap_err(), message, "{text}");
    }
}

#[test]
fn a_model_that_stands_twice_is_a_defect() {
    let one = r#"{"model_name":"m","api_keys":["${SET}"],"base_url":"https://h"}"#;
    let error = parse(&format!(r#"{{"p":[{one},{one}]}}"#)).unwrap_err();
    assert!(
        error.contains("p[1].model_name: this provider has a model of this name already"),
        "{error}"
    );
}

#[test]
fn all_defects_are_told_at_once_in_the_order_of_the_file() {
    let text =
        "{\"p\": [\n{\"model_name\": \"\", \"api_keys\": [],\n\"base_url\": \"x\", \"max_retries\": -1}\n]}";
    let error = ProviderFile::parse(text, "f", &env).unwrap_err();
    let lines: Vec<usize> = error.defects().iter().map(|defect| defect.line).collect();
    assert_eq!(lines, [2, 2, 3, 3]);
}

#[test]
fn requests_a_minute_take_the_place_of_the_origins_limit() {
    let of = |members: &str| {
        let file = parse(&with(members)).unwrap();
        let settings = &file.providers[0].models[0].settings;
        (settings.rate_limit, settings.rpm, file.warnings.len())
    };
    assert_eq!(of(""), (Some((10, 1.0)), None, 1));
    assert_eq!(of(r#","rpm":60"#), (None, Some(60), 0));
    assert_eq!(of(r#","rpm":null"#), (Some((10, 1.0)), None, 1));
    assert_eq!(
        of(r#","rpm":60,"rate_limit_capacity":5"#),
        (Some((5, 1.0)), Some(60), 0)
    );
    let key =
        r#"{"p":[{"model_name":"m","api_keys":[{"key":"k","rpm":30}],"base_url":"http://h/v1","rpm":100}]}"#;
    let file = parse(key).unwrap();
    let limits = file.providers[0].models[0].api_keys[0].limits.limits;
    assert_eq!((limits.rate_limit, limits.rpm), (None, Some(30)));
}

// O28
#[test]
fn references_are_resolved_from_the_environment_and_from_files() {
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
    for told in [
        "SET is not set",
        "SET2 is not set",
        "p[0].api_keys[2]: what it refers to is empty",
    ] {
        assert!(error.contains(told), "{error}");
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
fn a_missing_file_is_one_clear_line() {
    let error = ProviderFile::read(std::path::Path::new("no/such/provider.json"), &env).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("no/such/provider.json: it cannot be read:") && text.contains("--config"),
        "{text}"
    );
}

#[test]
fn the_schema_names_the_fields_that_the_reader_knows() {
    let schema: serde_json::Value = serde_json::from_str(PROVIDER_SCHEMA).unwrap();
    for (kind, example) in [
        ("model", with(r#","zzz":1"#)),
        ("key", with("").replace("\"${SET}\"", r#"{"key":"k","zzz":1}"#)),
    ] {
        let error = parse(&example).unwrap_err();
        let known = error.split("known are ").nth(1).unwrap();
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
    fn any_text_is_read_or_refused_without_a_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn a_damaged_file_never_shows_a_key(at in 0_usize..ORIGIN.len(), with in "[\\[\\]{}\",:0-9a-z]{0,3}", cut in 0_usize..4) {
        let end = (at + cut).min(ORIGIN.len());
        if let Err(error) = parse(&format!("{}{with}{}", &ORIGIN[..at], &ORIGIN[end..])) {
            // A damage may turn the key's text into the name of a field; what is told then is a name, not a value.
            prop_assert!(!error.contains("sk-canary-1\"") , "{error}");
        }
    }
}

#[test]
fn who_only_plans_needs_no_keys_and_still_knows_one_from_another() {
    let folder = std::env::temp_dir().join(format!("llmpool-to-plan-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("provider.json");
    let keys = r#"["${SET}", "${NOT SET}", "env:NOT SET", "file:/no/such", "sk-literal"]"#;
    let file =
        |keys: &str| format!(r#"{{"p":[{{"model_name":"m","api_keys":{keys},"base_url":"https://h/v1"}}]}}"#);
    std::fs::write(&path, file(keys)).unwrap();
    assert_eq!(ProviderFile::read(&path, &env).unwrap_err().defects().len(), 3);
    let read = ProviderFile::read_to_plan(&path, &env).unwrap();
    let keys = &read.providers[0].models[0].api_keys;
    assert_eq!(keys.len(), 4, "one variable is one key");
    assert_eq!(keys[0].secret.expose(), "sk-from-env");
    std::fs::write(&path, file(r#"["${}", "${OPEN"]"#)).unwrap();
    assert_eq!(
        ProviderFile::read_to_plan(&path, &env)
            .unwrap_err()
            .defects()
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
        "what goes to the provider has no comments"
    );
}
