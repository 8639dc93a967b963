use serde_json::json;

use super::*;

fn chat(schema: &Value, strict: bool) -> Result<(), SchemaLimitError> {
    let request = json!({"messages": [], "response_format": {"type": "json_schema", "json_schema": {
        "name": "x", "schema": schema, "strict": strict}}});
    check_chat(&serde_json::from_value(request).unwrap())
}

fn object(properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    json!({"type": "object", "properties": Map::from_iter(properties)})
}

/// `levels` objects within each other, through arrays and an `anyOf`.
fn nested(levels: usize) -> Value {
    (1..levels).fold(
        object([("leaf".to_owned(), json!({"type": "string"}))]),
        |inner, level| {
            let inner = match level % 3 {
                0 => json!({"type": "array", "items": inner}),
                1 => json!({"anyOf": [{"type": "null"}, inner]}),
                _ => inner,
            };
            object([("a".to_owned(), inner)])
        },
    )
}

fn message(schema: &Value) -> String {
    chat(schema, true).unwrap_err().to_string()
}

#[test]
fn place_beyond_a_limit_is_named() {
    assert_eq!(chat(&nested(10), true), Ok(()));
    let deep = "response_format.json_schema.schema: a.a[].a.a.a[].a.a.a[].a.a: objects are nested 11 deep; OpenAI accepts \
                10 in a strict schema";
    assert_eq!(message(&nested(11)), deep);
    assert_eq!(chat(&nested(11), false), Ok(()));

    let wide = |count: usize| object((0..count).map(|index| (format!("p{index}"), json!({"type": "null"}))));
    assert_eq!(chat(&wide(5_000), true), Ok(()));
    assert!(message(&wide(5_001)).contains(": p5000: more properties up to here than the 5000 "));

    let state = |count: usize, length: usize| {
        let values: Vec<_> = (0..count).map(|index| format!("{index:0length$}")).collect();
        object([("state".to_owned(), json!({"type": "string", "enum": values}))])
    };
    assert_eq!(chat(&state(1_000, 4), true), Ok(()));
    assert!(message(&state(1_001, 4)).contains(": state: more enum values up to here than the 1000 "));
    assert_eq!(chat(&state(250, 100), true), Ok(()));
    assert!(
        message(&state(251, 100))
            .contains(": state: an enum of 251 values has more than the 15000 characters")
    );

    let long = |length: usize| object([("x".repeat(length), json!({"const": "ä".repeat(length)}))]);
    assert_eq!(chat(&long(60_000), true), Ok(()));
    assert!(
        message(&long(60_001)).contains("more characters of names and values up to here than the 120000")
    );
}

#[test]
fn definitions_begin_at_the_first_level() {
    let mut schema = nested(6);
    schema["$defs"] = json!({"Tree": nested(10)});
    assert_eq!(chat(&schema, true), Ok(()));
    schema["$defs"] = json!({"Tree": nested(11)});
    assert!(message(&schema).contains(": Tree.a.a[].a"));
}

#[test]
fn tools_and_responses_are_checked() {
    let tools = |function: Value| json!({"messages": [], "tools": [{"type": "custom", "custom": {"name": "c"}}, function]});
    let function = json!({"name": "f", "strict": true, "parameters": nested(11)});
    let request = tools(json!({"type": "function", "function": function}));
    let error = check_chat(&serde_json::from_value(request).unwrap()).unwrap_err();
    assert_eq!(error.param, "tools[1].function.parameters");

    let request = json!({"model": "m", "input": "", "tools": [
        {"type": "function", "name": "f", "strict": true, "parameters": nested(11)}]});
    let error = check_responses(&serde_json::from_value(request).unwrap()).unwrap_err();
    assert_eq!(error.param, "tools[0].parameters");

    let request = json!({"model": "m", "input": "", "text": {"format": {
        "type": "json_schema", "name": "x", "schema": nested(11), "strict": true}}});
    let error = check_responses(&serde_json::from_value(request).unwrap()).unwrap_err();
    assert_eq!(error.param, "text.format.schema");
}
