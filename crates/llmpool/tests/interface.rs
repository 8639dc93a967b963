//! The interface as somebody else implements it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool::chat::{ChatChunk, ChatRequest, Message};
use llmpool::{
    CallOptions, CallReport, ChatResponse, ChatStream, Error, ErrorKind, LlmInterface, UsageSource,
};

/// Says the last message again, a word at a time; stops in the middle when asked to.
struct Parrot;

struct Words(VecDeque<Result<ChatChunk, Error>>);

impl Stream for Words {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn said(request: &ChatRequest) -> Cow<'_, str> {
    let last = request.messages.last();
    last.map(Message::text).unwrap_or_default()
}

fn chunk(delta: &str, finish: &str) -> ChatChunk {
    let json = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#);
    serde_json::from_str(&json).unwrap()
}

impl LlmInterface for Parrot {
    fn model_name(&self) -> &str {
        "parrot"
    }

    fn context_window(&self) -> u32 {
        7
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        Box::pin(async move {
            self.chat_stream_with(request, options)
                .await?
                .into_response()
                .await
        })
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        _: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        let mut words: VecDeque<_> = said(request)
            .split_inclusive(' ')
            .map(|word| match word {
                "nothing" => Err(Error::new(ErrorKind::LimitReached, "the parrot is tired")),
                word => Ok(chunk(&serde_json::json!({ "content": word }).to_string(), "null")),
            })
            .collect();
        words.push_back(Ok(chunk("{}", "\"stop\"")));
        let mut report = CallReport::default();
        report.target = "zoo/parrot".into();
        Box::pin(async move { Ok(ChatStream::with_report(Words(words), report)) })
    }
}

async fn ask(model: impl LlmInterface, text: &str) -> Result<ChatResponse, Error> {
    assert_eq!((model.model_name(), model.context_window()), ("parrot", 7));
    model.chat(&ChatRequest::user(text)).await
}

// O30
#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<llmpool::OpenAiCompatible>();
    shared::<llmpool::Providers>();
    shared::<llmpool::ApiKeyPool>();
    shared::<llmpool::TokenBucket>();
    shared::<ChatResponse>();
    shared::<Error>();
    shared::<CallOptions>();
    sent::<ChatStream>();
    sent::<llmpool::RawStream>();
    sent::<llmpool::KeyLease>();
}

#[tokio::test]
async fn anybody_can_implement_the_interface_and_pass_it_by_any_pointer() {
    let boxed: Box<dyn LlmInterface> = Box::new(Parrot);
    let shared: Arc<dyn LlmInterface> = Arc::new(Parrot);
    for answer in [
        ask(Parrot, "a b").await,
        ask(&Parrot, "a b").await,
        ask(&boxed, "a b").await,
        ask(boxed, "a b").await,
        ask(shared.clone(), "a b").await,
        ask(&*shared, "a b").await,
    ] {
        let answer = answer.unwrap();
        assert_eq!((&*answer.text(), &*answer.report.target), ("a b", "zoo/parrot"));
        assert_eq!(
            (answer.usage(), answer.report.usage_source),
            (None, UsageSource::Unknown)
        );
    }
}

#[tokio::test]
async fn an_error_in_a_stream_brings_what_had_come() {
    let error = ask(Parrot, "a b nothing").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert_eq!(
        error.partial().map(|answer| answer.text()).as_deref(),
        Some("a b ")
    );
    assert_eq!(error.to_string(), "the parrot is tired");
}

#[tokio::test]
async fn a_stream_is_owned_and_can_be_read_in_another_task() {
    let stream = {
        let request = ChatRequest::user("a b");
        Parrot.chat_stream(&request).await.unwrap()
    };
    let answer = tokio::spawn(stream.into_response()).await.unwrap().unwrap();
    assert_eq!(answer.text(), "a b");
    assert_eq!(answer.finish_reason().unwrap().as_str(), "stop");
}
