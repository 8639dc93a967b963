//! The embeddings endpoint.

use std::net::SocketAddr;

use llmpool_simulator::RequestKind;
use serde_json::{Value, json};

use crate::client::{Reply, post};
use crate::simulate;

async fn embed(addr: SocketAddr, extra: Value) -> Reply {
    let mut body = json!({"model": "m"});
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    post(addr, "/v1/embeddings", "k", &body).await.unwrap()
}

fn floats(entry: &Value) -> Vec<f32> {
    let numbers = entry["embedding"].as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap() as f32).collect()
}

/// Decodes base64 as clients do: little-endian 32-bit floats.
fn decoded(text: &str) -> Vec<f32> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sixes = text
        .trim_end_matches('=')
        .chars()
        .map(|c| alphabet.find(c).unwrap());
    let bits: Vec<bool> = sixes
        .flat_map(|six| (0..6).rev().map(move |bit| six >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| bits.iter().fold(0u8, |byte, bit| byte << 1 | u8::from(*bit));
    let bytes: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    let numbers = bytes.chunks_exact(4);
    numbers
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect()
}

#[tokio::test]
async fn each_text_has_its_own_unit_vector() {
    let provider = simulate("{}").await;
    let body = json!({"input": ["one two", "three", "one two"]});
    let answer = embed(provider.addr(), body.clone()).await.json();
    assert_eq!(
        (&answer["object"], &answer["model"]),
        (&json!("list"), &json!("m"))
    );
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    let entries = answer["data"].as_array().unwrap();
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(
            (&entry["object"], &entry["index"]),
            (&json!("embedding"), &json!(index))
        );
        let vector = floats(entry);
        let square: f32 = vector.iter().map(|number| number * number).sum();
        assert!(vector.len() == 1536 && (square - 1.0).abs() < 1e-4, "{square}");
    }
    assert_eq!(entries[0]["embedding"], entries[2]["embedding"]);
    assert_ne!(entries[0]["embedding"], entries[1]["embedding"]);

    let mut encoded = body;
    encoded["encoding_format"] = json!("base64");
    let answer = embed(provider.addr(), encoded).await.json();
    for (entry, encoded) in entries.iter().zip(answer["data"].as_array().unwrap()) {
        assert_eq!(floats(entry), decoded(encoded["embedding"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn all_input_forms_and_dimensions_are_accepted() {
    let provider = simulate("{}").await;
    for (input, count, tokens) in [
        (json!("one two"), 1, 2),
        (json!(["one"]), 1, 1),
        (json!([1, 2, 3]), 1, 3),
        (json!([[1, 2, 3], [4]]), 2, 4),
    ] {
        let answer = embed(
            provider.addr(),
            json!({"input": input, "dimensions": 8, "user": "u"}),
        )
        .await
        .json();
        let entries = answer["data"].as_array().unwrap();
        assert_eq!(
            (entries.len(), &answer["usage"]["prompt_tokens"]),
            (count, &json!(tokens))
        );
        assert!(entries.iter().all(|entry| floats(entry).len() == 8));
    }
}

#[tokio::test]
async fn invalid_embedding_input_is_rejected() {
    let provider = simulate(r#"{"models": ["m"]}"#).await;
    for (extra, param) in [
        (json!({}), "input"),
        (json!({"input": null}), "input"),
        (json!({"input": ""}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": ["PROMPT-CANARY", ""]}), "input"),
        (json!({"input": [1, "PROMPT-CANARY"]}), "input"),
        (json!({"input": [[]]}), "input"),
        (json!({"input": vec!["PROMPT-CANARY"; 2049]}), "input"),
        (json!({"model": null, "input": "a"}), "model"),
        (json!({"input": "a", "dimensions": 0}), "dimensions"),
        (json!({"input": "a", "encoding_format": "hex"}), "encoding_format"),
    ] {
        let reply = embed(provider.addr(), extra).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]["param"]),
            (400, &json!(param))
        );
        assert!(!reply.text().contains("PROMPT-CANARY"));
    }
    assert_eq!(
        embed(provider.addr(), json!({"model": "none", "input": "a"}))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn limits_and_rules_apply_to_embeddings() {
    let provider = simulate(
        r#"{"keys": [{"key": "k", "limits": {"requests": 2, "window": "sliding"}}],
            "script": [{"status": 500}, {"status": 503, "on": "embeddings"}]}"#,
    )
    .await;
    let body = json!({"input": "a"});
    assert_eq!(
        embed(provider.addr(), body.clone()).await.status,
        200,
        "a script entry for chat applied to embeddings"
    );
    let chat = crate::client::chat(provider.addr(), "k", json!({}))
        .await
        .unwrap();
    assert_eq!(chat.status, 500);
    assert_eq!(embed(provider.addr(), body).await.status, 429);
    assert_eq!(provider.stats().log[0].kind, RequestKind::Embeddings);

    let provider = simulate(r#"{"behaviours": [{"error_in_200": "plain", "on": "embeddings"}]}"#).await;
    let reply = embed(provider.addr(), json!({"input": "a"})).await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["type"]),
        (200, &json!("server_error"))
    );
}
