//! Any provider that answers is read, in whatever framing, pieces and style it writes, and with whatever function it is called: with one request,
//! and with the same result. Any provider that does not answer is an error. Time is paused.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a failed unwrap is a failed test"
)]

mod answer;
mod body;
mod chat_wire;
mod delivery;
#[path = "../support/encoders.rs"]
mod encoders;
mod provider;
mod readings;
mod responses_wire;
#[path = "../support/mod.rs"]
mod support;
mod unreadable;
mod wire;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use llmpool::chat::{ChatCompletion, ChatRequest};
use llmpool::responses::{Response, ResponseEvent, ResponsesRequest};
use llmpool::{
    ApiFormat, ApiKeyPool, CallReport, Conversion, Error, ErrorKind, EventStream, FailureKind, LlmInterface,
    OpenAiCompatible, OpenAiResponsesCompatible, RawStream, TargetSettings,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use answer::Reading;
use body::AnswerBody;
use delivery::Delivery;
use provider::{Framing, Provider, any_provider};
use support::ScriptedProvider;
use unreadable::{CANARY, Unreadable, any_unreadable};

type Checked = Result<(), TestCaseError>;

/// A model of a provider that sends one body again and again.
struct Called {
    script: Arc<ScriptedProvider>,
    target: OpenAiCompatible,
    body: AnswerBody,
}

/// Returns a model whose provider answers each request with `body`.
fn model(format: ApiFormat, body: Vec<u8>, delivery: &Delivery) -> (Arc<ScriptedProvider>, OpenAiCompatible) {
    let sent = delivery.clone();
    let script = ScriptedProvider::new(move |_, _| sent.action(body.clone()));
    script.pipe.store(delivery.pipe, Ordering::SeqCst);
    let settings = TargetSettings {
        api: format,
        max_retries: 1,
        ..TargetSettings::default()
    };
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap();
    (script, target)
}

impl Called {
    fn new(provider: &Provider) -> Self {
        let body = provider.body();
        let (script, target) = model(provider.format, body.bytes.clone(), &provider.delivery);
        Self { script, target, body }
    }

    /// Checks the result of a call, which must be `expected` after one request.
    fn check(&self, asked: &str, read: Result<Reading, Error>, expected: &Reading) -> Checked {
        let requests = self.script.requests();
        self.script.received.lock().unwrap().clear();
        let text = String::from_utf8_lossy(&self.body.bytes);
        let read = read.map_err(|error| TestCaseError::fail(format!("{asked}: {error}: {text}")))?;
        prop_assert_eq!(&read, expected, "{}: {}", asked, text);
        prop_assert_eq!(requests, 1, "{}: {}", asked, text);
        Ok(())
    }
}

async fn check_chat(called: &Called, provider: &Provider) -> Checked {
    let expected = provider.chat_reading();
    let mut request = ChatRequest::user("hi");
    request.n = choices_asked_for(provider);
    let read = called.target.chat(&request).await;
    let read = read.map(|answer| readings::of_completion(&answer.completion, &answer.report));
    called.check("chat", read, &expected)?;
    let read = match called.target.chat_stream(&request).await {
        Ok(stream) => stream.into_response().await,
        Err(error) => Err(error),
    };
    let read = read.map(|answer| readings::of_completion(&answer.completion, &answer.report));
    called.check("chat_stream", read, &expected)
}

fn choices_asked_for(provider: &Provider) -> Option<u32> {
    let count = provider.answer.choices.len() as u32;
    (count > 1).then_some(count)
}

async fn check_raw_chat(called: &Called, provider: &Provider) -> Checked {
    let choices = choices_asked_for(provider).map_or(String::new(), |count| format!(r#","n":{count}"#));
    let (expected, sent) = (provider.native_reading_of_raw(), &called.body);
    let request = format!(r#"{{"model":"m"{choices}}}"#);
    let read = called.target.raw_chat(Bytes::from(request)).await;
    let read = match read {
        Ok(answer) => {
            if answer.report.converted.is_none() {
                prop_assert_eq!(&answer.body, &sent.bytes, "raw_chat: unconverted");
            } else {
                prop_assert!(!provider.is_sent_as_asked(false), "raw_chat: converted");
            }
            if answer.report.converted == Some(Conversion::EventsToDocument) {
                // A number beyond any type is JSON, too, and is kept in an unknown member.
                let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&answer.body);
                prop_assert!(parsed.is_ok(), "raw_chat: a document");
            }
            Ok(document_reading(provider.format, &answer.body, &answer.report)?)
        }
        Err(error) => Err(error),
    };
    called.check("raw_chat", read, &expected)?;

    let request = format!(r#"{{"model":"m","stream":true{choices}}}"#);
    let read = match called.target.raw_chat_stream(Bytes::from(request)).await {
        Ok(stream) => raw_events(stream).await,
        Err(error) => Err(error),
    };
    let read = match read {
        Ok((events, report)) => {
            if report.converted.is_none() {
                prop_assert_eq!(&events, &sent.events, "raw_chat_stream: unconverted");
            } else {
                prop_assert!(!provider.is_sent_as_asked(true), "raw_chat_stream: converted");
            }
            Ok(stream_reading(provider.format, &events, &report)?)
        }
        Err(error) => Err(error),
    };
    called.check("raw_chat_stream", read, &expected)
}

async fn raw_events(mut stream: RawStream) -> Result<(Vec<Vec<u8>>, CallReport), Error> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event?.event.data.to_vec());
    }
    Ok((events, stream.report().clone()))
}

fn document_reading(format: ApiFormat, body: &[u8], report: &CallReport) -> Result<Reading, TestCaseError> {
    let failed = |error: serde_json::Error| TestCaseError::fail(format!("raw_chat: {error}"));
    Ok(match format {
        ApiFormat::ChatCompletions => {
            readings::of_completion(&ChatCompletion::decode(body).map_err(failed)?, report)
        }
        ApiFormat::Responses => readings::of_response(&Response::decode(body).map_err(failed)?, report),
    })
}

fn stream_reading(
    format: ApiFormat,
    events: &[Vec<u8>],
    report: &CallReport,
) -> Result<Reading, TestCaseError> {
    let events = events.iter().map(Vec::as_slice);
    let reading = match format {
        ApiFormat::ChatCompletions => readings::of_chunks(events, report),
        ApiFormat::Responses => readings::of_events(events, report),
    };
    reading.map_err(|error| TestCaseError::fail(format!("raw_chat_stream: {error}")))
}

async fn check_native(called: &Called, provider: &Provider) -> Checked {
    let Some(native) = OpenAiResponsesCompatible::from_model(&called.target) else {
        return Ok(());
    };
    let (request, expected) = (ResponsesRequest::user("hi"), provider.native_reading());
    let read = native.create_response(&request).await;
    let read = read.map(|answer| readings::of_response(&answer.response, &answer.report));
    called.check("create_response", read, &expected)?;
    let read = match native.create_response_stream(&request).await {
        Ok(stream) => native_events(stream).await,
        Err(error) => Err(error),
    };
    let read = read.map(|(events, report)| readings::of_decoded_events(&events, &report));
    called.check("create_response_stream", read, &expected)
}

async fn native_events(mut stream: EventStream) -> Result<(Vec<ResponseEvent>, CallReport), Error> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event?);
    }
    Ok((events, stream.report().clone()))
}

