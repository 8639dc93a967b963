//! OpenAI's official clients for Python and Node decode llmpool's responses, in both formats, translated and native. `scripts/test`
//! installs the clients and passes their locations in environment variables; without the variables the tests print that they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a failed unwrap is a failed test; a skip is printed"
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

/// Scenarios of the simulator, by model name. The checks expect these texts.
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

/// Responses that the simulator cannot generate: reasoning, a search, a text with a citation, and two tool calls. Written by hand.
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
async fn official_python_sdk_decodes_responses_and_streams() {
    let Some(python) = path_from_env("LLMPOOL_TEST_PYTHON") else {
        return;
    };
    let mut command = Command::new(python);
    command.arg(check_file("check.py"));
    check(command).await;
}

// L50
#[tokio::test]
async fn official_node_sdk_decodes_responses_and_streams() {
    let Some(modules) = path_from_env("LLMPOOL_TEST_NODE_MODULES") else {
        return;
    };
    let mut command = Command::new("node");
    command
        .arg(check_file("check.mjs"))
        .env("LLMPOOL_TEST_NODE_MODULES", modules);
    check(command).await;
}

fn path_from_env(name: &str) -> Option<PathBuf> {
    let path = env::var_os(name).map(PathBuf::from);
    if path.is_none() {
        println!("skipped: {name} is not set");
    }
    path
}

fn check_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "official_sdks", name]
        .iter()
        .collect()
}

/// Returns a scenario with the same response to every request, one per format.
fn fixed_response(content_type: &str, [chat, responses]: [&str; 2]) -> String {
    let raw = |on, body| json!({"on": on, "raw": {"content_type": content_type, "body": body}});
    json!({"behaviours": [raw("chat_completions", chat), raw("responses", responses)]}).to_string()
}

/// Runs the checks of one client against a server with all scenes.
async fn check(mut command: Command) {
    let mut simulators = Vec::new();
    let mut scenes = BTreeMap::new();
    let busy = [
        ("busy", fixed_response("application/json", BUSY)),
        (
            "busy-streamed",
            fixed_response("text/event-stream", BUSY_STREAMED),
        ),
    ];
    let simulated = SCENES.map(|(name, scenario)| (name, scenario.to_owned()));
    for (name, scenario) in simulated.into_iter().chain(busy) {
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
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(
        output.status.success(),
        "checks of the client failed, see the output above"
    );
}
