//! The events that observers receive of calls to a simulated provider on a loopback socket.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::embeddings::EmbeddingRequest;
use llmpool::observer::{
    AttemptEnded, CallEnded, CallStarted, KeyStateChanged, LimitChanged, Observer, WaitCause, Waited,
};
use llmpool::responses::ResponsesRequest;
use llmpool::{
    CallOptions, EmbeddingInterface, ErrorKind, FailureKind, KeyEntry, Limits, LlmInterface, ModelEntry,
    OpenAiCompatible, OpenAiResponsesCompatible, Providers, RateLimit, TargetSettings, UsageSource,
};
use llmpool_simulator::{Scenario, Simulator};

/// Writes down each event in one line.
#[derive(Default)]
struct Record {
    lines: Mutex<Vec<String>>,
    traces: Mutex<Vec<String>>,
    /// Looks at the key states in each event, and writes down whether an attempt is in flight.
    model: Mutex<Option<OpenAiCompatible>>,
}

impl Record {
    fn add(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        let model = self.model.lock().unwrap();
        if let Some(model) = &*model {
            let in_flight: u32 = model.key_status().iter().map(|key| key.in_flight).sum();
            self.lines.lock().unwrap().push(format!("{in_flight} in flight"));
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

/// Returns the position of a key, without its fingerprint.
fn key(label: &llmpool::KeyLabel) -> String {
    label.to_string().split(' ').next().unwrap().to_owned()
}

impl Observer for Record {
    fn call_started(&self, event: &CallStarted<'_>) {
        self.traces.lock().unwrap().push(event.trace_id.to_string());
        let kind = if event.is_streamed { "stream" } else { "plain" };
        self.add(format!("start {} {} {kind}", event.target, event.endpoint));
    }

    fn waited(&self, event: &Waited<'_>) {
        self.traces.lock().unwrap().push(event.trace_id.to_string());
        assert!(!event.duration.is_zero());
        let cause = match event.cause {
            WaitCause::Permit(Some(reason)) => reason.as_str().to_owned(),
            WaitCause::Permit(None) => "earlier calls".to_owned(),
            WaitCause::Backoff(kind) => format!("backoff after {kind}"),
            other => panic!("{other:?}"),
        };
        self.add(format!("wait for {cause}"));
    }

    fn attempt_ended(&self, event: &AttemptEnded<'_>) {
        self.traces.lock().unwrap().push(event.trace_id.to_string());
        let report = event.report;
        let outcome = report.failure.map_or("ok", |kind| kind.as_str());
        let status = report.status.map(|status| format!(" {status}"));
        let unsent = if event.is_sent { "" } else { ", nothing sent" };
        self.add(format!(
            "attempt {} {outcome}{}{unsent}",
            key(&report.key),
            status.unwrap_or_default()
        ));
    }

    fn call_ended(&self, event: &CallEnded<'_>) {
        self.traces
            .lock()
            .unwrap()
            .push(event.report.trace_id.to_string());
        let report = event.report;
        assert!(report.elapsed > Duration::ZERO);
        assert!(event.is_streamed || report.first_content.is_none());
        let tokens = report.usage.as_ref().and_then(|usage| usage.total_tokens());
        let tokens = tokens.map_or("no".to_owned(), |tokens| tokens.to_string());
        self.add(format!(
            "end {:?}, {} attempts, {tokens} tokens {}",
            event.outcome,
            report.attempts.len(),
            report.usage_source.as_str()
        ));
    }

    fn key_state_changed(&self, event: &KeyStateChanged<'_>) {
        assert_eq!(event.provider, "p");
        let models = event.target.unwrap_or("all models");
        let retry = if event.retry_in.is_some() {
            ", with a time"
        } else {
            ""
        };
        self.add(format!(
            "{} {} -> {} for {models}{retry}",
            key(event.key),
            event.before,
            event.after
        ));
    }

    fn limit_changed(&self, event: &LimitChanged<'_>) {
        let shown = |pace: Option<f64>| pace.map_or("none".to_owned(), |pace| format!("{pace:.0}"));
        self.add(format!(
            "{} pace {} -> {}",
            key(event.key),
            shown(event.before),
            shown(event.per_minute)
        ));
    }
}

fn quick() -> TargetSettings {
    TargetSettings {
        retry_delay: Duration::from_millis(1),
        ..TargetSettings::default()
    }
}

struct Setup {
    _provider: Simulator,
    record: Arc<Record>,
    model: OpenAiCompatible,
}

impl Setup {
    async fn new(scenario: &str, keys: &[&str], settings: TargetSettings) -> Self {
        let provider = Simulator::start(Scenario::from_json(scenario).unwrap())
            .await
            .unwrap();
        let record = Arc::new(Record::default());
        let keys = keys.iter().map(|key| KeyEntry::from(*key));
        let entry = ModelEntry::new("m", provider.url(), keys).with_settings(settings);
        let providers = Providers::builder()
            .model("p", entry)
            .observer(record.clone())
            .build()
            .unwrap();
        let model = providers.model("p/m").unwrap();
        Self {
            _provider: provider,
            record,
            model,
        }
    }

    fn assert(&self, expected: &[&str]) {
        assert_eq!(self.record.take(), expected);
        let mut traces = std::mem::take(&mut *self.record.traces.lock().unwrap());
        traces.dedup();
        assert_eq!(traces.len(), 1, "one trace id: {traces:?}");
        let in_flight: u32 = self.model.key_status().iter().map(|key| key.in_flight).sum();
        assert_eq!(in_flight, 0);
    }
}

fn hello() -> ChatRequest {
    ChatRequest::user("Hello")
}

/// Polls a future once, and drops it.
async fn drop_after_first_poll(future: impl Future) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        let _ = future.as_mut().poll(cx);
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn plain_call_is_start_attempt_end() {
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], quick()).await;
    setup.model.chat(&hello()).await.unwrap();
    setup.assert(&[
        "start p/m chat/completions plain",
        "attempt key-1 ok 200",
        "end Succeeded, 1 attempts, 3 tokens provider",
    ]);
}

#[tokio::test]
async fn usage_that_is_not_reported_is_marked_as_estimated() {
    let scenario = r#"{"answer": "one two", "usage": "never"}"#;
    let setup = Setup::new(scenario, &["sk-a"], quick()).await;
    let answer = setup.model.chat(&hello()).await.unwrap();
    assert_eq!(answer.report.usage_source, UsageSource::Estimated);
    let tokens = answer.usage().unwrap().total_tokens().unwrap();
    let last = setup.record.lines.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        last,
        format!("end Succeeded, 1 attempts, {tokens} tokens estimated")
    );
}

