//! Follow-ups to a provider that keeps responses for the account that made them, and lets nobody else read what it encrypted.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool::KeyEntry;
use llmpool::responses::{EventKind, ResponsesRequest};
use llmpool::{
    ApiFormat, ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyLimits, KeyState,
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
    OpenAiResponsesCompatible::with_settings(&pool, "m", &simulator.url(), settings()).unwrap()
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

async fn ask(model: &OpenAiResponsesCompatible, members: Value) -> Result<Value, llmpool::Error> {
    let answer = model.create_response_with(&request(members), &options()).await?;
    Ok(serde_json::to_value(&answer.response).unwrap())
}

/// As [`ask`], of a stream; answers with the response of its last event.
async fn ask_stream(model: &OpenAiResponsesCompatible, members: Value) -> Result<Value, llmpool::Error> {
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
async fn every_follow_up_goes_to_the_key_that_made_the_response() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    let talks = (0..12).map(|talk| {
        let model = model.clone();
        tokio::spawn(async move {
            let mut last: Option<Value> = None;
            for turn in 0..6 {
                let id = last.as_ref().map(|last| last["id"].clone());
                let members = json!({"input": format!("{talk} {turn}"), "previous_response_id": id});
                last = Some(if turn % 2 == 0 {
                    ask_stream(&model, members).await.unwrap()
                } else {
                    ask(&model, members).await.unwrap()
                });
            }
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        talk.await.unwrap();
    }
    let stats = simulator.stats();
    assert_eq!(stats.requests, 72, "no answer had to be asked for twice");
    assert!(
        stats.keys.iter().all(|key| key.requests >= 6),
        "the talks are spread"
    );
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_encrypted_goes_back_to_who_can_read_it() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    for talk in 0..8 {
        let mut input = vec![json!({"role": "user", "content": format!("talk {talk}")})];
        for turn in 0..3 {
            let members = json!({"input": input, "store": false, "include": ["reasoning.encrypted_content"]});
            let answer = if turn % 2 == 0 {
                ask(&model, members).await.unwrap()
            } else {
                ask_stream(&model, members).await.unwrap()
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
async fn what_nobody_knows_is_refused_by_name_and_sent_to_nobody() {
    let simulator = simulator().await;
    let unknown = || json!({"input": "hi", "previous_response_id": "resp_of_somebody"});
    let error = ask(&model(&simulator, &KEYS), unknown()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsendable);
    let text = error.to_string();
    assert!(
        text.contains("previous_response_id") && text.contains("4 behind"),
        "{text}"
    );
    assert_eq!(simulator.stats().requests, 0);
    // One account is the only one that could know.
    let error = ask(&model(&simulator, &KEYS[..1]), unknown()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidRequest));
    assert_eq!(simulator.stats().requests, 1);
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follow_up_never_moves_to_another_key() {
    let simulator = simulator().await;
    let model = model(&simulator, &KEYS);
    let first = ask(&model, json!({"input": "hi"})).await.unwrap();
    let used = simulator
        .stats()
        .keys
        .iter()
        .position(|key| key.requests == 1)
        .unwrap();
    let label = model.model().key_status()[used].label.clone();
    model.model().set_key_enabled(&label, false);
    let follow_up = request(json!({"input": "and?", "previous_response_id": first["id"]}));
    for fail_fast in [false, true] {
        let options = CallOptions {
            timeout: Some(Duration::from_millis(300)),
            fail_fast,
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
    ask(
        &model,
        json!({"input": "and?", "previous_response_id": first["id"]}),
    )
    .await
    .unwrap();
    assert_eq!(simulator.stats().keys[used].requests, 2);
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_one_account_share_what_it_made() {
    let keys: Vec<Value> = KEYS
        .iter()
        .map(|key| json!({"key": key, "account": "one"}))
        .collect();
    let scenario = json!({"accounts": [{"name": "one"}], "keys": keys});
    let simulator = Simulator::start(Scenario::from_json(&scenario.to_string()).unwrap())
        .await
        .unwrap();
    let entry = |key: &str| KeyEntry {
        secret: key.into(),
        limits: KeyLimits::default(),
        quota_group: Some("one".to_owned()),
    };
    let pool = ApiKeyPool::from_entries("p", KEYS.map(entry)).unwrap();
    let model = OpenAiResponsesCompatible::with_settings(&pool, "m", &simulator.url(), settings()).unwrap();
    let mut id = Value::Null;
    for _ in 0..8 {
        id = ask(&model, json!({"input": "hi", "previous_response_id": id}))
            .await
            .unwrap()["id"]
            .clone();
    }
    assert!(
        simulator.stats().keys.iter().all(|key| key.requests == 2),
        "any of them will do"
    );
}

// L10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_made_what_outlives_the_process_and_a_key_that_is_gone_is_told() {
    let simulator = simulator().await;
    let folder = std::env::temp_dir().join(format!("llmpool-made-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("states.json");
    let load = |keys: &[&'static str]| {
        let builder =
            Providers::builder().model("p", "m", &simulator.url(), keys.iter().copied(), settings());
        let providers = builder.build().unwrap();
        providers.load_key_states(&path).unwrap();
        let model = OpenAiResponsesCompatible::of(&providers.model("p/m").unwrap()).unwrap();
        (providers, model)
    };
    let (providers, first) = load(&KEYS);
    let mut made = Vec::new();
    for _ in 0..8 {
        made.push(ask(&first, json!({"input": "hi"})).await.unwrap()["id"].clone());
    }
    providers.save_key_states(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("canary") && !text.contains("resp_"), "{text}");
    let (_, second) = load(&KEYS);
    // Not in the order in which keys would be picked anyway.
    for id in made.iter().rev() {
        ask(&second, json!({"input": "and?", "previous_response_id": id}))
            .await
            .unwrap();
    }
    assert_eq!(simulator.stats().requests, 16);
    let (_, third) = load(&KEYS[1..]);
    let mut refused = 0;
    for id in &made {
        match ask(&third, json!({"input": "and?", "previous_response_id": id})).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsendable, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(
        (refused, simulator.stats().requests),
        (2, 22),
        "those of the key that is gone"
    );
    let states = third.model().key_status();
    assert!(states.iter().all(|key| key.state == KeyState::Healthy));
    std::fs::remove_dir_all(&folder).unwrap();
}
