//! Tools that a scripted model calls, in functions and chats.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use llmpool::chat::{Content, Message, Part, Role, ToolCall, ToolChoice, Usage};
use llmpool::function::{Audio, Cancellation, ChatAnswer, ChatEvent, FunctionError, Image, StreamedPart};
use llmpool::testing::{ScriptedAnswer, ScriptedModel};
use llmpool::tool::{CallableTool, ToolOutput};
use llmpool::{ErrorKind, FailureKind, LlmInterface, llm_chat, llm_function, tool, tools};
use serde::Serialize;
use serde_json::json;

type Result<T, E = FunctionError> = std::result::Result<T, E>;

#[derive(Serialize)]
struct Weather {
    city: String,
    degrees: i32,
}

/// Returns the weather in a city.
#[tool]
async fn weather(
    /// Name of the city in English.
    city: &str,
) -> std::result::Result<Weather, String> {
    if city == "Atlantis" {
        return Err("the city has sunk".to_owned());
    }
    Ok(Weather {
        city: city.to_owned(),
        degrees: 21,
    })
}

/// Waits for ever.
#[tool(timeout = 5)]
async fn hang() -> String {
    std::future::pending().await
}

/// Panics.
#[tool]
async fn broken() -> String {
    panic!("broken tool")
}

/// Returns many letters.
#[tool(max_output = 10)]
async fn letters(
    /// How many.
    count: usize,
) -> String {
    "é".repeat(count)
}

/// Say what to wear.
#[llm_function(tools = [weather, hang, broken, letters], rounds = 2)]
async fn clothes(llm: &dyn LlmInterface, city: &str) -> Result<String>;

/// You help with trips.
#[llm_chat(tools = [weather, hang, broken, letters], rounds = 2)]
async fn guide(llm: &dyn LlmInterface, history: &[Message], message: &str) -> Result<ChatAnswer>;

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall::function(id, name, arguments)
}

fn calls_weather(city: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool_calls([call("c1", "weather", &json!({"city": city}).to_string())])
}

/// Returns role, text and tool call ID of each message.
fn shown(messages: &[Message]) -> Vec<(String, String, Option<String>)> {
    let shown = |message: &Message| {
        let role = message.role.as_ref().map_or("", Role::as_str).to_owned();
        (role, message.text().into_owned(), message.tool_call_id.clone())
    };
    messages.iter().map(shown).collect()
}

fn message(role: &str, text: &str, id: Option<&str>) -> (String, String, Option<String>) {
    (role.to_owned(), text.to_owned(), id.map(str::to_owned))
}

#[tokio::test]
async fn tool_is_also_a_plain_function() {
    assert_eq!(weather("Paris").await.unwrap().degrees, 21);
    assert_eq!(letters(2).await, "éé");
}

