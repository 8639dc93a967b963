//! The examples of provider files, and the headers in which providers expect keys.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use llmpool::chat::{ChatRequest, Json, ResponseFormat};
use llmpool::provider_file::ProviderFile;
use llmpool::{
    ApiFormat, ApiKeyPool, ErrorKind, LlmInterface, OpenAiCompatible, OpenAiResponsesCompatible, Providers,
    TargetSettings,
};
use llmpool_core::provider_profile::PROFILES;
use serde_json::json;
use support::{Action, ScriptedProvider, completion};

fn key(_: &str) -> Option<String> {
    Some("sk-example".to_owned())
}

#[test]
fn every_known_provider_has_a_valid_example_file() {
    let folder = format!("{}/../../examples/providers", env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = ProviderFile::read(&path, &key).unwrap_or_else(|error| panic!("{error}"));
        assert!(file.warnings.is_empty(), "{:?}", file.warnings);
        let name = file.providers[0].id.clone();
        names.push(if name == "llama-cpp" {
            "llama.cpp".to_owned()
        } else {
            name
        });
        let providers = Providers::from_provider_file(file).unwrap();
        for model in providers.models() {
            let responds = OpenAiResponsesCompatible::from_model(model).is_some();
            assert_eq!(responds, path.ends_with("openai-responses.json"));
        }
    }
    for profile in PROFILES {
        assert!(
            names.iter().any(|name| name == profile.name),
            "{} has no example",
            profile.name
        );
    }
}

#[tokio::test(start_paused = true)]
async fn key_is_sent_in_the_header_of_its_provider() {
    for (url, header) in [
        ("http://api.openai.com/v1", "authorization: bearer sk-1"),
        ("http://mine.openai.azure.com/openai/v1", "api-key: sk-1"),
        (
            "http://mine.openai.azure.com/openai/deployments/d?api-version=2024-10-21",
            "api-key: sk-1",
        ),
    ] {
        let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
        let pool = ApiKeyPool::new("p", ["sk-1"]).unwrap();
        let target = OpenAiCompatible::builder(&pool, "m", url)
            .connector(script.clone())
            .build()
            .unwrap();
        target.chat(&ChatRequest::user("hi")).await.unwrap();
        let received = script.received.lock().unwrap();
        assert!(received[0].head.contains(header), "{}", received[0].head);
        let other = if header.starts_with("api-key") {
            "authorization:"
        } else {
            "api-key:"
        };
        assert!(!received[0].head.contains(other), "{}", received[0].head);
    }
}

#[tokio::test(start_paused = true)]
async fn schema_beyond_the_limits_of_openai_is_not_sent_to_it() {
    let nested = (0..11).fold(
        json!({"type": "string"}),
        |inner, _| json!({"type": "object", "properties": {"a": inner}}),
    );
    let mut request = ChatRequest::user("hi");
    request.response_format = Some(ResponseFormat::json_schema("deep", Json::of(&nested).unwrap()));
    for (url, api, is_sent) in [
        ("http://api.openai.com/v1", ApiFormat::ChatCompletions, false),
        ("http://api.openai.com/v1", ApiFormat::Responses, false),
        (
            "http://mine.openai.azure.com/openai/v1",
            ApiFormat::ChatCompletions,
            false,
        ),
        ("http://unknown.example/v1", ApiFormat::ChatCompletions, true),
    ] {
        let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
        let pool = ApiKeyPool::new("p", ["sk-1"]).unwrap();
        let settings = TargetSettings {
            api,
            ..TargetSettings::default()
        };
        let target = OpenAiCompatible::builder(&pool, "m", url)
            .settings(settings)
            .connector(script.clone())
            .build()
            .unwrap();
        let answer = target.chat(&request).await;
        assert_eq!(script.requests(), usize::from(is_sent), "{url}");
        let Err(error) = answer else {
            assert!(is_sent, "{url}");
            continue;
        };
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsendable, Some("response_format.json_schema.schema"))
        );
        assert!(
            error
                .to_string()
                .contains("a.a.a.a.a.a.a.a.a.a: objects are nested 11 deep"),
            "{error}"
        );
    }
}
