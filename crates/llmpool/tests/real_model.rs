//! Calls to a real model. `scripts/test` starts one (see `scripts/local-llm`) and passes its URL in `LLMPOOL_TEST_REAL_URL`; without the
//! variable the tests print that they were skipped.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test; a skip is printed"
)]

#[path = "support/example_program.rs"]
mod example_program;

use std::net::TcpListener;

use llmpool::chat::{ChatRequest, Choice, FinishReason, Message, Tool, ToolChoice, ToolMode};
use llmpool::embeddings::{EmbeddingRequest, EncodingFormat};
use llmpool::responses::ResponsesRequest;
use llmpool::structured::{ReplyError, json_schema, parse_reply};
use llmpool::{
    ApiKeyPool, CallOptions, ChatResponse, EmbeddingInterface, FailureKind, LlmInterface, OpenAiCompatible,
    OpenAiResponsesCompatible, UsageSource,
};
use serde_json::{Value, json};

fn real_model() -> Option<OpenAiCompatible> {
    let Ok(url) = std::env::var("LLMPOOL_TEST_REAL_URL") else {
        println!("skipped: LLMPOOL_TEST_REAL_URL is not set");
        return None;
    };
    let keys =
        std::env::var("LLMPOOL_TEST_REAL_KEYS").expect("LLMPOOL_TEST_REAL_KEYS is set together with the URL");
    let pool = ApiKeyPool::new("local", keys.split(',')).unwrap();
    Some(OpenAiCompatible::new(&pool, "smollm2-135m-instruct", &url).unwrap())
}

fn request() -> ChatRequest {
    ChatRequest {
        max_tokens: Some(24),
        ..request_of("Say hello.")
    }
}

fn request_of(text: &str) -> ChatRequest {
    ChatRequest {
        temperature: Some(0.0),
        ..ChatRequest::user(text)
    }
}

#[tokio::test]
async fn real_model_stream_equals_the_plain_response() {
    let Some(model) = real_model() else { return };
    let plain = model.chat(&request()).await.unwrap();
    let stream = model.chat_stream(&request()).await.unwrap();
    let streamed = stream.into_response().await.unwrap();
    assert!(!plain.text().is_empty());
    assert_eq!(plain.text(), streamed.text());
    for answer in [&plain, &streamed] {
        assert_eq!(answer.report.usage_source, UsageSource::Provider);
        assert!(answer.report.usage.as_ref().unwrap().completion_tokens().unwrap() > 0);
        assert_eq!(answer.report.upstream_requests(), 1);
    }
}

#[tokio::test]
async fn real_model_rejects_a_wrong_key_and_call_uses_the_other() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let right = keys.split(',').next().unwrap();
    let pool = ApiKeyPool::new("local", ["sk-wrong", right]).unwrap();
    let model = OpenAiCompatible::new(&pool, model.model_name(), model.base_url()).unwrap();
    let answer = model.chat(&request()).await.unwrap();
    assert_eq!(answer.report.attempts.len(), 2);
    assert!(pool.status().iter().all(|key| key.in_flight == 0));
    assert_eq!(pool.status()[0].state.as_str(), "invalid");
}

#[tokio::test]
async fn real_model_key_check_accepts_valid_and_rejects_wrong_keys() {
    use llmpool::check::{KeyCheckOutcome, StreamUsage};
    let Some(model) = real_model() else { return };
    let timeout = std::time::Duration::from_secs(60);
    let checked = model.check_keys(timeout).await;
    for key in &checked.keys {
        assert_eq!(
            (key.outcome, key.lists(model.model_name())),
            (KeyCheckOutcome::Accepted, Some(true)),
            "{key:?}"
        );
    }
    let wrong = ApiKeyPool::new("local", ["sk-wrong"]).unwrap();
    let wrong = OpenAiCompatible::new(&wrong, "no-such-model", model.base_url()).unwrap();
    let refused = &wrong.check_keys(timeout).await.keys[0];
    assert_eq!(
        refused.outcome,
        KeyCheckOutcome::Rejected(FailureKind::InvalidKey),
        "{refused:?}"
    );
    let call = model.check_call(&checked.keys[0].key, timeout).await.unwrap();
    assert_eq!(
        (call.failure, call.stream_usage),
        (None, StreamUsage::Reported),
        "{call:?}"
    );
    assert!(call.content_events > 1, "{call:?}");
}

fn weather() -> Tool {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"]});
    Tool::function("get_weather", "Returns the weather of a city.", parameters)
}

