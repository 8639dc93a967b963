//! Runs `llmpool check` against the simulator.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use serde_json::Value;
use support::{Folder, llmpool, simulator};

/// One key for every kind of response to a list of models.
const SCENARIO: &str = r#"{
  "models": ["small"],
  "keys": [
    {"key": "sk-canary-fine"},
    {"key": "sk-canary-gone", "behaviours": [{"status": 401, "body": {"error": {"message": "Wrong key: sk-canary-gone."}}, "on": "models"}]},
    {"key": "sk-canary-poor", "behaviours": [{"status": 402, "on": "models"}]},
    {"key": "sk-canary-bare", "behaviours": [{"status": 403, "on": "models"}]},
    {"key": "sk-canary-lost", "behaviours": [{"status": 404, "on": "models"}]},
    {"key": "sk-canary-busy", "behaviours": [{"status": 429, "retry_after": 3, "on": "models"}]},
    {"key": "sk-canary-down", "behaviours": [{"status": 500, "on": "models"}]},
    {"key": "sk-canary-html", "behaviours": [{"raw": {"body": "<html>", "content_type": "text/html"}, "on": "models"}]}
  ]
}"#;
const KEYS: [&str; 8] = [
    "sk-canary-fine",
    "sk-canary-gone",
    "sk-canary-poor",
    "sk-canary-bare",
    "sk-canary-lost",
    "sk-canary-busy",
    "sk-canary-down",
    "sk-canary-html",
];

fn file(url: &str, model: &str, keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!(
        r#"{{"p": [{{"model_name": "{model}", "api_keys": [{}], "base_url": "{url}", "rate_limit_capacity": null}}]}}"#,
        keys.join(", ")
    )
}

fn check(file: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = Folder::new();
    folder.write("provider.json", file);
    let arguments: Vec<&str> = ["check"].iter().chain(arguments).copied().collect();
    let (code, out, err) = llmpool(&folder.0, &arguments, "", &[]);
    for text in [&out, &err] {
        assert!(!text.contains("canary"), "{text}");
    }
    (code, out, err)
}

/// Replaces times and key fingerprints with `#`.
fn masked(out: &str) -> String {
    let blank = |word: &str| {
        let (bare, end) = word.split_at(word.trim_end_matches(['\n', ',']).len());
        let number = bare.strip_suffix('s').unwrap_or_default();
        let fingerprint = bare
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix([')', ':']));
        if number.contains('.') && number.parse::<f64>().is_ok() {
            format!("#s{end}")
        } else if fingerprint.is_some_and(|hex| hex.trim_end_matches(')').len() == 6) {
            format!("(#){end}")
        } else {
            word.to_owned()
        }
    };
    let lines = out
        .lines()
        .map(|line| line.split(' ').map(blank).collect::<Vec<_>>().join(" ") + "\n");
    lines.collect()
}

