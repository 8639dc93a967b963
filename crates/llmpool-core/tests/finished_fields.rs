//! The fields of a streamed JSON reply, as they become final.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use llmpool_core::structured::{
    FieldSegment, FinishedField, FinishedFields, JsonSchema, ReplyError, ReplySchema, schemars,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A reply that is any object.
static OBJECT: LazyLock<ReplySchema> =
    LazyLock::new(|| ReplySchema::of::<BTreeMap<String, Value>>().unwrap());
/// A reply that is the member `value` of an object.
static WRAPPED: LazyLock<ReplySchema> = LazyLock::new(|| ReplySchema::of::<Value>().unwrap());

/// Returns the fields of a reply in pieces. Reads them after each piece.
fn fields<'a>(schema: &ReplySchema, pieces: impl IntoIterator<Item = &'a str>) -> Vec<FinishedField> {
    let mut reader = FinishedFields::new(schema);
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        found.extend(reader.by_ref());
    }
    found
}

fn paths(schema: &ReplySchema, text: &str) -> Vec<String> {
    let show = |field: &FinishedField| format!("{}={}", field.path(), field.json());
    fields(schema, [text]).iter().map(show).collect()
}

/// Returns the text in pieces that end at the given places.
fn pieces<'a>(text: &'a str, ends: &[prop::sample::Index]) -> Vec<&'a str> {
    let starts: Vec<_> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut ends: Vec<_> = ends.iter().map(|end| *end.get(&starts)).collect();
    ends.sort_unstable();
    ends.push(text.len());
    let mut start = 0;
    let mut piece = |end| {
        let piece = &text[start..end];
        start = end;
        piece
    };
    ends.into_iter().map(&mut piece).collect()
}

/// Lists all values within a value with their paths, inner values first.
fn walk(value: &Value, path: &[FieldSegment], found: &mut Vec<(Vec<FieldSegment>, Value)>) {
    let mut child = |segment, value: &Value| {
        let path = [path, &[segment]].concat();
        walk(value, &path, found);
        found.push((path, value.clone()));
    };
    match value {
        Value::Object(members) => {
            members
                .iter()
                .for_each(|(name, member)| child(FieldSegment::Name(name.as_str().into()), member));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| child(FieldSegment::Index(index), item));
        }
        _ => {}
    }
}

fn walked(value: &Value) -> Vec<(Vec<FieldSegment>, Value)> {
    let mut found = Vec::new();
    walk(value, &[], &mut found);
    found
}

fn values(fields: &[FinishedField]) -> Vec<(Vec<FieldSegment>, Value)> {
    let value = |field: &FinishedField| serde_json::from_str(field.json()).unwrap();
    fields
        .iter()
        .map(|field| (field.segments().to_vec(), value(field)))
        .collect()
}

#[test]
fn field_is_returned_once_its_last_letter_arrives() {
    let table = [
        ("Sure:\n```json\n{\"a\"", ""),
        (": \"x", ""),
        ("\\", ""),
        ("\"", ""),
        ("\"", "a=\"x\\\"\""),
        (", \"b\": tru", ""),
        ("e", "b=true"),
        (", \"c\": 1", ""),
        ("2", ""),
        (" ", "c=12"),
        (", \"items\": [{\"price\": 1.5", ""),
        ("}", "items[0].price=1.5 items[0]={\"price\": 1.5}"),
        (", nul", ""),
        ("l", "items[1]=null"),
        (", [[]", "items[2][0]=[]"),
        ("]", "items[2]=[[]]"),
        ("]", "items=[{\"price\": 1.5}, null, [[]]]"),
        (", \"d\": -0", ""),
        ("}", "d=-0"),
        ("\n``` {\"e\": 1}", ""),
    ];
    let mut reader = FinishedFields::new(&OBJECT);
    for (piece, expected) in table {
        reader.push(piece);
        let found: Vec<_> = reader
            .by_ref()
            .map(|field| format!("{}={}", field.path(), field.json()))
            .collect();
        assert_eq!(found.join(" "), expected, "after {piece}");
    }
}