#[tokio::test]
async fn real_model_calls_a_tool_in_both_formats_and_streamed() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let pool = ApiKeyPool::new("local", keys.split(',')).unwrap();
    let responses = OpenAiResponsesCompatible::new(&pool, model.model_name(), model.base_url()).unwrap();
    let request = ChatRequest {
        max_tokens: Some(128),
        tools: vec![weather()],
        tool_choice: Some(ToolChoice::Mode(ToolMode::Required)),
        ..request_of("What is the weather in Paris?")
    };
    let options = CallOptions::default();
    let models: [&dyn LlmInterface; 2] = [&model, &responses];
    for model in models {
        let plain = model.chat_with(&request, &options).await.unwrap();
        let stream = model.chat_stream_with(&request, &options).await.unwrap();
        let streamed = stream.into_response().await.unwrap();
        for answer in [&plain, &streamed] {
            let choice = answer.completion.first().unwrap();
            assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
            // The model may emit several parallel calls.
            assert!(!choice.message.tool_calls.is_empty());
            for call in &choice.message.tool_calls {
                assert!(!call.id.as_deref().unwrap_or_default().is_empty());
                let function = call.function.as_ref().unwrap();
                assert_eq!(function.name.as_deref(), Some("get_weather"));
                let arguments: Value = serde_json::from_str(function.arguments.as_deref().unwrap()).unwrap();
                assert_eq!(arguments["city"], "Paris", "{arguments}");
            }
        }
        let arguments = |answer: &ChatResponse| {
            let calls = answer.completion.first().unwrap().message.tool_calls.iter();
            calls
                .map(|call| call.function.clone().unwrap().arguments)
                .collect::<Vec<_>>()
        };
        assert_eq!(arguments(&plain), arguments(&streamed));
        // The follow-up request contains the calls and their results.
        let mut follow_up = request.clone();
        follow_up.tool_choice = Some(ToolChoice::Mode(ToolMode::None));
        follow_up.max_tokens = Some(24);
        let message = plain.completion.first().unwrap().message.clone();
        let results = message
            .tool_calls
            .iter()
            .map(|call| Message::tool(call.id.clone().unwrap(), "sunny"));
        let results: Vec<_> = results.collect();
        follow_up.messages.push(message);
        follow_up.messages.extend(results);
        let answer = model.chat_with(&follow_up, &options).await.unwrap();
        assert!(!answer.text().is_empty());
    }
}

#[tokio::test]
async fn real_model_reply_parses_as_the_requested_type() {
    #[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
    struct Person {
        name: String,
        age: u32,
    }
    let Some(model) = real_model() else { return };
    let request = ChatRequest {
        max_tokens: Some(128),
        response_format: Some(json_schema::<Person>().unwrap()),
        ..request_of("Anna is 30 years old. Who is she?")
    };
    let plain = model.chat(&request).await.unwrap();
    let person: Person = parse_reply(&plain.completion).unwrap();
    let stream = model.chat_stream(&request).await.unwrap();
    let streamed = stream.into_response().await.unwrap();
    assert_eq!(parse_reply::<Person>(&streamed.completion), Ok(person));
    let cut = ChatRequest {
        max_tokens: Some(2),
        ..request
    };
    let cut = model.chat(&cut).await.unwrap();
    assert_eq!(parse_reply::<Person>(&cut.completion), Err(ReplyError::Truncated));
}

#[tokio::test]
async fn real_model_returns_several_choices_with_logprobs() {
    let Some(model) = real_model() else { return };
    let request = ChatRequest {
        n: Some(2),
        logprobs: Some(true),
        top_logprobs: Some(3),
        max_tokens: Some(8),
        ..request()
    };
    let plain = model.chat(&request).await.unwrap();
    let stream = model.chat_stream(&request).await.unwrap();
    let streamed = stream.into_response().await.unwrap();
    for answer in [&plain, &streamed] {
        assert_eq!(
            answer
                .completion
                .choices
                .iter()
                .map(Choice::index)
                .collect::<Vec<_>>(),
            [0, 1]
        );
        for choice in &answer.completion.choices {
            assert!(choice.finish_reason.is_some());
            let tokens = choice.token_logprobs().unwrap().content.unwrap();
            assert!((1..=8).contains(&tokens.len()), "{}", tokens.len());
            assert!(
                tokens
                    .iter()
                    .all(|token| token.logprob <= 0.0 && token.top_logprobs.len() == 3)
            );
        }
    }
    assert_eq!(plain.text(), streamed.text());
}

