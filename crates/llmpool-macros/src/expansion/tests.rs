#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use insta::assert_snapshot;

use super::{llm_chat, llm_function};
use crate::testing::{messages, pretty};

fn expand(options: &str, item: &str) -> String {
    pretty(llm_function(options.parse().unwrap(), item.parse().unwrap()))
}

fn mistakes(options: &str, item: &str) -> Vec<String> {
    messages(llm_function(options.parse().unwrap(), item.parse().unwrap()))
}

#[test]
fn plain_function() {
    assert_snapshot!(expand(
        "check = sane, repairs = 2",
        "/// Sort this support mail. Urgent means money or safety.
         async fn triage(llm: &dyn LlmInterface, mail: &str, history: &[Note]) -> Result<Ticket>;",
    ));
}

#[test]
fn function_with_all_options() {
    assert_snapshot!(expand(
        "check = checks::sane, repairs = 2, rounds = 4, temperature = 0.2, top_p = 1, max_tokens = 500, seed = -7,
         timeout = 2.5, tools = [weather, time::now], examples = samples, crate = crate::inner",
        "/// Plan a trip.
         #[cfg(feature = \"trips\")]
         #[allow(dead_code)]
         pub(crate) async fn plan(llm: &impl LlmInterface, wish: Wish) -> trips::Result<Plan, Error>;",
    ));
}

#[test]
fn function_with_generics_and_lifetimes() {
    assert_snapshot!(expand(
        "",
        "/// Summarize.
         pub async fn summarize<'a, M, T, const N: usize>(llm: &'a M, r#type: &[T; N], rest: impl Serialize) -> Result<String>
         where M: LlmInterface, T: Serialize;
        ",
    ));
}

#[test]
fn function_with_placeholders() {
    assert_snapshot!(expand(
        "",
        r#"/// Translate to {language}, as {{language}} or {"a": {"b": 1}}:
         ///
         ///   - keep the {tone}
         async fn translate<'llm>(model: &'_ dyn LlmInterface, language: &'llm str, tone: Tone, text: &str) -> Result<String>;
        "#,
    ));
}

#[test]
fn mistaken_function_keeps_its_signature() {
    assert_snapshot!(expand(
        "repair = 2",
        "/// Translate to {langauge}.
         pub const unsafe extern \"C\" fn translate(&self, llm: &dyn LlmInterface, language: &str, rest: ...) -> Result<String>;",
    ));
}

#[test]
fn function_without_model_keeps_its_signature() {
    assert_snapshot!(expand(
        "",
        "/// Greet.\n async fn greet(/// Who.\n name: &str) -> Result<String>;"
    ));
}

/// A declaration with one mistake each.
#[test]
fn each_mistake_says_the_fix() {
    for (item, expected) in [
        (
            "fn f(llm: &dyn L) -> R;",
            "a function with `#[llm_function]` is awaited; write `async fn`",
        ),
        (
            "async fn f(llm: &dyn L) -> R { todo() }",
            "remove the body and end the signature with `;`: the model writes the answer",
        ),
        (
            "async fn f() -> R;",
            "the first parameter is the model; write `llm: &dyn LlmInterface`",
        ),
        (
            "async fn f(llm: Model) -> R;",
            "the first parameter is the model, as a reference; write `llm: &dyn LlmInterface`",
        ),
        (
            "async fn f(text: &str) -> R;",
            "the first parameter is the model, before the arguments; write `llm: &dyn LlmInterface`",
        ),
        (
            "async fn f(llm: &mut Model) -> R;",
            "a call only reads the model; remove `mut`",
        ),
        (
            "async fn f(&self, llm: &dyn L) -> R;",
            "`#[llm_function]` takes no `self`; pass what the prompt needs as parameters",
        ),
        (
            "async fn f(llm: &dyn L, (a, b): (u8, u8)) -> R;",
            "a parameter is shown to the model by its name; write `name: Type`",
        ),
        (
            "async fn f(_: &dyn L) -> R;",
            "a parameter is shown to the model by its name; write `name: Type`",
        ),
        (
            "async fn f(llm: &dyn L, mut a: u8) -> R;",
            "`mut` has no effect without a body; remove it",
        ),
        (
            "async fn f(llm: &dyn L);",
            "a call returns the answer or an error; write `-> Result<T, E>` after the parameters",
        ),
        (
            "async fn f(llm: &dyn L) -> (u8, u8);",
            "a call returns the answer or an error; return `Result<T, E>`",
        ),
        (
            "async fn f(llm: &dyn L) -> impl Future;",
            "a call returns the answer or an error; return `Result<T, E>`",
        ),
        (
            "async fn f<T>(llm: &dyn L) -> Result<Vec<T>>;",
            "the return type depends on `T`, but its schema is fixed; write one function for each type",
        ),
        (
            "async fn f<const N: usize>(llm: &dyn L) -> Result<[u8; N]>;",
            "the return type depends on `N`, but its schema is fixed; write one function for each type",
        ),
        (
            "async fn f<'a>(llm: &dyn L, a: &'a str) -> Result<Cow<'a, str>>;",
            "the return type borrows, but an answer is a new value; return an owned type such as `String`",
        ),
        (
            "async fn f(llm: &dyn L, a: &str) -> Result<&str>;",
            "the return type borrows, but an answer is a new value; return an owned type such as `String`",
        ),
        (
            "async fn f(llm: &dyn L) -> Result<impl Answer>;",
            "the schema of the answer needs the name of its type; replace `impl …`",
        ),
        (
            "async fn f(llm: &dyn L) -> Result<Self>;",
            "the return type cannot be `Self`; write the name of the type",
        ),
        (
            "const async fn f(llm: &dyn L) -> R;",
            "a function with `#[llm_function]` is called at run time; remove `const`",
        ),
        (
            "async unsafe fn f(llm: &dyn L) -> R;",
            "a function with `#[llm_function]` is safe to call; remove `unsafe`",
        ),
        (
            "async extern \"C\" fn f(llm: &dyn L) -> R;",
            "a function with `#[llm_function]` is a Rust function; remove `extern`",
        ),
        (
            "async fn f(llm: &dyn L, rest: ...) -> R;",
            "parameters have names and types; write `items: &[Item]`",
        ),
        (
            "async fn f(llm: &dyn L, /** a */ a: u8) -> R;",
            "parameters have no doc comments here; describe the parameter in the prompt above the function",
        ),
        (
            "async fn f(llm: &dyn L, #[cfg(x)] a: u8) -> R;",
            "a parameter cannot be conditional; put the condition on the function",
        ),
    ] {
        assert_eq!(mistakes("", &format!("/** Do. */ {item}")), [expected], "{item}");
    }
}