#[test]
fn fields_have_segments_and_types() {
    #[derive(Debug, PartialEq, Deserialize, JsonSchema)]
    struct Item {
        price: f64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        labels: Vec<String>,
    }
    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is of interest")]
    struct Order {
        items: Vec<Item>,
    }
    let schema = ReplySchema::of::<Order>().unwrap();
    let found = fields(&schema, ["{\"items\": [{\"price\": 2.5, \"labels\": null}]}"]);
    let depths: Vec<_> = found.iter().map(FinishedField::depth).collect();
    assert_eq!(depths, [3, 3, 2, 1]);
    let name = |name: &str| FieldSegment::Name(name.into());
    assert_eq!(
        found[0].segments(),
        [name("items"), FieldSegment::Index(0), name("price")]
    );
    assert_eq!(found[0].parse(), Ok(2.5));
    let item = Item {
        price: 2.5,
        labels: Vec::new(),
    };
    assert_eq!(found[2].parse(), Ok(item));
    let ReplyError::Mismatch(mismatch) = found[2].parse::<String>().unwrap_err() else {
        panic!("not a mismatch")
    };
    assert_eq!(mismatch.path(), "$");
    let output = format!("{:?} {:?}", found, found[0].segments());
    assert!(!output.contains("price") && !output.contains("2.5"), "{output}");
}

#[test]
fn paths_leave_out_the_wrapper() {
    let table = [
        (
            "{\"value\": [1, {\"a\": true}]}",
            "[0]=1 [1].a=true [1]={\"a\": true}",
        ),
        ("{\"value\": 3}", ""),
        ("{\"value\": {\"value\": 3}, \"why\": [1]}", "value=3"),
        ("{\"kind\": \"a\", \"value\": 3}", "kind=\"a\" value=3"),
        ("[1, 2]", "[0]=1 [1]=2"),
        ("```json\n[1, 2]", "[0]=1 [1]=2"),
        ("See [3]: {\"value\": [1, 2]}", "[0]=1 [1]=2"),
        ("{} [3] {\"value\": [1, 2]}", "[0]=1 [1]=2"),
        ("5", ""),
    ];
    for (text, expected) in table {
        assert_eq!(paths(&WRAPPED, text).join(" "), expected, "{text}");
    }
    let text = ReplySchema::of::<String>().unwrap();
    assert!(fields(&text, ["{\"a\": 1}"]).is_empty());
}

#[test]
fn brackets_of_sentences_are_skipped() {
    for text in [
        "{x} [see] {\"a\":1}",
        "{{\"a\":1}}",
        "[[3]] [\"x\", {\"b\": 1}] {\"a\":1}",
        "{} {\"a\":1} {\"a\":2}",
        "{\"x\"} {\"a\":1}",
        "```\n{\"a\":1}\n```",
    ] {
        assert_eq!(paths(&OBJECT, text), ["a=1"], "{text}");
    }
}

#[test]
fn syntax_error_ends_the_fields() {
    let table = [
        ("{\"a\": true, \"b\": truth, \"c\": 1}", "a=true"),
        ("{\"a\": true,, \"c\": 1}", "a=true"),
        ("{\"a\": true] \"c\": 1}", "a=true"),
        ("{\"a\": 01, \"c\": 1}", ""),
        ("{\"a\": 1e999, \"c\": 1}", ""),
        ("{\"a\": \"\\ud800\", \"c\": 1}", ""),
        ("{\"a\": \"\n\", \"c\": 1}", ""),
        ("{\"a\\x\": 1, \"c\": 1}", ""),
        ("{\"a\": {b: 1}, \"c\": 1} {\"d\": 1}", ""),
        ("{a: {\"c\": 1}}", ""),
        ("[{\"a\": x, \"c\": {\"d\": 1}}]", ""),
        ("{\"a\": [1, 2", "a[0]=1"),
        ("{\"a\" \"b\"}, {x: {\"c\": 1}}", ""),
    ];
    for (text, expected) in table {
        assert_eq!(paths(&OBJECT, text).join(" "), expected, "{text}");
    }
    let nested = |levels: usize| format!("{{\"a\":{}true{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(fields(&OBJECT, [nested(126).as_str()]).len(), 127);
    OBJECT
        .parse_text::<BTreeMap<String, Value>>(&nested(126))
        .unwrap();
    assert_eq!(fields(&OBJECT, [nested(127).as_str()]).len(), 0);
    let error = OBJECT
        .parse_text::<BTreeMap<String, Value>>(&nested(127))
        .unwrap_err();
    assert_eq!(error, ReplyError::TooDeep { limit: 127 });
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,4}".prop_map(Value::from),
        "[\"\\\\{}\\[\\],:\n]{0,4}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |value| {
        prop_oneof![
            prop::collection::vec(value.clone(), 0..4).prop_map(Value::from),
            any_object_of(value).prop_map(Value::from),
        ]
    })
}

fn any_object_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![Just("value".to_owned()), "[a-c]", ".{0,3}"];
    prop::collection::vec((name, value), 0..4).prop_map(|members| members.into_iter().collect())
}

fn any_object() -> impl Strategy<Value = Value> {
    any_object_of(any_json()).prop_map(Value::from)
}

