//! Properties of error bodies of any shape.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// JSON made of the members that errors have.
fn any_error() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "error",
        "errors",
        "detail",
        "message",
        "metadata",
        "raw",
        "details",
        "choices",
        "response",
        "code",
        "type",
        "reason",
        "param",
        "loc",
        "msg",
        "headers",
        "retryDelay",
        "resets_at",
        "retry_after_ms",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z_]{0,9}".prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "(try again in|reset|wait) [0-9.e-]{1,12} ?[a-z]{0,7}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect()),
            inner.prop_map(|value| Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_is_read(error in any_error(), cut in any::<prop::sample::Index>()) {
        let body = error.to_string();
        let whole = ProviderError::parse(body.as_bytes()).unwrap();
        prop_assert!(whole.codes.len() <= 16 && whole.headers.len() <= 32);
        prop_assert!(whole.retry_delay.is_none_or(|wait| !wait.is_zero()));
        prop_assert!(whole.message.is_none_or(|message| !message.trim().is_empty()));
        let body = body.as_bytes();
        drop(ProviderError::parse(&body[..cut.index(body.len())]));
        drop(find_error_in_success(body));
    }

    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(ProviderError::parse(&body));
        drop(find_error_in_success(&body));
    }
}
