//! Runs `llmpool plan`.
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

/// Returns the JSON of the only model.
fn json(file: &str, arguments: &[&str]) -> Value {
    let folder = Folder::new();
    folder.write("provider.json", file);
    let mut models = models(&folder, arguments);
    assert_eq!(models.len(), 1);
    models.remove(0)
}

fn models(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
    let (code, out, err) = run(folder, &arguments);
    assert_eq!(code, 0, "{err}");
    let mut report: Value = serde_json::from_str(&out).unwrap();
    serde_json::from_value(report["models"].take()).unwrap()
}

#[test]
fn plan_is_printed_without_the_keys_being_set() {
    let (code, out, err) = plan(FOUR_KEYS, &["--callers", "64", "--latency", "0.3", "--for", "60"]);
    assert_eq!((code, err.as_str()), (0, "llmpool: using ./provider.json\n"));
    let expected = "\
p/m: 4 keys
64 callers for 60 s; 500 + 300 tokens and 0.30 s per call

offered     1264 calls, 21.1/s
answered    1200 within the simulated time, 20.0/s
rejected    none
wait        p50 2.90 s, p90 2.90 s, p99 6.20 s, max 6.20 s
waited for  the keys' request rate (100 %)
tokens      960000, 960000 per minute
key-1       300 calls, 100 % of its request rate
key-2       300 calls, 100 % of its request rate
key-3       300 calls, 100 % of its request rate
key-4       300 calls, 100 % of its request rate

offered      @:::::::::::::::::::::::::::::::::::::::::.   up to 112.0/s
served       +:::::::::::::::::::::::::::::::::::::::::    up to 67.2/s
longest wait -*@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@    up to 2.90 s

Recommended for a p99 wait of at most 1.00 s without rejections:
  22 keys with the limits of the first one and separate accounts (configured: 4)
  \"rate_limit_capacity\": 1, \"rate_limit_refill_rate\": 138, or no rate limit as configured
  gives p50 0.29 s, p90 0.29 s, p99 0.44 s, max 3.58 s
";
    assert_eq!(out, expected, "{out}");
    assert!(!out.contains("canary"));
}

