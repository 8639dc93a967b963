//! OpenAI's own clients for Python and Node read what llmpool says, in both formats, translated and not. `scripts/test` installs them and
//! says where they are; without them these tests say that they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a failed unwrap is a failed test; a skip is said aloud"
)]

#[path = "official_sdks/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::Command;

use llmpool_simulator::{Scenario, Simulator};
use serde_json::json;
use server::Scene;

const KEY: &str = "sk-simulated";

/// What the checks stage, each under the name of its model. The checks know the texts.
const SCENES: [(&str, &str); 6] = [
    (
        "plain",
        r#"{"answer": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"}"#,
    ),
    (
        "thoughtful",
        r#"{"answer": "It is 42.", "reasoning": "Let me think about it."}"#,
    ),
    ("unwilling", r#"{"refusal": "That I will not do."}"#),
    (
        "broken",
        r#"{"answer": "one two three four five six seven", "behaviours": [{"error_in_200": {"after_events": 6}}]}"#,
    ),
    (
        "picky",
        r#"{"behaviours": [{"status": 400, "body": {"error": {"message": "This is too hot.", "type": "invalid_request_error", "param": "temperature", "code": "too_hot"}}}]}"#,
    ),
    ("locked", r#"{"keys": [{"key": "sk-another"}]}"#),
];

/// What the simulator does not say: reasoning, a search, a text with a citation, and two calls in one answer. Written by hand.
const BUSY: [&str; 2] = [
    include_str!("official_sdks/busy/chat.json"),
    include_str!("official_sdks/busy/responses.json"),
];
const BUSY_STREAMED: [&str; 2] = [
    include_str!("official_sdks/busy/chat.sse"),
    include_str!("official_sdks/busy/responses.sse"),
];

// L50
#[tokio::test]
async fn the_official_python_sdk_reads_what_llmpool_says() {
    let Some(python) = given("LLMPOOL_TEST_PYTHON") else {
        return;
    };
    let mut command = Command::new(python);
    command.arg(here("check.py"));
    check(command).await;
}

// L50
#[tokio::test]
async fn the_official_node_sdk_reads_what_llmpool_says() {
    let Some(modules) = given("LLMPOOL_TEST_NODE_MODULES") else {
        return;
    };
    let mut command = Command::new("node");
    command
        .arg(here("check.mjs"))
        .env("LLMPOOL_TEST_NODE_MODULES", modules);
    check(command).await;
}

fn given(name: &str) -> Option<PathBuf> {
    let given = env::var_os(name).map(PathBuf::from);
    if given.is_none() {
        println!("skipped: {name} is not set");
    }
    given
}

fn here(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "official_sdks", name]
        .iter()
        .collect()
}

/// A provider that always says the same, in each format.
fn always(content_type: &str, [chat, responses]: [&str; 2]) -> String {
    let says = |on, body| json!({"on": on, "raw": {"content_type": content_type, "body": body}});
    json!({"behaviours": [says("chat_completions", chat), says("responses", responses)]}).to_string()
}

/// Runs the checks of a client against a server with all scenes.
async fn check(mut command: Command) {
    let mut simulators = Vec::new();
    let mut scenes = BTreeMap::new();
    let busy = [
        ("busy", always("application/json", BUSY)),
        ("busy-streamed", always("text/event-stream", BUSY_STREAMED)),
    ];
    let staged = SCENES.map(|(name, scenario)| (name, scenario.to_owned()));
    for (name, scenario) in staged.into_iter().chain(busy) {
        let simulator = Simulator::start(Scenario::from_json(&scenario).unwrap())
            .await
            .unwrap();
        scenes.insert(name, Scene::new(name, &simulator.url(), KEY));
        simulators.push(simulator);
    }
    let server = server::start(scenes).await;
    command
        .env("LLMPOOL_TEST_SERVER", server)
        .env("NO_PROXY", "127.0.0.1");
    let checked = tokio::task::spawn_blocking(move || command.output());
    let checked = checked.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    println!("{said}");
    assert!(checked.status.success(), "the client complains, see above");
}
