//! The expansions compile without warnings, against a stand-in for `llmpool`, and say what their signatures
//! say.

#![deny(
    warnings,
    missing_docs,
    unreachable_pub,
    elided_lifetimes_in_paths,
    clippy::all,
    clippy::pedantic
)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::unused_async, reason = "tools are async")]
#![allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "each form of a parameter is tested"
)]

#[allow(clippy::all, clippy::pedantic, reason = "a stand-in, not an expansion")]
mod runtime;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use llmpool_macros::{llm_chat, llm_function, tool, tools};
use runtime::function::{LlmInterface, Model, schemars, serde};
use runtime::tool::CallableTool;
use serde_json::json;

type Result<T, E = std::fmt::Error> = std::result::Result<T, E>;

/// An answer.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "runtime::function::serde")]
struct Ticket {
    urgent: bool,
}

fn sane(ticket: &Ticket) -> Result<(), String> {
    if ticket.urgent {
        Ok(())
    } else {
        Err("not urgent".to_owned())
    }
}

fn samples() -> [(&'static str, &'static str); 2] {
    [("a", "b"), ("c", "d")]
}

/// Sort this mail for {team}, as {{team}} or {"a": {"b": 1}}.
#[llm_function(
    check = sane, repairs = 2, rounds = 3, temperature = 0, top_p = 0.5, max_tokens = 100, seed = -1, timeout = 1.5,
    tools = [weather], examples = samples, crate = runtime
)]
async fn triage(llm: &dyn LlmInterface, mail: &str, team: String, notes: &[u8]) -> Result<Ticket>;

/// Greet.
#[llm_function(crate = runtime)]
async fn greet(llm: &dyn LlmInterface) -> Result<String>;

/// Summarize.
#[llm_function(crate = crate::runtime)]
async fn summarize<'a, M: LlmInterface, T>(
    llm: &'a M,
    r#type: &[T; 2],
    rest: impl serde::Serialize,
) -> Result<String>
where
    T: serde::Serialize;

/// You are the librarian.
#[llm_chat(rounds = 2, crate = runtime)]
async fn librarian(llm: &impl LlmInterface, history: &[String], message: &str) -> Result<String>;

/// Returns the weather of a city.
///
/// With {braces}.
#[tool(timeout = 2, max_output = 100, crate = runtime)]
async fn weather(
    /// The name of the city.
    city: &str,
    /// Days from today,
    /// from 0.
    #[serde(default)]
    days: u8,
    /// Names of stations.
    stations: &[String],
    /// The unit.
    unit: &u32,
) -> Result<String, String> {
    if city.is_empty() {
        return Err("no city".to_owned());
    }
    Ok(format!("{city} {days} {} {unit}", stations.len()))
}

/// Returns the answer.
#[tool(name = "the-answer", crate = runtime)]
async fn answer() -> u8 {
    42
}

/// Does nothing.
#[tool(crate = runtime)]
async fn nothing() {}

/// Declares a function and a tool whose doc comments are arguments of a macro.
macro_rules! declare {
    ($function:ident, $prompt:literal, $tool:ident, $description:expr) => {
        #[doc = $prompt]
        #[llm_function(crate = runtime)]
        async fn $function(llm: &dyn LlmInterface) -> Result<String>;

        #[doc = $description]
        #[tool(crate = runtime)]
        async fn $tool() {}
    };
}

declare!(part, "Say goodbye.", rest, "Does nothing for a while.");

struct Counter<T> {
    count: AtomicU32,
    label: T,
}

#[tools(crate = runtime)]
impl<T: AsRef<str>> Counter<T> {
    /// Adds a number.
    #[tool(timeout = 1)]
    async fn add(
        &self,
        /// The number.
        number: u32,
    ) -> u32 {
        self.count.fetch_add(number, Ordering::Relaxed) + number
    }

    /// Returns the label.
    #[tool]
    async fn read_label(&self) -> Result<String> {
        Ok(self.label())
    }
}

#[tools(method = reset_tools, crate = runtime)]
impl<T> Counter<T> {
    /// Sets the number to 0.
    #[tool]
    async fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
    }
}

impl<T: AsRef<str>> Counter<T> {
    fn label(&self) -> String {
        self.label.as_ref().to_owned()
    }
}

