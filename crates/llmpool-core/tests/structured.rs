//! JSON Schemas of Rust types in the strict subset, and replies parsed as values.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, HashMap};

use llmpool_core::chat::{ChatCompletion, Json, NamedSchema, ResponseFormat};
use llmpool_core::structured::{
    JsonSchema, ReplyError, SchemaError, Unsupported, json_schema, parse_reply, schemars,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strict_subset::{assert_strict, is_valid};

#[path = "support/strict_subset.rs"]
mod strict_subset;

/// An order of the shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    /// As printed on the bill.
    number: u32,
    items: Vec<Item>,
    /// Who pays.
    buyer: Person,
    gift_for: Option<Person>,
    state: State,
    payment: Payment,
    /// Where to.
    delivery: Option<Delivery>,
    #[serde(flatten)]
    terms: Terms,
    #[serde(default, rename = "aNote", skip_serializing_if = "never")]
    note: Option<String>,
}

fn never(_: &Option<String>) -> bool {
    false
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Item {
    title: String,
    price: f64,
    #[schemars(range(min = 1, max = 99))]
    count: u8,
    labels: Option<Vec<String>>,
    /// What it is made of.
    parts: Vec<Item>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Person {
    #[schemars(length(min = 1))]
    name: String,
    friend: Option<Box<Person>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Open,
    /// The money came.
    Paid,
    SentOut,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind")]
enum Payment {
    Cash,
    /// By card.
    Card(Card),
    Invoice {
        due: Option<i64>,
        to: Person,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Card {
    digits: String,
    active: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Delivery {
    Pickup,
    Address(String),
    Friend { friend: Person, floor: i8 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Terms {
    urgent: bool,
    days: u64,
}

fn named<T: JsonSchema>() -> NamedSchema {
    let ResponseFormat::JsonSchema(format) = json_schema::<T>().unwrap() else {
        panic!("not a JSON schema format")
    };
    format.json_schema
}

fn text<T: JsonSchema>() -> String {
    named::<T>().schema.unwrap().get().to_owned()
}

fn schema<T: JsonSchema>() -> Value {
    named::<T>().schema.unwrap().value()
}

const ORDER: &str = include_str!("fixtures/structured/order.schema.json");

// L79
#[test]
fn schema_is_stable_and_in_field_order() {
    // Compared with a file: the text must not change between runs or with a new version of `schemars`.
    let text = self::text::<Order>();
    assert_eq!(text, serde_json::from_str::<Value>(ORDER).unwrap().to_string());
    for _ in 0..20 {
        assert_eq!(self::text::<Order>(), text);
    }
    let order = schema::<Order>();
    let names: Vec<_> = order["properties"].as_object().unwrap().keys().collect();
    let fields = [
        "number", "items", "buyer", "gift_for", "state", "payment", "delivery", "urgent", "days", "aNote",
    ];
    assert_eq!(names, fields);
    assert_eq!(order["required"], json!(fields));
}

#[test]
fn schema_becomes_a_strict_response_format() {
    let format = json_schema::<Card>().unwrap();
    let expected = r#"{"type":"json_schema","json_schema":{"name":"Card","schema":{"type":"object","properties":{"digits":{"type":"string"},"active":{"type":"boolean"}},"required":["digits","active"],"additionalProperties":false},"strict":true}}"#;
    assert_eq!(serde_json::to_string(&format).unwrap(), expected);

    #[derive(JsonSchema)]
    #[schemars(rename = "Ä name that is far too long for a provider to take, and has blanks in it besides")]
    struct Long {}
    let name = named::<Long>().name;
    assert_eq!(name.len(), 64);
    assert!(name.starts_with("__name_that"));
}

#[test]
#[allow(dead_code, reason = "only their schemas are of interest")]
fn every_schema_is_in_the_strict_subset() {
    #[derive(JsonSchema)]
    struct Transparent(Wide);

    #[derive(JsonSchema)]
    struct Wide {
        #[deprecated]
        a: Option<Option<char>>,
        b: std::collections::BTreeSet<i128>,
        c: [f32; 3],
        d: (),
        e: std::time::Duration,
        f: Option<std::time::Duration>,
        #[schemars(email, regex(pattern = "x"), extend("examples" = ["x"]))]
        g: String,
        h: Result<String, Untagged>,
        /// A description of a recursive reference.
        i: Option<Box<Wide>>,
        /// Described.
        j: Vec<Untagged>,
        k: Recursive,
        l: Pair<u8>,
        m: Pair<String>,
    }

    #[derive(JsonSchema)]
    #[serde(untagged)]
    enum Untagged {
        Number(f64),
        Words { words: Vec<String> },
    }

    #[derive(JsonSchema)]
    #[serde(tag = "op", content = "of")]
    enum Recursive {
        Leaf(i64),
        Both {
            /// Left of it.
            left: Box<Recursive>,
            /// Right of it.
            right: Box<Recursive>,
        },
    }

    #[derive(JsonSchema)]
    struct Pair<T> {
        one: T,
        other: T,
    }

    for schema in [
        schema::<Order>(),
        schema::<Person>(),
        schema::<Wide>(),
        schema::<Transparent>(),
    ] {
        assert_eq!(schema["type"], "object");
        assert_strict(&schema);
        let text = schema.to_string();
        for reference in text
            .split("\"$ref\":\"#")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(
                schema.pointer(reference).is_some(),
                "{reference} does not resolve in {text}"
            );
        }
    }
    let wide = schema::<Wide>();
    let left = wide.pointer("/$defs/Recursive/anyOf/1/properties/of/properties/left");
    let described = json!({"description": "Left of it.", "anyOf": [{"$ref": "#/$defs/Recursive"}]});
    assert_eq!(left, Some(&described));
    // A transparent struct has the schema of its field.
    let names = |schema: &Value| schema["required"].clone();
    assert_eq!(names(&schema::<Wide>()), names(&schema::<Transparent>()));
}

#[test]
fn doc_comments_become_descriptions() {
    let order = schema::<Order>();
    assert_eq!(order["description"], "An order of the shop.");
    let described = |pointer: &str| order.pointer(pointer).unwrap()["description"].clone();
    assert_eq!(described("/properties/number"), "As printed on the bill.");
    // No keyword may accompany `$ref`, so the description stands beside an `anyOf`. The definition is shared.
    let buyer = json!({"description": "Who pays.", "anyOf": [{"$ref": "#/$defs/Person"}]});
    assert_eq!(order["properties"]["buyer"], buyer);
    assert_eq!(described("/properties/delivery"), "Where to.");
    assert_eq!(described("/$defs/Person"), "A person.");
    assert_eq!(described("/$defs/State/anyOf/1"), "The money came.");
    assert_eq!(described("/$defs/Payment/anyOf/1"), "By card.");
}

#[test]
#[allow(dead_code, reason = "only their schemas are of interest")]
fn definition_names_have_only_letters_that_providers_accept() {
    #[derive(JsonSchema)]
    struct Größe {
        zentimeter: u32,
    }
    #[derive(JsonSchema)]
    #[schemars(rename = "Page/u8 %~")]
    struct Page {
        of: u8,
    }
    #[derive(JsonSchema)]
    #[allow(non_camel_case_types, reason = "the name is of interest")]
    struct Page_u8___ {
        of: u16,
    }
    #[derive(JsonSchema)]
    struct Holder {
        size: Größe,
        page: Page,
        other: Page_u8___,
        pages: Vec<Page>,
    }
    let schema = schema::<Holder>();
    assert_strict(&schema);
    let names: Vec<_> = schema["$defs"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["Gr__e", "Page_u8____", "Page_u8___"]);
    assert_eq!(schema["properties"]["size"], json!({"$ref": "#/$defs/Gr__e"}));
    assert_eq!(
        schema["properties"]["pages"]["items"],
        json!({"$ref": "#/$defs/Page_u8____"})
    );
    assert_eq!(
        schema["properties"]["other"],
        json!({"$ref": "#/$defs/Page_u8___"})
    );
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Parcel {
    #[serde(flatten)]
    terms: Option<Terms>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// How it is sent.
    state: Option<State>,
    #[serde(default, skip_serializing_if = "is_card_none")]
    card: Card,
    /// Always written, so that the model must say it.
    #[serde(default)]
    weight: u32,
}

fn is_card_none(card: &Card) -> bool {
    card.digits.is_empty()
}

#[test]
fn fields_that_may_be_absent_are_nullable() {
    let schema = schema::<Parcel>();
    assert_strict(&schema);
    let expected = json!({
        "urgent": {"type": ["boolean", "null"]},
        "days": {"type": ["integer", "null"]},
        "labels": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        "state": {"description": "How it is sent.", "anyOf": [{"$ref": "#/$defs/State"}, {"type": "null"}]},
        "card": {"anyOf": [{"$ref": "#/$defs/Card"}, {"type": "null"}]},
        "weight": {"type": "integer", "description": "Always written, so that the model must say it."},
    });
    for (name, property) in expected.as_object().unwrap() {
        assert_eq!(&schema["properties"][name], property, "{name}");
    }
}

#[test]
fn null_stands_for_a_field_that_may_be_absent() {
    let mut parcel = Parcel {
        terms: None,
        labels: Vec::new(),
        state: None,
        card: Card::default(),
        weight: 7,
    };
    let mut reply =
        json!({"urgent": null, "days": null, "labels": null, "state": null, "card": null, "weight": 7});
    assert_eq!(
        parse_reply::<Parcel>(&completion_of(&reply.to_string())).unwrap(),
        parcel
    );
    reply["urgent"] = json!(true);
    reply["days"] = json!(3);
    parcel.terms = Some(Terms {
        urgent: true,
        days: 3,
    });
    assert_eq!(
        parse_reply::<Parcel>(&completion_of(&reply.to_string())).unwrap(),
        parcel
    );
    reply["labels"] = json!([null]);
    assert_eq!(
        error::<Parcel>(&reply.to_string()),
        "the reply does not fit the requested type: *[0]: invalid type: null, expected a string"
    );
}

#[test]
fn non_zero_integers_are_integers() {
    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is of interest")]
    struct Counts {
        a: std::num::NonZeroI32,
        b: Option<std::num::NonZeroI8>,
        c: std::num::NonZeroU64,
    }
    let properties = &schema::<Counts>()["properties"];
    let nullable = json!({"type": ["integer", "null"]});
    let expected = json!({"a": {"type": "integer"}, "b": nullable, "c": {"type": "integer"}});
    assert_eq!(*properties, expected);
}

fn schema_error<T: JsonSchema>() -> (String, Unsupported, String) {
    let error: SchemaError = json_schema::<T>().unwrap_err();
    (error.path().to_owned(), error.reason().clone(), error.to_string())
}

#[test]
#[allow(dead_code, reason = "only their schemas are of interest")]
fn unsupported_schema_is_rejected_with_path_and_reason() {
    #[derive(JsonSchema)]
    struct Within<T> {
        list: Vec<Holder<T>>,
    }
    #[derive(JsonSchema)]
    struct Holder<T> {
        value: Option<T>,
    }
    #[derive(JsonSchema)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    #[derive(JsonSchema)]
    struct FlatEnum {
        #[serde(flatten)]
        payment: Payment,
    }
    #[derive(JsonSchema)]
    struct Extended {
        #[schemars(extend("if" = true))]
        name: String,
    }
    #[derive(JsonSchema)]
    #[serde(tag = "kind")]
    enum OfEnum {
        State(Payment),
    }

    let (path, reason, message) = schema_error::<Within<HashMap<String, u8>>>();
    assert!(path.ends_with(".value"), "{path}");
    assert_eq!(reason, Unsupported::Map);
    assert!(message.contains("use a list of structs with a key and a value"));
    assert_eq!(schema_error::<Within<HashMap<i8, u8>>>().1, Unsupported::Map);
    assert_eq!(schema_error::<Within<Value>>().1, Unsupported::Any);
    assert_eq!(schema_error::<Within<Vec<Value>>>().1, Unsupported::Any);
    assert_eq!(schema_error::<Within<(u8, String)>>().1, Unsupported::Tuple);
    assert_eq!(schema_error::<Flat>().1, Unsupported::Map);
    assert_eq!(schema_error::<FlatEnum>().1, Unsupported::FlattenedEnum);
    assert!(matches!(
        schema_error::<Within<OfEnum>>().1,
        Unsupported::Reference(_)
    ));
    let keyword = (
        "Extended.name".to_owned(),
        Unsupported::Keyword("if".to_owned()),
        "Extended.name: strict schemas do not support `if`".to_owned(),
    );
    assert_eq!(schema_error::<Extended>(), keyword);
    for root in [
        schema_error::<Vec<Item>>(),
        schema_error::<State>(),
        schema_error::<Payment>(),
        schema_error::<Option<Item>>(),
        schema_error::<String>(),
    ] {
        assert_eq!(root.1, Unsupported::Root, "{}", root.2);
    }
}

fn answer(choice: Value) -> ChatCompletion {
    serde_json::from_value(json!({"choices": [choice]})).unwrap()
}

fn completion_of(text: &str) -> ChatCompletion {
    answer(json!({"finish_reason": "stop", "message": {"role": "assistant", "content": text}}))
}

fn error<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
    parse_reply::<T>(&completion_of(text)).unwrap_err().to_string()
}

// L53
#[test]
fn reply_at_the_token_limit_is_truncated() {
    for text in ["{\"digits\":\"1", "{\"digits\":\"1\",\"active\":true}", ""] {
        let cut = answer(json!({"finish_reason": "length", "message": {"content": text}}));
        assert_eq!(parse_reply::<Card>(&cut), Err(ReplyError::Truncated));
    }
    let body = include_str!("fixtures/llama-cpp/chat-json-object.response");
    let cut = ChatCompletion::decode(body.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    assert_eq!(parse_reply::<Value>(&cut), Err(ReplyError::Truncated));
}

#[test]
fn captured_reply_parses() {
    let body = include_str!("fixtures/llama-cpp/chat-json-schema.response");
    let answer = ChatCompletion::decode(body.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    assert!(parse_reply::<Value>(&answer).unwrap().is_object());
}

#[test]
fn refusal_differs_from_missing_content() {
    let refusals = [
        json!({"message": {"content": null, "refusal": "CANARY"}}),
        json!({"finish_reason": "length", "message": {"content": "", "refusal": "CANARY"}}),
        json!({"message": {"content": [{"type": "refusal", "refusal": "CAN"}, {"type": "refusal", "refusal": "ARY"}]}}),
    ];
    for choice in refusals {
        let error = parse_reply::<Card>(&answer(choice)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("CANARY"));
        let ReplyError::Refused(refusal) = error else {
            panic!("{error}")
        };
        assert_eq!(refusal.text(), "CANARY");
    }
    let empty = [
        json!({"message": {"content": null, "refusal": null}}),
        json!({"message": {"content": " \n", "refusal": ""}}),
        json!({"message": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}}),
        json!({}),
    ];
    for choice in empty {
        assert_eq!(parse_reply::<Card>(&answer(choice)), Err(ReplyError::NoContent));
    }
    assert_eq!(
        parse_reply::<Card>(&ChatCompletion::default()),
        Err(ReplyError::NoContent)
    );
    let filtered = answer(json!({"finish_reason": "content_filter", "message": {"content": "{}"}}));
    assert_eq!(parse_reply::<Card>(&filtered), Err(ReplyError::Filtered));
}

#[test]
fn fenced_and_multi_part_replies_parse() {
    let card = Card {
        digits: "``` 1".to_owned(),
        active: true,
    };
    let json = serde_json::to_string(&card).unwrap();
    for text in [
        format!("```json\n{json}\n```"),
        format!(" {json}\n"),
        format!("```\n{json}```\n"),
    ] {
        assert_eq!(parse_reply::<Card>(&completion_of(&text)).unwrap(), card);
    }
    let (start, end) = json.split_at(9);
    let parts = json!([{"type": "text", "text": start}, {"type": "thinking"}, {"type": "text", "text": end}]);
    assert_eq!(
        parse_reply::<Card>(&answer(json!({"message": {"content": parts}}))).unwrap(),
        card
    );
}

#[test]
fn invalid_json_is_reported_with_line_and_column() {
    let place = |text: &str| match parse_reply::<Card>(&completion_of(text)) {
        Err(ReplyError::NotJson { line, column }) => (line, column),
        other => panic!("{other:?}"),
    };
    assert_eq!(place("Sure!"), (1, 1));
    assert_eq!(place("Sure! {\"digits\": x}"), (1, 18));
    assert_eq!(place("Sure, {x}!"), (1, 1));
    assert_eq!(place("{\n  \"digits\": x}"), (2, 13));
    assert_eq!(place("```json\n{\n  \"digits\": x}\n```"), (3, 13));
    assert_eq!(place("5 5"), (1, 3));
    // A syntax error is reported before a type mismatch.
    assert_eq!(place("{\"active\": 1, x"), (1, 15));
    assert_eq!(
        error::<Card>("x"),
        "the reply is not valid JSON at line 1, column 1"
    );
}

#[test]
fn deep_replies_and_numbers_out_of_range_are_named() {
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(200), "]".repeat(200));
    let reply = parse_reply::<Value>(&completion_of(&deep));
    assert_eq!(reply, Err(ReplyError::TooDeep { limit: 127 }));
    assert_eq!(
        reply.unwrap_err().to_string(),
        "the reply is nested more than 127 levels deep"
    );
    let allowed = format!("{}{}", "[".repeat(127), "]".repeat(127));
    parse_reply::<Value>(&completion_of(&allowed)).unwrap();
    let place = "a number of the reply at line 1, column 14 is out of range";
    assert_eq!(error::<Item>("{\"price\":1e400}"), place);
    assert_eq!(error::<Value>("{\"price\":1e400}"), place);
    assert_eq!(
        error::<Value>("```json\n[-1e400]\n```"),
        "a number of the reply at line 2, column 7 is out of range"
    );
}

#[test]
fn reply_is_the_choice_that_text_returns() {
    let choice = |index: u32, digits: &str| json!({"index": index, "message": {"content": format!("{{\"digits\":\"{digits}\",\"active\":true}}")}});
    for choices in [[choice(1, "b"), choice(0, "a")], [choice(2, "b"), choice(1, "a")]] {
        let completion: ChatCompletion = serde_json::from_value(json!({"choices": choices})).unwrap();
        let card = parse_reply::<Card>(&completion).unwrap();
        assert_eq!(card, serde_json::from_str(&completion.text()).unwrap());
        assert_eq!(card.digits, "a");
    }
}

#[test]
fn mismatch_is_reported_with_path_and_reason() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "never read")]
    struct Basket {
        items: Vec<Item>,
        states: Vec<State>,
        deliveries: Vec<Delivery>,
        by_number: BTreeMap<u8, f64>,
        raw: Json,
        size: Option<(u8, u8)>,
        payment: Option<Payment>,
    }
    let good = json!({
        "items": [{"title": "t", "price": 1, "count": 1, "labels": null, "parts": []}], "states": ["open"],
        "deliveries": ["Pickup"], "by_number": {"1": 1.5}, "raw": {"a": 1}, "size": [1, 2], "payment": {"kind": "Cash"}});
    parse_reply::<Basket>(&completion_of(&good.to_string())).unwrap();
    let table = [
        (
            "/items/0/price",
            json!("CANARY"),
            "items[0].price: invalid type: string, expected f64",
        ),
        (
            "/items/0/count",
            json!(4711),
            "items[0].count: invalid value: integer, expected u8",
        ),
        (
            "/items/0/title",
            json!(null),
            "items[0].title: invalid type: null, expected a string",
        ),
        (
            "/items/0/labels",
            json!(["a", {"CANARY": 1}]),
            "items[0].labels[1]: invalid type: object, expected a string",
        ),
        (
            "/items/0",
            json!({"CANARY": 1}),
            "items[0]: missing field `title`",
        ),
        (
            "/items",
            json!(true),
            "items: invalid type: boolean, expected a sequence",
        ),
        (
            "/states/0",
            json!("CANARY"),
            "states[0]: unknown variant, expected one of `open`, `paid`, `sent_out`",
        ),
        (
            "/states/0",
            json!({"paid": 4711}),
            "states[0].paid: invalid type: integer, expected unit",
        ),
        (
            "/states/0",
            json!({"open": null, "CANARY": 1}),
            "states[0]: invalid value: object, expected one variant",
        ),
        (
            "/deliveries/0",
            json!({"Address": 4711}),
            "deliveries[0].Address: invalid type: integer, expected a string",
        ),
        (
            "/deliveries/0",
            json!("Address"),
            "deliveries[0]: invalid type: string, expected a variant with its content",
        ),
        (
            "/deliveries/0",
            json!({"Friend": {"friend": {"name": "a", "friend": {"name": 1.5}}, "floor": 1}}),
            "deliveries[0].Friend.friend.friend.name: invalid type: number, expected a string",
        ),
        (
            "/by_number",
            json!({"1": 1, "2": "CANARY"}),
            "by_number.*: invalid type: string, expected f64",
        ),
        (
            "/by_number",
            json!({"CANARY": 1}),
            "by_number: invalid type: string, expected u8",
        ),
        (
            "/size",
            json!([1, 2, 3]),
            "size: invalid length 3, expected fewer items",
        ),
        ("/size/1", json!([]), "size[1]: invalid type: array, expected u8"),
        (
            "/payment",
            json!({"kind": "CANARY"}),
            "payment.*: unknown variant, expected one of `Cash`, `Card`, `Invoice`",
        ),
        (
            "/payment",
            json!({"kind": "Card", "digits": "CANARY", "active": "CANARY"}),
            "payment: invalid type: string, expected a boolean",
        ),
        (
            "",
            json!("CANARY"),
            "$: invalid type: string, expected struct Basket",
        ),
    ];
    for (pointer, value, expected) in table {
        let mut reply = good.clone();
        *reply.pointer_mut(pointer).unwrap() = value;
        let error = parse_reply::<Basket>(&completion_of(&reply.to_string())).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the reply does not fit the requested type: {expected}")
        );
        let output = format!("{error:?}");
        assert!(!output.contains("CANARY") && !output.contains("4711"), "{output}");
        assert!(
            std::error::Error::source(&error).is_none(),
            "an error source would be displayed"
        );
    }
}

#[test]
fn message_of_the_type_is_not_displayed() {
    #[derive(Debug)]
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("I do not like {text}")))
        }
    }
    let ReplyError::Mismatch(mismatch) =
        parse_reply::<Vec<Picky>>(&completion_of("[\"CANARY\"]")).unwrap_err()
    else {
        panic!("not a mismatch")
    };
    assert_eq!(mismatch.to_string(), "[0]: rejected by the type");
    assert_eq!(
        (mismatch.path().as_str(), mismatch.reason()),
        ("[0]", "rejected by the type")
    );
    assert_eq!(mismatch.detail(), "I do not like CANARY");
    assert!(!format!("{mismatch:?}").contains("CANARY"));

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "never read")]
    struct Closed {
        a: u8,
    }
    assert!(error::<Closed>("{\"CANARY\": 1}").ends_with("$: unknown field, expected `a`"));
    // A repeated member is an error too, without its text.
    assert!(error::<Closed>("{\"a\": 1, \"a\": 2}").ends_with("$: rejected by the type"));
}