#[test]
fn parameter_that_hides_a_function_of_an_option_is_a_mistake() {
    let hidden = |name| {
        format!("the parameter `{name}` hides the function; rename the parameter or write `self::{name}`")
    };
    let item = "/** Do. */ async fn f(llm: &dyn L, valid: bool, samples: u8, weather: &str) -> R;";
    for (options, expected) in [
        ("check = valid", vec![hidden("valid")]),
        (
            "examples = samples, check = llm",
            vec![hidden("llm"), hidden("samples")],
        ),
        ("check = self::valid", vec![]),
        // The type of a tool is in another namespace.
        ("tools = [weather]", vec![]),
    ] {
        assert_eq!(mistakes(options, item), expected, "{options}");
    }
    assert_eq!(mistakes("check = r#valid", item).len(), 1);
}

#[test]
fn missing_prompt_is_a_mistake() {
    let expected = ["the doc comment is the prompt; write `/// …` above the function"];
    for prompt in ["", "///\n", "#[doc(hidden)]"] {
        assert_eq!(
            mistakes("", &format!("{prompt} async fn f(llm: &dyn L) -> R;")),
            expected,
            "{prompt}"
        );
    }
    let included = mistakes("", "#[doc = include_str!(\"a\")] async fn f(llm: &dyn L) -> R;");
    assert!(
        included.len() == 1 && included[0].contains("write the text itself"),
        "{included:?}"
    );
}

#[test]
fn all_mistakes_are_reported_together() {
    let found = mistakes(
        "repair = 2, temperature = -1",
        "/// {nmae} {llm}\n fn f(llm: &dyn L, name: &str, _: u8) -> Result<&str> {}",
    );
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn item_that_is_no_function_is_one_mistake() {
    assert_eq!(mistakes("", "struct Ticket;").len(), 1);
}

#[test]
fn chat() {
    assert_snapshot!(pretty(llm_chat(
        "tools = [search], rounds = 8".parse().unwrap(),
        "/// You are the librarian of {city}.
         async fn librarian(llm: &dyn LlmInterface, history: &[Message], city: &str, message: &str) -> Result<ChatAnswer>;"
            .parse()
            .unwrap(),
    )));
}

#[test]
fn chat_needs_a_history() {
    let expected = "the second parameter is the conversation so far; write `history: &[Message]`";
    for (signature, expected) in [
        ("async fn f(llm: &dyn L) -> R;", expected),
        ("async fn f(llm: &dyn L, message: &str) -> R;", expected),
        (
            "async fn f(&self, llm: &dyn L, history: &[Message]) -> R;",
            "`#[llm_chat]` takes no `self`; pass what the prompt needs as parameters",
        ),
    ] {
        let item = format!("/** Do. */ {signature}").parse().unwrap();
        assert_eq!(
            messages(llm_chat("".parse().unwrap(), item)),
            [expected],
            "{signature}"
        );
    }
    let item = "/** Read {history}. */ async fn f(llm: &dyn L, history: &[Message]) -> R;"
        .parse()
        .unwrap();
    let found = messages(llm_chat("check = sane".parse().unwrap(), item));
    assert!(
        found.len() == 2 && found[1].contains("`{history}` is the history"),
        "{found:?}"
    );
}
