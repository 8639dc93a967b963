//! Structured answers of models that do not support every response format.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::{ChatRequest, Json, Message, ResponseFormat};
use llmpool::{
    AnswerFormat, ApiFormat, ApiKeyPool, CallOptions, ChatResponse, Error, ErrorKind, FailureKind, KeyState,
    LlmInterface, OpenAiCompatible, TargetSettings,
};
use serde_json::{Value, json};
use support::{
    Action, ReceivedRequest, STREAM_HEAD, ScriptedProvider, answer, completion, events, recorded, stream_of,
};

const SCHEMA: &str = r#"{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"number"}},"required":["b","a"],"additionalProperties":false}"#;

/// The schema in type notation, in a JSON string.
const NOTATION: &str = r#"{\n  \"b\": string,\n  \"a\": number\n}"#;

const REFUSED: FailureKind = FailureKind::ResponseFormatRefused;

/// How a provider refuses a response format: DeepSeek without a `param`, OpenAI's Responses API with one.
const REFUSALS: [(ApiFormat, &str); 2] = [
    (
        ApiFormat::ChatCompletions,
        r#"{"error":{"message":"This response_format type is unavailable now","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#,
    ),
    (
        ApiFormat::Responses,
        r#"{"error":{"message":"Invalid parameter: 'text.format' of type 'json_schema' is not supported with this model.","type":"invalid_request_error","param":"text.format","code":null}}"#,
    ),
];

/// Returns the response format that a request asks for; `text` if it asks for none.
fn format_of(body: &Value) -> String {
    let format = &body["response_format"]["type"];
    let format = format.as_str().or(body["text"]["format"]["type"].as_str());
    format.unwrap_or("text").to_owned()
}

/// A provider that supports only some response formats.
fn provider(api: ApiFormat, supported: &'static [&'static str]) -> Arc<ScriptedProvider> {
    let refusal = REFUSALS[usize::from(api == ApiFormat::Responses)].1;
    ScriptedProvider::new(move |_, received| {
        let body = &received.body;
        Action::Send(if supported.contains(&&*format_of(body)) {
            answered(api, body["stream"] == true)
        } else {
            answer(400, "", refusal)
        })
    })
}

fn answered(api: ApiFormat, stream: bool) -> Vec<u8> {
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello world", "annotations": []}]});
    let response = json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": [message], "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}});
    match (api, stream) {
        (ApiFormat::ChatCompletions, false) => completion("Hello world"),
        (ApiFormat::ChatCompletions, true) => stream_of(&recorded()),
        (ApiFormat::Responses, false) => answer(200, "", &response.to_string()),
        (ApiFormat::Responses, true) => {
            let delta = json!({"type": "response.output_text.delta", "sequence_number": 0, "output_index": 0,
                "content_index": 0, "item_id": "msg_1", "delta": "Hello world"});
            let end = json!({"type": "response.completed", "sequence_number": 1, "response": response});
            let texts = [delta.to_string(), end.to_string()];
            let texts = texts.each_ref().map(String::as_str);
            [STREAM_HEAD.as_bytes(), &events(&texts), b"0\r\n\r\n"].concat()
        }
    }
}

fn model_at(url: &str, script: &Arc<ScriptedProvider>, settings: TargetSettings) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    OpenAiCompatible::builder(&pool, "m", url)
        .settings(TargetSettings {
            max_retries: 0,
            ..settings
        })
        .connector(script.clone())
        .build()
        .unwrap()
}

fn model(api: ApiFormat, script: &Arc<ScriptedProvider>) -> OpenAiCompatible {
    let settings = TargetSettings {
        api,
        ..TargetSettings::default()
    };
    model_at("http://scripted/v1", script, settings)
}

fn request() -> ChatRequest {
    let schema: Json = serde_json::from_str(SCHEMA).unwrap();
    ChatRequest {
        response_format: Some(ResponseFormat::json_schema("dish", schema)),
        ..ChatRequest::new([Message::system("Be brief."), Message::user("hi")])
    }
}

fn adapting() -> CallOptions {
    CallOptions {
        adapt_schema: true,
        ..CallOptions::default()
    }
}

async fn call(model: &OpenAiCompatible, stream: bool) -> Result<ChatResponse, Error> {
    let (request, options) = (request(), adapting());
    if stream {
        let stream = model.chat_stream_with(&request, &options).await?;
        stream.into_response().await
    } else {
        model.chat_with(&request, &options).await
    }
}

/// Returns the formats of the requests that the provider received since the last call of this function.
fn formats(script: &ScriptedProvider) -> Vec<String> {
    let received = std::mem::take(&mut *script.received.lock().unwrap());
    received.iter().map(|request| format_of(&request.body)).collect()
}