fn any_person() -> impl Strategy<Value = Person> {
    let alone = ".{0,6}".prop_map(|name| Person { name, friend: None });
    alone.prop_recursive(3, 4, 1, |friend| {
        (".{0,6}", friend).prop_map(|(name, friend)| Person {
            name,
            friend: Some(Box::new(friend)),
        })
    })
}

fn any_item() -> impl Strategy<Value = Item> {
    let alone = (
        ".{0,6}",
        // Other decimals may change in their last digit; these are exact.
        any::<i32>().prop_map(|quarters| f64::from(quarters) / 4.0),
        any::<u8>(),
        prop::option::of(prop::collection::vec(".{0,3}", 0..3)),
    )
        .prop_map(|(title, price, count, labels)| Item {
            title,
            price,
            count,
            labels,
            parts: Vec::new(),
        });
    alone.prop_recursive(2, 6, 3, |part| {
        (".{0,6}", prop::collection::vec(part, 0..3)).prop_map(|(title, parts)| Item {
            title,
            price: 0.5,
            count: 0,
            labels: None,
            parts,
        })
    })
}

fn any_order() -> impl Strategy<Value = Order> {
    let state = prop_oneof![Just(State::Open), Just(State::Paid), Just(State::SentOut)];
    let payment = prop_oneof![
        Just(Payment::Cash),
        (".{0,4}", any::<bool>()).prop_map(|(digits, active)| Payment::Card(Card { digits, active })),
        (any::<Option<i64>>(), any_person()).prop_map(|(due, to)| Payment::Invoice { due, to }),
    ];
    let delivery = prop_oneof![
        Just(Delivery::Pickup),
        ".{0,4}".prop_map(Delivery::Address),
        (any_person(), any::<i8>()).prop_map(|(friend, floor)| Delivery::Friend { friend, floor }),
    ];
    let terms = (any::<bool>(), any::<u64>()).prop_map(|(urgent, days)| Terms { urgent, days });
    let head = (
        any::<u32>(),
        prop::collection::vec(any_item(), 0..3),
        any_person(),
    );
    let rest = (
        prop::option::of(any_person()),
        state,
        payment,
        prop::option::of(delivery),
        terms,
    );
    (head, rest, any::<Option<String>>()).prop_map(|((number, items, buyer), rest, note)| {
        let (gift_for, state, payment, delivery, terms) = rest;
        Order {
            number,
            items,
            buyer,
            gift_for,
            state,
            payment,
            delivery,
            terms,
            note,
        }
    })
}