#[tokio::test]
async fn parallel_tool_calls_are_answered_in_order_and_the_value_follows() {
    let model = ScriptedModel::new([
        ScriptedAnswer::tool_calls([
            call("a", "weather", r#"{"city": "Paris"}"#),
            call("b", "weather", r#"{"city": "Rome"}"#),
        ])
        .with_usage(10, 1),
        ScriptedAnswer::text("A shirt.").with_usage(20, 2),
    ]);
    let reply = clothes(&model, "Paris or Rome").report().await.unwrap();
    assert_eq!(reply.value, "A shirt.");
    assert_eq!(reply.usage, Some(Usage::new(30, 3)));
    assert_eq!((reply.calls.len(), reply.repairs), (2, 0));
    let requests = model.requests();
    assert_eq!(requests[0].tools.len(), 4);
    assert_eq!(
        shown(&requests[1].messages)[1..],
        [
            message("user", "Paris or Rome", None),
            message("assistant", "", None),
            message("tool", r#"{"city":"Paris","degrees":21}"#, Some("a")),
            message("tool", r#"{"city":"Rome","degrees":21}"#, Some("b")),
        ]
    );
    assert_eq!(requests[1].messages[2].tool_calls.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn errors_of_tools_go_to_the_model() {
    let cases = [
        (
            call("c", "weather", r#"{"city": "Atlantis"}"#),
            "error: the city has sunk",
        ),
        (call("c", "hang", ""), "error: timeout after 5s"),
        (call("c", "broken", "{}"), "error: the tool panicked"),
        (
            call("c", "whether", "{}"),
            "error: there is no tool `whether`; the tools are: weather, hang, broken, letters",
        ),
        (
            call("c", "weather", r#"{"town": "Paris"}"#),
            "error: invalid arguments: missing field `city`",
        ),
        (
            call("c", "weather", r#"{"city": 5}"#),
            "error: invalid arguments: `city`: invalid type: integer, expected a string",
        ),
        (
            call("c", "letters", r#"{"count": 6}"#),
            "ééééé\n[cut: 10 of 12 bytes are shown]",
        ),
    ];
    for (call, expected) in cases {
        let model = ScriptedModel::new([ScriptedAnswer::tool_calls([call]), ScriptedAnswer::text("ok")]);
        assert_eq!(clothes(&model, "x").await.unwrap(), "ok", "{expected}");
        let messages = model.requests()[1].messages.clone();
        assert_eq!(messages.last().unwrap().text(), expected);
    }
}

#[tokio::test]
async fn text_as_the_arguments_of_a_tool_is_an_error() {
    let echo = CallableTool::new("echo", "Returns the text.", |text: String| async move {
        std::result::Result::<String, String>::Ok(text)
    });
    let reason = "string: a reply must be a struct with named fields; make this type a field of a struct";
    assert_eq!(echo.definition().unwrap_err().to_string(), reason);
    assert_eq!(
        echo.call("{}").await.text,
        format!("error: invalid arguments: {reason}")
    );
    let model = ScriptedModel::new([]);
    let error = clothes(&model, "x").tool(echo).await.unwrap_err();
    assert!(matches!(error, FunctionError::Schema(_)), "{error:?}");
    assert_eq!(model.requests().len(), 0);
}

#[tokio::test]
async fn too_many_rounds_are_an_error_with_the_usage_of_all() {
    let again = || calls_weather("Paris").with_usage(1, 1);
    let model = ScriptedModel::new([again(), again(), again()]);
    let error = clothes(&model, "x").await.unwrap_err();
    assert!(matches!(error, FunctionError::TooManyRounds(_)), "{error:?}");
    assert_eq!(error.usage(), Some(Usage::new(3, 3)));
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test]
async fn conversation_beyond_the_context_window_is_not_sent() {
    let model = ScriptedModel::new([calls_weather("Paris"), ScriptedAnswer::text("never")]);
    let model = model.with_context_window(10);
    let error = clothes(&model, "x").await.unwrap_err();
    let FunctionError::ContextWindow(reply) = &error else {
        panic!("{error:?}")
    };
    assert!(
        reply.reason().contains("context window of the model has 10"),
        "{}",
        reply.reason()
    );
    assert_eq!((reply.calls().len(), model.requests().len()), (1, 1));
}

#[tokio::test]
async fn invalid_value_after_tools_is_repaired() {
    /// Count.
    #[llm_function(tools = [weather])]
    async fn count(llm: &dyn LlmInterface, city: &str) -> Result<u8>;

    let model = ScriptedModel::new([
        calls_weather("Paris"),
        ScriptedAnswer::text("many"),
        ScriptedAnswer::text(r#"{"value": 3}"#),
    ]);
    let reply = count(&model, "x").report().await.unwrap();
    assert_eq!((reply.value, reply.repairs, reply.calls.len()), (3, 1, 3));
}

#[tokio::test]
async fn chat_returns_the_answer_and_the_longer_history() {
    let model = ScriptedModel::new([
        ScriptedAnswer::text("Hello!").with_usage(5, 1),
        calls_weather("Rome").with_usage(9, 2),
        ScriptedAnswer::text("Sunny.").with_usage(15, 3),
    ]);
    let first = guide(&model, &[], "Hi").await.unwrap();
    assert_eq!(first.text(), "Hello!");
    assert_eq!(
        shown(&first.history),
        [message("user", "Hi", None), message("assistant", "Hello!", None)]
    );

    let second = guide(&model, &first.history, "Weather in Rome?").await.unwrap();
    assert_eq!(second.text(), "Sunny.");
    assert_eq!(second.usage, Some(Usage::new(24, 5)));
    assert_eq!(second.calls.len(), 2);
    assert_eq!(
        shown(&second.history),
        [
            message("user", "Hi", None),
            message("assistant", "Hello!", None),
            message("user", "Weather in Rome?", None),
            message("assistant", "", None),
            message("tool", r#"{"city":"Rome","degrees":21}"#, Some("c1")),
            message("assistant", "Sunny.", None),
        ]
    );
    let sent = shown(&model.requests()[2].messages);
    assert_eq!(sent[0], message("system", "You help with trips.", None));
    assert_eq!(sent[1..], shown(&second.history)[..5]);
}

#[tokio::test]
async fn chat_stream_yields_every_step() {
    let model = ScriptedModel::new([
        ScriptedAnswer::tool_calls([
            call("a", "weather", r#"{"city": "Paris"}"#),
            call("b", "weather", r#"{"city": "Atlantis"}"#),
        ])
        .with_usage(9, 2),
        ScriptedAnswer::text("")
            .in_pieces(["It is ", "sunny."])
            .with_usage(15, 3),
    ]);
    let mut events = guide(&model, &[], "Weather?").stream();
    let mut steps = Vec::new();
    let mut answer = None;
    while let Some(event) = events.next().await {
        steps.push(match event.unwrap() {
            ChatEvent::CallStart { round } => format!("start {round}"),
            ChatEvent::Chunk(chunk) if !chunk.text().is_empty() => format!("text {}", chunk.text()),
            ChatEvent::Chunk(_) => continue,
            ChatEvent::ToolArguments { index, name, delta } => format!("arguments {index} {name} {delta}"),
            ChatEvent::CallEnd { report, .. } => format!("end {:?}", report.usage.unwrap().total_tokens()),
            ChatEvent::ToolStart(call) => format!(
                "tool {} {}",
                call.id.unwrap(),
                call.function.unwrap().name.unwrap()
            ),
            ChatEvent::ToolEnd(finished) => {
                format!("result {} {}", finished.call.id.unwrap(), finished.output.text)
            }
            ChatEvent::End(last) => {
                answer = Some(last);
                "over".to_owned()
            }
            other => panic!("{other:?}"),
        });
    }
    // Tools that run at the same time may end in any order.
    steps[6..8].sort();
    assert_eq!(
        steps,
        [
            "start 0",
            r#"arguments 0 weather {"city": "Paris"}"#,
            r#"arguments 1 weather {"city": "Atlantis"}"#,
            "end Some(11)",
            "tool a weather",
            "tool b weather",
            r#"result a {"city":"Paris","degrees":21}"#,
            "result b error: the city has sunk",
            "start 1",
            "text It is ",
            "text sunny.",
            "end Some(18)",
            "over",
        ]
    );
    let answer = answer.unwrap();
    assert_eq!(answer.usage, Some(Usage::new(24, 5)));
    assert_eq!(answer.history, events.history());
    assert_eq!(answer.history.len(), 5);
}

#[tokio::test]
async fn failed_chat_stream_keeps_the_history_and_ends() {
    let model = ScriptedModel::new([
        calls_weather("Paris").with_usage(1, 2),
        ScriptedAnswer::text("It").then_failure(FailureKind::ConnectionLost),
    ]);
    let mut events = guide(&model, &[], "Weather?").stream();
    let error = loop {
        match events.next().await.unwrap() {
            Ok(ChatEvent::End(_)) => panic!("ended"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let FunctionError::Call { error, progress } = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::ConnectionLost));
    assert_eq!(progress.calls.len(), 1);
    assert_eq!(progress.history, events.history());
    assert_eq!(events.history().len(), 3);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn refused_chat_is_an_error_of_its_own() {
    let model = ScriptedModel::new([ScriptedAnswer::refusal("No"), ScriptedAnswer::refusal("No")]);
    let error = guide(&model, &[], "x").await.unwrap_err();
    assert!(
        matches!(&error, FunctionError::Refused(reply) if reply.text() == "No"),
        "{error:?}"
    );
    let mut events = guide(&model, &[], "x").stream();
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Err(FunctionError::Refused(_)))), "{last:?}");
}

/// Calls `cancel` with the reason once the model has received `requests` requests.
async fn cancel_after(model: &ScriptedModel, requests: usize, cancellation: &Cancellation) {
    while model.requests().len() < requests {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    cancellation.cancel("shutting down");
}

#[tokio::test(start_paused = true)]
async fn cancellation_ends_a_call_in_each_phase_with_its_reason() {
    let hanging_tools = || {
        ScriptedAnswer::tool_calls([
            call("c1", "weather", r#"{"city": "Rome"}"#),
            call("c2", "hang", "{}"),
        ])
        .with_usage(1, 1)
    };
    let weather_result = message("tool", r#"{"city":"Rome","degrees":21}"#, Some("c1"));
    let stopped = message("tool", "error: the call ended before the tool did", Some("c2"));
    // A script; the requests and the reports at its end; the text so far; the messages after the question.
    let scripts = [
        (vec![ScriptedAnswer::pending()], 1, 1, "", vec![]),
        (
            vec![ScriptedAnswer::text("So").then_pending()],
            1,
            1,
            "So",
            vec![],
        ),
        (
            vec![hanging_tools()],
            1,
            1,
            "",
            vec![message("assistant", "", None), weather_result.clone(), stopped],
        ),
        (
            vec![calls_weather("Rome"), ScriptedAnswer::pending()],
            2,
            2,
            "",
            vec![message("assistant", "", None), weather_result],
        ),
    ];
    for (script, requests, calls, text, history) in scripts {
        for is_stream in [false, true] {
            let model = ScriptedModel::new(script.clone());
            let cancellation = Cancellation::new();
            let turn = guide(&model, &[], "x").cancel_on(&cancellation);
            let run = async {
                if !is_stream {
                    return turn.await.unwrap_err();
                }
                let mut events = turn.stream();
                loop {
                    if let Err(error) = events.next().await.unwrap() {
                        assert_eq!(events.history(), error.progress().unwrap().history);
                        return error;
                    }
                }
            };
            let (error, ()) = tokio::join!(run, cancel_after(&model, requests, &cancellation));
            let FunctionError::Cancelled(reply) = &error else {
                panic!("{error:?}")
            };
            assert_eq!(reply.reason(), "shutting down");
            assert_eq!(reply.calls().len(), calls);
            assert_eq!(reply.text(), if is_stream { text } else { "" });
            assert_eq!(shown(reply.history())[1..], history);
            assert_eq!(model.requests().len(), requests);
            assert_eq!(
                error.to_string().split(" (").next(),
                Some("the call was cancelled")
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_request_has_unknown_usage_and_cancelled_tools_have_none() {
    let tools = ScriptedAnswer::tool_calls([call("c", "hang", "{}")]).with_usage(3, 4);
    for (script, usage) in [(ScriptedAnswer::pending(), None), (tools, Some(Usage::new(3, 4)))] {
        let model = ScriptedModel::new([script]);
        let cancellation = Cancellation::new();
        let turn = clothes(&model, "x").cancel_on(&cancellation);
        let (error, ()) = tokio::join!(turn.into_future(), cancel_after(&model, 1, &cancellation));
        assert_eq!(error.unwrap_err().usage(), usage);
    }
}

#[tokio::test]
async fn call_after_the_cancellation_sends_nothing() {
    let cancellation = Cancellation::new();
    cancellation.cancel("first");
    cancellation.cancel("second");
    let model = ScriptedModel::new([]);
    let error = clothes(&model, "x").cancel_on(&cancellation).await.unwrap_err();
    assert!(
        matches!(&error, FunctionError::Cancelled(reply) if reply.reason() == "first"),
        "{error:?}"
    );
    assert_eq!(model.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_call_ends_its_tools() {
    static ENDED: AtomicU32 = AtomicU32::new(0);
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            ENDED.fetch_add(1, Ordering::SeqCst);
        }
    }
    #[derive(serde::Deserialize, llmpool::structured::JsonSchema)]
    #[schemars(crate = "llmpool::structured::schemars")]
    struct Nothing {}
    let endless = CallableTool::new("endless", "Never ends.", |_: Nothing| async {
        let _guard = Guard;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        std::result::Result::<(), String>::Ok(())
    });
    let model = ScriptedModel::new([ScriptedAnswer::tool_calls([call("c", "endless", "{}")])]);
    let call = guide(&model, &[], "x").tool(endless);
    let ended = tokio::time::timeout(Duration::from_secs(1), call.into_future()).await;
    assert!(ended.is_err());
    tokio::task::yield_now().await;
    assert_eq!(ENDED.load(Ordering::SeqCst), 1);
}

/// A catalogue of books, which counts its searches.
#[derive(Default)]
struct Library {
    searches: AtomicU32,
}

#[tools]
impl Library {
    /// Searches the catalogue.
    #[tool]
    async fn search(
        &self,
        /// Words of the title.
        title: &str,
        /// Maximum number of results. Default: 1.
        limit: Option<usize>,
    ) -> Vec<String> {
        self.searches.fetch_add(1, Ordering::SeqCst);
        vec![title.to_uppercase(); limit.unwrap_or(1)]
    }

    fn count(&self) -> u32 {
        self.searches.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn methods_are_tools_with_state() {
    let library = Arc::new(Library::default());
    let arguments = r#"{"title": "ulysses", "limit": 2}"#;
    let model = ScriptedModel::new([
        ScriptedAnswer::tool_calls([
            call("a", "search", arguments),
            call("b", "search", r#"{"title": "x", "limit": null}"#),
        ]),
        ScriptedAnswer::text("Found."),
    ]);
    let answer = guide(&model, &[], "Books?").tools(library.tools()).await.unwrap();
    assert_eq!(library.count(), 2);
    assert_eq!(answer.history[2].text(), r#"["ULYSSES","ULYSSES"]"#);
    assert_eq!(answer.history[3].text(), r#"["X"]"#);
    assert_eq!(model.requests()[0].tools.len(), 5);
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[tokio::test]
async fn image_of_a_tool_follows_the_results() {
    /// Draws.
    #[tool]
    async fn draw() -> Image {
        Image::from_bytes(PNG).unwrap()
    }

    let model = ScriptedModel::new([
        ScriptedAnswer::tool_calls([call("c", "draw", "{}")]),
        ScriptedAnswer::text("Nice."),
    ]);
    guide(&model, &[], "Draw").tool(draw::tool()).await.unwrap();
    let messages = model.requests()[1].messages.clone();
    assert_eq!(messages[3].text(), "[image 1]");
    let Some(Content::Parts(parts)) = &messages[4].content else {
        panic!("{messages:?}")
    };
    assert_eq!(messages[4].role, Some(Role::User));
    assert_eq!(parts[0], Part::text("Attachments of draw (c):"));
    assert_eq!(parts[1], Part::image("data:image/png;base64,iVBORw0KGgo="));
}

#[tokio::test]
async fn tool_runs_without_a_model() {
    let output: ToolOutput = weather::tool().call(r#"{"city": "Oslo"}"#).await;
    assert_eq!(output.text, r#"{"city":"Oslo","degrees":21}"#);
    assert!(!output.is_error);
    assert_eq!(weather::tool().name(), "weather");
}

#[tokio::test(start_paused = true)]
async fn timeout_bounds_requests_and_tools_together() {
    let hanging_tool = ScriptedAnswer::tool_calls([call("c", "hang", "{}")]);
    let scripts = [
        (vec![ScriptedAnswer::pending()], 0),
        (vec![hanging_tool], 1),
        (vec![calls_weather("Rome"), ScriptedAnswer::pending()], 1),
    ];
    for (script, earlier_calls) in scripts {
        let model = ScriptedModel::new(script);
        let started = tokio::time::Instant::now();
        let error = clothes(&model, "x")
            .timeout(Duration::from_secs(3))
            .await
            .unwrap_err();
        assert_eq!(started.elapsed().as_secs(), 3);
        let FunctionError::Call { error, progress } = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::DeadlineExceeded));
        assert_eq!(progress.calls.len(), earlier_calls);
        // The request itself ends at the deadline of the call, so that its report is kept.
        let left = model.options().last().unwrap().timeout;
        assert_eq!(left, Some(Duration::from_secs(3)));
    }
}

#[tokio::test]
async fn truncated_reply_runs_no_tool() {
    for is_stream in [false, true] {
        let model = ScriptedModel::new([calls_weather("Rome").truncated()]);
        let error = if is_stream {
            let mut events = guide(&model, &[], "x").stream();
            loop {
                if let Err(error) = events.next().await.unwrap() {
                    break error;
                }
            }
        } else {
            guide(&model, &[], "x").await.unwrap_err()
        };
        assert!(matches!(error, FunctionError::Truncated(_)), "{error:?}");
        assert_eq!(model.requests().len(), 1);
    }
}

#[tokio::test]
async fn end_of_the_last_call_is_an_event_before_the_error() {
    let model = ScriptedModel::new([calls_weather("Rome").with_usage(1, 2)]);
    let mut events = guide(&model, &[], "x").rounds(0).stream();
    let mut ends = 0;
    let error = loop {
        match events.next().await.unwrap() {
            Ok(event) => ends += usize::from(matches!(event, ChatEvent::CallEnd { .. })),
            Err(error) => break error,
        }
    };
    assert_eq!(ends, 1);
    assert_eq!(
        error.to_string(),
        "the model called tools in more than 0 rounds; raise `rounds`"
    );
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn default_is_eight_rounds() {
    let model = ScriptedModel::new((0..20).map(|_| calls_weather("Rome")));
    /// Ask.
    #[llm_function(tools = [weather])]
    async fn ask(llm: &dyn LlmInterface) -> Result<String>;
    let error = ask(&model).await.unwrap_err();
    assert!(matches!(error, FunctionError::TooManyRounds(_)), "{error:?}");
    assert_eq!(model.requests().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn defaults_of_a_tool_are_a_minute_and_32_kib() {
    /// Waits for ever.
    #[tool]
    async fn endless() -> String {
        std::future::pending().await
    }
    /// Returns many letters.
    #[tool]
    async fn long() -> String {
        "a".repeat(40_000)
    }
    assert_eq!(endless::tool().call("{}").await.text, "error: timeout after 60s");
    let output = long::tool().call("").await;
    assert_eq!(output.text[32_768..], *"\n[cut: 32768 of 40000 bytes are shown]");
}

#[tokio::test]
async fn streamed_text_beside_tool_calls_is_taken_back() {
    let with_text =
        ScriptedAnswer::tool_calls([call("c", "weather", r#"{"city": "Rome"}"#)]).in_pieces(["Let me see"]);
    let model = ScriptedModel::new([with_text, ScriptedAnswer::text("A shirt.")]);
    let mut stream = clothes(&model, "x").stream();
    let mut text = String::new();
    let value = loop {
        match stream.next().await.unwrap().unwrap() {
            StreamedPart::Text(piece) => text.push_str(&piece),
            StreamedPart::Restart => {
                assert_eq!(text, "Let me see");
                text.clear();
            }
            StreamedPart::Value(reply) => break reply.value,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((text.as_str(), value.as_str()), ("A shirt.", "A shirt."));
}

#[tokio::test]
async fn forced_tool_choice_applies_to_the_first_request() {
    let model = ScriptedModel::new([calls_weather("Rome"), ScriptedAnswer::text("A shirt.")]);
    let call =
        clothes(&model, "x").request(|request| request.tool_choice = Some(ToolChoice::function("weather")));
    call.await.unwrap();
    let choices: Vec<_> = model
        .requests()
        .into_iter()
        .map(|request| request.tool_choice)
        .collect();
    assert_eq!(choices, [Some(ToolChoice::function("weather")), None]);
}

#[tokio::test]
async fn audio_does_not_fill_the_context_window() {
    /// Listen.
    #[llm_function(tools = [weather])]
    async fn listen(llm: &dyn LlmInterface, audio: &Audio) -> Result<String>;
    let audio = Audio::from_bytes(&[&b"ID3"[..], &[7; 400_000]].concat()).unwrap();
    let model =
        ScriptedModel::new([calls_weather("Rome"), ScriptedAnswer::text("ok")]).with_context_window(4000);
    assert_eq!(listen(&model, &audio).await.unwrap(), "ok");
}