#[test]
fn function_is_one_chain_of_calls() {
    let log = {
        let (mail, notes) = ("a mail".to_owned(), vec![1]);
        triage(&Model, &mail, "ops".to_owned(), &notes).log
    };
    assert_eq!(
        log,
        [
            "call triage",
            "text Sort this mail for ",
            "placeholder team",
            "text , as {team} or {\"a\": {\"b\": 1}}.",
            "argument mail \"a mail\"",
            "argument team \"ops\"",
            "argument notes [1]",
            "check",
            "repairs 2",
            "rounds 3",
            "temperature 0",
            "top_p 0.5",
            "max_tokens 100",
            "seed -1",
            "timeout 1.5s",
            "tool weather",
            "examples 2",
        ]
    );
    assert_eq!(greet(&Model).log, ["call greet", "text Greet."]);
}

#[test]
fn doc_comments_can_come_from_a_macro() {
    assert_eq!(part(&Model).log, ["call part", "text Say goodbye."]);
    assert_eq!(rest::tool().description, "Does nothing for a while.");
}

#[test]
fn call_borrows_only_the_model() {
    let call = {
        let text = "short-lived".to_owned();
        summarize(&Model, &[1, 2], &text)
    };
    assert_eq!(
        call.log[2..],
        ["argument type [1,2]", "argument rest \"short-lived\""]
    );
}

#[test]
fn chat_gets_its_history() {
    let call = librarian(&Model, &["a".to_owned()], "hello").0;
    assert_eq!(
        call.log,
        [
            "call librarian",
            "text You are the librarian.",
            "history 1",
            "argument message \"hello\"",
            "rounds 2"
        ]
    );
}

#[test]
fn tool_has_schema_and_code() {
    let tool = weather::tool();
    assert_eq!(
        (tool.name, tool.description),
        ("weather", "Returns the weather of a city.\n\nWith {braces}.")
    );
    assert_eq!(
        (tool.timeout, tool.max_output),
        (Some(Duration::from_secs(2)), Some(100))
    );
    assert_eq!(
        tool.schema["properties"]["city"]["description"],
        "The name of the city."
    );
    assert_eq!(
        tool.schema["properties"]["days"]["description"],
        "Days from today,\nfrom 0."
    );
    assert_eq!(tool.schema["required"], json!(["city", "stations", "unit"]));
    assert_eq!(
        tool.run(json!({"city": "Rome", "stations": ["a", "b"], "unit": 9})),
        Ok(json!("Rome 0 2 9"))
    );
    assert_eq!(
        tool.run(json!({"city": "", "stations": [], "unit": 1})),
        Err("no city".to_owned())
    );
    assert!(tool.run(json!({})).is_err());
}

#[test]
fn tool_stays_a_function() {
    let mut future = std::pin::pin!(weather("Rome", 1, &[], &3));
    let ready = future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert_eq!(ready, std::task::Poll::Ready(Ok("Rome 1 0 3".to_owned())));
}

#[test]
fn tool_without_result_succeeds() {
    assert_eq!(answer::tool().name, "the-answer");
    assert_eq!(answer::tool().run(json!({})), Ok(json!(42)));
    assert_eq!(nothing::tool().run(json!({})), Ok(json!(null)));
}

#[test]
fn tools_share_their_value() {
    let counter = Arc::new(Counter {
        count: AtomicU32::new(1),
        label: "clicks".to_owned(),
    });
    let tools = counter.tools();
    assert_eq!(
        tools.iter().map(|tool| tool.name).collect::<Vec<_>>(),
        ["add", "read_label"]
    );
    assert_eq!(tools[0].timeout, Some(Duration::from_secs(1)));
    let run = |tool: &CallableTool, arguments| tool.run(arguments).unwrap();
    assert_eq!(run(&tools[0], json!({"number": 2})), 3);
    assert_eq!(run(&tools[0], json!({"number": 4})), 7);
    assert_eq!(run(&tools[1], json!({})), "clicks");
    assert_eq!(counter.count.load(Ordering::Relaxed), 7);
    run(&counter.reset_tools()[0], json!({}));
    assert_eq!(counter.count.load(Ordering::Relaxed), 0);
}