#[tokio::test]
async fn retry_after_status_500_is_a_backoff() {
    let setup = Setup::new(
        r#"{"answer": "one two", "script": [{"status": 500}]}"#,
        &["sk-a"],
        TargetSettings {
            retry_delay: Duration::from_millis(20),
            ..TargetSettings::default()
        },
    )
    .await;
    setup.model.chat(&hello()).await.unwrap();
    setup.assert(&[
        "start p/m chat/completions plain",
        "attempt key-1 server error 500",
        "wait for backoff after server error",
        "attempt key-1 ok 200",
        "end Succeeded, 2 attempts, 3 tokens provider",
    ]);
}

#[tokio::test]
async fn status_401_changes_the_key_and_its_state() {
    let scenario = r#"{"answer": "one two", "keys": [{"key": "sk-b"}]}"#;
    let setup = Setup::new(scenario, &["sk-a", "sk-b"], quick()).await;
    setup.model.chat(&hello()).await.unwrap();
    setup.assert(&[
        "start p/m chat/completions plain",
        "attempt key-1 invalid API key 401",
        "key-1 healthy -> invalid for all models, with a time",
        "attempt key-2 ok 200",
        "end Succeeded, 2 attempts, 3 tokens provider",
    ]);
}

// Several calls are refused with the key before it is out of use. Only one of them has changed its state.
#[tokio::test]
async fn parallel_calls_report_each_change_once() {
    let scenario = r#"{"answer": "one two", "keys": [{"key": "sk-b"}]}"#;
    let setup = Setup::new(scenario, &["sk-a", "sk-b"], quick()).await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let model = setup.model.clone();
            tokio::spawn(async move { model.chat(&hello()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let lines = setup.record.take();
    let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert!(count("attempt key-1 invalid API key 401") > 1, "{lines:?}");
    assert_eq!(count("key-1"), 1, "{lines:?}");
    assert_eq!((count("start"), count("end Succeeded")), (20, 20));
}

#[tokio::test]
async fn failed_call_ends_with_the_kind_of_its_error() {
    let setup = Setup::new(r#"{"behaviours": [{"status": 400}]}"#, &["sk-a"], quick()).await;
    let error = setup.model.chat_stream(&hello()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidRequest));
    setup.assert(&[
        "start p/m chat/completions stream",
        "attempt key-1 invalid request 400",
        "end Failed(Attempt(InvalidRequest)), 1 attempts, no tokens unknown",
    ]);
}

#[tokio::test]
async fn unsendable_request_is_a_call_without_attempt() {
    let setup = Setup::new(
        "{}",
        &["sk-a"],
        TargetSettings {
            api: llmpool::ApiFormat::Responses,
            ..quick()
        },
    )
    .await;
    let request = ChatRequest {
        n: Some(2),
        ..hello()
    };
    let error = setup.model.chat(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsendable);
    setup.assert(&[
        "start p/m responses plain",
        "end Failed(Unsendable), 0 attempts, no tokens unknown",
    ]);
}

#[tokio::test]
async fn unreadable_answer_fails_the_call_after_its_attempt() {
    let raw = r#"{"raw": {"content_type": "application/json", "body": "{\"choices\": 7}"}}"#;
    let setup = Setup::new(&format!(r#"{{"behaviours": [{raw}]}}"#), &["sk-a"], quick()).await;
    let error = setup.model.chat(&hello()).await.unwrap_err();
    let lines = setup.record.take();
    assert_eq!(lines[1], "attempt key-1 ok 200");
    assert_eq!(
        lines[2],
        format!("end Failed({:?}), 1 attempts, no tokens unknown", error.kind())
    );
    assert!(
        setup
            .model
            .raw_chat(r#"{"model": "m", "messages": []}"#.into())
            .await
            .is_err()
    );
    assert!(setup.record.take()[2].starts_with("end Failed(Attempt("));
}

#[tokio::test]
async fn wait_for_a_limit_names_the_limit() {
    let limits = Limits {
        rate_limit: Some(RateLimit::new(1, 20.0).unwrap()),
        ..Limits::default()
    };
    let setup = Setup::new(
        r#"{"answer": "one two"}"#,
        &["sk-a"],
        TargetSettings { limits, ..quick() },
    )
    .await;
    setup.model.chat(&hello()).await.unwrap();
    setup.record.take();
    setup.record.traces.lock().unwrap().clear();
    setup.model.chat(&hello()).await.unwrap();
    setup.assert(&[
        "start p/m chat/completions plain",
        "wait for rate limit of the model",
        "attempt key-1 ok 200",
        "end Succeeded, 1 attempts, 3 tokens provider",
    ]);
    let options = CallOptions {
        timeout: Some(Duration::from_millis(5)),
        ..CallOptions::default()
    };
    setup.model.chat_with(&hello(), &options).await.unwrap_err();
    setup.assert(&[
        "start p/m chat/completions plain",
        "end Failed(LimitReached), 0 attempts, no tokens unknown",
    ]);
}

#[tokio::test]
async fn stream_ends_with_its_last_event() {
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], quick()).await;
    let mut stream = setup.model.chat_stream(&hello()).await.unwrap();
    assert_eq!(
        setup.record.take(),
        ["start p/m chat/completions stream", "attempt key-1 ok 200"]
    );
    while stream.next().await.transpose().unwrap().is_some() {}
    setup.assert(&["end Succeeded, 1 attempts, 3 tokens provider"]);
    drop(stream);
    assert!(setup.record.take().is_empty());
}

#[tokio::test]
async fn dropped_stream_ends_as_dropped_with_an_estimate() {
    let setup = Setup::new(
        r#"{"answer": "one two", "script": [{"stall": {"after_events": 2}}]}"#,
        &["sk-a"],
        quick(),
    )
    .await;
    let mut stream = setup.model.chat_stream(&hello()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    *setup.record.model.lock().unwrap() = Some(setup.model.clone());
    drop(stream);
    let lines = setup.record.take();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[2].starts_with("end Dropped, 1 attempts, ") && lines[2].ends_with(" tokens estimated"));
    assert_eq!(lines[3], "0 in flight");
}

#[tokio::test]
async fn broken_stream_ends_with_its_failure() {
    let scenario = r#"{"answer": "one two", "script": [{"cut": {"after_events": 2}}]}"#;
    let setup = Setup::new(scenario, &["sk-a"], quick()).await;
    let stream = setup.model.chat_stream(&hello()).await.unwrap();
    let error = stream.into_response().await.unwrap_err();
    let lines = setup.record.take();
    assert_eq!(lines[1], "attempt key-1 ok 200");
    assert!(
        lines[2].starts_with(&format!("end Failed({:?}), 1 attempts, ", error.kind())),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn dropped_call_ends_as_dropped() {
    let setup = Setup::new(r#"{"head_delay": 30}"#, &["sk-a"], quick()).await;
    drop_after_first_poll(setup.model.chat(&hello())).await;
    setup.assert(&[
        "start p/m chat/completions plain",
        "end Dropped, 0 attempts, no tokens unknown",
    ]);
}

#[tokio::test]
async fn every_kind_of_call_is_reported_with_its_endpoint() {
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], quick()).await;
    let body = r#"{"model": "m", "messages": [{"role": "user", "content": "Hello"}]}"#;
    setup.model.raw_chat(body.into()).await.unwrap();
    let streamed = body.replacen('{', r#"{"stream": true, "#, 1);
    let mut stream = setup.model.raw_chat_stream(streamed.into()).await.unwrap();
    while stream.next().await.transpose().unwrap().is_some() {}
    setup
        .model
        .embed(&EmbeddingRequest::new("text".to_owned()))
        .await
        .unwrap();
    setup.model.list_models().await.unwrap();
    let lines = setup.record.take();
    let starts = lines.iter().filter(|line| line.starts_with("start"));
    assert!(
        starts.eq([
            "start p/m chat/completions plain",
            "start p/m chat/completions stream",
            "start p/m embeddings plain",
            "start p/m models plain",
        ]),
        "{lines:?}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("end Succeeded, 1 attempts"))
            .count(),
        4,
        "{lines:?}"
    );
    let embedding = &lines[8];
    assert!(embedding.contains(" tokens provider"), "{lines:?}");

    let settings = TargetSettings {
        api: llmpool::ApiFormat::Responses,
        ..quick()
    };
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], settings).await;
    let own = Arc::new(Record::default());
    let model = OpenAiResponsesCompatible::from_model(&setup.model)
        .unwrap()
        .with_observer(own.clone());
    model
        .create_response(&ResponsesRequest::user("Hello"))
        .await
        .unwrap();
    let expected = [
        "start p/m responses plain",
        "attempt key-1 ok 200",
        "end Succeeded, 1 attempts, 3 tokens provider",
    ];
    assert_eq!(setup.record.take(), expected);
    assert_eq!(own.take(), expected);
    let mut events = model
        .create_response_stream(&ResponsesRequest::user("Hello"))
        .await
        .unwrap();
    while events.next().await.transpose().unwrap().is_some() {}
    model.chat(&hello()).await.unwrap();
    let mut chunks = model.chat_stream(&hello()).await.unwrap();
    while chunks.next().await.transpose().unwrap().is_some() {}
    let lines = own.take();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("start p/m responses"))
            .count(),
        3
    );
    assert_eq!(lines.iter().filter(|line| **line == expected[2]).count(), 3);
}

#[tokio::test]
async fn observer_of_a_model_receives_calls_through_its_handle_only() {
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], quick()).await;
    let own = Arc::new(Record::default());
    let observed = setup.model.clone().with_observer(own.clone());
    setup.model.chat(&hello()).await.unwrap();
    assert!(own.take().is_empty());
    let all = setup.record.take();
    observed.chat(&hello()).await.unwrap();
    assert_eq!(own.take(), all);
    assert_eq!(setup.record.take(), all);
}