#[tokio::test(start_paused = true)]
async fn refused_formats_are_weakened_without_retries_and_learned() {
    for (api, _) in REFUSALS {
        for stream in [false, true] {
            for (supported, first, later) in [
                (&["json_schema", "text"][..], &["json_schema"][..], "json_schema"),
                (
                    &["json_object", "text"],
                    &["json_schema", "json_object"],
                    "json_object",
                ),
                (&["text"], &["json_schema", "json_object", "text"], "text"),
            ] {
                let script = provider(api, supported);
                let model = model(api, &script);
                let response = call(&model, stream).await.unwrap();
                assert_eq!(response.text(), "Hello world");
                assert_eq!(formats(&script), first, "{api:?} {stream}");
                let kinds: Vec<_> = response
                    .report
                    .attempts
                    .iter()
                    .map(|attempt| attempt.failure)
                    .collect();
                let mut expected = vec![Some(REFUSED); first.len() - 1];
                expected.push(None);
                assert_eq!(kinds, expected);
                assert_eq!(model.key_status()[0].state, KeyState::Healthy);
                for _ in 0..2 {
                    let response = call(&model, stream).await.unwrap();
                    assert_eq!(formats(&script), [later], "{api:?} {stream}");
                    assert_eq!(response.report.attempts.len(), 1);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refused_format_is_tried_again_after_an_hour() {
    let script = provider(ApiFormat::ChatCompletions, &["json_object", "text"]);
    let model = model(ApiFormat::ChatCompletions, &script);
    let both = ["json_schema", "json_object"];
    for (pause, expected) in [
        (0, &both[..]),
        (3590, &both[1..]),
        (20, &both),
        (3590, &both[1..]),
    ] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        call(&model, false).await.unwrap();
        assert_eq!(formats(&script), expected);
    }
}

/// Returns the only request that a provider received, and its texts for the model: those of the whole
/// conversation, and those in which OpenAI looks for the word JSON.
fn prompts(script: &ScriptedProvider) -> (ReceivedRequest, String, String) {
    let received = script.received.lock().unwrap();
    let [request] = &received[..] else {
        panic!("{} requests", received.len());
    };
    let body = &request.body;
    let conversation = if body["messages"].is_null() {
        &body["input"]
    } else {
        &body["messages"]
    };
    let whole = format!("{}{}", body["instructions"], conversation);
    (request.clone(), whole, conversation.to_string())
}

#[tokio::test(start_paused = true)]
async fn weaker_format_moves_the_schema_into_the_prompt() {
    for (api, _) in REFUSALS {
        for format in AnswerFormat::ALL {
            let script = provider(api, &["json_schema", "json_object", "text"]);
            let settings = TargetSettings {
                api,
                structured_output: Some(format),
                ..TargetSettings::default()
            };
            let model = model_at("http://scripted/v1", &script, settings);
            let response = call(&model, false).await.unwrap();
            assert_eq!(response.report.dropped, Vec::<String>::new());
            let (request, whole, conversation) = prompts(&script);
            assert_eq!(format_of(&request.body), format.as_str(), "{api:?}");
            let in_prompt = whole.contains(NOTATION) && whole.contains("Answer in JSON.");
            assert_eq!(in_prompt, format != AnswerFormat::JsonSchema, "{whole}");
            assert!(!whole.contains("properties"), "{whole}");
            assert_eq!(whole.contains("```json"), format == AnswerFormat::Text, "{whole}");
            assert!(whole.contains("Be brief."), "{whole}");
            if format == AnswerFormat::JsonObject {
                assert!(conversation.contains("JSON"), "{api:?} {conversation}");
            }
            let is_absent = request.body["response_format"].is_null() && request.body["text"].is_null();
            assert_eq!(is_absent, format == AnswerFormat::Text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn configured_format_is_not_replaced() {
    for (configured, supported) in [
        (AnswerFormat::JsonSchema, &["json_object", "text"][..]),
        (AnswerFormat::JsonObject, &["json_schema", "text"]),
        (AnswerFormat::Text, &["json_schema", "json_object"]),
    ] {
        let script = provider(ApiFormat::ChatCompletions, supported);
        let settings = TargetSettings {
            structured_output: Some(configured),
            ..TargetSettings::default()
        };
        let model = model_at("http://scripted/v1", &script, settings);
        for _ in 0..2 {
            let error = call(&model, false).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Attempt(REFUSED));
            assert_eq!(formats(&script), [configured.as_str()]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn provider_that_refuses_every_format_ends_the_call() {
    let script = provider(ApiFormat::ChatCompletions, &[]);
    let model = model(ApiFormat::ChatCompletions, &script);
    for expected in [&["json_schema", "json_object", "text"][..], &["text"]] {
        let error = call(&model, false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(REFUSED));
        assert!(!error.is_temporary());
        assert_eq!(formats(&script), expected);
        assert_eq!(error.report().attempts.len(), expected.len());
    }
}

#[tokio::test(start_paused = true)]
async fn plain_call_sends_what_the_caller_wrote_and_learns_nothing() {
    let script = provider(ApiFormat::ChatCompletions, &["text"]);
    let model = model(ApiFormat::ChatCompletions, &script);
    let object = ChatRequest {
        response_format: Some(ResponseFormat::JsonObject(Default::default())),
        ..ChatRequest::user("hi")
    };
    for (request, options, format) in [
        (request(), CallOptions::default(), "json_schema"),
        // No schema: nothing can be adapted.
        (object, adapting(), "json_object"),
    ] {
        let sent = serde_json::to_value(&request).unwrap();
        for stream in [false, true] {
            let error = if stream {
                model.chat_stream_with(&request, &options).await.map(drop)
            } else {
                model.chat_with(&request, &options).await.map(drop)
            };
            assert_eq!(error.unwrap_err().kind(), ErrorKind::Attempt(REFUSED));
            let (received, ..) = prompts(&script);
            assert_eq!(received.body["response_format"], sent["response_format"]);
            assert_eq!(received.body["messages"], sent["messages"]);
            assert_eq!(formats(&script), [format]);
        }
    }
    call(&model, false).await.unwrap();
    assert_eq!(formats(&script), ["json_schema", "json_object", "text"]);
}

#[tokio::test(start_paused = true)]
async fn calls_refused_at_once_weaken_the_format_once() {
    let refusal = REFUSALS[0].1;
    let script = ScriptedProvider::new(move |number, received| match &*format_of(&received.body) {
        // The refusals arrive after both requests were sent, one much later than the other.
        "json_schema" => Action::SendAfter(
            Duration::from_secs(1 + 9 * number as u64),
            answer(400, "", refusal),
        ),
        "json_object" => Action::Send(completion("ok")),
        _ => Action::Send(answer(500, "", "")),
    });
    let model = model(ApiFormat::ChatCompletions, &script);
    let (one, other) = tokio::join!(call(&model, false), call(&model, false));
    assert_eq!(
        (one.unwrap().text(), other.unwrap().text()),
        ("ok".into(), "ok".into())
    );
    assert_eq!(
        formats(&script),
        ["json_schema", "json_schema", "json_object", "json_object"]
    );
    call(&model, false).await.unwrap();
    assert_eq!(formats(&script), ["json_object"]);
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_format_beside_tools_is_learned_for_requests_with_tools() {
    // Gemini
    let refusal = r#"{"error":{"code":400,"message":"Function calling with a response mime type: 'application/json' is unsupported","status":"INVALID_ARGUMENT"}}"#;
    let script = ScriptedProvider::new(move |_, received| {
        let has_format = format_of(&received.body) != "text";
        Action::Send(if has_format && !received.body["tools"].is_null() {
            answer(400, "", refusal)
        } else {
            completion("ok")
        })
    });
    let model = model(ApiFormat::ChatCompletions, &script);
    let with_tools = ChatRequest {
        tools: serde_json::from_value(json!([{"type": "function", "function": {"name": "f"}}])).unwrap(),
        ..request()
    };
    for expected in [&["json_schema", "json_object", "text"][..], &["text"]] {
        model.chat_with(&with_tools, &adapting()).await.unwrap();
        assert_eq!(formats(&script), expected);
        call(&model, false).await.unwrap();
        assert_eq!(formats(&script), ["json_schema"]);
    }
}

#[tokio::test(start_paused = true)]
async fn fault_of_the_schema_is_returned_at_once_and_learned_as_nothing() {
    let fault = r#"{"error":{"message":"Invalid schema for response_format 'dish': In context=(), 'additionalProperties' is required to be supplied and to be false.","type":"invalid_request_error","param":"response_format","code":null}}"#;
    let script = ScriptedProvider::new(move |_, _| Action::Send(answer(400, "", fault)));
    let model = model(ApiFormat::ChatCompletions, &script);
    for _ in 0..2 {
        let error = call(&model, false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidRequest));
        assert_eq!(formats(&script), ["json_schema"]);
    }
}

#[tokio::test(start_paused = true)]
async fn provider_that_ignores_the_format_gets_the_schema_in_the_prompt() {
    let script = provider(ApiFormat::ChatCompletions, &["text"]);
    let model = model_at("http://api.anthropic.com/v1", &script, TargetSettings::default());
    call(&model, false).await.unwrap();
    let (request, whole, _) = prompts(&script);
    assert_eq!(format_of(&request.body), "text");
    assert!(whole.contains(&format!(r"```json\n{NOTATION}\n```")), "{whole}");
}

#[tokio::test(start_paused = true)]
async fn schema_beyond_the_limits_of_openai_is_an_error_in_every_format() {
    let nested = (0..11).fold(
        json!({"type": "string"}),
        |inner, _| json!({"type": "object", "properties": {"a": inner}}),
    );
    let request = ChatRequest {
        response_format: Some(ResponseFormat::json_schema("deep", Json::of(&nested).unwrap())),
        ..ChatRequest::user("hi")
    };
    for format in AnswerFormat::ALL {
        let script = provider(
            ApiFormat::ChatCompletions,
            &["json_schema", "json_object", "text"],
        );
        let settings = TargetSettings {
            structured_output: Some(format),
            ..TargetSettings::default()
        };
        let model = model_at("http://api.openai.com/v1", &script, settings);
        let error = model.chat_with(&request, &adapting()).await.unwrap_err();
        assert_eq!((error.kind(), script.requests()), (ErrorKind::Unsendable, 0));
    }
}