proptest! {
    #[test]
    fn valid_values_match_the_schema_and_parse_back(order in any_order(), fenced in any::<bool>()) {
        let schema = schema::<Order>();
        prop_assert!(is_valid(&schema, &schema, &serde_json::to_value(&order).unwrap()));
        let text = serde_json::to_string_pretty(&order).unwrap();
        let text = if fenced { format!("```json\n{text}\n```") } else { text };
        prop_assert_eq!(parse_reply::<Order>(&completion_of(&text)).unwrap(), order);
    }

    #[test]
    fn missing_or_additional_fields_violate_the_schema(order in any_order(), nth in 0..10usize) {
        let schema = schema::<Order>();
        let whole = serde_json::to_value(&order).unwrap();
        let mut less = whole.clone();
        let name = whole.as_object().unwrap().keys().nth(nth).unwrap();
        less.as_object_mut().unwrap().remove(name);
        prop_assert!(!is_valid(&schema, &schema, &less));
        let mut more = whole;
        more["x"] = json!(1);
        prop_assert!(!is_valid(&schema, &schema, &more));
    }

    #[test]
    fn errors_contain_no_text_of_the_reply(text in "[ -~]{0,3}CANARY[ -~]{0,20}", inside in any::<bool>()) {
        let reply = if inside { json!({"digits": "1", "active": text}).to_string() } else { text };
        let error = parse_reply::<Card>(&completion_of(&reply)).unwrap_err();
        let output = format!("{error} {error:?}");
        prop_assert!(!output.contains("CANARY"));
    }
}
