//! No prompt and no key appears in any output: not in logs at any level, not in `Debug` or `Display`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::{ChatRequest, Message};
use llmpool::observer::{
    AttemptEnded, CallEnded, CallStarted, KeyStateChanged, LimitChanged, Observer, Waited,
};
use llmpool::{
    ApiKeyPool, CallOptions, Limits, LlmInterface, ModelEntry, OpenAiCompatible, Providers, RateLimit,
    TargetSettings,
};
use support::{Action, Server, answer, chunk_json, completion, recorded, stream_of};

const PROMPT: &str = "PROMPT-CANARY";
const KEY: &str = "sk-KEY-CANARY-0123456789";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes every event to a log.
struct Events(Log);

impl Events {
    fn add(&self, event: &dyn std::fmt::Debug) {
        writeln!(self.0.clone(), "{event:?}").unwrap();
    }
}

impl Observer for Events {
    fn call_started(&self, event: &CallStarted<'_>) {
        self.add(event);
    }

    fn waited(&self, event: &Waited<'_>) {
        self.add(event);
    }

    fn attempt_ended(&self, event: &AttemptEnded<'_>) {
        self.add(event);
    }

    fn call_ended(&self, event: &CallEnded<'_>) {
        self.add(event);
    }

    fn key_state_changed(&self, event: &KeyStateChanged<'_>) {
        self.add(event);
    }

    fn limit_changed(&self, event: &LimitChanged<'_>) {
        self.add(event);
    }
}

fn request_with_canaries() -> ChatRequest {
    let mut request = ChatRequest::new([Message::system(PROMPT), Message::user(PROMPT)]);
    request
        .extra
        .insert("metadata", llmpool::chat::Json::of(&[PROMPT, KEY]).unwrap());
    request
}

/// Returns the output of calls that hang, time out, are dropped or panic, of raw streams, and of settings that contain a key.
async fn output_of_early_ends(request: &ChatRequest) -> String {
    let mut output = String::new();
    let hangs = Server::start(|_, _| Action::SendAndHang(stream_of(&recorded())[..600].to_vec())).await;
    let mut settings = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(3, 0.001).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    };
    settings.headers.insert("x-api-key", KEY.parse().unwrap());
    let params = serde_json::value::to_raw_value(PROMPT).unwrap();
    settings
        .api_params
        .push(("instructions".to_owned(), params.into()));
    output += &format!("{settings:?}");
    let providers = Providers::builder().model(
        "p",
        ModelEntry::new("m", &hangs.url, [KEY]).with_settings(settings),
    );
    output += &format!("{providers:?}");
    let providers = providers.build().unwrap();
    let target = providers.model("p/m").unwrap();
    let short = CallOptions {
        timeout: Some(Duration::from_millis(100)),
        ..CallOptions::default()
    };
    let late = target.chat_with(request, &short).await.unwrap_err();
    let stream = target.chat_stream(request).await.unwrap();
    let panicked = tokio::spawn(async move { panic!("{stream:?}") })
        .await
        .unwrap_err();
    let body = serde_json::to_vec(request).unwrap();
    let mut raw = target.raw_chat_stream(body.into()).await.unwrap();
    let frame = raw.next().await.unwrap().unwrap();
    output += &format!("{frame:?} {raw:?}");
    drop(raw);
    let rejected = target.chat_with(request, &short).await.unwrap_err();
    assert!(
        rejected.attempts().is_empty(),
        "the limit admits no fourth request: {rejected}"
    );
    output
        + &format!("{late} {late:?} {panicked} {panicked:?} {rejected} {rejected:?} {providers:?} {target:?}")
}

fn target(server: &Server, settings: TargetSettings, events: &Log) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", [KEY.to_owned(), format!("{KEY}-2")]).unwrap();
    let model = OpenAiCompatible::builder(&pool, "m", &server.url).settings(settings);
    model
        .build()
        .unwrap()
        .with_observer(Arc::new(Events(events.clone())))
}