/// Writes JSON in one of several ways.
fn written(value: &Value, style: u8) -> String {
    match style {
        0 => value.to_string(),
        1 => serde_json::to_string_pretty(value).unwrap(),
        _ => {
            let escaped = |letter: char| match letter.is_ascii() {
                true => letter.to_string(),
                false => letter
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|half| format!("\\u{half:04x}"))
                    .collect(),
            };
            value.to_string().chars().map(escaped).collect()
        }
    }
}

fn any_ends() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    #[test]
    fn fields_are_the_values_of_the_reply(object in any_object(), style in 0..3_u8, ends in any_ends()) {
        let text = written(&object, style);
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let whole = fields(&OBJECT, [text.as_str()]);
        prop_assert_eq!(values(&whole), walked(&parsed));
        let reply = format!("Here it is: {{x}}\n```json\n{text}\n```\nAnd {{\"a\": 1}}?");
        let among_text = fields(&OBJECT, pieces(&reply, &ends));
        prop_assert_eq!(&fields(&OBJECT, pieces(&text, &ends)), &whole);
        if !whole.is_empty() {
            prop_assert_eq!(&among_text, &whole);
        }
    }

    #[test]
    fn fields_of_a_wrapped_value_are_its_values(value in any_json(), style in 0..3_u8, ends in any_ends()) {
        let text = written(&json!({"value": value}), style);
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let found = fields(&WRAPPED, pieces(&text, &ends));
        prop_assert_eq!(values(&found), walked(&parsed["value"]));
        prop_assert_eq!(WRAPPED.parse_text::<Value>(&text), Ok(parsed["value"].clone()));
    }

    #[test]
    fn fields_only_grow(object in any_object(), style in 0..3_u8, ends in any_ends()) {
        let text = written(&object, style);
        let pieces = pieces(&text, &ends);
        let mut known = Vec::new();
        for count in 0..=pieces.len() {
            let start = pieces[..count].concat();
            let more = fields(&OBJECT, [start.as_str()]);
            prop_assert!(more.starts_with(&known));
            known = more;
        }
    }

    #[test]
    fn fields_are_returned_as_early_as_possible(object in any_object(), style in 0..3_u8) {
        let text = written(&object, style);
        let mut reader = FinishedFields::new(&OBJECT);
        for (at, letter) in text.char_indices() {
            let end = at + letter.len_utf8();
            reader.push(&text[at..end]);
            for field in reader.by_ref() {
                let is_number = field.json().ends_with(|last: char| last.is_ascii_digit());
                let until = if is_number { at } else { end };
                prop_assert!(text[..until].ends_with(field.json()));
            }
        }
    }

    #[test]
    fn fields_of_any_text_do_not_depend_on_the_pieces(
        text in "([{}\\[\\]\",:1-e \n\\\\`é]|true|\"value\":|\"a\":|\\{\"){0,16}", ends in any_ends(),
    ) {
        for schema in [&*OBJECT, &*WRAPPED] {
            let whole = fields(schema, [text.as_str()]);
            prop_assert_eq!(&fields(schema, pieces(&text, &ends)), &whole);
            let letters: Vec<_> = text.char_indices().map(|(at, letter)| &text[at..at + letter.len_utf8()]).collect();
            prop_assert_eq!(&fields(schema, letters), &whole);
        }
    }

    /// If a text has one object, the fields that were returned are those of the reply that is read from the whole text.
    #[test]
    fn fields_agree_with_the_parsed_reply(
        before in "([}\\[\\]\",:1 x`]|true|\"c\"){0,8}",
        members in "(\"a\": ?(1|true|\"x\"|\\[1, ?2\\]),? ?)?(\"b\": ?(1|null|\"\\}\"))?[ x]?",
        after in "\\}?([}\\[\\]\",:1 x`]|true|\"a\"){0,8}",
    ) {
        let text = format!("{before}{{{members}{after}");
        let read = OBJECT.parse_text::<BTreeMap<String, Value>>(&text);
        let found = fields(&OBJECT, [text.as_str()]);
        if let Ok(reply) = &read {
            // The last one of several members with one name is the value.
            let members = found.iter().filter(|field| field.depth() == 1);
            let members: BTreeMap<String, Value> =
                members.map(|field| (field.path(), field.parse().unwrap())).collect();
            for (name, value) in members {
                prop_assert_eq!(reply.get(&name), Some(&value));
            }
        }
        let is_complete = read.is_ok_and(|reply| {
            let is_found = |name: &String| found.iter().any(|field| field.path() == *name);
            reply.keys().all(is_found)
        });
        let is_plain = before.chars().all(|letter| letter.is_whitespace()) && serde_json::from_str::<Map<String, Value>>(&text).is_ok();
        prop_assert!(is_complete || !is_plain);
    }
}