#[test]
fn recommended_limits_are_sufficient_and_fewer_keys_are_not() {
    let traffic = ["--rate", "30", "--for", "120", "--latency", "1"];
    let report = json(FOUR_KEYS, &traffic);
    assert_eq!(
        (&report["enough"], &report["model"]),
        (&Value::from(false), &Value::from("p/m"))
    );
    assert!(report["shed"]["rate"].as_f64().unwrap() > 0.0);
    let advice = &report["recommended"];
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
fn limit_that_keys_cannot_change_is_reported() {
    let slots = r#"{"p": [{"model_name": "m", "api_keys": ["k"], "base_url": "https://h/v1", "rate_limit_capacity": null, "max_concurrency": 2}]}"#;
    let (code, out, _) = plan(slots, &["--rate", "3", "--latency", "1", "--for", "60"]);
    let advice = "No number of keys and no rate gives a p99 wait of at most 1.00 s without rejections: \
                  the model's max_concurrency is the limit.\n";
    assert!(code == 0 && out.ends_with(advice), "{out}");
    let tokens = r#"{"p": [{"model_name": "m", "api_keys": ["k"], "base_url": "https://h/v1", "rate_limit_capacity": null, "tpm": 1000}]}"#;
    let (_, out, _) = plan(tokens, &["--rate", "1", "--prompt-tokens", "2000", "--for", "60"]);
    assert!(
        out.contains("100 %: ") && out.contains(" need more tokens than a limit allows\n"),
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
fn trace_is_replayed() {
    let folder = Folder::new();
    let file = r#"{"p": [{"model_name": "m", "api_keys": [{"key": "k", "max_concurrency": 1}], "base_url": "https://h/v1", "rate_limit_capacity": null}]}"#;
    folder.write("provider.json", file);
    let lines = "{\"at\": 1000, \"latency\": 4, \"caller\": \"a\"}\n\n{\"at\": 1002.5, \"caller\": \"b\"}\n{\"at\": 1001, \"latency\": 1}\n";
    folder.write("calls.jsonl", lines);
    let report = models(&folder, &["--trace", "calls.jsonl", "--latency", "2"]).remove(0);
    assert_eq!(report["offered"], 3);
    // The second call waits for the first one, the third for both.
    assert_eq!(report["wait_seconds"]["max"], 3.0);
    assert_eq!(report["waited_for"][0]["limit"], "key_concurrency");
    let dates = r#"{"at": "2026-01-31T12:00:00Z", "latency": 4, "completion_tokens": 7}
{"at": "2026-01-31T13:00:02.5+01:00"}
{"at": "2026-01-31T12:00:01Z", "latency": 1}"#;
    folder.write("dates.jsonl", dates);
    let dated = models(
        &folder,
        &["--trace", "dates.jsonl", "--latency", "2", "--for", "10"],
    )
    .remove(0);
    assert_eq!(dated["wait_seconds"], report["wait_seconds"]);
    assert_eq!(dated["tokens"], 500 + 7 + 2 * (500 + 300));
}

const SHARED: &str = r#"{"p": [
  {"model_name": "big", "base_url": "https://h/v1", "rate_limit_capacity": null, "api_keys": [{"key": "file:/no/such", "rpm": 120}]},
  {"model_name": "small", "base_url": "https://h/v1", "rate_limit_capacity": null, "api_keys": [{"key": "file:/no/such", "rpm": 120}, {"key": "${B}", "rpm": 120}]}]}"#;

#[test]
fn models_share_calls_and_common_keys() {
    let folder = Folder::new();
    folder.write("provider.json", SHARED);
    let traffic = r#"{"rate": 5, "for": 120, "latency": 1, "latency_p95": 2.5, "burst": {"calls": 10, "every": 60}, "seed": 4,
      "models": [{"model": "p/small", "share": 3}, {"model": "big", "share": 1}]}"#;
    folder.write("traffic.json", traffic);
    let report = models(&folder, &["--traffic", "traffic.json"]);
    let ids: Vec<_> = report
        .iter()
        .map(|model| model["model"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["p/small", "p/big"]);
    let offered: Vec<_> = report
        .iter()
        .map(|model| model["offered"].as_f64().unwrap())
        .collect();
    assert!((offered[0] / offered[1] - 3.0).abs() < 0.6, "{offered:?}");
    let keys = |model: usize| report[model]["keys"].as_array().unwrap().clone();
    assert_eq!((keys(0).len(), keys(1).len()), (2, 1));
    assert_eq!(keys(0)[0], keys(1)[0], "a shared key has one utilization");
    assert_eq!(keys(0)[0]["most_used"]["limit"], "key_requests");
    let (_, out, _) = run(&folder, &["--traffic", "traffic.json"]);
    assert!(
        out.starts_with(
            "p/small: 2 keys, 75 % of the calls\n5 calls/s at random times plus 10 at once every 60 s"
        ),
        "{out}"
    );
    assert!(
        out.contains("\n\np/big: 1 key, 25 % of the calls\n5 calls/s"),
        "{out}"
    );
    folder.write("trace.jsonl", "{\"at\": 1, \"model\": \"big\"}\n{\"at\": 2, \"model\": \"small\"}\n{\"at\": 3, \"model\": \"big\"}\n");
    let report = models(&folder, &["--trace", "trace.jsonl"]);
    let offered: Vec<_> = report
        .iter()
        .map(|model| (model["model"].clone(), model["offered"].clone()))
        .collect();
    assert_eq!(
        offered,
        [("p/big".into(), 2.into()), ("p/small".into(), 1.into())]
    );
}

#[test]
fn fewer_keys_are_recommended_if_sufficient() {
    let (code, out, _) = plan(FOUR_KEYS, &["--rate", "3", "--for", "120"]);
    let advice =
        "The 4 keys are sufficient for a p99 wait of at most 1.00 s without rejections; so is 1 key.\n";
    assert!(code == 0 && out.ends_with(advice), "{out}");
    let report = json(FOUR_KEYS, &["--rate", "3", "--for", "120"]);
    assert_eq!(
        (&report["enough"], &report["recommended"]),
        (&Value::from(true), &serde_json::json!({"keys": 1}))
    );
}

#[test]
fn json_fields_are_stable() {
    let report = json(FOUR_KEYS, &["--rate", "30", "--for", "60", "--latency", "1:2"]);
    let mut names: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "answered",
        "binding_limit",
        "enough",
        "goodput_per_second",
        "keys",
        "model",
        "offered",
        "over_time",
        "own",
        "recommended",
        "served",
        "shed",
        "tokens",
        "turned_away_for",
        "wait_seconds",
        "waited_for",
    ];
    assert_eq!(names, expected);
    assert_eq!(report["binding_limit"], "key_requests");
    assert_eq!(report["turned_away_for"][0]["limit"], "key_requests");
    let parts = report["over_time"].as_array().unwrap();
    assert_eq!(parts.len(), 60);
    let offered: u64 = parts.iter().map(|part| part["offered"].as_u64().unwrap()).sum();
    assert_eq!(report["offered"], offered);
    assert_eq!(report["keys"][3]["key"], "key-4");
}

