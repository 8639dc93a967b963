//! The time that it takes to read an error body.

#![allow(clippy::disallowed_methods, reason = "the test measures real time")]

use std::time::{Duration, Instant};

use llmpool_core::provider_error::ProviderError;

#[test]
fn hostile_bodies_are_read_in_linear_time() {
    let shapes: [(&str, &str, &str); 9] = [
        ("{", r#""error":{"#, ""),
        ("[", "[", ""),
        (r#"{"errors":["#, r#"{"message":"m"},"#, "{}]}"),
        (r#"{"message":""#, "wait wait 1", r#""}"#),
        (r#"{"message":""#, "reset 2026-01-02 ", r#""}"#),
        ("", "data: {\n", ""),
        (r#"{"message":""#, r#"{\"error\":"#, r#""}"#),
        (
            r#"{"error":{"metadata":{"headers":{"a":"b""#,
            r#","a":"b""#,
            "}}}}",
        ),
        ("<html><title>", "&amp;", ""),
    ];
    let time = |size: usize, (start, repeated, end): (&str, &str, &str)| {
        let body = format!("{start}{}{end}", repeated.repeat(size / repeated.len()));
        let parse = || {
            let started = Instant::now();
            drop(ProviderError::parse(body.as_bytes()));
            started.elapsed()
        };
        (0..3).map(|_| parse()).min().unwrap_or_default()
    };
    for shape in shapes {
        let (small, large) = (time(64 << 10, shape), time(1 << 20, shape));
        // Sixteen times as long, and some tolerance. Quadratic time would be 256 times.
        let most = small * 64 + Duration::from_millis(50);
        assert!(large < most, "{shape:?}: {small:?}, {large:?}");
    }
}
