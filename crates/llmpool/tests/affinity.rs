//! Follow-up requests to a provider that stores responses per account and encrypts items so that only the same account can read them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool::KeyEntry;
use llmpool::responses::{EventKind, ResponsesRequest};
use llmpool::{
    ApiFormat, ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyState, ModelEntry, OpenAiCompatible,
    OpenAiResponsesCompatible, Providers, TargetSettings,
};
use llmpool_simulator::{Scenario, Simulator};
use serde_json::{Value, json};

const KEYS: [&str; 4] = ["sk-canary-a", "sk-canary-b", "sk-canary-c", "sk-canary-d"];

async fn simulator() -> Simulator {
    let keys: Vec<Value> = KEYS.iter().map(|key| json!({ "key": key })).collect();
    let scenario = json!({"keys": keys, "reasoning": "hm"});
    Simulator::start(Scenario::from_json(&scenario.to_string()).unwrap())
        .await
        .unwrap()
}

fn settings() -> TargetSettings {
    TargetSettings {
        max_retries: 0,
        api: ApiFormat::Responses,
        ..TargetSettings::default()
    }
}

fn model(simulator: &Simulator, keys: &[&str]) -> OpenAiResponsesCompatible {
    let pool = ApiKeyPool::new("p", keys.iter().copied()).unwrap();
    OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings())
        .build_responses()
        .unwrap()
}

fn request(members: Value) -> ResponsesRequest {
    serde_json::from_value(members).unwrap()
}

fn options() -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs(20)),
        ..CallOptions::default()
    }
}

async fn respond(model: &OpenAiResponsesCompatible, members: Value) -> Result<Value, llmpool::Error> {
    let answer = model.create_response_with(&request(members), &options()).await?;
    Ok(serde_json::to_value(&answer.response).unwrap())
}

