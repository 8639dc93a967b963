//! Embeddings and the model list, over a loopback socket.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool::embeddings::{EmbeddingRequest, EncodingFormat};
use llmpool::{
    ApiKeyPool, CallOptions, EmbeddingInterface, ErrorKind, FailureKind, Limits, OpenAiCompatible,
    TargetSettings, UsageSource,
};
use llmpool_simulator::{Scenario, Simulator};
use serde_json::{Value, json};

const KEYS: [&str; 2] = ["sk-canary-a", "sk-canary-b"];

async fn simulator(scenario: Value) -> Simulator {
    Simulator::start(Scenario::from_json(&scenario.to_string()).unwrap())
        .await
        .unwrap()
}

fn settings() -> TargetSettings {
    TargetSettings {
        max_retries: 2,
        retry_delay: Duration::from_millis(1),
        ..TargetSettings::default()
    }
}

fn model_with(simulator: &Simulator, settings: TargetSettings) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", KEYS).unwrap();
    OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings)
        .build()
        .unwrap()
}

fn options() -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs(20)),
        ..CallOptions::default()
    }
}

fn embedding_request(texts: &[&str]) -> EmbeddingRequest {
    EmbeddingRequest::new(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

#[tokio::test]
async fn both_encodings_return_the_same_vector_per_text() {
    let simulator = simulator(json!({})).await;
    let model = model_with(&simulator, settings());
    let mut request = embedding_request(&["the sea", "a mountain"]);
    let numbers = model.embed_with(&request, &options()).await.unwrap();
    assert_eq!(numbers.report.attempts.len(), 1);
    assert_eq!(numbers.report.usage_source, UsageSource::Provider);
    assert!(numbers.report.usage.as_ref().unwrap().prompt_tokens().unwrap() > 0);
    let numbers = numbers.vectors().unwrap();
    assert_eq!(numbers.len(), 2);
    assert_ne!(numbers[0], numbers[1]);

    request.encoding_format = Some(EncodingFormat::Base64);
    let base64 = model.embed_with(&request, &options()).await.unwrap();
    assert_eq!(base64.vectors().unwrap(), numbers);

    request.dimensions = Some(8);
    let short = model.embed_with(&request, &options()).await.unwrap();
    assert!(short.vectors().unwrap().iter().all(|vector| vector.len() == 8));
}

#[tokio::test]
async fn embeddings_are_retried_and_use_all_keys() {
    let simulator = simulator(json!({
        "script": [{"status": 503, "on": "embeddings"}],
        "keys": [{"key": KEYS[0]}, {"key": KEYS[1]}],
    }))
    .await;
    let model = model_with(&simulator, settings());
    let answer = model
        .embed_with(&embedding_request(&["x"]), &options())
        .await
        .unwrap();
    assert_eq!(answer.report.attempts.len(), 2);
    model
        .embed_with(&embedding_request(&["x"]), &options())
        .await
        .unwrap();
    let stats = simulator.stats();
    assert_eq!(stats.keys.len(), 2, "both keys were used: {stats:?}");
}

#[tokio::test]
async fn fewer_vectors_than_texts_is_an_invalid_response() {
    let body = json!({"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2}});
    for body in [
        body,
        json!({"object": "list", "model": "m", "data": []}),
        json!({"object": "list"}),
    ] {
        let simulator =
            simulator(json!({"behaviours": [{"status": 200, "body": body, "on": "embeddings"}]})).await;
        let model = model_with(&simulator, settings());
        let error = model
            .embed_with(&embedding_request(&["x", "y"]), &options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
    }
}

#[tokio::test]
async fn missing_usage_of_embeddings_is_estimated() {
    let body = json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]});
    let simulator =
        simulator(json!({"behaviours": [{"status": 200, "body": body, "on": "embeddings"}]})).await;
    let model = model_with(&simulator, settings());
    let answer = model
        .embed_with(&embedding_request(&["some words to count"]), &options())
        .await
        .unwrap();
    let usage = answer.report.usage.as_ref().unwrap();
    assert_eq!(answer.report.usage_source, UsageSource::Estimated);
    assert!(usage.prompt_tokens().unwrap() > 0);
    assert_eq!(usage.completion_tokens(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn embeddings_above_tpm_are_rejected() {
    let simulator = simulator(json!({})).await;
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(100),
            ..Limits::default()
        },
        ..settings()
    };
    let model = model_with(&simulator, settings);
    let error = model
        .embed_with(&embedding_request(&[&"many words ".repeat(400)]), &options())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tokens"), "{error}");
    assert_eq!(simulator.stats().requests, 0);
}

#[tokio::test]
async fn models_are_listed_from_an_object_or_a_bare_array() {
    let simulator = simulator(json!({"models": ["small", "large"]})).await;
    let model = model_with(&simulator, settings());
    let models = model.list_models_with(&options()).await.unwrap();
    let ids: Vec<_> = models
        .data
        .iter()
        .filter_map(|model| model.id.as_deref())
        .collect();
    assert_eq!(ids, ["small", "large"]);

    let bare = json!([{"id": "small", "object": "model"}]);
    let simulator =
        self::simulator(json!({"behaviours": [{"status": 200, "body": bare, "on": "models"}]})).await;
    let models = model_with(&simulator, self::settings())
        .list_models_with(&options())
        .await
        .unwrap();
    assert_eq!(models.data[0].id.as_deref(), Some("small"));
}

#[tokio::test]
async fn response_without_a_model_list_is_an_error() {
    for (body, kind) in [
        (json!({"models": []}), FailureKind::InvalidResponse),
        (json!("nothing here"), FailureKind::UnusableAnswer),
        (json!({}), FailureKind::InvalidResponse),
    ] {
        let simulator =
            simulator(json!({"behaviours": [{"status": 200, "body": body, "on": "models"}]})).await;
        let error = model_with(&simulator, settings())
            .list_models_with(&options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(kind));
    }
}