#[tokio::test]
async fn observer_may_use_the_model() {
    let scenario = r#"{"answer": "one two", "keys": [{"key": "sk-b"}]}"#;
    let setup = Setup::new(scenario, &["sk-a", "sk-b"], quick()).await;
    *setup.record.model.lock().unwrap() = Some(setup.model.clone());
    setup.model.chat(&hello()).await.unwrap();
    setup.assert(&[
        "start p/m chat/completions plain",
        "0 in flight",
        "attempt key-1 invalid API key 401",
        "1 in flight",
        "key-1 healthy -> invalid for all models, with a time",
        "1 in flight",
        "attempt key-2 ok 200",
        "1 in flight",
        "end Succeeded, 2 attempts, 3 tokens provider",
        "0 in flight",
    ]);
}

#[tokio::test]
async fn panic_of_an_observer_changes_no_call() {
    struct Panics;
    impl Observer for Panics {
        fn call_started(&self, _: &CallStarted<'_>) {
            panic!("observer");
        }
        fn call_ended(&self, _: &CallEnded<'_>) {
            panic!("observer");
        }
    }
    let setup = Setup::new(r#"{"answer": "one two"}"#, &["sk-a"], quick()).await;
    let model = setup.model.clone().with_observer(Arc::new(Panics));
    let answer = model.chat(&hello()).await.unwrap();
    assert_eq!(answer.text(), "one two");
    let stream = model.chat_stream(&hello()).await.unwrap();
    let panicked = tokio::spawn(async move {
        let _stream = stream;
        panic!("caller");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(setup.model.key_status()[0].in_flight, 0);
    assert!(setup.record.take().last().unwrap().starts_with("end Dropped"));
}

#[tokio::test]
async fn operator_changes_key_states() {
    let setup = Setup::new("{}", &["sk-a"], quick()).await;
    let label = setup.model.key_status()[0].label.clone();
    for enabled in [false, false, true] {
        assert!(setup.model.set_key_enabled(&label, enabled));
    }
    let lines = setup.record.take();
    assert_eq!(
        lines,
        [
            "key-1 healthy -> disabled for all models",
            "key-1 disabled -> healthy for all models",
        ]
    );
}

#[tokio::test]
async fn refusal_blamed_on_the_request_reverts_the_key_state() {
    let setup = Setup::new(
        r#"{"behaviours": [{"status": 403, "body": {}}]}"#,
        &["sk-a", "sk-b"],
        quick(),
    )
    .await;
    setup.model.chat(&hello()).await.unwrap_err();
    setup.assert(&[
        "start p/m chat/completions plain",
        "attempt key-1 permission denied 403",
        "key-1 healthy -> throttled for all models, with a time",
        "attempt key-2 permission denied 403",
        "key-1 throttled -> healthy for all models",
        "end Failed(Attempt(PermissionDenied)), 2 attempts, no tokens unknown",
    ]);
}

/// Returns a script of `count` answers and a refusal.
fn answers_then(count: usize, refusal: &str) -> String {
    let answers = vec![r#"{"ok": true}"#; count].join(", ");
    format!(r#"{{"answer": "one two", "keys": [{{"key": "sk-a", "script": [{answers}, {refusal}]}}]}}"#)
}

#[tokio::test]
async fn refusal_sets_a_pace_and_the_next_answer_ends_the_pause() {
    let refusal = r#"{"status": 429, "retry_after": 0.1, "retry_after_form": "ms"}"#;
    let setup = Setup::new(&answers_then(12, refusal), &["sk-a"], quick()).await;
    for _ in 0..12 {
        setup.model.chat(&hello()).await.unwrap();
    }
    setup.record.take();
    setup.record.traces.lock().unwrap().clear();
    setup.model.chat(&hello()).await.unwrap();
    let mut lines = setup.record.take();
    let pace = lines.remove(3);
    let learned = setup.model.key_status()[0].observed_per_minute.unwrap();
    assert_eq!(pace, format!("key-1 pace none -> {learned:.0}"));
    assert_eq!(
        lines,
        [
            "start p/m chat/completions plain",
            "attempt key-1 rate limited 429",
            "key-1 healthy -> throttled for all models, with a time",
            "wait for usable key",
            "attempt key-1 ok 200",
            "key-1 probing -> healthy for all models",
            "end Succeeded, 2 attempts, 3 tokens provider",
        ]
    );
    let label = setup.model.key_status()[0].label.clone();
    setup.model.set_key_enabled(&label, true);
    assert_eq!(setup.record.take(), [format!("key-1 pace {learned:.0} -> none")]);
}

#[tokio::test]
async fn refusal_of_one_of_two_models_is_reported_for_that_model() {
    let refusal = r#"{"status": 429, "retry_after": 600}"#;
    let provider =
        Simulator::start(Scenario::from_json(&answers_then(0, refusal).replace("[, ", "[")).unwrap());
    let provider = provider.await.unwrap();
    let entry = |name| ModelEntry::new(name, provider.url(), ["sk-a"]);
    let record = Arc::new(Record::default());
    let providers = Providers::builder().model("p", entry("m")).model("p", entry("n"));
    let providers = providers.build().unwrap().with_observer(record.clone());
    let [m, n] = ["p/m", "p/n"].map(|id| providers.model(id).unwrap());
    m.chat(&hello()).await.unwrap_err();
    let lines = record.take();
    assert_eq!(
        lines[2], "key-1 healthy -> throttled for p/m, with a time",
        "{lines:?}"
    );
    n.chat(&hello()).await.unwrap();
    assert_eq!(record.take().len(), 3);
    assert!(providers.models().all(|model| model.key_status().len() == 1));
}

#[tokio::test]
async fn models_of_the_environment_are_observed() {
    let provider = Simulator::start(Scenario::from_json(r#"{"answer": "one two"}"#).unwrap())
        .await
        .unwrap();
    let url = provider.url();
    let env = |name: &str| match name {
        "OPENAI_API_KEY" => Some("sk-a".to_owned()),
        "OPENAI_BASE_URL" => Some(url.clone()),
        _ => None,
    };
    let record = Arc::new(Record::default());
    let plain = Providers::from_env_with(&env).unwrap().unwrap();
    let observed = plain.clone().with_observer(record.clone());
    plain.model("m").unwrap().chat(&hello()).await.unwrap();
    assert!(record.take().is_empty());
    observed.model("m").unwrap().chat(&hello()).await.unwrap();
    assert_eq!(record.take()[0], "start openai/m chat/completions plain");
}
