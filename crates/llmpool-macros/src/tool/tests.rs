#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use insta::assert_snapshot;

use super::tool;
use crate::testing::{messages, pretty};

fn expand(options: &str, item: &str) -> String {
    pretty(tool(options.parse().unwrap(), item.parse().unwrap()))
}

#[test]
fn tool_with_borrowed_and_owned_parameters() {
    assert_snapshot!(expand(
        "timeout = 10, max_output = 4096",
        "/// Returns the weather of a city.
         ///
         /// Braces are text: {city}.
         #[cfg(feature = \"weather\")]
         pub async fn weather(
             /// The name of the city.
             city: &str,
             /// The days from today.
             #[serde(default)]
             #[allow(unused)]
             mut days: Vec<u8>,
             /// Stations to leave out,
             /// by their ids.
             without: &'_ [Station],
             /// The unit.
             unit: &Unit,
         ) -> Result<Forecast, Error> { load(city, days).await }",
    ));
}

#[test]
fn infallible_tool_without_parameters() {
    assert_snapshot!(expand(
        "name = \"current-time\", crate = crate::inner",
        "/// Returns the time.\n async fn now() -> String { clock() }",
    ));
}

#[test]
fn arguments_struct_avoids_the_names_of_types() {
    let expanded = expand("", "/// A.\n async fn a(/** A. */ a: Arguments) {}");
    assert!(expanded.contains("struct Arguments_ {"), "{expanded}");
    assert!(expanded.contains("|arguments: Arguments_|"), "{expanded}");
}

#[test]
fn mistaken_tool_keeps_its_signature() {
    assert_snapshot!(expand(
        "tiemout = 1",
        "async fn weather(city: &str) -> String { load(city) }"
    ));
    assert_snapshot!(expand(
        "",
        "/// A.\n async fn weather(&self) -> String { load() }"
    ));
}

#[test]
fn each_mistake_says_the_fix() {
    let name = "the name of a tool has 1 to 64 of the characters a-z, A-Z, 0-9, `_` and `-`";
    for (options, item, expected) in [
        (
            "",
            "fn f() {}",
            "a function with `#[tool]` is awaited; write `async fn`",
        ),
        (
            "",
            "async fn f();",
            "a tool is code that the model calls; write a body",
        ),
        (
            "",
            "async fn f(&self) {}",
            "a method is a tool of its value; write `#[tools]` on the `impl` block too",
        ),
        (
            "",
            "async fn f<T>() {}",
            "the arguments of a tool have fixed types without lifetimes; remove the generics; for a generic type, write `#[tools]` on its `impl` block",
        ),
        (
            "",
            "async fn f(a: u8) {}",
            "the model reads the description of `a`; write `/// …` above the parameter",
        ),
        (
            "",
            "async fn f(/** */ r#type: u8) {}",
            "the model reads the description of `type`; write `/// …` above the parameter",
        ),
        (
            "",
            "async fn f(/** A. */ (a, b): (u8, u8)) {}",
            "the model sets a parameter by its name; write `name: Type`",
        ),
        (
            "",
            "async fn f(/** A. */ #[cfg(x)] a: u8) {}",
            "a parameter cannot be conditional; put the condition on the function",
        ),
        (
            "",
            "async fn f(/** A. */ #[cfg_attr(x, serde(default))] a: u8) {}",
            "a parameter cannot be conditional; put the condition on the function",
        ),
        (
            "",
            "async fn f(/** A. */ a: &mut u8) {}",
            "an argument is passed as a value or as `&`; remove `mut`",
        ),
        (
            "",
            "async fn f(/** A. */ a: &'static str) {}",
            "an argument lives as long as the call of the tool; remove the lifetime",
        ),
        (
            "",
            "async fn f(/** A. */ a: Option<&str>) {}",
            "a reference inside another type has no owner; write an owned type, such as `Option<String>`",
        ),
        (
            "",
            "async fn f(/** A. */ a: &dyn Fn()) {}",
            "an argument is parsed from JSON; write a type that implements `Deserialize` and `JsonSchema`",
        ),
        (
            "",
            "async fn f(/** A. */ a: impl Fn()) {}",
            "an argument is parsed from JSON; write a type that implements `Deserialize` and `JsonSchema`",
        ),
        (
            "",
            "async fn f(/** A. */ a: Vec<Self>) {}",
            "the type of an argument cannot be `Self`; write the name of the type",
        ),
        (
            "",
            "async fn f(/** A. */ a: &str) -> &str { a }",
            "the result of a tool outlives its arguments; return an owned type such as `String`",
        ),
        ("name = \"a b\"", "async fn f() {}", name),
        ("name = \"\"", "async fn f() {}", name),
        (
            "",
            "async fn größe() {}",
            &format!("{name}; set one, as `#[tool(name = \"…\")]`"),
        ),
    ] {
        let item = format!("/** Do. */ {item}");
        assert_eq!(
            messages(tool(options.parse().unwrap(), item.parse().unwrap())),
            [expected],
            "{item}"
        );
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let found = messages(tool(
        "tiemout = 1, crate = 2".parse().unwrap(),
        "fn f<T>(a: &mut u8, b: Option<&str>) -> &str {}".parse().unwrap(),
    ));
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn name_has_at_most_64_characters() {
    let item = "/** Do. */ async fn f() {}";
    for (length, count) in [(64, 0), (65, 1)] {
        let options = format!("name = \"{}\"", "a".repeat(length));
        assert_eq!(
            messages(tool(options.parse().unwrap(), item.parse().unwrap())).len(),
            count,
            "{length}"
        );
    }
}
