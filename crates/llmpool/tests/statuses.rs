//! Configured actions on a key for response statuses. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, KeyAction, KeyScope, KeyState, LlmInterface, OpenAiCompatible, TargetSettings,
};
use support::{Action, ScriptedProvider, completion, error};

const MINUTES: Duration = Duration::from_secs(300);

/// Returns two models over the keys "bad", for which the provider responds with `status`, and "good".
fn two_models(status: u16, headers: &'static str, action: KeyAction) -> (OpenAiCompatible, OpenAiCompatible) {
    let script = ScriptedProvider::new(move |_, received| match &*received.key {
        "bad" => Action::Send(error(status, headers, "x")),
        _ => Action::Send(completion("ok")),
    });
    let pool = ApiKeyPool::new("p", ["bad", "good"]).unwrap();
    let model = |name: &str| {
        let settings = TargetSettings {
            max_retries: 1,
            on_status: [(status, action)].into_iter().collect(),
            ..TargetSettings::default()
        };
        OpenAiCompatible::builder(&pool, name, "http://scripted/v1")
            .settings(settings)
            .connector(script.clone())
            .build()
            .unwrap()
    };
    (model("one"), model("two"))
}

/// Makes a call. Returns the number of its attempts.
async fn attempts(model: &OpenAiCompatible) -> usize {
    let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
    let answer = model.chat_with(&request, &options).await.unwrap();
    answer.report.attempts.len()
}

fn state(model: &OpenAiCompatible) -> KeyState {
    model.key_status()[0].state
}

// L05
#[tokio::test(start_paused = true)]
async fn parked_key_waits_for_the_longer_of_setting_and_retry_after() {
    let (pause, scope) = (MINUTES, KeyScope::Key);
    for (headers, seconds) in [
        ("", 300),
        ("retry-after: 20\r\n", 300),
        ("retry-after: 900\r\n", 900),
    ] {
        let (one, two) = two_models(418, headers, KeyAction::Park { pause, scope });
        assert_eq!(attempts(&one).await, 2, "the call continues with the other key");
        assert!(matches!(state(&one), KeyState::Invalid), "{:?}", state(&one));
        tokio::time::advance(Duration::from_secs(seconds - 1)).await;
        assert_eq!((attempts(&one).await, attempts(&two).await), (1, 1));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(attempts(&two).await, 2, "the key is used again");
    }
}

// L05
#[tokio::test(start_paused = true)]
async fn key_parked_for_one_model_serves_the_other() {
    let (pause, scope) = (MINUTES, KeyScope::Model);
    let (one, two) = two_models(429, "", KeyAction::Park { pause, scope });
    assert_eq!(attempts(&one).await, 2);
    assert!(matches!(state(&one), KeyState::Forbidden), "{:?}", state(&one));
    assert_eq!((attempts(&one).await, state(&two)), (1, KeyState::Healthy));
    assert_eq!(attempts(&two).await, 2, "the other model tries the key itself");
}

// L05
#[tokio::test(start_paused = true)]
async fn disabled_key_stays_disabled_until_it_is_enabled() {
    for scope in [KeyScope::Key, KeyScope::Model] {
        let (one, two) = two_models(402, "", KeyAction::Disable { scope });
        assert_eq!(attempts(&one).await, 2);
        tokio::time::advance(Duration::from_secs(40 * 86_400)).await;
        assert_eq!(attempts(&one).await, 1, "{scope:?}");
        let is_out_of_use = matches!(state(&one), KeyState::Forbidden | KeyState::Disabled);
        assert!(is_out_of_use, "{scope:?}: {:?}", state(&one));
        let expected = if scope == KeyScope::Key { 1 } else { 2 };
        assert_eq!(attempts(&two).await, expected, "{scope:?}");
        let label = one.key_status()[0].label.clone();
        assert!(one.set_key_enabled(&label, true));
        assert_eq!(
            attempts(&one).await,
            2,
            "{scope:?}: the enabled key is used again"
        );
    }
}

// L05
#[tokio::test(start_paused = true)]
async fn ignored_status_keeps_the_key_healthy() {
    let (one, _) = two_models(401, "", KeyAction::Ignore);
    assert_eq!(attempts(&one).await, 2);
    assert_eq!(state(&one), KeyState::Healthy);
    let (other, _) = two_models(403, "", KeyAction::Ignore);
    assert_eq!(attempts(&other).await, 2);
    assert_eq!(state(&other), KeyState::Healthy);
}

// L05
#[test]
fn on_status_of_a_provider_file_is_parsed_and_checked() {
    let read = |on_status: &str| {
        let text = format!(
            r#"{{"p":[{{"model_name":"m","api_keys":["k"],"base_url":"https://h","rpm":1,"on_status":{on_status}}}]}}"#
        );
        let file = llmpool::provider_file::ProviderFile::parse(&text, "provider.json", &|_| None);
        file.map(|file| file.providers[0].models[0].settings.on_status.clone())
            .map_err(|error| error.to_string())
    };
    let valid = r#"{"418":{"action":"park","seconds":1.5,"scope":"model"},"403":{"action":"disable"},"404":{"action":"ignore"}}"#;
    let policy = read(valid).unwrap();
    let parked = KeyAction::Park {
        pause: Duration::from_millis(1500),
        scope: KeyScope::Model,
    };
    let scope = KeyScope::Key;
    assert_eq!(policy.action(Some(418)), Some(parked));
    assert_eq!(policy.action(Some(403)), Some(KeyAction::Disable { scope }));
    assert_eq!(policy.action(Some(404)), Some(KeyAction::Ignore));
    for (invalid, expected) in [
        (
            r#"{"200":{"action":"ignore"}}"#,
            "p[0].on_status.200: expected a status code from 300 to 599",
        ),
        (
            r#"{"429":{}}"#,
            "p[0].on_status.429.action: missing required field",
        ),
        (r#"{"429":"park"}"#, "p[0].on_status.429: expected an object"),
        (
            r#"{"429":{"action":"park"}}"#,
            "p[0].on_status.429: the action park needs a pause",
        ),
        (
            r#"{"429":{"action":"park","seconds":0}}"#,
            "the action park needs a pause",
        ),
        (
            r#"{"429":{"action":"rest"}}"#,
            r#"p[0].on_status.429.action: unknown value; use one of "park", "disable", "ignore""#,
        ),
        (
            r#"{"429":{"action":"ignore","seconds":3}}"#,
            "p[0].on_status.429.seconds: only the action park has a pause",
        ),
        (
            r#"{"429":{"action":"disable","scope":"pool"}}"#,
            r#"p[0].on_status.429.scope: unknown value; use one of "key", "model""#,
        ),
        (r#"{"429":{"aktion":"ignore"}}"#, "did you mean `action`?"),
    ] {
        let error = read(invalid).unwrap_err();
        assert!(error.contains(expected), "{invalid}: {error}");
    }
}
