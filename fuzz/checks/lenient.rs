//! Answers whose text a strict parser refuses.

use llmpool_core::chat::{ChatCompletion, ChunkDecoder, UnknownFields};
use llmpool_core::embeddings::EmbeddingResponse;
use llmpool_core::models::ModelList;
use llmpool_core::provider_error::ProviderError;
use llmpool_core::responses::{Response, ResponseEvent};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

/// A member that a strict parser refuses.
const ODD: &[u8] = br#""odd":NaN"#;

/// Text is cleaned once, valid JSON stays as it is, and odd text in one place does not change what is read in
/// others.
pub fn lenient(input: &[u8]) {
    if let Some(text) = cleaned(input) {
        assert_eq!(cleaned(text.as_bytes()).as_ref(), Some(&text));
        check_valid(&text);
    }
    let value: Result<Value, _> = serde_json::from_slice(input);
    if value.is_ok() {
        let text = cleaned(input);
        assert_eq!(text.as_deref().map(str::as_bytes), Some(input.trim_ascii()));
    }
    check_same(input, ChatCompletion::decode);
    check_same(input, |json| ChunkDecoder::new().decode(json));
    check_same(input, Response::decode);
    check_same(input, ResponseEvent::decode);
    check_same(input, EmbeddingResponse::decode);
    check_same(input, ModelList::decode);
    check_error(input);
}

/// Returns the cleaned text of a JSON value, or `None` if it is not one even then.
fn cleaned(json: &[u8]) -> Option<String> {
    let answer = [br#"{"choices":[],"id":"\ud83d","x":"#, json, b"}"].concat();
    let [completion, chunk] = [
        field(ChatCompletion::decode(&answer).ok().map(|answer| answer.extra)),
        field(
            ChunkDecoder::new()
                .decode(&answer)
                .ok()
                .map(|answer| answer.extra),
        ),
    ];
    let response = [br#"{"output":[],"id":"\ud83d","x":"#, json, b"}"].concat();
    let response = field(Response::decode(&response).ok().map(|response| response.extra));
    // The value can be followed by members that only one of the formats knows.
    if serde_json::from_slice::<IgnoredAny>(json).is_ok() {
        assert_eq!(completion, response);
        assert_eq!(completion, chunk);
    }
    let text = completion?;
    serde_json::from_str::<IgnoredAny>(&text).ok()?;
    Some(text)
}

fn field(extra: Option<UnknownFields>) -> Option<String> {
    Some(extra?.get("x")?.get().to_owned())
}

/// Asserts that cleaned text is refused at most for its depth or the size of its numbers.
fn check_valid(text: &str) {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        let error = error.to_string();
        assert!(
            error.starts_with("recursion limit") || error.starts_with("number out of range"),
            "{error}: {text}"
        );
    }
}

/// Asserts that what decodes strictly decodes to the same value, also beside text that a strict parser refuses.
fn check_same<T: Serialize + DeserializeOwned, E>(json: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>) {
    let Ok(strict) = serde_json::from_slice::<T>(json) else {
        return;
    };
    let Ok(lenient) = decode(json) else {
        panic!("text that decodes strictly is refused")
    };
    let (Some(strict), Some(lenient)) = (value(&strict), value(&lenient)) else {
        return;
    };
    if !has_text_elsewhere(&strict) {
        assert_eq!(strict, lenient);
    }
    let Some(odd) = with_odd_member(json) else {
        return;
    };
    let Ok(odd) = decode(&odd) else {
        panic!("an odd member hides the others")
    };
    let Some(Value::Object(mut odd)) = value(&odd) else {
        panic!("an odd member is not cleaned")
    };
    odd.remove("odd");
    assert_eq!(Value::Object(odd), lenient);
}

fn value<T: Serialize>(value: &T) -> Option<Value> {
    serde_json::from_str(&serde_json::to_string(value).ok()?).ok()
}

/// Returns whether a choice has its text where other formats have it, so that decoding moves it.
fn has_text_elsewhere(answer: &Value) -> bool {
    let choices = answer["choices"].as_array();
    let mut choices = choices.into_iter().flatten();
    choices.any(|choice| choice.get("text").is_some() || choice.get("delta").is_some())
}

/// Returns the object with an odd member at its end. `None` if it has such a member, or is no object.
fn with_odd_member(json: &[u8]) -> Option<Vec<u8>> {
    let object: serde_json::Map<String, Value> = serde_json::from_slice(json).ok()?;
    if object.contains_key("odd") {
        return None;
    }
    let members = json.trim_ascii_end().strip_suffix(b"}")?;
    let comma: &[u8] = if object.is_empty() { b"" } else { b"," };
    Some([members, comma, ODD, b"}"].concat())
}

/// Asserts that an odd member does not change the error that a body describes.
fn check_error(body: &[u8]) {
    if let Some(odd) = with_odd_member(body) {
        assert!(ProviderError::parse(&odd) == ProviderError::parse(body));
    }
}
