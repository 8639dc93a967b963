//! Embeddings and model lists, tested with captured traffic and with variants of other providers.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use llmpool_core::chat::Json;
use llmpool_core::embeddings::{
    Embedding, EmbeddingInput, EmbeddingRequest, EmbeddingResponse, EncodingFormat, Vector, VectorError,
};
use llmpool_core::models::{Model, ModelList};
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/llama-cpp");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let head = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"));
    head.unwrap().1.to_owned()
}

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) -> String {
    let read: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    serde_json::to_string(&read).unwrap()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

// L77
#[test]
fn captured_embeddings_and_models_encode_as_they_were_decoded() {
    for name in ["embeddings.request", "embeddings-base64.request"] {
        let text = fixture(name);
        assert_eq!(
            value(&round_trip::<EmbeddingRequest>(&text)),
            value(&text),
            "{name}"
        );
    }
    for name in ["embeddings.response", "embeddings-base64.response"] {
        let text = fixture(name);
        assert_eq!(
            value(&round_trip::<EmbeddingResponse>(&text)),
            value(&text),
            "{name}"
        );
    }
    let text = fixture("models.response");
    assert_eq!(value(&round_trip::<ModelList>(&text)), value(&text));
}

#[test]
fn captured_vectors_decode_from_both_encodings() {
    let plain = EmbeddingResponse::decode(fixture("embeddings.response").as_bytes()).unwrap();
    let vectors = plain.vectors().unwrap();
    assert_eq!(vectors.len(), 2);
    assert_eq!(vectors[0][0], -0.012_318_302);
    assert_eq!(plain.usage.as_ref().unwrap().prompt_tokens(), Some(2));
    let packed = EmbeddingResponse::decode(fixture("embeddings-base64.response").as_bytes()).unwrap();
    assert!(packed.data[0].embedding.as_ref().unwrap().is_base64());
    let floats = packed.data[0].floats().unwrap();
    // The same text was embedded in both captures.
    assert!((floats[0] - vectors[0][0]).abs() < 1e-4, "{floats:?}");
}

#[test]
fn vector_digits_are_kept() {
    let text = r#"{"data":[{"embedding":[0.10000000000000000000001,1e-3,2]}]}"#;
    assert!(round_trip::<EmbeddingResponse>(text).contains("[0.10000000000000000000001,1e-3,2]"));
}

#[test]
fn every_kind_of_input_is_typed_and_preserved() {
    let read = |text: &str| serde_json::from_str::<EmbeddingInput>(text).unwrap();
    assert_eq!(read(r#""a""#), EmbeddingInput::from("a"));
    assert_eq!(read(r#" [ "a" , "b" ] "#), EmbeddingInput::from(["a", "b"]));
    assert_eq!(read("[]").count(), Some(0));
    assert_eq!(read("[1, 2]"), EmbeddingInput::Tokens(vec![1, 2]));
    assert_eq!(
        read("[[1],[2,3]]"),
        EmbeddingInput::TokenLists(vec![vec![1], vec![2, 3]])
    );
    for other in [
        r#"[{"type":"text","text":"x"}]"#,
        r#"["a",1]"#,
        "[1.5]",
        "[[1],\"a\"]",
        "7",
    ] {
        let input = read(other);
        assert!(
            matches!(input, EmbeddingInput::Other(_)) && input.count().is_none(),
            "{other}"
        );
        assert_eq!(serde_json::to_string(&input).unwrap(), other);
    }
}

// O26
#[test]
fn absent_fields_of_an_embedding_request_are_left_out() {
    let mut request = EmbeddingRequest::new(["a", "b"]);
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"input": ["a", "b"]})
    );
    request.encoding_format = Some(EncodingFormat::Base64);
    request.dimensions = Some(3);
    let expected = json!({"input": ["a", "b"], "encoding_format": "base64", "dimensions": 3});
    assert_eq!(serde_json::to_value(&request).unwrap(), expected);
    let unknown = r#"{"input":null,"encoding_format":"ubinary","input_type":"query"}"#;
    assert_eq!(round_trip::<EmbeddingRequest>(unknown), unknown);
}

#[test]
fn vectors_are_in_input_order() {
    let read = |text: &str| EmbeddingResponse::decode(text.as_bytes()).unwrap().vectors();
    let mixed = r#"{"data":[{"index":1,"embedding":[1]},{"index":"0","embedding":[0]}]}"#;
    assert_eq!(read(mixed).unwrap(), [[0.0], [1.0]]);
    let without = r#"{"data":[{"embedding":[0]},{"embedding":[1]}]}"#;
    assert_eq!(read(without).unwrap(), [[0.0], [1.0]]);
    assert_eq!(read(r#"{"data":null}"#).unwrap().len(), 0);
}

#[test]
fn invalid_vectors_report_the_reason() {
    let floats = |text: &str| serde_json::from_str::<Embedding>(text).unwrap().floats();
    assert_eq!(floats("{}"), Err(VectorError::Absent));
    assert_eq!(floats(r#"{"embedding":null}"#), Err(VectorError::Absent));
    assert_eq!(floats(r#"{"embedding":"*"}"#), Err(VectorError::NotBase64));
    assert_eq!(
        floats(r#"{"embedding":"AAAAAAA="}"#),
        Err(VectorError::NotWhole { bytes: 5 })
    );
    assert_eq!(floats(r#"{"embedding":[1,null]}"#), Err(VectorError::NotNumbers));
    assert_eq!(floats(r#"{"embedding":{}}"#), Err(VectorError::NotNumbers));
    // Without padding, and with an escaped slash.
    assert_eq!(floats(r#"{"embedding":"AACAPw"}"#), Ok(vec![1.0]));
    assert_eq!(
        floats(r#"{"embedding":"\/\/\/\/fw=="}"#).unwrap()[0].to_bits(),
        0x7fff_ffff
    );
}

#[test]
fn model_lists_are_created_and_decoded() {
    let list = ModelList::new([Model::new("m", 17, "llmpool")]);
    let expected = json!({"object": "list", "data": [
        {"id": "m", "object": "model", "created": 17, "owned_by": "llmpool"}]});
    assert_eq!(serde_json::to_value(&list).unwrap(), expected);
    let odd =
        ModelList::decode(br#"{"data":[{"id":"m","created":17.0,"pricing":{"prompt":0.10}}]}"#).unwrap();
    assert_eq!(odd.data[0].created(), Some(17));
    assert_eq!(
        odd.data[0].extra.get("pricing").unwrap().get(),
        r#"{"prompt":0.10}"#
    );
}

#[test]
fn model_lists_of_every_shape_are_read() {
    for (body, expected) in [
        (r#"["a"]"#, &["a"][..]),
        (r#"[{"id":"a"},{"name":"b"}]"#, &["a", "b"]),
        (r#"{"models":[{"name":"models/a","model":"x"}]}"#, &["models/a"]),
        (r#"{"models":[{"model":"a:latest"}]}"#, &["a:latest"]),
        (r#"{"data":["a",{"id":"b"},7,null,{}]}"#, &["a", "b"]),
        (r#"{"data":[{"id":"a"},{"object":"model"}]}"#, &["a"]),
        (r#"{"data":{"models":[{"slug":"a"}]}}"#, &["a"]),
        (r#"{"data":{"a":{},"b":{"id":"x"}}}"#, &["a", "b"]),
        (r#"{"success":true,"result":[{"model_name":"a"}]}"#, &["a"]),
        (r#"{"data":null,"models":["a"]}"#, &["a"]),
        (r#"{"data":[]}"#, &[]),
    ] {
        let list = ModelList::decode_lenient(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        let ids: Vec<_> = list.data.iter().filter_map(|model| model.id.as_deref()).collect();
        assert_eq!(
            (ids.as_slice(), list.data.len()),
            (expected, expected.len()),
            "{body}"
        );
    }
    for body in [
        "",
        "7",
        "{}",
        r#"{"data":null}"#,
        r#"{"data":[7]}"#,
        r#"{"models":[]}"#,
        r#"{"data":{"error":{"message":"m"}}}"#,
        r#"{"error":{"message":"m"}}"#,
    ] {
        assert!(ModelList::decode_lenient(body.as_bytes()).is_none(), "{body}");
    }
}

// U08
#[test]
fn debug_of_embeddings_and_models_shows_no_user_text() {
    const CANARY: &str = "CANARY";
    let mut request = EmbeddingRequest::new(CANARY);
    request.user = Some(CANARY.into());
    request.extra.insert(CANARY, Json::of(CANARY).unwrap());
    let inputs = [
        EmbeddingInput::from([CANARY]),
        EmbeddingInput::Other(Json::of(CANARY).unwrap()),
    ];
    let answer = json!({"x": CANARY, "data": [{"embedding": CANARY, "encoding_format": CANARY}]});
    let answer: EmbeddingResponse = serde_json::from_value(answer).unwrap();
    let error = answer.vectors().unwrap_err();
    let models: ModelList =
        serde_json::from_value(json!({"x": CANARY, "data": [{"owned_by": CANARY}]})).unwrap();
    let output = format!("{request:?} {inputs:?} {answer:?} {error:?} {error} {models:?}");
    assert!(!output.contains(CANARY), "{output}");
}

proptest! {
    #[test]
    fn vectors_survive_both_encodings(bits in prop::collection::vec(any::<u32>(), 0..20)) {
        let floats: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
        let packed = serde_json::to_string(&Vector::base64_from_floats(&floats)).unwrap();
        let read: Vector = serde_json::from_str(&packed).unwrap();
        let back: Vec<u32> = read.floats().unwrap().iter().map(|float| float.to_bits()).collect();
        prop_assert_eq!(back, bits);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), packed);

        let finite: Vec<f32> = floats.into_iter().filter(|float| float.is_finite()).collect();
        let plain = serde_json::to_string(&Vector::from_floats(finite.clone())).unwrap();
        let read: Vector = serde_json::from_str(&plain).unwrap();
        prop_assert_eq!(read.floats().unwrap(), finite);
    }

    #[test]
    fn any_embedding_encodes_as_it_was_decoded(text in "[A-Za-z0-9+/=]{0,16}", extra in "[a-z]{1,5}") {
        let answer = json!({"data": [{"index": 0, "embedding": text, (format!("x_{extra}")): [1, null]}], "id": extra});
        prop_assert_eq!(value(&round_trip::<EmbeddingResponse>(&answer.to_string())), answer);
    }
}