fn json(file: &str, arguments: &[&str]) -> (i32, Value) {
    let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
    let (code, out, _) = check(file, &arguments);
    (code, serde_json::from_str(&out).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdict_of_a_key_depends_on_its_list_of_models() {
    let simulator = simulator(SCENARIO).await;
    let file = file(&simulator.url(), "small", &KEYS);
    let (code, out, err) = check(&file, &[]);
    assert_eq!(code, 77, "{out}{err}");
    let expected = format!("p/small  {}/models\n", simulator.url())
        + r#"  key-1 (#)  accepted      #s
  key-2 (#)  refused       invalid API key, 401, "Wrong key: [key].", #s
  key-3 (#)  refused       quota exhausted, 402, "Insufficient balance.", #s
  key-4 (#)  inconclusive  the key may not list models; test it with --call, 403, "You have insufficient permissions for this operation.", #s
  key-5 (#)  inconclusive  no list of models at this URL; check base_url, or test the key with --call, 404, "The model does not exist or you do not have access to it.", #s
  key-6 (#)  inconclusive  rate limit reached; retry later, 429, "Rate limit reached for requests.", #s
  key-7 (#)  inconclusive  server error of the provider; retry later, 500, "The server had an error while processing your request.", #s
  key-8 (#)  inconclusive  the response is not a list of models; check base_url, 200, #s
1 accepted, 2 refused, 5 inconclusive, 0 unreachable
"#;
    assert_eq!(masked(&out), expected, "{out}");
    assert_eq!(
        simulator.stats().requests,
        9,
        "one for each key, and one with an invalid key"
    );
    let (code, report) = json(&file, &[]);
    assert_eq!(code, 77);
    let verdicts: Vec<_> = report[0]["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["verdict"].as_str().unwrap())
        .collect();
    let inconclusive = ["cannot_tell"; 5];
    assert_eq!(
        verdicts,
        [&["accepted", "refused", "refused"][..], &inconclusive].concat()
    );
    assert_eq!(
        (&report[0]["model"], &report[0]["keys"][0]["lists_model"]),
        (&Value::from("p/small"), &Value::from(true))
    );
    assert_eq!(
        (&report[0]["keys"][2]["why"], &report[0]["keys"][2]["status"]),
        (&Value::from("quota exhausted"), &Value::from(402))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_notes_of_keys_are_shown() {
    let simulator = simulator(SCENARIO).await;
    let folder = Folder::new();
    let file = file(&simulator.url(), "small", &KEYS[..1]).replace(
        r#""sk-canary-fine""#,
        r#"{"key": "'sk-canary-fine'", "name": "team-a", "note": "Ann's, till June"}"#,
    );
    folder.write("provider.json", &file);
    let run = |arguments: &[&str]| {
        let (code, out, err) = llmpool(&folder.0, arguments, "", &[]);
        assert!(
            code == 0 && !out.contains("canary") && !err.contains("canary"),
            "{out}{err}"
        );
        (masked(&out), err)
    };
    let (out, err) = run(&["check"]);
    let expected = "  key-1 team-a (#)  accepted  #s note: Ann's, till June\n";
    assert!(out.replace(", note", " note").contains(expected), "{out}");
    assert!(err.contains("the key is surrounded by quotes"), "{err}");
    let (out, _) = run(&["check", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let key = &report[0]["keys"][0];
    assert_eq!(
        (&key["name"], &key["note"]),
        (&"team-a".into(), &"Ann's, till June".into())
    );
    let (out, _) = run(&["config", "show"]);
    assert!(out.contains("key-1 team-a (#), note: Ann's, till June"), "{out}");
    run(&["chat", "-m", "small", "--state", "keys.state", "Hello"]);
    let (out, _) = run(&["status", "--state", "keys.state"]);
    assert!(out.contains("IN FLIGHT  NOTE\n"), "{out}");
    assert!(
        out.contains("p         key-1 team-a (#)  healthy            0          Ann's, till June\n"),
        "{out}"
    );
    let (out, _) = run(&["status", "--state", "keys.state", "--json"]);
    let status: Value = serde_json::from_str(&out).unwrap();
    let key = &status["keys"][0];
    assert_eq!(
        (&key["name"], &key["note"]),
        (&"team-a".into(), &"Ann's, till June".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_shown_for_any_key_is_inconclusive() {
    let simulator = simulator("{}").await;
    let (code, report) = json(&file(&simulator.url(), "any", &["k"]), &[]);
    let key = &report[0]["keys"][0];
    assert_eq!(
        (code, &key["verdict"], &key["why"]),
        (0, &Value::from("cannot_tell"), &Value::from("takes any key"))
    );
    let (code, report) = json(&file(&simulator.url(), "any", &["k"]), &["--call"]);
    assert_eq!(code, 0);
    let call = &report[0]["call"];
    assert_eq!(
        (&call["failure"], &call["stream_options"]),
        (&Value::Null, &Value::from("told"))
    );
    assert!(call["pieces"].as_u64().unwrap() > 1, "{call}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_provider_is_not_a_refusal() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, out, _) = check(&file(&format!("http://{closed}/v1"), "m", &["sk-canary-a"]), &[]);
    assert_eq!(code, 0);
    assert!(
        out.contains("  unreachable  connection failed, ") && out.ends_with("1 unreachable\n"),
        "{out}"
    );
    // A server that accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", silent.local_addr().unwrap());
    let (code, report) = json(&file(&url, "m", &["k"]), &["--timeout", "0.3"]);
    assert_eq!(
        (code, &report[0]["keys"][0]["verdict"]),
        (0, &Value::from("unreachable"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likely_accounts_and_limits_are_reported() {
    let simulator = simulator(
        r#"{"accounts": [{"name": "a", "organization": "org-a", "limits": {"requests": 60}}],
            "keys": [{"key": "sk-canary-1", "account": "a"}, {"key": "sk-canary-2", "account": "a"}, {"key": "sk-canary-3"}]}"#,
    )
    .await;
    let keys = ["sk-canary-1", "sk-canary-2", "sk-canary-3"];
    let (code, out, err) = check(&file(&simulator.url(), "m", &keys), &["--call"]);
    assert_eq!(code, 0, "{out}");
    assert!(
        err.contains("llmpool: making 1 billed call of at most 16 tokens\n"),
        "{err}"
    );
    let hint = "  hint: key-1 (#), key-2 (#) look like one account; if they share its limits, set the same quota_group for them\n";
    assert!(masked(&out).contains(hint), "{out}");
    let call = out.lines().find(|line| line.contains("call with")).unwrap();
    assert!(
        call.contains("streamed in ") && call.contains("59 of 60 requests left"),
        "{out}"
    );
    let with_groups = |groups: &str| {
        let url = simulator.url();
        format!(r#"{{"p": [{{"model_name": "m", "api_keys": [{groups}], "base_url": "{url}"}}]}}"#)
    };
    for (groups, hinted) in [
        (
            r#"{"key": "sk-canary-1", "quota_group": "x"}, {"key": "sk-canary-2", "quota_group": "x"}"#,
            false,
        ),
        (
            r#"{"key": "sk-canary-1", "quota_group": "x"}, {"key": "sk-canary-2", "quota_group": "y"}"#,
            false,
        ),
        (
            r#"{"key": "sk-canary-1", "quota_group": "x"}, "sk-canary-2""#,
            true,
        ),
        (
            r#"{"key": "sk-canary-1", "quota_group": "x"}, {"key": "sk-canary-3", "quota_group": "x"}"#,
            false,
        ),
    ] {
        let (_, out, _) = check(&with_groups(groups), &[]);
        assert_eq!(masked(&out).contains(hint), hinted, "{groups}: {out}");
        let (_, report) = json(&with_groups(groups), &[]);
        let likely = report[0]["likely_accounts"].as_array().unwrap().len();
        assert_eq!(likely, usize::from(hinted), "{groups}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_reports_failure_and_usage_support() {
    let refuses = r#"{"keys": [{"key": "k", "behaviours": [{"status": 401, "on": "chat"}]}]}"#;
    let without_stream_options = r#"{"behaviours": [{"refuse_stream_options": "openai"}]}"#;
    let without_usage = r#"{"usage": "never"}"#;
    for (scenario, code, failure, stream_options) in [
        (refuses, 77, Value::from("invalid API key"), Value::Null),
        (without_stream_options, 0, Value::Null, Value::from("refused")),
        (without_usage, 0, Value::Null, Value::from("ignored")),
    ] {
        let simulator = simulator(scenario).await;
        let (exit, report) = json(&file(&simulator.url(), "m", &["k"]), &["--call"]);
        let call = &report[0]["call"];
        assert_eq!(
            (exit, &call["failure"], &call["stream_options"]),
            (code, &failure, &stream_options),
            "{call}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provider_from_the_environment_can_be_checked() {
    let simulator = simulator(r#"{"models": ["large"], "keys": [{"key": "sk-canary-a"}]}"#).await;
    let folder = Folder::new();
    let variables = [
        ("OPENAI_API_KEY", "sk-canary-a"),
        ("OPENAI_BASE_URL", &*simulator.url()),
    ];
    let (code, out, err) = llmpool(&folder.0, &["check", "-m", "small"], "", &variables);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("openai/small") && out.contains("accepted  model not in the list, "),
        "{out}"
    );
    let (code, _, err) = llmpool(&folder.0, &["check"], "", &[]);
    assert_eq!(
        (code, err.as_str()),
        (
            78,
            "error: no provider is configured\nhint: set OPENAI_API_KEY, or run llmpool config init to write a provider.json\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_with_the_same_keys_share_one_check() {
    let simulator = simulator(r#"{"models": ["large"], "keys": [{"key": "a"}, {"key": "b"}]}"#).await;
    let model = |name: &str, keys: &str| {
        let url = simulator.url();
        format!(
            r#"{{"model_name": "{name}", "api_keys": [{keys}], "base_url": "{url}", "rate_limit_capacity": null}}"#
        )
    };
    let models = [
        model("large", "\"a\", \"b\""),
        model("small", "\"a\", \"b\""),
        model("third", "\"b\""),
    ];
    let (code, report) = json(&format!(r#"{{"p": [{}]}}"#, models.join(", ")), &[]);
    assert_eq!(code, 0);
    let lists: Vec<_> = (0..3).map(|at| &report[at]["keys"][0]["lists_model"]).collect();
    assert_eq!(lists, [true, false, false]);
    assert_eq!(
        simulator.stats().requests,
        2 + 1 + 1 + 1,
        "and the invalid key twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_version_in_base_url_is_suggested() {
    let simulator = simulator(SCENARIO).await;
    let url = simulator.url().replace("/v1", "?code=canary");
    let (code, out, err) = check(&file(&url, "small", &["sk-canary-lost"]), &[]);
    let base = simulator.url().replace("/v1", "");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("{base}/models?code=…\n")), "{out}");
    let hint = format!("  hint: no list of models at this URL; try base_url {base}/v1\n");
    assert!(out.contains(&hint), "{out}");
    let (_, report) = json(&file(&url, "small", &["sk-canary-lost"]), &[]);
    assert_eq!(report[0]["likely_base_url"], format!("{base}/v1"));
}