impl Provider {
    fn native_reading_of_raw(&self) -> Reading {
        if self.is_chat() {
            self.chat_reading()
        } else {
            self.native_reading()
        }
    }

    /// Returns whether the body has the framing that a request asks for, which must then not be converted.
    fn is_sent_as_asked(&self, is_stream: bool) -> bool {
        let is_marked = self.has(provider::Oddity::ByteOrderMark) || self.has(provider::Oddity::Comments);
        match self.framing {
            Framing::Events => is_stream,
            Framing::Document | Framing::PrettyDocument => !is_stream && !is_marked,
            _ => false,
        }
    }
}

async fn check_all(provider: &Provider) -> Checked {
    let called = Called::new(provider);
    check_chat(&called, provider).await?;
    check_raw_chat(&called, provider).await?;
    check_native(&called, provider).await?;
    prop_assert_eq!(called.target.key_status()[0].in_flight, 0);
    Ok(())
}

/// The functions of a model with which a call can be made.
const ASKED: [&str; 6] = [
    "chat",
    "chat_stream",
    "raw_chat",
    "raw_chat_stream",
    "create_response",
    "create_response_stream",
];

/// Makes a call and reads its answer to the end. `None` if the model lacks this function.
async fn call(target: &OpenAiCompatible, asked: &str) -> Option<Result<(), Error>> {
    let chat = ChatRequest::user("hi");
    let (plain, streamed) = (r#"{"model":"m"}"#, r#"{"model":"m","stream":true}"#);
    Some(match asked {
        "chat" => target.chat(&chat).await.map(drop),
        "chat_stream" => match target.chat_stream(&chat).await {
            Ok(stream) => stream.into_response().await.map(drop),
            Err(error) => Err(error),
        },
        "raw_chat" => target.raw_chat(Bytes::from(plain)).await.map(drop),
        "raw_chat_stream" => match target.raw_chat_stream(Bytes::from(streamed)).await {
            Ok(stream) => raw_events(stream).await.map(drop),
            Err(error) => Err(error),
        },
        asked => {
            let native = OpenAiResponsesCompatible::from_model(target)?;
            let request = ResponsesRequest::user("hi");
            if asked == "create_response" {
                native.create_response(&request).await.map(drop)
            } else {
                match native.create_response_stream(&request).await {
                    Ok(stream) => native_events(stream).await.map(drop),
                    Err(error) => Err(error),
                }
            }
        }
    })
}

async fn check_unreadable(answer: &Unreadable) -> Checked {
    let text = String::from_utf8_lossy(&answer.body);
    for asked in ASKED {
        let (script, target) = model(answer.format, answer.body.clone(), &answer.delivery);
        let Some(result) = call(&target, asked).await else {
            continue;
        };
        prop_assert!(result.is_err(), "{}: Ok: {}", asked, text);
        let error = result.unwrap_err();
        let requests = script.requests();
        let is_unusable = error.kind() == ErrorKind::Attempt(FailureKind::UnusableAnswer);
        let maximum = if is_unusable { 1 } else { 2 };
        prop_assert!(
            (1..=maximum).contains(&requests),
            "{}: {} requests: {}: {}",
            asked,
            requests,
            error,
            text
        );
        prop_assert!(!error.to_string().contains(CANARY), "{}: {}", asked, error);
        prop_assert!(!format!("{error:?}").contains(CANARY), "{}: {:?}", asked, error);
        prop_assert_eq!(target.key_status()[0].in_flight, 0, "{}", asked);
    }
    Ok(())
}

/// Runs a future with its own paused time.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

proptest! {
    #[test]
    fn any_answer_is_read(provider in any_provider()) {
        run(check_all(&provider))?;
    }

    #[test]
    fn any_unreadable_answer_is_an_error(answer in any_unreadable()) {
        run(check_unreadable(&answer))?;
    }
}
