//! `LlmInterface` implemented outside the library.
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

/// Streams the last message back word by word; fails at the word `nothing`.
struct EchoModel;

struct Words(VecDeque<Result<ChatChunk, Error>>);

impl Stream for Words {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn last_text(request: &ChatRequest) -> Cow<'_, str> {
    let last = request.messages.last();
    last.map(Message::text).unwrap_or_default()
}

fn chunk(delta: &str, finish: &str) -> ChatChunk {
    let json = format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#);
    serde_json::from_str(&json).unwrap()
}

impl LlmInterface for EchoModel {
    fn model_name(&self) -> &str {
        "echo"
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
        let mut words: VecDeque<_> = last_text(request)
            .split_inclusive(' ')
            .map(|word| match word {
                "nothing" => Err(Error::new(ErrorKind::LimitReached, "no more words")),
                word => Ok(chunk(&serde_json::json!({ "content": word }).to_string(), "null")),
            })
            .collect();
        words.push_back(Ok(chunk("{}", "\"stop\"")));
        let mut report = CallReport::default();
        report.target = "test/echo".into();
        Box::pin(async move { Ok(ChatStream::with_report(Words(words), report)) })
    }
}

async fn chat_by_value(model: impl LlmInterface, text: &str) -> Result<ChatResponse, Error> {
    assert_eq!((model.model_name(), model.context_window()), ("echo", 7));
    model.chat(&ChatRequest::user(text)).await
}

// O30
#[test]
fn public_types_are_send_and_sync() {
    fn assert_send_sync<T: Send + Sync + 'static>() {}
    fn assert_send<T: Send + 'static>() {}
    assert_send_sync::<llmpool::OpenAiCompatible>();
    assert_send_sync::<llmpool::Providers>();
    assert_send_sync::<llmpool::ApiKeyPool>();
    assert_send_sync::<llmpool::TokenBucket>();
    assert_send_sync::<ChatResponse>();
    assert_send_sync::<Error>();
    assert_send_sync::<CallOptions>();
    assert_send::<ChatStream>();
    assert_send::<llmpool::RawStream>();
    assert_send::<llmpool::KeyLease>();
}

#[tokio::test]
async fn interface_is_implemented_for_all_pointer_types() {
    let boxed: Box<dyn LlmInterface> = Box::new(EchoModel);
    let shared: Arc<dyn LlmInterface> = Arc::new(EchoModel);
    for answer in [
        chat_by_value(EchoModel, "a b").await,
        chat_by_value(&EchoModel, "a b").await,
        chat_by_value(&boxed, "a b").await,
        chat_by_value(boxed, "a b").await,
        chat_by_value(shared.clone(), "a b").await,
        chat_by_value(&*shared, "a b").await,
    ] {
        let answer = answer.unwrap();
        assert_eq!((&*answer.text(), &*answer.report.target), ("a b", "test/echo"));
        assert_eq!(
            (answer.usage(), answer.report.usage_source),
            (None, UsageSource::Unknown)
        );
    }
}

#[tokio::test]
async fn stream_error_carries_the_partial_response() {
    let error = chat_by_value(EchoModel, "a b nothing").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    assert_eq!(
        error.partial().map(|answer| answer.text()).as_deref(),
        Some("a b ")
    );
    assert_eq!(error.to_string(), "no more words");
}

#[tokio::test]
async fn stream_is_owned_and_readable_in_another_task() {
    let stream = {
        let request = ChatRequest::user("a b");
        EchoModel.chat_stream(&request).await.unwrap()
    };
    let answer = tokio::spawn(stream.into_response()).await.unwrap().unwrap();
    assert_eq!(answer.text(), "a b");
    assert_eq!(answer.finish_reason().unwrap().as_str(), "stop");
}
