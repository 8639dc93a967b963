//! Replies of any Rust type: their schemas, their text, and what is read from a model's text.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::LazyLock;

use llmpool_core::answer_format::{self, AnswerFormat};
use llmpool_core::chat::{ChatCompletion, ChatRequest, NamedSchema, ResponseFormat};
use llmpool_core::schema_limits::check_chat;
use llmpool_core::structured::{
    JsonSchema, ReplyError, ReplySchema, SchemaError, Unsupported, json_schema, schemars,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strict_subset::{assert_strict, is_valid};

#[path = "support/strict_subset.rs"]
mod strict_subset;

/// A support ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Ticket {
    title: String,
    urgency: Urgency,
    customer: Option<Customer>,
    tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Customer {
    name: String,
    age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Urgency {
    Low,
    VeryHigh,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum External {
    Nothing,
    Count(u32),
    Place { x: i32, y: i32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Internal {
    Nothing,
    Person(Customer),
    Place { x: i32, y: i32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    Nothing,
    Count(u32),
    Place { x: i32, y: i32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Untagged {
    Count(u32),
    Words(Vec<String>),
    Place { x: i32, y: i32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Tree {
    Leaf(i64),
    Node(Vec<Tree>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Person {
    name: String,
    friend: Option<Box<Person>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
    last: Option<T>,
}

/// A name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Name(String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct FullName(Name);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct ShortName(#[schemars(length(max = 3))] String);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Celsius(f64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Buyer(Customer);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Prices {
    shop: String,
    of: BTreeMap<String, f64>,
    owner: Person,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Seller(Prices);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Open {
    name: String,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Flat {
    name: String,
    #[serde(flatten)]
    kind: Internal,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Rose {
    Leaf((u8, u8)),
    Node(Vec<Rose>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Nothing;

fn of<T: JsonSchema>() -> ReplySchema {
    ReplySchema::of::<T>().unwrap()
}

fn named(schema: &ReplySchema) -> &NamedSchema {
    match schema.response_format() {
        Some(ResponseFormat::JsonSchema(format)) => &format.json_schema,
        _ => panic!("no JSON schema"),
    }
}

fn document<T: JsonSchema>() -> Value {
    named(&of::<T>()).schema.clone().unwrap().value()
}

fn reply(text: &str) -> ChatCompletion {
    serde_json::from_value(json!({"choices": [{"finish_reason": "stop", "message": {"content": text}}]}))
        .unwrap()
}

/// Asserts that every reference of the schema has a target.
fn assert_references(root: &Value) {
    let text = root.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(root.pointer(pointer).is_some(), "{pointer} in {text}");
    }
}

/// Asserts that the schema can be written in type notation, with all names of properties and listed values.
fn assert_notation(schema: &ReplySchema, root: &Value) {
    let mut request = ChatRequest::user("?");
    request.response_format = schema.response_format().cloned();
    let adapted = answer_format::adapt(&request, AnswerFormat::Text).unwrap();
    let text = adapted.messages[0].text();
    // Keys that have to match a pattern: the notation has no type for them.
    let is_written = !root.to_string().contains("patternProperties");
    assert_eq!(text.contains("```json\n"), is_written, "{text}");
    if !is_written {
        return;
    }
    let mut pending = vec![root];
    while let Some(schema) = pending.pop() {
        for name in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
        {
            let name = Value::from(name.as_str());
            let is_written = [":", "?:"]
                .iter()
                .any(|end| text.contains(&format!("{name}{end}")));
            assert!(is_written, "{name} in {text}");
        }
        let listed = schema["enum"].as_array().into_iter().flatten();
        for value in listed.chain(schema.get("const")) {
            assert!(text.contains(&value.to_string()), "{value} in {text}");
        }
        pending.extend(schema.as_object().into_iter().flat_map(|map| map.values()));
        pending.extend(schema.as_array().into_iter().flatten());
    }
}

/// Asserts that values of the type are read from the text that a model should write, also within other text.
fn assert_readable<T>(schema: &ReplySchema, values: &[T])
where
    T: Clone + Debug + PartialEq + Serialize + DeserializeOwned,
{
    for value in values {
        let text = schema.encode(value).unwrap();
        assert_eq!(schema.parse::<T>(&reply(&text)).as_ref(), Ok(value), "{text}");
        assert_eq!(schema.parse_text::<T>(&text).as_ref(), Ok(value));
        assert!(!format!("{schema:?}").contains("properties"));
    }
}

/// Checks a type whose replies are JSON that providers enforce. `is_wrapped` is whether the value is the member
/// `value` of the reply.
fn strict<T>(name: &str, is_wrapped: bool, values: &[T])
where
    T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema,
{
    let schema = of::<T>();
    assert!(schema.is_strict(), "{name}");
    let (format, root) = (named(&schema), document::<T>());
    assert_eq!((format.name.as_str(), format.strict), (name, Some(true)));
    assert_strict(&root);
    assert_references(&root);
    assert_notation(&schema, &root);
    assert_eq!(root["type"], "object");
    let mut request = ChatRequest::user("?");
    request.response_format = schema.response_format().cloned();
    check_chat(&request).unwrap();
    assert_eq!(json_schema::<T>().is_ok(), !is_wrapped, "{name}");
    if is_wrapped {
        assert_eq!(root["required"], json!(["value"]));
    } else {
        assert_eq!(schema.response_format(), Some(&json_schema::<T>().unwrap()));
    }
    assert_readable(&schema, values);
    for value in values {
        let text = schema.encode(value).unwrap();
        assert!(
            is_valid(&root, &root, &serde_json::from_str(&text).unwrap()),
            "{text}"
        );
        let bare = serde_json::to_string(value).unwrap();
        assert_eq!(
            text,
            if is_wrapped {
                format!("{{\"value\":{bare}}}")
            } else {
                bare.clone()
            }
        );
        assert_eq!(
            schema.parse_text::<T>(&bare).as_ref(),
            Ok(value),
            "without a wrapper: {bare}"
        );
    }
}

/// Checks a type whose replies are JSON that providers do not enforce.
fn loose<T>(name: &str, is_wrapped: bool, values: &[T]) -> Value
where
    T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema,
{
    let schema = of::<T>();
    assert!(!schema.is_strict(), "{name}");
    let (format, root) = (named(&schema), document::<T>());
    assert_eq!((format.name.as_str(), format.strict), (name, Some(false)));
    assert_references(&root);
    assert_notation(&schema, &root);
    assert_eq!(root["type"], "object");
    assert!(root.get("$ref").is_none());
    assert_eq!(root["required"] == json!(["value"]), is_wrapped);
    assert_readable(&schema, values);
    root
}

/// Checks a type whose replies are plain text.
fn text<T>(values: &[T])
where
    T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + JsonSchema,
{
    let schema = of::<T>();
    assert!(schema.response_format().is_none() && !schema.is_strict());
    assert_eq!(format!("{schema:?}"), "ReplySchema(text)");
    assert_readable(&schema, values);
}

fn customer() -> Customer {
    Customer {
        name: "A".to_owned(),
        age: 7,
    }
}

fn ticket() -> Ticket {
    Ticket {
        title: "a } \" ``` b".to_owned(),
        urgency: Urgency::VeryHigh,
        customer: Some(customer()),
        tags: vec!["é".to_owned()],
    }
}

#[test]
fn structs_are_objects_that_providers_enforce() {
    strict("Ticket", false, &[ticket()]);
    let friend = Some(Box::new(Person {
        name: "b".to_owned(),
        friend: None,
    }));
    strict(
        "Person",
        false,
        &[Person {
            name: "a".to_owned(),
            friend,
        }],
    );
    strict(
        "Page",
        false,
        &[Page {
            items: vec![1_u8, 2],
            last: Some(3),
        }],
    );
    strict(
        "Page",
        false,
        &[Page {
            items: vec![customer()],
            last: None,
        }],
    );
    strict("Buyer", false, &[Buyer(customer())]);
}

#[test]
fn other_values_are_members_of_an_object() {
    let place = |x, y| (x, y);
    let (x, y) = place(1, -2);
    strict("Urgency", true, &[Urgency::Low, Urgency::VeryHigh]);
    strict(
        "External",
        true,
        &[External::Nothing, External::Count(3), External::Place { x, y }],
    );
    strict(
        "Internal",
        true,
        &[
            Internal::Nothing,
            Internal::Person(customer()),
            Internal::Place { x, y },
        ],
    );
    strict(
        "Adjacent",
        true,
        &[Adjacent::Nothing, Adjacent::Count(3), Adjacent::Place { x, y }],
    );
    let words = Untagged::Words(vec!["a".to_owned()]);
    strict(
        "Untagged",
        true,
        &[Untagged::Count(3), words, Untagged::Place { x, y }],
    );
    strict("Nullable_Ticket", true, &[None, Some(ticket())]);
    strict(
        "Nullable_string",
        true,
        &[None, Some("null".to_owned()), Some(String::new())],
    );
    strict("Nullable_int64", true, &[None, Some(-5_i64)]);
    strict("Array_of_Ticket", true, &[vec![], vec![ticket(), ticket()]]);
    strict("Array_of_string", true, &[vec!["a".to_owned()]]);
    strict("uint8", true, &[0_u8, 255]);
    strict("int128", true, &[i128::from(i64::MIN), i128::from(u64::MAX)]);
    assert_readable(&of::<i128>(), &[i128::MIN, i128::MAX]);
    strict("double", true, &[0.5, -1e300]);
    strict("boolean", true, &[true, false]);
    strict("Character", true, &['é', '"']);
    strict("null", true, &[()]);
    strict("Nothing", true, &[Nothing]);
    strict("Celsius", true, &[Celsius(36.5)]);
    strict("ShortName", true, &[ShortName("abc".to_owned())]);
    let trees = [
        Tree::Leaf(1),
        Tree::Node(vec![Tree::Leaf(-1), Tree::Node(vec![])]),
    ];
    strict("Tree", true, &trees);
    strict("Nullable_Tree", true, &[None, Some(trees[1].clone())]);
}

#[test]
fn texts_without_constraints_are_plain_text() {
    text(&["a".to_owned(), "\n ```{\"value\": 1}``` \n".to_owned()]);
    text(&[Cow::Borrowed("a")]);
    text(&[Box::<str>::from("a")]);
    text(&[Name("a".to_owned())]);
    text(&[FullName(Name(" {} ".to_owned()))]);
}

#[test]
fn types_beyond_strict_mode_are_sent_without_strictness() {
    let prices = Prices {
        shop: "a".to_owned(),
        of: [("b".to_owned(), 1.5)].into(),
        owner: Person {
            name: "c".to_owned(),
            friend: None,
        },
    };
    let root = loose("Prices", false, std::slice::from_ref(&prices));
    // The schema is the one that `schemars` generates.
    assert_eq!(root, schemars::schema_for!(Prices).to_value().without("$schema"));
    let root = loose("Seller", false, &[Seller(prices)]);
    assert_eq!(root["properties"]["of"]["additionalProperties"]["type"], "number");
    assert_eq!(root["title"], "Seller");

    loose(
        "Map_of_uint8",
        false,
        &[HashMap::from([("a".to_owned(), 1_u8)]), HashMap::new()],
    );
    loose(
        "Map_from_int8_to_string",
        false,
        &[HashMap::from([(-1_i8, "a".to_owned())])],
    );
    let pair = loose("Tuple_of_uint8_and_string", true, &[(1_u8, "a".to_owned())]);
    assert_eq!(pair["properties"]["value"]["prefixItems"][0]["maximum"], 255);
    loose(
        "Array_of_Map_of_uint8",
        true,
        &[vec![BTreeMap::from([("a".to_owned(), 1_u8)])]],
    );
    loose(
        "Open",
        false,
        &[Open {
            name: "a".to_owned(),
            rest: [("b".to_owned(), 1)].into(),
        }],
    );
    loose(
        "Flat",
        false,
        &[Flat {
            name: "a".to_owned(),
            kind: Internal::Place { x: 1, y: 2 },
        }],
    );
    let rose = loose(
        "Rose",
        true,
        &[Rose::Node(vec![Rose::Leaf((1, 2)), Rose::Node(vec![])])],
    );
    assert_eq!(rose["properties"]["value"], json!({"$ref": "#/$defs/Rose"}));
    loose(
        "AnyValue",
        true,
        &[json!(null), json!({"a": [1]}), json!("a"), json!([{}])],
    );
}

trait Without {
    fn without(self, keyword: &str) -> Self;
}

impl Without for Value {
    fn without(mut self, keyword: &str) -> Self {
        self.as_object_mut().unwrap().remove(keyword);
        self
    }
}

// The text is compared, because it must not change between runs.
#[test]
fn schemas_are_stable() {
    let text = |schema: &ReplySchema| named(schema).schema.clone().unwrap().get().to_owned();
    let tree = r##"{"type":"object","properties":{"value":{"$ref":"#/$defs/Tree"}},"required":["value"],"additionalProperties":false,"$defs":{"Tree":{"anyOf":[{"type":"object","properties":{"Leaf":{"type":"integer"}},"required":["Leaf"],"additionalProperties":false},{"type":"object","properties":{"Node":{"type":"array","items":{"$ref":"#/$defs/Tree"}}},"required":["Node"],"additionalProperties":false}]}}}"##;
    let urgency = r#"{"type":"object","properties":{"value":{"type":"string","enum":["low","very_high"]}},"required":["value"],"additionalProperties":false}"#;
    let external = r#"{"type":"object","properties":{"value":{"anyOf":[{"type":"string","enum":["Nothing"]},{"type":"object","properties":{"Count":{"type":"integer"}},"required":["Count"],"additionalProperties":false},{"type":"object","properties":{"Place":{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"integer"}},"required":["x","y"],"additionalProperties":false}},"required":["Place"],"additionalProperties":false}]}},"required":["value"],"additionalProperties":false}"#;
    let tickets = r##"{"type":"object","properties":{"value":{"type":"array","items":{"$ref":"#/$defs/Customer"}}},"required":["value"],"additionalProperties":false,"$defs":{"Customer":{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}}}"##;
    let map = r#"{"type":"object","properties":{"value":{"type":"array","prefixItems":[{"type":"boolean"},{"type":"object","additionalProperties":{"type":"string"}}],"minItems":2,"maxItems":2,"title":"Tuple_of_boolean_and_Map_of_string"}},"required":["value"],"additionalProperties":false}"#;
    for _ in 0..20 {
        assert_eq!(text(&of::<Tree>()), tree);
        assert_eq!(text(&of::<Urgency>()), urgency);
        assert_eq!(text(&of::<External>()), external);
        assert_eq!(text(&of::<Vec<Customer>>()), tickets);
        assert_eq!(text(&of::<(bool, HashMap<String, String>)>()), map);
    }
}

#[test]
fn definition_of_a_recursive_root_has_its_own_name() {
    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is of interest")]
    #[schemars(rename = "A b")]
    enum Outer {
        Inner(Vec<A_b>),
        Again(Box<Outer>),
    }
    #[derive(JsonSchema)]
    #[allow(dead_code, non_camel_case_types, reason = "only its schema is of interest")]
    struct A_b {
        a: u8,
        more: Vec<A_b>,
    }
    let root = document::<Outer>();
    assert_strict(&root);
    assert_references(&root);
    assert_eq!(root["properties"]["value"], json!({"$ref": "#/$defs/A_b_"}));
    assert_eq!(root["$defs"].as_object().unwrap().len(), 2);
}

#[test]
fn clones_share_the_schema() {
    let schema = of::<Ticket>();
    let text = |format: &ResponseFormat| match format {
        ResponseFormat::JsonSchema(format) => format.json_schema.schema.as_ref().unwrap().get().as_ptr(),
        _ => panic!("no JSON schema"),
    };
    let format = schema.response_format().unwrap();
    assert_eq!(text(&format.clone()), text(format));
    assert_eq!(text(schema.clone().response_format().unwrap()), text(format));
}

#[test]
#[allow(dead_code, reason = "only their schemas are of interest")]
fn type_that_no_reply_can_have_is_an_error() {
    #[derive(JsonSchema)]
    enum Void {}
    #[derive(JsonSchema)]
    struct Holder {
        rooms: Vec<Room>,
    }
    #[derive(JsonSchema)]
    struct Room {
        prices: HashMap<String, u8>,
        guest: Void,
    }
    #[derive(JsonSchema)]
    struct Maybe {
        guest: Option<Void>,
    }
    #[derive(JsonSchema)]
    struct Endless(Box<Endless>);
    #[derive(JsonSchema)]
    struct Dangling {
        #[schemars(schema_with = "dangling")]
        name: Vec<String>,
    }
    fn dangling(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "array", "items": {"$ref": "#/$defs/Missing"}})
    }
    fn error<T: JsonSchema>() -> (String, Unsupported) {
        let error: SchemaError = ReplySchema::of::<T>().unwrap_err();
        assert!(error.to_string().starts_with(error.path()));
        (error.path().to_owned(), error.reason().clone())
    }
    assert_eq!(error::<Void>(), ("Void".to_owned(), Unsupported::NoValue));
    assert_eq!(error::<Endless>(), ("Endless".to_owned(), Unsupported::NoValue));
    assert_eq!(error::<Holder>(), ("Room.guest".to_owned(), Unsupported::NoValue));
    let reference = Unsupported::Reference("#/$defs/Missing".to_owned());
    assert_eq!(error::<Dangling>(), ("Dangling.name[]".to_owned(), reference));
    assert!(!of::<Maybe>().is_strict());
}

#[test]
fn json_is_read_among_other_text() {
    let schema = of::<Customer>();
    let json = "{\"name\": \"A\", \"age\": 7}";
    for text in [
        format!("Sure! {json}"),
        format!("{json}\nIs there anything else?"),
        format!("Here you are:\n\n```json\n{json}\n```\n\nAnything else?"),
        format!("```\n{json}\n"),
        format!("{{{json}}}"),
        format!("[1] says {{x}} and {{\"a\": 1}}, so {json} or {{\"name\": \"B\", \"age\": 8}}"),
        format!("{{\"name\": \"B\", \"age\": oops, \"x\": {json}}} Sorry: {json}"),
        format!("[[\"B\", 8]] {json}"),
        format!("```json\n{json}\n```\n```json\n{{\"name\": \"B\", \"age\": 8}}\n```"),
        "{\"name\": \"A\", \"age\": 7, \"more\": null}".to_owned(),
    ] {
        assert_eq!(schema.parse_text(&text), Ok(customer()), "{text}");
        assert_eq!(schema.parse(&reply(&text)), Ok(customer()), "{text}");
    }
    // The eighth object is the last one that is read.
    let others = |count: usize| format!("{}{json}", "{} ".repeat(count));
    assert_eq!(schema.parse_text(&others(7)), Ok(customer()));
    schema.parse_text::<Customer>(&others(8)).unwrap_err();
}

#[test]
fn part_of_a_broken_value_is_not_the_reply() {
    let schema = of::<Person>();
    let inner = "{\"name\": \"B\", \"friend\": null}";
    for text in [
        format!("{{\"name\": \"A\", \"friend\": {inner}"),
        format!("{{\"name\": \"A\", \"friend\": {inner},, }}"),
        format!("Sure: {{\"name\": oops, \"friend\": {inner}}}"),
        format!("[{inner}, {inner}"),
    ] {
        let error = schema.parse_text::<Person>(&text).unwrap_err();
        assert!(matches!(error, ReplyError::NotJson { .. }), "{text}: {error}");
    }
    let error = schema
        .parse_text::<Person>("Sure:\n{\"name\": oops}")
        .unwrap_err();
    assert_eq!(error, ReplyError::NotJson { line: 2, column: 10 });
}

#[test]
fn wrapper_can_be_missing_or_have_other_members() {
    let urgency = of::<Urgency>();
    for text in [
        "{\"value\": \"very_high\"}",
        "\"very_high\"",
        "```\n\"very_high\"\n```",
        "I think:\n```json\n\"very_high\"\n```\nDone.",
        "It is {\"why\": \"money\", \"value\": \"very_high\"}.",
        "[\"very_high\"] or {\"value\": \"very_high\"}",
    ] {
        assert_eq!(urgency.parse_text(text), Ok(Urgency::VeryHigh), "{text}");
    }
    let list = of::<Vec<u8>>();
    for text in [
        "[1, 2]",
        "See [1, 2].",
        "See [3]: {\"value\": [1, 2]}",
        "{\"value\": [1, 2]}",
    ] {
        assert_eq!(list.parse_text(text), Ok(vec![1_u8, 2]), "{text}");
    }
    // The member `value` of an object that fits the type is the value only if it fits as well.
    let adjacent = of::<Adjacent>();
    assert_eq!(
        adjacent.parse_text("{\"kind\": \"Count\", \"value\": 3}"),
        Ok(Adjacent::Count(3))
    );
    let maybe = of::<Option<Customer>>();
    assert_eq!(
        maybe.parse_text("{\"name\": \"A\", \"age\": 7}"),
        Ok(Some(customer()))
    );
    assert_eq!(maybe.parse_text::<Option<Customer>>("null"), Ok(None));
    assert_eq!(
        maybe.parse_text::<Option<Customer>>("{\"value\": null}"),
        Ok(None)
    );
    let error = urgency.parse_text::<Urgency>("very_high").unwrap_err();
    assert_eq!(error, ReplyError::NotJson { line: 1, column: 1 });
}

fn mismatch<T: JsonSchema + DeserializeOwned + Debug>(text: &str) -> String {
    match of::<T>().parse_text::<T>(text).unwrap_err() {
        ReplyError::Mismatch(mismatch) => mismatch.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn path_of_a_mismatch_leaves_out_the_wrapper() {
    let wrong = "{\"value\": [{\"name\": \"A\", \"age\": 7}, {\"name\": \"A\", \"age\": \"CANARY\"}]}";
    let path = "[1].age: invalid type: string, expected u8";
    assert_eq!(mismatch::<Vec<Customer>>(wrong), path);
    assert_eq!(mismatch::<Vec<Customer>>(&format!("So: {wrong}")), path);
    assert_eq!(
        mismatch::<u8>("{\"value\": 256}"),
        "$: invalid value: integer, expected u8"
    );
    assert_eq!(
        mismatch::<u8>("{\"x\": 1}"),
        "$: invalid type: object, expected u8"
    );
    assert_eq!(
        mismatch::<u8>("\"CANARY\""),
        "$: invalid type: string, expected u8"
    );
    // The error is about the first object.
    let several = "[1] {\"name\": \"A\"} {\"age\": 3}";
    assert_eq!(mismatch::<Customer>(several), "$: missing field `age`");
}

#[test]
fn text_is_checked_by_its_type() {
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(try_from = "String")]
    #[schemars(with = "String")]
    struct Even(#[allow(dead_code, reason = "never read")] String);
    impl TryFrom<String> for Even {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            if text.len().is_multiple_of(2) {
                Ok(Self(text))
            } else {
                Err(format!("{text} is odd"))
            }
        }
    }
    let schema = of::<Even>();
    schema.parse_text::<Even>("ab").unwrap();
    let ReplyError::Mismatch(mismatch) = schema.parse_text::<Even>("CANARY!").unwrap_err() else {
        panic!("not a mismatch")
    };
    assert_eq!(mismatch.to_string(), "$: rejected by the type");
    assert_eq!(mismatch.detail(), "CANARY! is odd");
}

#[test]
fn each_kind_of_failure_is_an_error_of_its_own() {
    let answer =
        |choice: Value| -> ChatCompletion { serde_json::from_value(json!({"choices": [choice]})).unwrap() };
    let json = "{\"value\": 1}";
    for (schema, is_text) in [(of::<u8>(), false), (of::<String>(), true)] {
        let error = |choice: Value| {
            let completion = answer(choice);
            if is_text {
                schema.parse::<String>(&completion).unwrap_err()
            } else {
                schema.parse::<u8>(&completion).unwrap_err()
            }
        };
        let length = json!({"finish_reason": "length", "message": {"content": json}});
        assert_eq!(error(length), ReplyError::Truncated);
        let filtered = json!({"finish_reason": "content_filter", "message": {"content": json}});
        assert_eq!(error(filtered), ReplyError::Filtered);
        let refused = error(json!({"message": {"content": json, "refusal": "CANARY"}}));
        assert!(matches!(&refused, ReplyError::Refused(refusal) if refusal.text() == "CANARY"));
        assert_eq!(
            error(json!({"message": {"content": null}})),
            ReplyError::NoContent
        );
        assert_eq!(
            error(json!({"message": {"content": " \n"}})),
            ReplyError::NoContent
        );
        assert_eq!(
            schema.parse::<u8>(&ChatCompletion::default()),
            Err(ReplyError::NoContent)
        );
        assert_eq!(schema.parse_text::<String>("\t "), Err(ReplyError::NoContent));
    }
    let deep = format!("So: {}{}", "[".repeat(200), "]".repeat(200));
    let error = |text: &str| of::<Value>().parse_text::<Value>(text).unwrap_err();
    assert_eq!(error(&deep), ReplyError::TooDeep { limit: 127 });
    assert_eq!(
        error("So:\n{\"value\": 1e400}"),
        ReplyError::NumberOutOfRange { line: 2, column: 15 }
    );
    assert_eq!(error("I cannot"), ReplyError::NotJson { line: 1, column: 1 });
}

/// A value with all shapes that strict mode supports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Everything {
    text: String,
    letter: char,
    flag: bool,
    small: i8,
    large: u64,
    fraction: f64,
    ticket: Option<Ticket>,
    urgencies: Vec<Urgency>,
    external: External,
    internal: Internal,
    adjacent: Adjacent,
    untagged: Untagged,
    tree: Tree,
    page: Page<Option<String>>,
    name: Name,
    unit: (),
}

fn any_everything() -> impl Strategy<Value = Everything> {
    let words = || ".{0,6}";
    let place = || (any::<i32>(), any::<i32>());
    let any_customer = || (words(), any::<u8>()).prop_map(|(name, age)| Customer { name, age });
    let urgency = || prop_oneof![Just(Urgency::Low), Just(Urgency::VeryHigh)];
    let ticket = (
        words(),
        urgency(),
        prop::option::of(any_customer()),
        prop::collection::vec(words(), 0..3),
    )
        .prop_map(|(title, urgency, customer, tags)| Ticket {
            title,
            urgency,
            customer,
            tags,
        });
    let external = prop_oneof![
        Just(External::Nothing),
        any::<u32>().prop_map(External::Count),
        place().prop_map(|(x, y)| External::Place { x, y }),
    ];
    let internal = prop_oneof![
        Just(Internal::Nothing),
        any_customer().prop_map(Internal::Person),
        place().prop_map(|(x, y)| Internal::Place { x, y }),
    ];
    let adjacent = prop_oneof![
        Just(Adjacent::Nothing),
        any::<u32>().prop_map(Adjacent::Count),
        place().prop_map(|(x, y)| Adjacent::Place { x, y }),
    ];
    let untagged = prop_oneof![
        any::<u32>().prop_map(Untagged::Count),
        prop::collection::vec(words(), 0..3).prop_map(Untagged::Words),
        place().prop_map(|(x, y)| Untagged::Place { x, y }),
    ];
    let tree = any::<i64>()
        .prop_map(Tree::Leaf)
        .prop_recursive(4, 12, 3, |tree| {
            prop::collection::vec(tree, 0..3).prop_map(Tree::Node)
        });
    let page = (
        prop::collection::vec(prop::option::of(words()), 0..3),
        prop::option::of(words()),
    )
        .prop_map(|(items, last)| Page {
            items,
            last: last.map(Some),
        });
    // Other fractions may change in their last digit; these are exact.
    let fraction = any::<i32>().prop_map(|quarters| f64::from(quarters) / 4.0);
    let scalars = (
        words(),
        any::<char>(),
        any::<bool>(),
        any::<i8>(),
        any::<u64>(),
        fraction,
    );
    let urgencies = prop::collection::vec(urgency(), 0..3);
    let enums = (urgencies, external, internal, adjacent, untagged, tree);
    (scalars, enums, prop::option::of(ticket), page, words()).prop_map(
        |((text, letter, flag, small, large, fraction), enums, ticket, page, name)| {
            let (urgencies, external, internal, adjacent, untagged, tree) = enums;
            Everything {
                text,
                letter,
                flag,
                small,
                large,
                fraction,
                ticket,
                urgencies,
                external,
                internal,
                adjacent,
                untagged,
                tree,
                page,
                name: Name(name),
                unit: (),
            }
        },
    )
}

/// Text around JSON. Brackets in it are part of sentences.
const PROSE: &str = "[a-zé .!?'\\-\n]{0,12}(\\{x\\}|\\[see\\]|\\{\\}|\\[1\\])?[a-zé .!?'\\-\n]{0,12}";

proptest! {
    #[test]
    fn encoded_values_are_read(value in any_everything(), before in PROSE, after in ".{0,20}", kind in 0..4) {
        static SCHEMA: LazyLock<ReplySchema> = LazyLock::new(of::<Everything>);
        static ROOT: LazyLock<Value> = LazyLock::new(document::<Everything>);
        let (schema, root) = (&*SCHEMA, &*ROOT);
        let json = schema.encode(&value).unwrap();
        prop_assert!(is_valid(root, root, &serde_json::from_str(&json).unwrap()));
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let text = match kind {
            0 => json,
            1 => format!("{before}{json}{after}"),
            2 => format!("```json\n{pretty}\n```"),
            _ => format!("{before}\n```json\n{pretty}\n```\n{after}"),
        };
        prop_assert_eq!(schema.parse_text::<Everything>(&text), Ok(value.clone()));
        prop_assert_eq!(schema.parse::<Everything>(&reply(&text)), Ok(value));
    }

    #[test]
    fn encoded_lists_are_read(values in prop::collection::vec(any_everything(), 0..2), before in "[a-z .]{0,9}") {
        static SCHEMA: LazyLock<ReplySchema> = LazyLock::new(of::<Vec<Everything>>);
        let schema = &*SCHEMA;
        let json = schema.encode(&values).unwrap();
        prop_assert_eq!(schema.parse_text::<Vec<Everything>>(&json), Ok(values.clone()));
        let bare = format!("{before}{}", serde_json::to_string(&values).unwrap());
        prop_assert_eq!(schema.parse_text::<Vec<Everything>>(&bare), Ok(values));
    }

    #[test]
    fn texts_are_read_as_they_are(value in any::<String>()) {
        let schema = of::<String>();
        prop_assert_eq!(&schema.encode(&value).unwrap(), &value);
        let expected = if value.trim().is_empty() { Err(ReplyError::NoContent) } else { Ok(value.clone()) };
        prop_assert_eq!(schema.parse_text::<String>(&value), expected);
    }

    /// No text makes the reader panic, and no error shows the text.
    #[test]
    fn any_text_is_read_or_an_error(text in "[{}\\[\\]\",:a1é`\n\\\\ ]{0,40}") {
        for error in [
            of::<Customer>().parse_text::<Customer>(&text).err(),
            of::<Vec<u8>>().parse_text::<Vec<u8>>(&text).err(),
            of::<u8>().parse_text::<u8>(&text).err(),
        ].into_iter().flatten() {
            let output = format!("{error} {error:?}");
            prop_assert!(!output.contains('é'));
        }
    }
}
