//! `llmpool plan` as a person meets it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use serde_json::Value;
use support::{Folder, llmpool};

const FOUR_KEYS: &str = r#"{"p": [{"model_name": "m", "base_url": "https://h/v1", "rate_limit_capacity": null, "api_keys": [
  {"key": "${A}", "rpm": 300}, {"key": "${B}", "rpm": 300}, {"key": "${C}", "rpm": 300}, {"key": "sk-canary", "rpm": 300}]}]}"#;

fn plan(file: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = Folder::new();
    folder.write("provider.json", file);
    run(&folder, arguments)
}

fn run(folder: &Folder, arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<&str> = ["plan"].iter().chain(arguments).copied().collect();
    llmpool(&folder.0, &arguments, "", &[])
}

fn json(file: &str, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
    let (code, out, err) = plan(file, &arguments);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_plan_is_told_whole_and_the_keys_need_not_be_there() {
    let (code, out, err) = plan(FOUR_KEYS, &["--callers", "64", "--latency", "0.3", "--for", "60"]);
    assert_eq!((code, err.as_str()), (0, "llmpool: using ./provider.json\n"));
    let expected = "\
p/m: 4 keys, 64 callers for 60 s, 500 + 300 tokens and 0.30 s each

offered      1256 calls, 20.9 a second
answered     1200 in time, 20.0 a second
turned away  none
wait         p50 2.91 s, p90 2.91 s, p99 2.91 s, at most 3.01 s
waited for   its keys' rates of requests (100 %)
key 1        300 calls, 100 % of its requests a minute
key 2        300 calls, 100 % of its requests a minute
key 3        300 calls, 100 % of its requests a minute
key 4        300 calls, 100 % of its requests a minute

came         @-------------------------------------------------:---------  up to 80.0 a second
served       ------------------------------------------------------------  up to 20.0 a second
longest wait -+@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@  up to 3.01 s

For 99 of 100 calls waiting at most 1.00 s, none turned away:
  11 keys like the first, each with an account of its own (now 4)
  \"rate_limit_capacity\": 1, \"rate_limit_refill_rate\": 68.8 would do (now none, which does too)
  which gives p50 0.87 s, p90 0.87 s, p99 0.87 s, at most 1.12 s
";
    assert_eq!(out, expected, "{out}");
    assert!(!out.contains("canary"));
}

#[test]
fn what_is_recommended_is_enough() {
    let traffic = ["--rate", "30", "--for", "120", "--latency", "1"];
    let told = json(FOUR_KEYS, &traffic);
    assert_eq!(
        (&told["enough"], &told["model"]),
        (&Value::from(false), &Value::from("p/m"))
    );
    assert!(told["shed"]["rate"].as_f64().unwrap() > 0.0);
    let advice = &told["recommended"];
    let key = r#"{"key": "k#", "rpm": 300}"#;
    let keys: Vec<_> = (0..advice["keys"].as_u64().unwrap())
        .map(|at| key.replace('#', &at.to_string()))
        .collect();
    let file = |keys: &[String]| {
        format!(
            r#"{{"p": [{{"model_name": "m", "base_url": "https://h/v1", "rate_limit_capacity": {}, "rate_limit_refill_rate": {}, "api_keys": [{}]}}]}}"#,
            advice["rate_limit_capacity"],
            advice["rate_limit_refill_rate"],
            keys.join(", ")
        )
    };
    let enough = json(&file(&keys), &traffic);
    assert_eq!(enough["enough"], true, "{enough}");
    assert_eq!(enough["wait_seconds"], advice["wait_seconds"]);
    let fewer = json(&file(&keys[1..]), &traffic);
    assert_eq!(fewer["enough"], false, "{fewer}");
}

#[test]
fn what_keys_cannot_help_is_said() {
    let slots = r#"{"p": [{"model_name": "m", "api_keys": ["k"], "base_url": "https://h/v1", "rate_limit_capacity": null, "max_concurrency": 2}]}"#;
    let (code, out, _) = plan(slots, &["--rate", "3", "--latency", "1", "--for", "60"]);
    let says = "No number of keys and no rate give 99 of 100 calls waiting at most 1.00 s, none turned away: \
                the model's max_concurrency (100 %) stands in the way.\n";
    assert!(code == 0 && out.ends_with(says), "{out}");
    let tokens = r#"{"p": [{"model_name": "m", "api_keys": ["k"], "base_url": "https://h/v1", "rate_limit_capacity": null, "tpm": 1000}]}"#;
    let (_, out, _) = plan(tokens, &["--rate", "1", "--prompt-tokens", "2000", "--for", "60"]);
    assert!(
        out.contains("100 %: ") && out.contains(" need more tokens than a limit ever has\n"),
        "{out}"
    );
    let (_, out, _) = plan(
        tokens,
        &[
            "--rate",
            "0.01",
            "--prompt-tokens",
            "1",
            "--answer-tokens",
            "1",
            "--for",
            "60",
        ],
    );
    assert!(out.contains("calls"), "{out}");
}

#[test]
fn a_trace_is_played_again() {
    let folder = Folder::new();
    let file = r#"{"p": [{"model_name": "m", "api_keys": [{"key": "k", "max_concurrency": 1}], "base_url": "https://h/v1", "rate_limit_capacity": null}]}"#;
    folder.write("provider.json", file);
    let lines = "{\"at\": 1000, \"latency\": 4, \"caller\": \"a\"}\n\n{\"at\": 1002.5, \"caller\": \"b\"}\n{\"at\": 1001, \"latency\": 1}\n";
    folder.write("calls.jsonl", lines);
    let (code, out, err) = run(&folder, &["--trace", "calls.jsonl", "--latency", "2", "--json"]);
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&told["offered"], &told["span_seconds"]),
        (&Value::from(3), &Value::from(3.5))
    );
    // The second waits for the first, the third for both.
    assert_eq!(told["wait_seconds"]["max"], 3.0);
    assert_eq!(told["waited_for"][0]["limit"], "its keys' max_concurrency");
}