// U08, O03, L80
#[tokio::test]
async fn no_output_contains_prompts_or_keys() {
    let (log, events) = (Log::default(), Log::default());
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut output = String::new();
    let echo = format!(
        r#"{{"error":{{"message":"you sent {PROMPT} with {KEY}","code":"{KEY}","param":"{PROMPT} {KEY}"}}}}"#
    );
    for status in [400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 200] {
        let body = echo.clone();
        let headers = format!("x-request-id: {KEY}\r\n");
        let server = Server::start(move |_, _| Action::Send(answer(status, &headers, &body))).await;
        let settings = TargetSettings {
            max_retries: 1,
            retry_delay: Duration::from_millis(1),
            ..TargetSettings::default()
        };
        let target = target(&server, settings, &events);
        let options = CallOptions {
            timeout: Some(Duration::from_millis(300)),
            ..CallOptions::default()
        };
        let request = ChatRequest::new([Message::system(PROMPT), Message::user(PROMPT)]);
        for streamed in [false, true] {
            let error = if streamed {
                target
                    .chat_stream_with(&request, &options)
                    .await
                    .map(|_| ())
                    .unwrap_err()
            } else {
                target
                    .chat_with(&request, &options)
                    .await
                    .map(|_| ())
                    .unwrap_err()
            };
            assert!(
                !error.provider_message().unwrap_or_default().contains(KEY),
                "{status}"
            );
            assert!(
                !error.code().unwrap_or_default().contains(KEY)
                    && !error.param().unwrap_or_default().contains(KEY)
                    && !error.request_id().unwrap_or_default().contains(KEY)
            );
            output += &format!(
                "{error} {error:?} {:?} {target:?} {request:?} {options:?}",
                target.key_status()
            );
        }
    }
    let cut = stream_of(
        &recorded()
            .iter()
            .map(|event| event.replace("Hello", PROMPT))
            .collect::<Vec<_>>(),
    );
    let cut = cut[..cut.len() / 2].to_vec();
    let server = Server::start(move |number, _| match number {
        0 => Action::SendAndClose(cut.clone()),
        _ => Action::Send(completion(PROMPT)),
    })
    .await;
    let target = self::target(&server, TargetSettings::default(), &events);
    let stream = target.chat_stream(&ChatRequest::user(PROMPT)).await.unwrap();
    output += &format!("{stream:?}");
    let error = stream.into_response().await.unwrap_err();
    assert!(
        error.partial().unwrap().text().contains(PROMPT),
        "the caller gets the partial answer"
    );
    output += &format!("{error} {error:?} {:?}", error.partial());
    let answer = target.chat(&ChatRequest::user(PROMPT)).await.unwrap();
    output += &format!("{answer:?} {:?}", answer.report);
    let body = serde_json::to_vec(&ChatRequest::user(PROMPT)).unwrap();
    let raw = target.raw_chat(body.into()).await.unwrap();
    assert!(String::from_utf8_lossy(&raw.body).contains(PROMPT));
    output += &format!("{raw:?}");
    let error_event = [
        chunk_json(r#"{"content":"a"}"#, "null"),
        format!(r#"{{"error":{{"message":"{KEY} {PROMPT}","code":"{KEY}"}}}}"#),
    ];
    let error_event = stream_of(&error_event);
    let server = Server::start(move |_, _| Action::Send(error_event.clone())).await;
    let target = self::target(&server, TargetSettings::default(), &events);
    let stream = target.chat_stream(&ChatRequest::user(PROMPT)).await;
    let error = stream.unwrap().into_response().await.unwrap_err();
    for text in [error.provider_message(), error.code()] {
        assert!(!text.unwrap().contains("KEY-CANARY"), "{text:?}");
    }
    output += &format!("{error} {error:?}");
    let bad = format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["{KEY}",1],"base_url":"x","headers":{{"a":"{KEY}\n"}}}}]}}"#
    );
    let error = Providers::from_json(&bad).unwrap_err();
    output += &format!("{error} {error:?}");
    output += &output_of_early_ends(&request_with_canaries()).await;
    let panic = std::thread::spawn(move || {
        let pool = ApiKeyPool::new("p", [KEY]).unwrap();
        panic!("{pool:?} {:?}", pool.least_loaded_key());
    })
    .join()
    .unwrap_err();
    output += panic.downcast_ref::<String>().unwrap();
    output += &String::from_utf8_lossy(&log.0.lock().unwrap());
    for record in [
        "call started",
        "attempt failed",
        "attempt succeeded",
        "key unavailable",
        "key state changed",
        "retrying after a wait",
        "call ended",
    ] {
        assert!(output.contains(record), "the log was captured: {record}");
    }
    let events = String::from_utf8_lossy(&events.0.lock().unwrap()).into_owned();
    for event in [
        "CallStarted",
        "Waited",
        "AttemptEnded",
        "CallEnded",
        "KeyStateChanged",
    ] {
        assert!(events.contains(event), "{event}");
    }
    output += &events;
    for canary in [PROMPT, KEY] {
        assert!(
            !output.contains(canary),
            "…{}…",
            &output[output.find(canary).unwrap().saturating_sub(200)..][..300]
        );
    }
}

// Names and notes of keys are for display; the key they belong to is not.
#[tokio::test]
async fn names_and_notes_of_keys_are_shown_without_the_key() {
    const NAME: &str = "NAME-CANARY";
    const NOTE: &str = "NOTE-CANARY";
    let server = Server::start(|_, _| Action::Send(answer(401, "", "{}"))).await;
    let text = format!(
        r#"{{"p":[{{"model_name":"m","api_keys":[{{"key":"'{KEY}'","name":"{NAME}","note":"{NOTE}"}}],
            "base_url":"{}","rpm":60,"max_retries":0}}]}}"#,
        server.url
    );
    let providers = Providers::from_json(&text).unwrap();
    let target = providers.model("p/m").unwrap();
    let error = target.chat(&ChatRequest::user(PROMPT)).await.unwrap_err();
    let status = target.key_status();
    let shown = format!("{error:?} {:?} {status:?}", error.attempts());
    assert!(shown.contains(NAME), "{shown}");
    assert_eq!(status[0].label.note(), Some(NOTE));
    let mut output = format!(
        "{shown} {error} {providers:?} {:?} {target:?}",
        providers.warnings()
    );
    for (name, note) in [(KEY, NOTE), (NAME, KEY)] {
        let text = text.replace(NAME, name).replace(NOTE, note);
        let error = Providers::from_json(&text).unwrap_err();
        output += &format!("{error} {error:?}");
    }
    assert!(output.contains("surrounded by quotes"), "{output}");
    assert!(!output.contains(KEY) && !output.contains(PROMPT), "{output}");
}
