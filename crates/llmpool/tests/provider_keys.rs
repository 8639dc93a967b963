//! Keys of a provider file and of the environment: what is removed around them, their names and notes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool::Providers;
use llmpool::provider_file::ProviderFile;

fn parse(text: &str) -> Result<ProviderFile, String> {
    ProviderFile::parse(text, "provider.json", &|_| None).map_err(|error| error.to_string())
}

#[test]
fn characters_around_a_key_are_removed_with_a_warning() {
    let folder = std::env::temp_dir().join(format!("llmpool-marks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("key");
    std::fs::write(&path, "\u{feff}canary\r\n").unwrap();
    let file = format!("file:{}", path.display());
    for (written, removed) in [
        (" canary\n", "white space"),
        ("'canary'", "quotes"),
        ("\u{201c}canary\u{201d}", "quotes"),
        ("\u{feff}canary", "a byte order mark"),
        ("canary\u{200b}", "a byte order mark or other invisible"),
        ("\"'canary' \"", "white space and quotes"),
        ("'${QUOTED}'", "quotes"),
        (
            "${QUOTED}",
            "quotes, which llmpool leaves out; remove them from the variable or file",
        ),
        (&file, "a byte order mark"),
    ] {
        let key = serde_json::to_string(written).unwrap();
        let text =
            format!(r#"{{"p":[{{"model_name":"m","api_keys":[{key}],"base_url":"https://h/v1","rpm":1}}]}}"#);
        let env = |name: &str| (name == "QUOTED").then(|| "\"canary\" ".to_owned());
        let file =
            ProviderFile::parse(&text, "provider.json", &env).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.providers[0].models[0].api_keys[0].secret.expose(), "canary");
        let warnings: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
        let text = warnings.join("\n");
        let expected = format!("p[0].api_keys[0]: the key is surrounded by {removed}");
        assert!(text.contains(&expected) && !text.contains("canary"), "{text}");
    }
    // A line break at the end of a file is usual.
    std::fs::write(&path, "canary\n").unwrap();
    let key = serde_json::to_string(&file).unwrap();
    let text =
        format!(r#"{{"p":[{{"model_name":"m","api_keys":[{key}],"base_url":"https://h/v1","rpm":1}}]}}"#);
    assert!(parse(&text).unwrap().warnings.is_empty());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn keys_have_names_and_notes() {
    let file = |keys: &str| {
        let text = format!(
            r#"{{"p":[{{"model_name":"m","api_keys":[{keys}],"base_url":"https://h/v1","rpm":1}}]}}"#
        );
        parse(&text)
    };
    let loaded = file(
        r#"{"key":"canary-1","name":"team a","note":"Ann's, till June"}, {"key":"canary-2","name":null}"#,
    );
    let providers = Providers::from_provider_file(loaded.unwrap()).unwrap();
    let status = providers.model("p/m").unwrap().key_status();
    let label = &status[0].label;
    assert!(label.to_string().starts_with("key-1 team a ("), "{label}");
    assert_eq!(
        (label.name(), label.note()),
        (Some("team a"), Some("Ann's, till June"))
    );
    assert_eq!((status[1].label.name(), status[1].label.note()), (None, None));
    let long = "x".repeat(65);
    for (keys, expected) in [
        (
            format!(r#"{{"key":"canary-1","name":"{long}"}}"#),
            "p[0].api_keys[0].name: the name must have 1 to 64 printable",
        ),
        (
            r#"{"key":"canary-1","note":"a\nb"}"#.into(),
            "p[0].api_keys[0].note: the note must have 1 to 200 printable",
        ),
        (
            r#"{"key":"canary-1","note":"is canary-1"}"#.into(),
            "p[0].api_keys[0].note: the note contains a key",
        ),
        (
            r#"{"key":"canary-1","name":"sk-abcdefgh"}"#.into(),
            "p[0].api_keys[0].name: the name contains a key",
        ),
        (
            r#"{"key":"canary-1","name":"a"},{"key":"canary-2","name":"a"}"#.into(),
            "p[0].api_keys[1]: same name as another key",
        ),
    ] {
        let error = file(&keys).unwrap_err();
        assert!(error.contains(expected) && !error.contains("canary"), "{error}");
    }
}

#[test]
fn names_are_checked_over_all_models_of_a_provider() {
    let load = |first: &str, second: &str| {
        let model = |name: &str, keys: &str| {
            format!(r#"{{"model_name":"{name}","api_keys":[{keys}],"base_url":"https://h/v1","rpm":1}}"#)
        };
        let text = format!(r#"{{"p":[{},{}]}}"#, model("m", first), model("n", second));
        Providers::from_provider_file(parse(&text).unwrap())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let named = r#"{"key":"canary-1","name":"a"}"#;
    assert_eq!(load(named, named), Ok(()));
    let error = load(named, r#"{"key":"canary-1","name":"b"}"#).unwrap_err();
    assert!(
        error.contains("has different names or notes in different models"),
        "{error}"
    );
    let error = load(named, r#"{"key":"canary-2","name":"a"}"#).unwrap_err();
    assert!(error.contains("keys 1 and 2 have the same name"), "{error}");
    let error = load(named, r#"{"key":"canary-2","note":"not canary-1"}"#).unwrap_err();
    assert!(error.contains("key 2: the note contains a key"), "{error}");
}

#[test]
fn key_of_the_environment_is_cleaned() {
    let load = |key: &'static str| {
        let env = move |name: &str| (name == "OPENAI_API_KEY").then(|| key.to_owned());
        Providers::from_env_with(&env).unwrap()
    };
    let warnings = |key| -> Vec<String> {
        let providers = load(key).unwrap();
        providers.warnings().iter().map(ToString::to_string).collect()
    };
    assert!(warnings(" canary\n").is_empty());
    let expected = "OPENAI_API_KEY: the key is surrounded by quotes, which llmpool leaves out; remove them from the variable";
    assert_eq!(warnings("\"canary\""), [expected]);
    let label = |key| {
        load(key).unwrap().model("m").unwrap().key_status()[0]
            .label
            .clone()
    };
    assert_eq!(label("'canary'"), label("canary"));
    assert!(load("''").is_none());
}
