//! Functions that a model answers, against a scripted model.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool::chat::{EmptyObject, Message, ResponseFormat, Role, Usage};
use llmpool::function::schemars::{self, JsonSchema};
use llmpool::function::{FunctionError, StreamedPart};
use llmpool::testing::{ScriptedAnswer, ScriptedModel};
use llmpool::{CallOptions, ErrorKind, FailureKind, LlmInterface, llm_function};
use serde::{Deserialize, Serialize};
use serde_json::json;

type Result<T, E = FunctionError> = std::result::Result<T, E>;

/// A support ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    /// One sentence.
    summary: String,
    urgency: Urgency,
    tags: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "lowercase")]
enum Urgency {
    Low,
    High,
}

/// Sort this support mail. Urgent means money or safety.
#[llm_function]
async fn triage(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket>;

/// Sort this support mail.
#[llm_function(check = has_tags, repairs = 2)]
async fn checked(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket>;

/// Translate to {language}. Keep `{"json": 1}` and {{braces}} as they are.
#[llm_function(temperature = 0.5, max_tokens = 100)]
async fn translate(llm: &dyn LlmInterface, language: &str, text: &str) -> Result<String>;

/// Add the numbers.
#[llm_function]
async fn add(llm: &dyn LlmInterface, one: u32, other: u32) -> Result<u32>;

fn has_tags(ticket: &Ticket) -> Result<(), String> {
    if ticket.tags.is_empty() {
        return Err("a ticket needs at least one tag".to_owned());
    }
    Ok(())
}

fn ticket(tags: &[&str]) -> Ticket {
    Ticket {
        summary: "No refund".to_owned(),
        urgency: Urgency::High,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

/// Returns role and text of each message of the request with this index.
fn messages(model: &ScriptedModel, request: usize) -> Vec<(String, String)> {
    let shown = |message: &Message| {
        let role = message.role.as_ref().map_or("", Role::as_str);
        (role.to_owned(), message.text().into_owned())
    };
    model.requests()[request].messages.iter().map(shown).collect()
}

fn text(role: &str, text: &str) -> (String, String) {
    (role.to_owned(), text.to_owned())
}

#[tokio::test]
async fn value_is_parsed_and_prompt_is_the_doc_comment() {
    let model = ScriptedModel::new([ScriptedAnswer::json(&ticket(&["refund"]))]);
    assert_eq!(
        triage(&model, "Where is my money?").await.unwrap(),
        ticket(&["refund"])
    );
    assert_eq!(
        messages(&model, 0),
        [
            text("system", "Sort this support mail. Urgent means money or safety."),
            text("user", "Where is my money?")
        ]
    );
    let format = model.requests()[0].response_format.clone().unwrap();
    let ResponseFormat::JsonSchema(format) = format else {
        panic!("{format:?}")
    };
    assert_eq!(format.json_schema.name, "Ticket");
    assert_eq!(format.json_schema.strict, Some(true));
}

#[tokio::test]
async fn placeholders_are_filled_and_left_out_of_the_user_message() {
    let model = ScriptedModel::new([ScriptedAnswer::text("  Bonjour\n")]);
    assert_eq!(translate(&model, "French", "Hello").await.unwrap(), "  Bonjour\n");
    assert_eq!(
        messages(&model, 0),
        [
            text(
                "system",
                r#"Translate to French. Keep `{"json": 1}` and {braces} as they are."#
            ),
            text("user", "Hello")
        ]
    );
    let request = &model.requests()[0];
    assert_eq!(request.response_format, None);
    assert_eq!(request.temperature, Some(0.5));
    assert_eq!(request.max_completion_tokens, Some(100));
}

#[tokio::test]
async fn several_arguments_are_one_json_object() {
    let model = ScriptedModel::new([ScriptedAnswer::json(&json!({"value": 5}))]);
    assert_eq!(add(&model, 2, 3).await.unwrap(), 5);
    assert_eq!(messages(&model, 0)[1], text("user", r#"{"one":2,"other":3}"#));
}

#[tokio::test]
async fn options_of_a_call_replace_those_of_the_function() {
    let model = ScriptedModel::new([ScriptedAnswer::text("Hi")]);
    let call = translate(&model, "English", "Salut")
        .temperature(0.0)
        .max_tokens(7)
        .seed(1)
        .top_p(0.9);
    call.request(|request| request.user = Some("u".to_owned()))
        .await
        .unwrap();
    let request = &model.requests()[0];
    assert_eq!(request.temperature, Some(0.0));
    assert_eq!(request.max_completion_tokens, Some(7));
    assert_eq!(request.seed, Some(1));
    assert_eq!(request.top_p, Some(0.9));
    assert_eq!(request.user.as_deref(), Some("u"));
}

#[tokio::test]
async fn examples_stand_before_the_input() {
    let model = ScriptedModel::new([ScriptedAnswer::json(&json!({"value": 5}))]);
    let examples = [
        (json!({"one": 1, "other": 1}), 2),
        (json!({"one": 2, "other": 2}), 4),
    ];
    add(&model, 2, 3).examples(examples).await.unwrap();
    assert_eq!(
        messages(&model, 0)[1..],
        [
            text("user", r#"{"one":1,"other":1}"#),
            text("assistant", r#"{"value":2}"#),
            text("user", r#"{"one":2,"other":2}"#),
            text("assistant", r#"{"value":4}"#),
            text("user", r#"{"one":2,"other":3}"#),
        ]
    );
}

#[tokio::test]
async fn invalid_reply_is_repaired_with_path_and_reason() {
    let invalid = r#"{"summary": "No refund", "urgency": "extreme", "tags": []}"#;
    let model = ScriptedModel::new([
        ScriptedAnswer::text(invalid).with_usage(10, 5),
        ScriptedAnswer::json(&ticket(&[])).with_usage(30, 6),
    ]);
    let reply = triage(&model, "mail").report().await.unwrap();
    assert_eq!(reply.value, ticket(&[]));
    assert_eq!(reply.repairs, 1);
    assert_eq!(reply.calls.len(), 2);
    assert_eq!(reply.usage, Some(Usage::new(40, 11)));
    let repaired = messages(&model, 1);
    assert_eq!(repaired[2], text("assistant", invalid));
    let (role, request) = &repaired[3];
    assert_eq!(role, "user");
    let reason = "This reply cannot be used at `urgency`: unknown variant, expected one of `low`, `high`. Send the whole \
                  reply again, corrected, and nothing else. The form of the JSON:\n";
    assert!(request.starts_with(reason), "{request}");
    assert!(request.ends_with("\n\nUrgency = \"low\" | \"high\""), "{request}");
    assert_eq!(model.answers_left(), 0);
}

#[tokio::test]
async fn rejected_value_is_repaired_until_the_repairs_are_used_up() {
    let rejected = || ScriptedAnswer::json(&ticket(&[])).with_usage(1, 1);
    let model = ScriptedModel::new([rejected(), rejected(), rejected()]);
    let error = checked(&model, "mail").await.unwrap_err();
    let FunctionError::Rejected(reply) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(reply.reason(), "a ticket needs at least one tag");
    assert_eq!(serde_json::from_str::<Ticket>(reply.text()).unwrap(), ticket(&[]));
    assert_eq!(reply.calls().len(), 3);
    assert_eq!(error.usage(), Some(Usage::new(3, 3)));
    assert_eq!(
        error.to_string(),
        "the check of the function rejected the value (after 3 chat calls)"
    );
    let last = messages(&model, 2);
    assert_eq!(last.len(), 6);
    assert!(last[5].1.contains("a ticket needs at least one tag"), "{last:?}");
}

#[tokio::test]
async fn value_that_passes_the_check_is_returned_after_a_repair() {
    let model = ScriptedModel::new([
        ScriptedAnswer::json(&ticket(&[])),
        ScriptedAnswer::json(&ticket(&["refund"])),
    ]);
    let reply = checked(&model, "mail").report().await.unwrap();
    assert_eq!(reply.value, ticket(&["refund"]));
    assert_eq!(reply.repairs, 1);
    // One of the summands is unknown.
    assert_eq!(reply.usage, None);
}

#[tokio::test]
async fn without_repairs_the_first_unusable_reply_is_the_error() {
    let model = ScriptedModel::new([ScriptedAnswer::text("no JSON")]);
    let error = triage(&model, "mail").repairs(0).await.unwrap_err();
    let FunctionError::Invalid(reply) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(reply.text(), "no JSON");
    assert_eq!(reply.path(), None);
    assert_eq!(reply.calls().len(), 1);
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn truncated_refused_and_filtered_replies_are_not_repaired() {
    let json = serde_json::to_string(&ticket(&[])).unwrap();
    let cases = [
        (
            ScriptedAnswer::text(&json).truncated(),
            "Truncated",
            json.as_str(),
        ),
        (ScriptedAnswer::text(&json).filtered(), "Filtered", &json),
        (ScriptedAnswer::refusal("I will not"), "Refused", "I will not"),
    ];
    for (answer, kind, text) in cases {
        let model = ScriptedModel::new([answer.with_usage(3, 4)]);
        let error = triage(&model, "mail").await.unwrap_err();
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
        let reply = error.unusable().unwrap();
        assert_eq!(reply.text(), text, "{kind}");
        assert_eq!(reply.usage(), Some(Usage::new(3, 4)), "{kind}");
        assert_eq!(model.requests().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn empty_reply_is_asked_for_again_without_an_empty_message() {
    let model = ScriptedModel::new([ScriptedAnswer::empty(), ScriptedAnswer::json(&ticket(&[]))]);
    let reply = triage(&model, "mail").report().await.unwrap();
    assert_eq!((reply.value, reply.repairs), (ticket(&[]), 1));
    let roles: Vec<_> = messages(&model, 1).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["system", "user"]);
    let (_, last) = messages(&model, 1).pop().unwrap();
    assert!(
        last.starts_with("mail\n\nThis reply cannot be used: the reply has no content. "),
        "{last}"
    );

    let model = ScriptedModel::new([ScriptedAnswer::empty()]);
    let error = triage(&model, "mail").repairs(0).await.unwrap_err();
    assert!(matches!(error, FunctionError::Empty(_)), "{error:?}");
}

#[tokio::test]
async fn failed_call_keeps_the_usage_of_the_calls_before_it() {
    let model = ScriptedModel::new([
        ScriptedAnswer::text("no JSON").with_usage(2, 3),
        ScriptedAnswer::failure(FailureKind::ServerError),
    ]);
    let error = triage(&model, "mail").await.unwrap_err();
    let FunctionError::Call { error, progress } = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::ServerError));
    assert_eq!(progress.calls.len(), 1);
    assert_eq!(progress.calls[0].usage, Some(Usage::new(2, 3)));
    // The reply that was to be repaired is kept, with the reason.
    assert_eq!(progress.history[1].text(), "no JSON");
    assert!(
        progress.history[2]
            .text()
            .starts_with("This reply cannot be used: ")
    );
}

#[tokio::test]
async fn errors_show_no_text_of_the_model() {
    let secret = "the model wrote this";
    for answer in [
        ScriptedAnswer::text(secret),
        ScriptedAnswer::refusal(secret),
        ScriptedAnswer::json(&json!({"summary": secret, "urgency": secret, "tags": []})),
        ScriptedAnswer::text(secret).truncated(),
    ] {
        let model = ScriptedModel::new([answer]);
        let error = triage(&model, "mail").repairs(0).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn argument_that_is_no_json_is_an_error_before_anything_is_sent() {
    let model = ScriptedModel::new([]);
    let map = std::collections::HashMap::from([((1, 2), 3)]);
    let error = add(&model, 1, 2).argument("map", &map).await.unwrap_err();
    assert_eq!(error.to_string(), "the argument `map` cannot be written as JSON");
    assert_eq!(model.requests().len(), 0);
}

#[tokio::test]
async fn prompt_is_what_is_sent() {
    let model = ScriptedModel::new([ScriptedAnswer::json(&ticket(&[]))]);
    let prompt = triage(&model, "mail").prompt().unwrap();
    assert_eq!(model.requests().len(), 0);
    triage(&model, "mail").await.unwrap();
    assert_eq!(*prompt.request(), model.requests()[0]);
    let shown = prompt.to_string();
    let expected = "--- system ---\nSort this support mail. Urgent means money or safety.\n--- user ---\nmail\n\
                    --- schema ---\n{\n  \"type\": \"object\",\n  \"description\": \"A support ticket.\",\n";
    assert!(shown.starts_with(expected), "{shown}");
}

#[tokio::test]
async fn stream_yields_fields_as_they_become_final_and_then_the_value() {
    let pieces = [
        r#"{"summary": "No re"#,
        r#"fund", "urgency""#,
        r#": "high", "tags": ["a""#,
        r#", "b"]}"#,
    ];
    let model = ScriptedModel::new([ScriptedAnswer::text("").in_pieces(pieces).with_usage(8, 9)]);
    let mut stream = triage(&model, "mail").stream();
    let mut fields = Vec::new();
    let reply = loop {
        match stream.next().await.unwrap().unwrap() {
            StreamedPart::Field(field) => fields.push((field.path().to_string(), field.json().to_owned())),
            StreamedPart::Value(reply) => break reply,
            part => panic!("{part:?}"),
        }
    };
    let expected = [
        ("summary", r#""No refund""#),
        ("urgency", r#""high""#),
        ("tags[0]", r#""a""#),
        ("tags[1]", r#""b""#),
        ("tags", r#"["a", "b"]"#),
    ];
    assert_eq!(
        fields,
        expected.map(|(path, json)| (path.to_owned(), json.to_owned()))
    );
    assert_eq!(reply.value, ticket(&["a", "b"]));
    assert_eq!(reply.usage, Some(Usage::new(8, 9)));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn stream_of_text_yields_its_pieces() {
    let model = ScriptedModel::new([ScriptedAnswer::text("").in_pieces(["Bon", "jour"])]);
    let mut stream = translate(&model, "French", "Hello").stream();
    let mut text = String::new();
    let value = loop {
        match stream.next().await.unwrap().unwrap() {
            StreamedPart::Text(piece) => text.push_str(&piece),
            StreamedPart::Value(reply) => break reply.value,
            part => panic!("{part:?}"),
        }
    };
    assert_eq!((text.as_str(), value.as_str()), ("Bonjour", "Bonjour"));
}

#[tokio::test]
async fn unusable_streamed_reply_is_an_error_without_a_second_request() {
    let model = ScriptedModel::new([ScriptedAnswer::text(
        r#"{"summary": "x", "urgency": 1, "tags": []}"#,
    )]);
    let mut stream = triage(&model, "mail").stream();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(StreamedPart::Field(_)) => {}
            Ok(part) => panic!("{part:?}"),
            Err(error) => break error,
        }
    };
    let FunctionError::Invalid(reply) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(reply.path(), Some("urgency"));
    assert!(stream.next().await.is_none());
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn stream_that_breaks_after_fields_ends_with_the_failure() {
    let cut = ScriptedAnswer::text(r#"{"summary": "x", "#).then_failure(FailureKind::ConnectionLost);
    let model = ScriptedModel::new([cut]);
    let mut stream = triage(&model, "mail").stream();
    assert!(matches!(stream.next().await, Some(Ok(StreamedPart::Field(_)))));
    let error = stream.next().await.unwrap().unwrap_err();
    let FunctionError::Call { error, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::ConnectionLost));
    assert_eq!(error.partial().unwrap().text(), r#"{"summary": "x", "#);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn defaults_are_one_repair_and_schemas_adapted_to_the_provider() {
    let model = ScriptedModel::new([
        ScriptedAnswer::text("no"),
        ScriptedAnswer::text("no"),
        ScriptedAnswer::text("no"),
    ]);
    let error = triage(&model, "mail").await.unwrap_err();
    assert_eq!(error.unusable().unwrap().calls().len(), 2);
    let options = CallOptions {
        wait_for_keys: true,
        ..CallOptions::default()
    };
    let _ = triage(&model, "mail").options(options).repairs(0).await;
    let options = model.options();
    assert!(options.iter().all(|options| options.adapt_schema), "{options:?}");
    assert_eq!(
        options
            .iter()
            .map(|options| options.wait_for_keys)
            .collect::<Vec<_>>(),
        [false, false, true]
    );
}

#[tokio::test]
async fn format_of_the_caller_is_kept_where_the_reply_is_text() {
    let model = ScriptedModel::new([ScriptedAnswer::text("{}")]);
    let call =
        translate(&model, "French", "Hello").request(|request| request.response_format = Some(json_object()));
    call.await.unwrap();
    assert_eq!(model.requests()[0].response_format, Some(json_object()));
}

fn json_object() -> ResponseFormat {
    ResponseFormat::JsonObject(EmptyObject::default())
}

#[tokio::test]
async fn debug_of_parts_and_events_shows_no_text_of_the_model() {
    let secret = "the model wrote this";
    let model = ScriptedModel::new([ScriptedAnswer::text(secret)]);
    let mut stream = translate(&model, "French", "Hello").stream();
    let part = stream.next().await.unwrap().unwrap();
    assert_eq!(format!("{part:?}"), format!("Text({} bytes)", secret.len()));
}
