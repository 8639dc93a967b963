//! The models of `llmpool::testing`: scripts, records and replays.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use llmpool::chat::{ChatRequest, FinishReason, ToolCall, Usage};
use llmpool::testing::{RecordingModel, ScriptedAnswer, ScriptedModel};
use llmpool::{ErrorKind, FailureKind, LlmInterface};

/// A file in the temporary directory, which is removed at the end of the test.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("llmpool-{name}-{}.jsonl", std::process::id())))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn answers() -> [ScriptedAnswer; 3] {
    [
        ScriptedAnswer::text("").in_pieces(["Hel", "lo"]).with_usage(3, 2),
        ScriptedAnswer::tool_calls([
            ToolCall::function("c1", "f", "{\"a\":1}"),
            ToolCall::function("c2", "g", "{}"),
        ]),
        ScriptedAnswer::refusal("No").truncated(),
    ]
}

#[tokio::test]
async fn streamed_answer_equals_the_complete_one() {
    let (complete, streamed) = (ScriptedModel::new(answers()), ScriptedModel::new(answers()));
    for _ in answers() {
        let request = ChatRequest::user("Hi");
        let whole = complete.chat(&request).await.unwrap();
        let assembled = streamed
            .chat_stream(&request)
            .await
            .unwrap()
            .into_response()
            .await
            .unwrap();
        let (one, other) = (
            whole.completion.first().unwrap(),
            assembled.completion.first().unwrap(),
        );
        assert_eq!(one.message.text(), other.message.text());
        assert_eq!(one.message.refusal, other.message.refusal);
        assert_eq!(one.message.tool_calls, other.message.tool_calls);
        assert_eq!(one.finish_reason, other.finish_reason);
        assert_eq!(whole.report, assembled.report);
    }
    assert_eq!(complete.requests(), streamed.requests());
}

#[tokio::test]
async fn script_is_exact() {
    let model = ScriptedModel::new([
        ScriptedAnswer::text("Hi").filtered(),
        ScriptedAnswer::failure(FailureKind::NoQuota),
        ScriptedAnswer::text("cut").then_failure(FailureKind::IdleTimeout),
    ]);
    let request = ChatRequest::user("Hi");
    let answer = model.chat(&request).await.unwrap();
    assert_eq!(answer.finish_reason(), Some(&FinishReason::ContentFilter));
    assert_eq!(answer.usage(), None);
    let error = model.chat(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
    let error = model
        .chat_stream(&request)
        .await
        .unwrap()
        .into_response()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::IdleTimeout));
    assert_eq!(error.partial().unwrap().text(), "cut");
    let error = model.chat(&request).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the script of the model has no answer for call 4"
    );
    assert_eq!((model.requests().len(), model.answers_left()), (4, 0));
}

#[tokio::test]
async fn recorded_calls_are_replayed() {
    let file = TemporaryFile::new("replayed");
    let model = RecordingModel::new(ScriptedModel::new(answers()), &file.0).unwrap();
    let requests = ["one", "two", "three"].map(ChatRequest::user);
    let mut given = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        given.push(match index {
            0 => model
                .chat_stream(request)
                .await
                .unwrap()
                .into_response()
                .await
                .unwrap(),
            _ => model.chat(request).await.unwrap(),
        });
    }
    let replayed = ScriptedModel::replay(&file.0).unwrap();
    let streamed = ScriptedModel::replay(&file.0).unwrap();
    for (request, given) in requests.iter().zip(&given) {
        let again = replayed.chat(request).await.unwrap();
        assert_eq!(again.completion.choices, given.completion.choices);
        let again = streamed
            .chat_stream(request)
            .await
            .unwrap()
            .into_response()
            .await
            .unwrap();
        let (one, other) = (
            again.completion.first().unwrap(),
            given.completion.first().unwrap(),
        );
        assert_eq!(one.message.text(), other.message.text());
        assert_eq!(one.message.tool_calls, other.message.tool_calls);
        assert_eq!(one.finish_reason, other.finish_reason);
    }
    assert_eq!(replayed.answers_left(), 0);
    assert_eq!(given[0].usage(), Some(&Usage::new(3, 2)));
}

#[tokio::test]
async fn replay_of_another_request_names_the_first_difference() {
    let file = TemporaryFile::new("differs");
    let model = RecordingModel::new(ScriptedModel::new([ScriptedAnswer::text("Hi")]), &file.0).unwrap();
    model.chat(&ChatRequest::user("one")).await.unwrap();
    let cases = [
        (ChatRequest::user("two"), "messages[0].content"),
        (ChatRequest::new([]), "messages[0]"),
        (
            ChatRequest {
                seed: Some(1),
                ..ChatRequest::user("one")
            },
            "seed",
        ),
    ];
    for (request, path) in cases {
        let replayed = ScriptedModel::replay(&file.0).unwrap();
        let error = replayed.chat(&request).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("call 1 differs from the recorded one at {path}")
        );
    }
}

#[tokio::test]
async fn calls_are_replayed_in_any_order() {
    let file = TemporaryFile::new("order");
    let answers = [ScriptedAnswer::text("A"), ScriptedAnswer::text("B")];
    let model = RecordingModel::new(ScriptedModel::new(answers), &file.0).unwrap();
    let requests = ["one", "two"].map(ChatRequest::user);
    for request in &requests {
        model.chat(request).await.unwrap();
    }
    model.finish().unwrap();
    let replayed = ScriptedModel::replay(&file.0).unwrap();
    assert_eq!(replayed.chat(&requests[1]).await.unwrap().text(), "B");
    assert_eq!(replayed.chat(&requests[0]).await.unwrap().text(), "A");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn answer_is_kept_where_the_recording_fails() {
    // Every write to this device fails: the disk is full.
    let model = RecordingModel::new(ScriptedModel::new([ScriptedAnswer::text("Hi")]), "/dev/full").unwrap();
    let answer = model.chat(&ChatRequest::user("Hello")).await.unwrap();
    assert_eq!(answer.text(), "Hi");
    let error = model.finish().unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write /dev/full: "),
        "{error}"
    );
}

#[test]
fn recording_with_another_line_names_the_line() {
    let file = TemporaryFile::new("broken");
    std::fs::write(
        &file.0,
        "{\"request\": {}, \"answer\": {\"choices\": []}}\n\nno JSON\n",
    )
    .unwrap();
    let error = ScriptedModel::replay(&file.0).unwrap_err();
    assert!(
        error.to_string().ends_with(":3 is not a recorded call"),
        "{error}"
    );
    let missing = ScriptedModel::replay("/no/such/file").unwrap_err();
    assert!(
        missing.to_string().starts_with("cannot read /no/such/file: "),
        "{missing}"
    );
}