/// Like [`respond`], for a stream: returns the response of the last event.
async fn respond_streamed(
    model: &OpenAiResponsesCompatible,
    members: Value,
) -> Result<Value, llmpool::Error> {
    let mut events = model
        .create_response_stream_with(&request(members), &options())
        .await?;
    let mut last = Value::Null;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.kind == EventKind::Completed {
            last = serde_json::to_value(&event).unwrap()["response"].clone();
        }
    }
    Ok(last)
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_up_goes_to_the_key_that_created_the_response() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    let conversations = (0..12).map(|conversation| {
        let model = model.clone();
        tokio::spawn(async move {
            let mut last: Option<Value> = None;
            for turn in 0..6 {
                let id = last.as_ref().map(|last| last["id"].clone());
                let members = json!({"input": format!("{conversation} {turn}"), "previous_response_id": id});
                last = Some(if turn % 2 == 0 {
                    respond_streamed(&model, members).await.unwrap()
                } else {
                    respond(&model, members).await.unwrap()
                });
            }
        })
    });
    for conversation in conversations.collect::<Vec<_>>() {
        conversation.await.unwrap();
    }
    let stats = simulator.stats();
    assert_eq!(stats.requests, 72, "no request was repeated");
    assert!(
        stats.keys.iter().all(|key| key.requests >= 6),
        "the conversations are spread over the keys"
    );
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_items_go_to_the_key_that_can_read_them() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    for conversation in 0..8 {
        let mut input = vec![json!({"role": "user", "content": format!("conversation {conversation}")})];
        for turn in 0..3 {
            let members = json!({"input": input, "store": false, "include": ["reasoning.encrypted_content"]});
            let answer = if turn % 2 == 0 {
                respond(&model, members).await.unwrap()
            } else {
                respond_streamed(&model, members).await.unwrap()
            };
            let output = answer["output"].as_array().unwrap();
            assert!(
                output.iter().any(|item| item["encrypted_content"].is_string()),
                "{answer}"
            );
            input.extend(output.iter().cloned());
            input.push(json!({"role": "user", "content": "go on"}));
        }
    }
    assert_eq!(simulator.stats().requests, 24);
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_response_id_is_rejected_without_a_request() {
    let simulator = simulator().await;
    let unknown = || json!({"input": "hi", "previous_response_id": "resp_unknown"});
    let error = respond(&model(&simulator, &KEYS), unknown()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsendable);
    let text = error.to_string();
    assert!(
        text.contains("previous_response_id") && text.contains("4 accounts"),
        "{text}"
    );
    assert_eq!(simulator.stats().requests, 0);
    // With a single account, only that account can know the response.
    let error = respond(&model(&simulator, &KEYS[..1]), unknown())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidRequest));
    assert_eq!(simulator.stats().requests, 1);
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_up_never_switches_to_another_key() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    let first = respond(&model, json!({"input": "hi"})).await.unwrap();
    let used = simulator
        .stats()
        .keys
        .iter()
        .position(|key| key.requests == 1)
        .unwrap();
    let label = model.model().key_status()[used].label.clone();
    model.model().set_key_enabled(&label, false);
    let follow_up = request(json!({"input": "and?", "previous_response_id": first["id"]}));
    for wait_for_keys in [false, true] {
        let options = CallOptions {
            timeout: Some(Duration::from_millis(300)),
            wait_for_keys,
            ..CallOptions::default()
        };
        let error = model
            .create_response_with(&follow_up, &options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidKey));
        assert!(error.to_string().contains("disabled"), "{error}");
    }
    assert_eq!(simulator.stats().requests, 1);
    model.model().set_key_enabled(&label, true);
    respond(
        &model,
        json!({"input": "and?", "previous_response_id": first["id"]}),
    )
    .await
    .unwrap();
    assert_eq!(simulator.stats().keys[used].requests, 2);
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_account_share_its_responses() {
    let keys: Vec<Value> = KEYS
        .iter()
        .map(|key| json!({"key": key, "account": "one"}))
        .collect();
    let scenario = json!({"accounts": [{"name": "one"}], "keys": keys});
    let simulator = Simulator::start(Scenario::from_json(&scenario.to_string()).unwrap())
        .await
        .unwrap();
    let entry = |key: &str| KeyEntry {
        quota_group: Some("one".to_owned()),
        ..KeyEntry::from(key)
    };
    let pool = ApiKeyPool::from_entries("p", KEYS.map(entry)).unwrap();
    let model = OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings())
        .build_responses()
        .unwrap();
    let mut id = Value::Null;
    for _ in 0..8 {
        id = respond(&model, json!({"input": "hi", "previous_response_id": id}))
            .await
            .unwrap()["id"]
            .clone();
    }
    assert!(
        simulator.stats().keys.iter().all(|key| key.requests == 2),
        "every key of the account is used"
    );
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn affinity_is_saved_and_responses_of_removed_keys_are_rejected() {
    let simulator = simulator().await;
    let folder = std::env::temp_dir().join(format!("llmpool-affinity-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("states.json");
    let load = |keys: &[&'static str]| {
        let builder = Providers::builder().model(
            "p",
            ModelEntry::new("m", simulator.url(), keys.iter().copied()).with_settings(settings()),
        );
        let providers = builder.build().unwrap();
        providers.load_key_states(&path).unwrap();
        let model = OpenAiResponsesCompatible::from_model(&providers.model("p/m").unwrap()).unwrap();
        (providers, model)
    };
    let (providers, first) = load(&KEYS);
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(respond(&first, json!({"input": "hi"})).await.unwrap()["id"].clone());
    }
    providers.save_key_states(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("canary") && !text.contains("resp_"), "{text}");
    let (_, second) = load(&KEYS);
    // In reverse, because the least recently used keys would be selected in the original order.
    for id in ids.iter().rev() {
        respond(&second, json!({"input": "and?", "previous_response_id": id}))
            .await
            .unwrap();
    }
    assert_eq!(simulator.stats().requests, 16);
    let (_, third) = load(&KEYS[1..]);
    let mut rejected = 0;
    for id in &ids {
        match respond(&third, json!({"input": "and?", "previous_response_id": id})).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsendable, "{error}");
                rejected += 1;
            }
        }
    }
    assert_eq!(
        (rejected, simulator.stats().requests),
        (2, 22),
        "the responses of the removed key are rejected"
    );
    let states = third.model().key_status();
    assert!(states.iter().all(|key| key.state == KeyState::Healthy));
    std::fs::remove_dir_all(&folder).unwrap();
}