#[test]
fn too_many_calls_are_refused_early() {
    let free = r#"{"p": [{"model_name": "m", "api_keys": ["k"], "base_url": "https://h/v1", "rate_limit_capacity": null}]}"#;
    let (code, out, err) = plan(free, &["--callers", "1000", "--latency", "0.001"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains(
            "the traffic has more than 2000000 calls, the maximum of a forecast\nhint: shorten --for"
        ),
        "{err}"
    );
}

#[test]
fn invalid_input_is_reported_with_its_location() {
    let folder = Folder::new();
    folder.write("provider.json", FOUR_KEYS);
    folder.write("bad.jsonl", "{\"at\": 1}\n{\"at\": 2, \"tokens\": 5}\n");
    folder.write("none.jsonl", "\n");
    folder.write("when.jsonl", "{\"at\": 1}\n{\"at\": \"noon\"}\n");
    folder.write("other.jsonl", "{\"at\": 1, \"model\": \"p/other\"}\n");
    folder.write("bad.json", "{\"callers\": 1,\n   \"rates\": 1}");
    folder.write("both.json", r#"{"callers": 1, "rate": 1}"#);
    folder.write("zero.json", r#"{"rate": 0}"#);
    folder.write("tail.json", r#"{"rate": 1, "latency": 1, "latency_p95": 9}"#);
    folder.write(
        "model.json",
        r#"{"rate": 1, "models": [{"model": "x", "share": 1}]}"#,
    );
    folder.write(
        "twice.json",
        r#"{"rate": 1, "models": [{"model": "m", "share": 1}, {"model": "m", "share": 2}]}"#,
    );
    folder.write("odd.jsonl", "{\"at\": 1, \"latency\": -1}\n");
    for (arguments, code, message) in [
        (
            &["--trace", "bad.jsonl"][..],
            2,
            "bad.jsonl:2:18: unknown field `tokens`, expected one of `at`",
        ),
        (&["--trace", "none.jsonl"], 2, "none.jsonl has no calls"),
        (
            &["--trace", "odd.jsonl"],
            2,
            "odd.jsonl:1: \"latency\" must be a number of seconds",
        ),
        (
            &["--trace", "when.jsonl"],
            2,
            "when.jsonl:2: \"at\" must be a number of seconds or a date",
        ),
        (
            &["--trace", "other.jsonl"],
            2,
            "other.jsonl:1: model p/other is not configured\nhint: use a configured model: p/m",
        ),
        (
            &["--traffic", "bad.json"],
            2,
            "bad.json:2:10: unknown field `rates`",
        ),
        (
            &["--traffic", "both.json"],
            2,
            "both.json: expected either \"rate\" (optionally with \"even\") or \"callers\"",
        ),
        (
            &["--traffic", "zero.json"],
            2,
            "zero.json: rate: expected calls per second greater than 0",
        ),
        (
            &["--traffic", "tail.json"],
            2,
            "tail.json: latency: P95 must be between 1 and 3.8 times the mean",
        ),
        (
            &["--traffic", "model.json"],
            2,
            "model.json: models[0].model: model x is not configured",
        ),
        (
            &["--traffic", "twice.json"],
            2,
            "twice.json: models[1]: duplicate model m",
        ),
        (
            &["--traffic", "zero.json", "--latency", "1"],
            2,
            "cannot be used with",
        ),
        (
            &["--rate", "1", "--latency", "1:9"],
            2,
            "P95 must be between 1 and 3.8 times the mean",
        ),
        (&["--trace", "missing.jsonl"], 2, "cannot read missing.jsonl"),
        (&["--rate", "0"], 2, "expected calls per second greater than 0"),
        (&["--rate", "1", "--burst", "5"], 2, "such as 100@60"),
        (
            &["--rate", "100000", "--for", "86400"],
            2,
            "more than 2000000 calls, the maximum of a forecast",
        ),
        (
            &["--rate", "1", "-m", "p/other"],
            2,
            "model p/other is not configured",
        ),
        (&["--rate", "1", "--callers", "2"], 2, "cannot be used with"),
        (&["--rate", "1", "--config", "nowhere.json"], 78, "nowhere.json"),
        (&[], 2, "--rate"),
    ] {
        let (exit, out, err) = run(&folder, arguments);
        assert_eq!((exit, out.as_str()), (code, ""), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
    let (exit, _, err) = run(&Folder::new(), &["--rate", "1"]);
    assert_eq!(
        (exit, err.as_str()),
        (
            78,
            "error: no provider file was found\nhint: run llmpool config init to write a provider file, or pass one with --config\n"
        )
    );
}
