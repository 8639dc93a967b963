//! The Rust examples of docs/troubleshooting.md print what the page shows.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    CallOptions, ErrorKind, Limits, LlmInterface, ModelEntry, OpenAiCompatible, Providers, RateLimit,
    TargetSettings,
};
use llmpool_simulator::{Scenario, Simulator};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

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

/// Returns the block of text that the page shows first in a section.
fn documented(section: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once(&format!("## {section}\n")).unwrap();
    let (_, block) = section.split_once("```text\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Replaces the values of fields with times, such as `elapsed_ms=7`.
fn without_times(text: &str) -> String {
    let field = |word: &str| match word.split_once("_ms=") {
        Some((name, _)) => format!("{name}_ms=#"),
        None => word.to_owned(),
    };
    let line = |line: &str| line.split_whitespace().map(field).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

async fn model(scenario: &str, keys: &[&str], settings: TargetSettings) -> (Simulator, OpenAiCompatible) {
    let provider = Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap();
    let entry = ModelEntry::new("small", provider.url(), keys.iter().copied()).with_settings(settings);
    let providers = Providers::builder().model("acme", entry).build().unwrap();
    (provider, providers.model("acme/small").unwrap())
}

#[tokio::test]
async fn exceeded_limit_is_shown_as_documented() {
    let limits = Limits {
        rate_limit: Some(RateLimit::new(1, 0.001).unwrap()),
        ..Limits::default()
    };
    let settings = TargetSettings {
        limits,
        ..TargetSettings::default()
    };
    let (_provider, model) = model("{}", &["sk-one"], settings).await;
    model.chat(&ChatRequest::user("Hello")).await.unwrap();
    let error = model.chat(&ChatRequest::user("Hello")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    let mut shown = format!("{error}\n{:?}\n", model.rate_limit_status());
    let next = |model: &OpenAiCompatible| {
        format!(
            "waiting: {}, next key: {:?}\n",
            model.waiting(),
            model.least_loaded_key_label()
        )
    };
    shown += &next(&model);
    model.reset_rate_limit();
    shown += &next(&model);
    let (message, rest) = shown.split_once("next slot in ").unwrap();
    let shown = format!("{message}next slot in # s\n{}", rest.split_once('\n').unwrap().1);
    assert_eq!(shown, documented("Limit exceeded").replace("1000.0 s", "# s"));
}

#[tokio::test]
async fn debug_log_is_written_as_documented() {
    let log = Log::default();
    let writer = log.clone();
    let layer = tracing_subscriber::fmt::layer().without_time().with_ansi(false);
    let records = Targets::new().with_target("llmpool", LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry()
        .with(layer.with_writer(move || writer.clone()))
        .with(records);
    let _guard = tracing::subscriber::set_default(subscriber);
    let scenario =
        r#"{"answer": "The sea is salty.", "keys": [{"key": "sk-one", "script": [{"status": 503}]}]}"#;
    let settings = TargetSettings {
        retry_delay: Duration::from_millis(50),
        ..TargetSettings::default()
    };
    let (_provider, model) = model(scenario, &["sk-wrong", "sk-one"], settings).await;
    let options = CallOptions {
        trace_id: Some("order-17".into()),
        ..CallOptions::default()
    };
    let answer = model
        .chat_with(&ChatRequest::user("Hello"), &options)
        .await
        .unwrap();
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        without_times(&written),
        without_times(&documented("The debug log of one call")),
        "{written}"
    );
    for secret in ["sk-", "Hello", &answer.text()] {
        assert!(!written.contains(secret), "{secret}");
    }
}
