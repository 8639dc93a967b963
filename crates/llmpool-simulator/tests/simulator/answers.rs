//! Answers of a simulator without failures.

use llmpool_simulator::{Scenario, Simulator};
use serde_json::json;

use crate::client::{Client, End, chat, request, stream};
use crate::simulate;

#[tokio::test]
async fn plain_answer_has_openai_shape() {
    let provider = simulate("{}").await;
    let reply = chat(provider.addr(), "any", json!({"model": "small"}))
        .await
        .unwrap();
    assert_eq!((reply.status, reply.end), (200, End::Complete));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("date").is_some() && reply.header("x-request-id").is_some());
    let answer = reply.json();
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("chat.completion"), &json!("small"))
    );
    assert!(
        answer["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("simulator")
    );
    assert!(answer["usage"]["total_tokens"].as_u64() > Some(0));
}

#[tokio::test]
async fn each_stream_event_is_its_own_chunk() {
    let provider = simulate(r#"{"answer": "a b c"}"#).await;
    let reply = chat(provider.addr(), "any", stream()).await.unwrap();
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(reply.header("content-length"), None);
    assert_eq!(reply.pieces.len(), 6, "role, a, b, c, finish, [DONE]");
    for piece in &reply.pieces {
        assert!(piece.starts_with(b"data: ") && piece.ends_with(b"\n\n"));
    }
    assert_eq!(reply.pieces[5], b"data: [DONE]\n\n");
}

#[tokio::test]
async fn models_are_listed_and_retrieved() {
    let provider = simulate(r#"{"models": ["small", "org/large"]}"#).await;
    let list = request(provider.addr(), "GET", "/v1/models", "k").await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&json!("small"), &json!("org/large"))
    );
    assert_eq!(
        request(provider.addr(), "GET", "/models/org/large", "k")
            .await
            .json()["id"],
        "org/large"
    );
    assert_eq!(
        request(provider.addr(), "GET", "/v1/models/none", "k")
            .await
            .status,
        404
    );
    let refused = chat(provider.addr(), "k", json!({"model": "none"}))
        .await
        .unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}

#[tokio::test]
async fn invalid_requests_get_error_objects() {
    let provider = simulate("{}").await;
    let mut client = Client::connect(provider.addr()).await;
    for (method, path, body, status) in [
        ("POST", "/v1/chat/completions", "{\"model\": ", 400),
        ("POST", "/v1/chat/completions", "{\"messages\": []}", 400),
        ("POST", "/v1/responses", "{}", 400),
        ("POST", "/v1/completions", "{}", 404),
        ("GET", "/v1/chat/completions", "", 405),
    ] {
        client.send(method, path, "k", body).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.json()["error"]["message"].is_string());
    }
    assert_eq!(provider.stats().connections_opened, 1, "more than one connection");
}

#[tokio::test]
async fn head_request_does_not_count_as_aborted() {
    let provider = simulate("{}").await;
    let mut client = Client::connect(provider.addr()).await;
    client.send("HEAD", "/v1/models", "k", "").await;
    assert_eq!(client.head().await.unwrap().0, 405);
    assert_eq!(
        (provider.stats().in_flight, provider.stats().aborts.len()),
        (0, 0)
    );
}

#[tokio::test]
async fn unknown_key_gets_401() {
    let provider = Simulator::start(Scenario::with_keys(["sk-good"])).await.unwrap();
    assert_eq!(
        chat(provider.addr(), "sk-good", json!({})).await.unwrap().status,
        200
    );
    let refused = chat(provider.addr(), "sk-bad-canary", json!({})).await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    assert!(!refused.text().contains("canary"));
    assert_eq!(
        request(provider.addr(), "GET", "/v1/models", "sk-bad")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn oversized_body_is_rejected_before_it_is_sent() {
    let provider = simulate("{}").await;
    let mut client = Client::connect(provider.addr()).await;
    let length = 32 * 1024 * 1024 + 1;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {length}\r\n\r\n");
    client.write(head.as_bytes()).await;
    let reply = client.reply().await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
}

#[tokio::test]
async fn invalid_scenario_does_not_start() {
    let scenario = Scenario {
        words_per_chunk: 0,
        ..Scenario::default()
    };
    let error = Simulator::start(scenario).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("words_per_chunk"));
}

#[test]
fn readme_scenarios_are_valid() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> = readme
        .split("```json\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 7);
    for block in blocks {
        Scenario::from_json(block).unwrap();
    }
}