#[test]
fn wrong_input_is_told_once_with_its_place() {
    let folder = Folder::new();
    folder.write("provider.json", FOUR_KEYS);
    folder.write("bad.jsonl", "{\"at\": 1}\n{\"at\": 2, \"tokens\": 5}\n");
    folder.write("none.jsonl", "\n");
    folder.write("odd.jsonl", "{\"at\": 1, \"latency\": -1}\n");
    for (arguments, code, says) in [
        (
            &["--trace", "bad.jsonl"][..],
            2,
            "bad.jsonl:2:18: unknown field `tokens`, expected one of `at`",
        ),
        (&["--trace", "none.jsonl"], 2, "none.jsonl has no calls"),
        (&["--trace", "odd.jsonl"], 2, "odd.jsonl:1: times are seconds"),
        (&["--trace", "missing.jsonl"], 2, "missing.jsonl cannot be read"),
        (&["--rate", "0"], 2, "give calls a second, more than 0"),
        (&["--rate", "1", "--burst", "5"], 2, "as in 100@60"),
        (
            &["--rate", "100000", "--for", "86400"],
            2,
            "more than the 2000000 that are foretold",
        ),
        (
            &["--rate", "1", "-m", "p/other"],
            2,
            "no model p/other is configured",
        ),
        (&["--rate", "1", "--callers", "2"], 2, "cannot be used with"),
        (&["--rate", "1", "--config", "nowhere.json"], 78, "nowhere.json"),
        (&[], 2, "--rate"),
    ] {
        let (exit, out, err) = run(&folder, arguments);
        assert_eq!((exit, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
    let (exit, _, err) = run(&Folder::new(), &["--rate", "1"]);
    assert_eq!(
        (exit, err.as_str()),
        (
            78,
            "llmpool: there is no provider.json to plan with; write one, or name it with --config\n"
        )
    );
}
