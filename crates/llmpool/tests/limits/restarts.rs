//! The state file: limits, cooldowns and learned paces continue after a restart, whatever the system clock
//! does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    CallOptions, Error, KeyEntry, KeyLimits, KeyState, Limits, LlmInterface, ModelEntry, Providers,
    RateLimit, TargetSettings,
};
use serde_json::{Value, json};

use crate::support::{Action, ScriptedProvider, completion, error};
use crate::{no_retries, rpm, run_at_rate, timeout_of};

const DAY: i64 = 24 * 3600 * 1000;

/// A state file, which is removed at the end.
struct StateFile(PathBuf);

impl StateFile {
    fn new(name: &str) -> Self {
        let name = format!("llmpool-restart-{name}-{}.json", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn read(&self) -> Value {
        serde_json::from_slice(&std::fs::read(&self.0).unwrap()).unwrap()
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut state = self.read();
        edit(&mut state);
        std::fs::write(&self.0, state.to_string()).unwrap();
    }

    /// Moves the time at which the file was written by `millis`, as if the system clock had been set.
    fn move_by(&self, millis: i64) {
        let moved = |at: &Value| json!(at.as_i64().unwrap() + millis);
        self.edit(|state| {
            state["saved_at"] = moved(&state["saved_at"]);
            for key in state["keys"].as_array_mut().unwrap() {
                key["until"] = moved(&key["until"]);
            }
        });
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A provider that counts requests.
fn answering() -> Arc<ScriptedProvider> {
    ScriptedProvider::new(|_, _| Action::Send(completion("ok")))
}

/// Loads the keys "a" and "b" with these limits and the models "m" and "n", and their state.
fn start(
    script: &Arc<ScriptedProvider>,
    limits: Limits,
    settings: TargetSettings,
    file: &StateFile,
) -> Providers {
    let entries = ["a", "b"].map(|key| KeyEntry {
        limits: KeyLimits {
            limits,
            ..KeyLimits::default()
        },
        ..KeyEntry::from(key)
    });
    let model =
        |name| ModelEntry::new(name, "http://scripted/v1", entries.clone()).with_settings(settings.clone());
    let providers = Providers::builder().connector(script.clone());
    let providers = providers.model("p", model("m")).model("p", model("n"));
    let providers = providers.build().unwrap();
    providers.load_key_states(&file.0).unwrap();
    providers
}

async fn call(providers: &Providers, model: &str) -> Result<(), Error> {
    let model = providers.model(model).unwrap();
    let answer = model.chat_with(&ChatRequest::user("hi"), &timeout_of(1.0)).await;
    answer.map(|_| ())
}

fn rpd(requests: u32) -> Limits {
    Limits {
        rpd: Some(requests),
        ..Limits::default()
    }
}

// reproduction 13
#[tokio::test(start_paused = true)]
async fn daily_limit_counts_over_restarts() {
    let of_target = TargetSettings {
        limits: rpd(2),
        ..no_retries()
    };
    for (limits, settings, sent) in [(Limits::default(), of_target, 2), (rpd(1), no_retries(), 2)] {
        let file = StateFile::new("day");
        let script = answering();
        for _ in 0..3 {
            let providers = start(&script, limits, settings.clone(), &file);
            for _ in 0..2 {
                let _ = call(&providers, "p/m").await;
            }
            providers.save_key_states(&file.0).unwrap();
        }
        assert_eq!(script.requests(), sent);
        file.move_by(-DAY - 1_800_000);
        let providers = start(&script, limits, settings, &file);
        call(&providers, "p/m").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_limit_counts_over_a_restart() {
    let tpm = Limits {
        tpm: Some(60),
        ..Limits::default()
    };
    let bucket = Limits::from(Some(RateLimit::new(3, 0.001).unwrap()));
    for limits in [rpm(3), tpm, bucket, rpd(3)] {
        let settings = TargetSettings {
            limits,
            expected_output_tokens: Some(2),
            ..no_retries()
        };
        let mut sent = [false, true].into_iter().map(async |restarts| {
            let file = StateFile::new("kinds");
            let script = answering();
            let mut providers = start(&script, Limits::default(), settings.clone(), &file);
            for _ in 0..20 {
                let _ = call(&providers, "p/m").await;
                if restarts {
                    providers.save_key_states(&file.0).unwrap();
                    providers = start(&script, Limits::default(), settings.clone(), &file);
                }
            }
            script.requests()
        });
        let (without, with) = (sent.next().unwrap().await, sent.next().unwrap().await);
        assert!((3..20).contains(&without), "{without}");
        assert_eq!(with, without, "{limits:?}");
    }
}

/// The system clock is set back or forward while no process uses the file.
#[tokio::test(start_paused = true)]
async fn clock_that_was_set_back_releases_no_limit_and_prolongs_no_cooldown() {
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "a" => Action::Send(error(429, "retry-after: 3600\r\n", "insufficient_quota")),
        _ => Action::Send(completion("ok")),
    });
    let file = StateFile::new("clock");
    let providers = start(&script, rpd(1), no_retries(), &file);
    call(&providers, "p/m").await.unwrap();
    assert_eq!(script.requests(), 2);
    providers.save_key_states(&file.0).unwrap();
    let in_future = 400 * DAY;
    file.move_by(in_future);
    let providers = start(&script, rpd(1), no_retries(), &file);
    let retry_in = providers.model("p/m").unwrap().key_status()[0].retry_in.unwrap();
    assert!(
        retry_in > Duration::from_secs(3590) && retry_in <= Duration::from_secs(3601),
        "{retry_in:?}"
    );
    let shown = providers.saved_status(&file.0).unwrap().keys[0].retry_in.unwrap();
    assert!(shown <= Duration::from_secs(3601), "{shown:?}");
    call(&providers, "p/m").await.unwrap_err();
    assert_eq!(script.requests(), 2);
    // Everything is used again after the day that follows.
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    call(&providers, "p/m").await.unwrap();
    // A clock that jumps ahead ends cooldowns early, but one attempt tests each key.
    file.move_by(-in_future - 400 * DAY);
    let sent = script.requests();
    let providers = start(&script, Limits::default(), no_retries(), &file);
    let model = providers.model("p/m").unwrap();
    run_at_rate(&model, 10.0, 5, timeout_of(5.0)).await;
    let received = script.received.lock().unwrap();
    let of_first = received[sent..].iter().filter(|received| received.key == "a");
    assert_eq!(of_first.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_and_denials_of_one_model_survive() {
    let script =
        ScriptedProvider::new(
            |_, received| match (&*received.key, received.body["model"].as_str()) {
                ("a", Some("m")) => Action::Send(error(429, "retry-after: 600\r\n", "rate_limit_exceeded")),
                ("b", Some("m")) => Action::Send(error(403, "", "insufficient_permissions")),
                _ => Action::Send(completion("ok")),
            },
        );
    let file = StateFile::new("models");
    let providers = start(&script, Limits::default(), no_retries(), &file);
    call(&providers, "p/m").await.unwrap_err();
    assert_eq!(script.requests(), 2);
    providers.save_key_states(&file.0).unwrap();
    let providers = start(&script, Limits::default(), no_retries(), &file);
    let states = |model| {
        providers
            .model(model)
            .unwrap()
            .key_status()
            .into_iter()
            .map(|key| key.state)
    };
    let known: Vec<_> = states("p/m").collect();
    assert_eq!(known, [KeyState::Throttled, KeyState::Forbidden]);
    assert!(states("p/n").all(|state| state == KeyState::Healthy));
    call(&providers, "p/m").await.unwrap_err();
    assert_eq!(script.requests(), 2);
    for _ in 0..4 {
        call(&providers, "p/n").await.unwrap();
    }
    assert_eq!(script.requests(), 6);
}

#[tokio::test(start_paused = true)]
async fn learned_pace_survives() {
    let script = ScriptedProvider::new(|number, _| match number {
        200 => Action::Send(error(429, "", "rate_limit_exceeded")),
        _ => Action::Send(completion("ok")),
    });
    let file = StateFile::new("pace");
    let providers = start(&script, Limits::default(), TargetSettings::default(), &file);
    let model = providers.model("p/m").unwrap();
    run_at_rate(&model, 20.0, 15, CallOptions::default()).await;
    let learned = |providers: &Providers| {
        let status = providers.model("p/m").unwrap().key_status().into_iter();
        status
            .filter_map(|key| key.observed_per_minute)
            .collect::<Vec<_>>()
    };
    let before = learned(&providers);
    assert_eq!(before.len(), 1);
    providers.save_key_states(&file.0).unwrap();
    let providers = start(&script, Limits::default(), TargetSettings::default(), &file);
    assert_eq!(learned(&providers), before);
    file.move_by(-60_001);
    let providers = start(&script, Limits::default(), TargetSettings::default(), &file);
    assert!(learned(&providers).is_empty(), "not confirmed for a minute");
}

/// Estimates of calls in flight count as used: the calls may have reached the provider.
#[tokio::test(start_paused = true)]
async fn calls_in_flight_count_as_used() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(9), completion("ok")));
    let file = StateFile::new("in-flight");
    let providers = start(&script, rpd(1), no_retries(), &file);
    let model = providers.model("p/m").unwrap();
    let waiting = [(); 2].map(|()| {
        let model = model.clone();
        tokio::spawn(async move { model.chat(&ChatRequest::user("hi")).await })
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    providers.save_key_states(&file.0).unwrap();
    waiting.into_iter().for_each(|call| call.abort());
    let providers = start(&script, rpd(1), no_retries(), &file);
    call(&providers, "p/m").await.unwrap_err();
    assert_eq!(script.requests(), 2);
}

/// A file of an earlier release contains only cooldowns of keys.
#[tokio::test(start_paused = true)]
async fn file_without_limits_restores_cooldowns_of_keys() {
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "a" => Action::Send(error(401, "", "invalid_api_key")),
        _ => Action::Send(error(429, "retry-after: 600\r\n", "rate_limit_exceeded")),
    });
    let file = StateFile::new("old");
    let providers = start(&script, Limits::default(), no_retries(), &file);
    call(&providers, "p/m").await.unwrap_err();
    providers.save_key_states(&file.0).unwrap();
    file.edit(|state| {
        state.as_object_mut().unwrap().remove("limits").unwrap();
        state["keys"][0]["until"] = json!(state["saved_at"].as_i64().unwrap() + 60_000);
    });
    let providers = start(&script, Limits::default(), no_retries(), &file);
    let states: Vec<_> = providers
        .model("p/n")
        .unwrap()
        .key_status()
        .into_iter()
        .map(|key| key.state)
        .collect();
    assert_eq!(states, [KeyState::Invalid, KeyState::Throttled]);
    call(&providers, "p/m").await.unwrap_err();
    assert_eq!(script.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_and_models_are_ignored() {
    let settings = TargetSettings {
        limits: rpd(1),
        ..no_retries()
    };
    let file = StateFile::new("unknown");
    let script = answering();
    let providers = start(&script, rpd(1), settings.clone(), &file);
    call(&providers, "p/m").await.unwrap();
    providers.save_key_states(&file.0).unwrap();
    file.edit(|state| {
        for limits in state["limits"].as_array_mut().unwrap() {
            let member = if limits["model"].is_string() {
                "model"
            } else {
                "key"
            };
            limits[member] = json!("unknown");
        }
        state["limits"]
            .as_array_mut()
            .unwrap()
            .push(json!({"provider": "p"}));
        state["limits"]
            .as_array_mut()
            .unwrap()
            .push(json!({"provider": "p", "account": ["unknown"]}));
        state["limits"]
            .as_array_mut()
            .unwrap()
            .push(json!({"provider": "q", "key": "unknown", "later": 1}));
    });
    let providers = start(&script, rpd(1), settings, &file);
    call(&providers, "p/m").await.unwrap();
}

/// The names of the members are part of the file format: see `docs/library.md`.
#[tokio::test(start_paused = true)]
async fn members_of_the_state_file_have_the_documented_names() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(error(429, "retry-after: 600\r\n", "rate_limit_exceeded")),
        1 => Action::Send(error(401, "", "invalid_api_key")),
        _ => Action::Send(completion("ok")),
    });
    let file = StateFile::new("names");
    let limits = Limits {
        tpm: Some(100_000),
        rate_limit: Some(RateLimit::new(10, 0.1).unwrap()),
        ..rpd(9)
    };
    let settings = TargetSettings {
        limits: rpm(9),
        ..no_retries()
    };
    let providers = start(&script, limits, settings, &file);
    call(&providers, "p/m").await.unwrap_err();
    call(&providers, "p/n").await.unwrap();
    providers.save_key_states(&file.0).unwrap();
    fn names(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.keys().cloned());
                members.values().for_each(|value| names(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    names(&file.read()["limits"], &mut found);
    let key = KeyEntry {
        quota_group: Some("one".to_owned()),
        ..KeyEntry::from("a")
    };
    let model = ModelEntry::new("m", "http://scripted/v1", [key]);
    let grouped = Providers::builder().model("p", model).build().unwrap();
    grouped.save_key_states(&file.0).unwrap();
    names(&file.read()["limits"], &mut found);
    let expected = [
        "account",
        "amount",
        "available",
        "cooldowns",
        "counts_for_ms",
        "day",
        "ends_in_ms",
        "idle_for_ms",
        "key",
        "learned",
        "minute",
        "missing_in_bucket",
        "missing_in_minute",
        "model",
        "paused_for_ms",
        "per_second",
        "provider",
        "reason",
        "single_for_ms",
        "tokens",
        "worked",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}