#[tokio::test]
async fn real_model_embeds_in_both_encodings_and_is_listed() {
    let Some(model) = real_model() else { return };
    let mut request = EmbeddingRequest::new(vec!["a cat".to_owned(), "a theorem".to_owned()]);
    let floats = model.embed(&request).await.unwrap();
    assert_eq!(floats.report.usage_source, UsageSource::Provider);
    let floats = floats.vectors().unwrap();
    assert!(floats.len() == 2 && floats.iter().all(|vector| vector.len() == 576));
    request.encoding_format = Some(EncodingFormat::Base64);
    let base64 = model.embed(&request).await.unwrap().vectors().unwrap();
    let is_close = |one: &[f32], other: &[f32]| {
        one.iter()
            .zip(other)
            .all(|(one, other)| (one - other).abs() < 1e-4)
    };
    assert!(
        floats
            .iter()
            .zip(&base64)
            .all(|(one, other)| is_close(one, other))
    );
    let models = model.list_models().await.unwrap();
    assert!(
        models
            .data
            .iter()
            .any(|listed| listed.id.as_deref() == Some(model.model_name()))
    );
}

/// The events of the server's Responses API lack indexes and sequence numbers.
#[tokio::test]
async fn real_model_gives_the_same_text_through_responses() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let pool = ApiKeyPool::new("local", keys.split(',')).unwrap();
    let responses = OpenAiResponsesCompatible::new(&pool, model.model_name(), model.base_url()).unwrap();
    let options = CallOptions::default();
    let chat = model.chat_with(&request(), &options).await.unwrap();
    let plain = responses.chat_with(&request(), &options).await.unwrap();
    let stream = responses.chat_stream_with(&request(), &options).await.unwrap();
    let streamed = stream.into_response().await.unwrap();
    assert!(!chat.text().is_empty());
    assert_eq!(chat.text(), plain.text());
    assert_eq!(chat.text(), streamed.text());
    for answer in [&plain, &streamed] {
        assert_eq!(answer.report.usage_source, UsageSource::Provider);
        assert_eq!(answer.completion.usage, answer.report.usage);
        assert_eq!(answer.report.upstream_requests(), 1);
    }
    let native = ResponsesRequest {
        max_output_tokens: Some(24),
        temperature: Some(0.0),
        ..ResponsesRequest::user("Say hello.")
    };
    let native = responses.create_response_with(&native, &options).await.unwrap();
    assert_eq!(native.text(), chat.text());
}

/// Runs an example with a provider file of two models, `gpt-4o-mini` at `first_url` and `gpt-4o` at the URL of the real model. Returns
/// what the example prints.
fn output_of_example(example: &str, first_url: &str, keys: &[&str]) -> String {
    let real_url = std::env::var("LLMPOOL_TEST_REAL_URL").unwrap();
    let model = |name, base_url| {
        let mut model = json!({"model_name": name, "base_url": base_url, "api_keys": keys, "max_retries": 0});
        model["api_params"] = json!({"max_tokens": 256, "temperature": 0});
        model
    };
    let provider = json!({"openai": [model("gpt-4o-mini", first_url), model("gpt-4o", &real_url)]});
    let file = example_program::ProviderFile::write(example, &provider);
    let output = example_program::command(example)
        .arg(file.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// The second example of the README.
#[test]
fn real_model_answers_the_example_of_a_function() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let keys: Vec<&str> = keys.split(',').collect();
    let printed = output_of_example("function", model.base_url(), &keys);
    assert!(printed.contains(" (urgent: "), "{printed}");
}

#[test]
fn real_model_answers_the_example_of_two_models() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let keys: Vec<_> = keys.split(',').collect();
    let printed = output_of_example("collaboration", model.base_url(), &keys);
    let (first, rest) = printed.split_once('\n').unwrap();
    assert!(matches!(first, "urgent: true" | "urgent: false"), "{printed}");
    assert!(!rest.trim().is_empty(), "{printed}");
}

#[test]
fn real_model_answers_the_example_of_a_fallback() {
    if real_model().is_none() {
        return;
    }
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let keys: Vec<_> = keys.split(',').collect();
    // Nothing listens on the port once the listener is dropped.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let printed = output_of_example("fallback", &format!("http://{closed}/v1"), &keys);
    let (error, summary) = printed.split_once('\n').unwrap();
    assert!(error.starts_with("openai/gpt-4o-mini: "), "{printed}");
    assert!(!summary.trim().is_empty(), "{printed}");
}

#[test]
fn real_model_answers_the_example_of_monitoring() {
    let Some(model) = real_model() else { return };
    let keys = std::env::var("LLMPOOL_TEST_REAL_KEYS").unwrap();
    let right = keys.split(',').next().unwrap();
    let printed = output_of_example("monitoring", model.base_url(), &["sk-wrong", right]);
    for expected in [
        "invalid API key after ",
        "\nanswer after ",
        "tokens, according to [Provider]\n",
        "): invalid, 0 in flight\n",
        "): healthy, 0 in flight\n",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
}
