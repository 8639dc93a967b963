//! Runs batches with the built command against the simulator.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use llmpool_simulator::{Simulator, Stats};
use serde_json::Value;
use support::{Folder, interrupt, llmpool, provider_file, simulator, start, wait_for_exit};

const BATCH: [&str; 3] = ["chat", "--jsonl", "in.jsonl"];

/// Creates a directory with a provider file (one model) and these input lines.
fn folder(simulator: &Simulator, lines: impl IntoIterator<Item: AsRef<str>>) -> Folder {
    let folder = Folder::new();
    let lines: String = lines
        .into_iter()
        .map(|line| format!("{}\n", line.as_ref()))
        .collect();
    folder
        .write("p.json", &provider_file(&simulator.url()))
        .write("in.jsonl", &lines);
    folder
}

fn prompts(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| format!("\"question {number}\""))
}

fn batch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BATCH.iter().chain(more).copied().collect()
}

const VARIABLES: [(&str, &str); 2] = [("KEY", "k"), ("LLMPOOL_CONFIG", "p.json")];

/// Runs a batch. Returns the exit code, the rows on stdout, and stderr.
fn run(folder: &Folder, more: &[&str]) -> (i32, Vec<Value>, String) {
    let (code, out, err) = llmpool(&folder.0, &batch(more), "", &VARIABLES);
    (code, rows(&out), err)
}

fn rows(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "incomplete row: {text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn output_rows(folder: &Folder) -> Vec<Value> {
    rows(&std::fs::read_to_string(folder.0.join("out.jsonl")).unwrap())
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

fn text(row: &Value) -> Option<&str> {
    row["response"]["body"]["choices"][0]["message"]["content"].as_str()
}

fn attempts(rows: &[Value]) -> u64 {
    rows.iter()
        .map(|row| row["report"]["attempts"].as_array().unwrap().len() as u64)
        .sum()
}

async fn wait_until(simulator: &Simulator, condition: impl Fn(&Stats) -> bool) {
    let reached = simulator.wait_for(condition, Duration::from_secs(10)).await;
    assert!(reached.is_ok(), "{reached:?}");
}

fn start_batch(folder: &Path, more: &[&str]) -> Child {
    let mut child = start(folder, &batch(more), &VARIABLES);
    drop(child.stdin.take());
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_format_gets_a_row_in_openai_format() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"models":["m"],"echo":true}"#).await;
    let folder = folder(
        &simulator,
        [
            r#""one""#,
            "",
            r#"{"id":"b","prompt":"two","system":"s","model":"p/m","max_tokens":9}"#,
            r#"{"messages":[{"role":"user","content":"three"}],"model":"m"}"#,
            r#"{"custom_id":"d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"four"}]}}"#,
        ],
    );
    let (code, rows, err) = run(&folder, &["-m", "m"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        err,
        "llmpool: 4 lines: 4 answered, 0 failed, #s, 5 prompt + 4 completion tokens\n"
    );
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            assert_eq!(row["id"], row["custom_id"]);
            assert_eq!(
                (&row["error"], &row["response"]["status_code"]),
                (&Value::Null, &200.into())
            );
            let attempt = &row["report"]["attempts"][0];
            assert_eq!(attempt["request_id"], row["response"]["request_id"]);
            assert!(attempt["key"].as_str().unwrap().starts_with("key-1 ("));
            (
                row["id"].as_str().unwrap(),
                row["line"].as_u64().unwrap(),
                text(row).unwrap(),
            )
        })
        .collect();
    let expected = [
        ("1", 1, "one"),
        ("b", 3, "two"),
        ("4", 4, "three"),
        ("d", 5, "four"),
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_can_name_any_configured_model() {
    let simulator = simulator("{}").await;
    let lines = [r#"{"prompt":"a","model":"p/m"}"#, r#"{"prompt":"b","model":"n"}"#];
    let folder = folder(&simulator, lines);
    let url = simulator.url();
    let model = |name| {
        format!(
            r#"{{"model_name":"{name}","api_keys":["env:KEY"],"base_url":"{url}","rate_limit_capacity":null}}"#
        )
    };
    folder.write("p.json", &format!(r#"{{"p":[{},{}]}}"#, model("m"), model("n")));
    for more in [&[][..], &["-m", "n"]] {
        let (code, rows, err) = run(&folder, more);
        assert_eq!(code, 0, "{err}");
        let models: Vec<_> = rows
            .iter()
            .map(|row| (&row["report"]["target"], &row["response"]["body"]["model"]))
            .collect();
        assert_eq!(
            models,
            [(&"p/m".into(), &"m".into()), (&"p/n".into(), &"n".into())]
        );
    }

    folder.write("in.jsonl", "\"which?\"");
    let (code, _, err) = run(&folder, &[]);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "error: no model was specified, and 2 are configured\nhint: pass one of these models with -m: p/m, p/n\n"
        )
    );
    let (code, rows, _) = run(&folder, &["-m", "n"]);
    assert_eq!((code, &rows[0]["report"]["target"]), (0, &"p/n".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_in_input_order_or_in_completion_order() {
    const SLOW_FIRST: &str = r#"{"script":[{"ok":true,"head_delay":0.5}]}"#;
    let expected: Vec<_> = (1..=8).map(|number| number.to_string()).collect();
    let in_order = simulator(SLOW_FIRST).await;
    let (code, rows, err) = run(&folder(&in_order, prompts(8)), &["--concurrency", "2"]);
    assert_eq!(
        (code, ids(&rows)),
        (0, expected.iter().map(String::as_str).collect()),
        "{err}"
    );

    let as_done = simulator(SLOW_FIRST).await;
    let more = ["--concurrency", "2", "--order", "done"];
    let (code, rows, err) = run(&folder(&as_done, prompts(8)), &more);
    assert_eq!(code, 0, "{err}");
    assert_eq!(ids(&rows).into_iter().collect::<BTreeSet<_>>().len(), 8);
    let last = ids(&rows)[7];
    assert!(last == "1" || last == "2", "{:?}", ids(&rows));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_limits_calls_in_flight() {
    let simulator = simulator(r#"{"head_delay":0.05}"#).await;
    let (code, rows, err) = run(&folder(&simulator, prompts(20)), &["--concurrency", "3"]);
    assert_eq!((code, rows.len()), (0, 20), "{err}");
    assert_eq!(simulator.stats().max_in_flight, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_lines_are_all_reported_and_nothing_is_sent() {
    let simulator = simulator("{}").await;
    let folder = folder(
        &simulator,
        [
            r#""fine""#,
            r#"{"prompt": canary}"#,
            r#"{"id":"a","prompt":"canary"}"#,
            r#"{"id":"a","prompt":"canary"}"#,
            r#"{"prompt":"canary","model":"p/other"}"#,
            r#"{"messages":"canary"}"#,
        ],
    );
    let (code, rows, err) = run(&folder, &["--output", "out.jsonl"]);
    assert_eq!((code, rows.len()), (2, 0));
    assert_eq!(
        err,
        "error: in.jsonl: 4 invalid lines; nothing sent\n\
         in.jsonl:2:12: invalid JSON: expected value\n  hint: write one complete JSON value on each line\n\
         in.jsonl:4: duplicate id; line 3 has the same id\n  hint: give each line a unique id; the default id of a line is its number\n\
         in.jsonl:5: model p/other is not configured\n  hint: use a configured model: p/m; or remove the model from the line and pass -m\n\
         in.jsonl:6:20: invalid value: expected a sequence\n  hint: replace the value with a sequence\n"
    );
    assert_eq!(simulator.stats().requests, 0);
    assert!(!folder.0.join("out.jsonl").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_batch_resumes_where_it_ended() {
    let before = simulator(
        r#"{"script":[{"ok":true},{"ok":true},{"ok":true}],"behaviours":[{"stall":"before_head"}]}"#,
    )
    .await;
    let folder = folder(&before, prompts(6));
    let more = ["--output", "out.jsonl", "--concurrency", "1"];
    let mut child = start_batch(&folder.0, &more);
    wait_until(&before, |stats| stats.requests == 4).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ids(&output_rows(&folder)), ["1", "2", "3"]);
    // Simulates a kill during the last write.
    let path = folder.0.join("out.jsonl");
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(length - 40).unwrap();

    let after = simulator(r#"{"keys":[{"key":"k"}],"echo":true}"#).await;
    folder.write("p.json", &provider_file(&after.url()));
    let (code, _, err) = run(&folder, &more);
    assert_eq!(
        (code, err.as_str()),
        (
            0,
            "llmpool: the last line of out.jsonl is incomplete; removing it and sending its prompt again\n\
             llmpool: 6 lines: 2 answered earlier, 4 answered, 0 failed, #s, 8 prompt + 8 completion tokens\n"
        )
    );
    assert_eq!(ids(&output_rows(&folder)), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(after.stats().requests, 4);

    let (code, _, err) = run(&folder, &more);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("6 answered earlier, 0 answered"), "{err}");
    assert_eq!((after.stats().requests, output_rows(&folder).len()), (4, 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_keeps_finished_rows_even_out_of_order() {
    let scenario = r#"{"script":[{"stall":"before_head"},{"ok":true},{"ok":true}],"behaviours":[{"stall":"before_head"}]}"#;
    let simulator = simulator(scenario).await;
    let folder = folder(&simulator, prompts(6));
    let child = start_batch(&folder.0, &["--output", "out.jsonl", "--concurrency", "2"]);
    // The fourth call starts when two are answered; one of the first two never is.
    wait_until(&simulator, |stats| stats.requests == 4).await;
    interrupt(&child);
    let (code, out, err) = wait_for_exit(child);
    assert_eq!((code, out.as_str(), err.as_str()), (130, "", ""));
    let rows = output_rows(&folder);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row["error"].is_null()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_lines_are_retried_and_the_last_row_counts() {
    let simulator = simulator(r#"{"script":[{"ok":true},{"status":500},{"status":400}]}"#).await;
    let folder = folder(&simulator, prompts(3));
    let more = ["--output", "out.jsonl", "--concurrency", "1"];
    let (code, _, err) = run(&folder, &more);
    assert_eq!(
        (code, err.as_str()),
        (
            1,
            "llmpool: 3 lines: 1 answered, 2 failed (1 invalid request, 1 server error), #s, 2 prompt + 29 completion tokens\n\
             hint: run the same command again to retry only the failed lines\n"
        )
    );
    let rows = output_rows(&folder);
    assert_eq!(
        (&rows[1]["response"], &rows[1]["error"]["kind"]),
        (&Value::Null, &"server_error".into())
    );
    assert_eq!(rows[1]["error"]["status"], 500);
    assert!(
        rows[1]["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("p/m: server error after 1 attempt")
    );

    let (code, _, err) = run(&folder, &more);
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("3 lines: 1 answered earlier, 2 answered, 0 failed"),
        "{err}"
    );
    assert_eq!(ids(&output_rows(&folder)), ["1", "2", "3", "2", "3"]);
    let (_, _, err) = run(&folder, &more);
    assert!(err.contains("3 answered earlier, 0 answered"), "{err}");
    assert_eq!(simulator.stats().requests, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_code_depends_on_the_failures() {
    for (behaviour, code, reason) in [
        (r#"{"status":429,"retry_after":30}"#, 75, "rate limited"),
        (r#"{"status":503}"#, 75, "overloaded"),
        (r#"{"status":401}"#, 77, "invalid API key"),
        (r#"{"status":402}"#, 75, "quota exhausted"),
        (r#"{"status":500}"#, 1, "server error"),
    ] {
        let simulator = simulator(&format!(r#"{{"behaviours":[{behaviour}]}}"#)).await;
        let folder = folder(&simulator, prompts(4));
        let more = ["--concurrency", "2", "--timeout", "5"];
        let (found, rows, err) = run(&folder, &more);
        assert_eq!((found, rows.len()), (code, 4), "{err}");
        assert!(err.contains(&format!("4 failed (4 {reason})")), "{err}");
        assert_eq!(attempts(&rows), simulator.stats().requests);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_keys_fail_the_batch_at_once() {
    for status in [401, 402] {
        let simulator = simulator(&format!(r#"{{"behaviours":[{{"status":{status}}}]}}"#)).await;
        let folder = folder(&simulator, prompts(50));
        // A call that waited for its keys would wait up to the default timeout for the next probe of the key.
        let began = std::time::Instant::now();
        let (_, rows, err) = run(&folder, &["--concurrency", "2"]);
        assert_eq!(rows.len(), 50, "{err}");
        assert!(began.elapsed() < Duration::from_secs(20), "{err}");
        assert!(simulator.stats().requests <= 2);
        assert_eq!(
            attempts(&rows),
            simulator.stats().requests,
            "every attempt is reported"
        );
    }
}

fn limited_to(simulator: &Simulator, rate: f64) -> String {
    let url = simulator.url();
    format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["env:KEY"],"base_url":"{url}","rate_limit_capacity":1,"rate_limit_refill_rate":{rate}}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_for_limits_until_their_timeout() {
    let simulator = simulator("{}").await;
    let folder = folder(&simulator, prompts(3));
    folder.write("p.json", &limited_to(&simulator, 2.5));
    let (code, rows, err) = run(&folder, &[]);
    assert_eq!((code, rows.len()), (0, 3), "{err}");
    let (code, rows, err) = run(&folder, &["--timeout", "0.1"]);
    assert_eq!(code, 75, "{err}");
    let limited = |row: &&Value| row["error"]["kind"] == "limit_reached";
    let limited: Vec<_> = rows.iter().filter(limited).collect();
    assert_eq!(limited.len(), 2, "{rows:?}");
    assert!(
        limited
            .iter()
            .all(|row| row["error"]["retry_after_s"].is_number())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_wait_longer_than_the_default_queue_timeout() {
    let simulator = simulator(r#"{"head_delay":0.3}"#).await;
    let folder = folder(&simulator, prompts(3));
    folder.write("p.json", &limited_to(&simulator, 0.02));
    let child = start_batch(&folder.0, &["--output", "out.jsonl"]);
    wait_until(&simulator, |stats| stats.statuses.contains_key(&200)).await;
    interrupt(&child);
    let (code, _, err) = wait_for_exit(child);
    assert_eq!(code, 130, "{err}");
    assert!(
        output_rows(&folder).iter().all(|row| row["error"].is_null()),
        "{:?}",
        output_rows(&folder)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_is_answered_once_despite_a_flaky_key() {
    let keys = ["sk-canary-one", "sk-canary-two", "sk-canary-three"];
    let [one, two, three] = keys;
    let scenario = format!(
        r#"{{"keys":[{{"key":"{one}","behaviours":[{{"status":500,"probability":0.5}}]}},{{"key":"{two}"}},{{"key":"{three}"}}],"echo":true}}"#
    );
    let simulator = simulator(&scenario).await;
    let prompts =
        (1..=500).map(|number| format!(r#"{{"id":"q{number}","prompt":"canary prompt {number}"}}"#));
    let folder = folder(&simulator, prompts);
    let file = format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["{one}","{two}","{three}"],"base_url":"{}","max_retries":20,"retry_delay":0.001,"rate_limit_capacity":null}}]}}"#,
        simulator.url()
    );
    folder.write("p.json", &file);
    let (code, out, err) = llmpool(&folder.0, &batch(&["--output", "out.jsonl"]), "", &VARIABLES);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let rows = output_rows(&folder);
    let answers: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), text(row).unwrap()))
        .collect();
    assert_eq!((rows.len(), answers.len()), (500, 500));
    for (index, row) in rows.iter().enumerate() {
        let number = index + 1;
        assert_eq!(row["id"], format!("q{number}"));
        assert_eq!(text(row).unwrap(), format!("canary prompt {number}"));
    }
    let stats = simulator.stats();
    assert!(stats.statuses[&500] > 0);
    assert_eq!((stats.statuses[&200], attempts(&rows)), (500, stats.requests));
    let written = std::fs::read_to_string(folder.0.join("out.jsonl")).unwrap();
    assert!(keys.iter().all(|key| !written.contains(key)));
    let summary = "llmpool: 500 lines: 500 answered, 0 failed, #s, 1500 prompt + 1500 completion tokens\n";
    assert!(err.ends_with(summary), "{err}");
    assert!(!err.contains("canary"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multi_line_response_becomes_one_row() {
    let body = "{\n \"choices\": [{\n  \"message\": {\"content\": \"a\\nb\"}}],\n \"timings\": {\n  \"ms\": 1.50\n }\n}";
    let raw =
        serde_json::json!({"behaviours": [{"raw": {"body": body, "content_type": "application/json"}}]});
    let simulator = simulator(&raw.to_string()).await;
    let (code, rows, err) = run(&folder(&simulator, prompts(2)), &[]);
    assert_eq!((code, rows.len()), (0, 2), "{err}");
    assert_eq!(text(&rows[0]), Some("a\nb"));
    assert_eq!(rows[0]["response"]["body"]["timings"]["ms"], 1.5);
    assert!(
        err.contains("2 completion tokens (usage of 2 estimated)"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_stdout_ends_the_batch_without_error() {
    let simulator = simulator(r#"{"head_delay":0.02}"#).await;
    let folder = folder(&simulator, prompts(200));
    let mut child = start_batch(&folder.0, &["--concurrency", "1"]);
    drop(child.stdout.take());
    let (code, _, err) = wait_for_exit(child);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(simulator.stats().requests < 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_works_while_stdout_is_blocked() {
    use std::io::Read;
    // One answer is larger than the buffer of a pipe.
    let answer = serde_json::json!({"answer": "many words ".repeat(20_000)});
    let simulator = simulator(&answer.to_string()).await;
    let folder = folder(&simulator, prompts(2));
    let mut child = start_batch(&folder.0, &[]);
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    interrupt(&child);
    let began = std::time::Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            None if began.elapsed() < Duration::from_secs(5) => std::thread::sleep(Duration::from_millis(5)),
            ended => break ended,
        }
    };
    let _ = child.kill();
    assert_eq!(ended.and_then(|ended| ended.code()), Some(130));
}

#[test]
fn documented_batch_has_the_documented_fields() {
    let page = include_str!("../../../docs/commands.md");
    let (_, rest) = page.split_once("```jsonl\n").unwrap();
    let (prompts, rest) = rest.split_once("```\n").unwrap();
    let folder = Folder::new();
    folder.write("prompts.jsonl", prompts);
    let command = ["chat", "--jsonl", "prompts.jsonl", "--output", "answers.jsonl"];
    let (code, out, err) = llmpool(&folder.0, &command, "", &[]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let answers = rows(&std::fs::read_to_string(folder.0.join("answers.jsonl")).unwrap());
    assert_eq!(ids(&answers), ["1", "in-french", "conversation", "as-openai"]);

    let (_, rest) = rest.split_once("```json\n").unwrap();
    let documented: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&documented), fields(&answers[1]));
    for part in ["/report", "/report/attempts/0"] {
        let [expected, actual] = [&documented, &answers[1]].map(|row| fields(row.pointer(part).unwrap()));
        assert_eq!(actual, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_that_is_not_batch_output_is_not_changed() {
    let simulator = simulator("{}").await;
    let folder = folder(&simulator, prompts(2));
    for (name, content) in [
        ("in.jsonl", None),
        ("notes", Some("dear diary")),
        ("p.json", None),
    ] {
        if let Some(content) = content {
            folder.write(name, content);
        }
        let before = std::fs::read(folder.0.join(name)).unwrap();
        let (code, _, err) = run(&folder, &["--output", name]);
        assert_eq!(
            (code, err.as_str()),
            (
                2,
                format!("error: cannot use {name} as output: line 1 is not a row of a batch\nhint: pass another file with --output, or remove the line\n").as_str()
            )
        );
        assert_eq!(std::fs::read(folder.0.join(name)).unwrap(), before);
    }
    assert_eq!(simulator.stats().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_file_of_a_running_batch_is_refused() {
    let simulator = simulator("{}").await;
    let folder = folder(&simulator, prompts(2));
    let file = std::fs::File::create(folder.0.join("out.jsonl")).unwrap();
    file.lock().unwrap();
    let (code, _, err) = run(&folder, &["--output", "out.jsonl"]);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "error: out.jsonl is in use by another batch\nhint: wait until the other batch ends, or pass another file with --output\n"
        )
    );
    assert_eq!(simulator.stats().requests, 0);
}

#[test]
fn batch_on_stdin_is_answered_by_the_simulator() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["chat", "--jsonl"], "\"a\"\n\"b\"", &[]);
    assert_eq!((code, ids(&rows(&out))), (0, vec!["1", "2"]), "{err}");
    let (code, out, err) = llmpool(&folder.0, &["chat", "--jsonl", "-"], "", &[]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let (code, _, err) = llmpool(&folder.0, &["chat", "--jsonl"], "\"a\"\nb", &[]);
    assert_eq!(code, 2);
    assert!(
        err.contains("\nstdin:2: expected a string or an object\n  hint: "),
        "{err}"
    );
}

#[test]
fn conflicting_options_are_a_usage_error() {
    let folder = Folder::new();
    for arguments in [
        &["--jsonl", "in.jsonl", "hi"][..],
        &["--jsonl", "in.jsonl", "--json"],
        &["--jsonl", "in.jsonl", "-S"],
        &["hi", "--order", "done"],
        &["hi", "--output", "out.jsonl"],
        &["--concurrency", "2"],
        &["--jsonl", "--concurrency", "0"],
        &["--jsonl", "--timeout", "0"],
        &["--jsonl", "--timeout", "soon"],
    ] {
        let arguments: Vec<_> = ["chat"].iter().chain(arguments).copied().collect();
        let (code, out, err) = llmpool(&folder.0, &arguments, "", &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_the_calls_of_a_running_batch() {
    let simulator = simulator(r#"{"head_delay": 4}"#).await;
    let folder = folder(&simulator, prompts(8));
    let variables = [
        ("KEY", "k"),
        ("LLMPOOL_CONFIG", "p.json"),
        ("LLMPOOL_STATE", "keys.state"),
    ];
    let batch = start(
        &folder.0,
        &["chat", "--jsonl", "in.jsonl", "--concurrency", "3"],
        &variables,
    );
    // The state file is saved every two seconds; until the first save, status fails.
    let in_flight = || {
        let (_, out, _) = llmpool(&folder.0, &["status", "--json"], "", &variables);
        let status: Value = serde_json::from_str(&out).ok()?;
        status["keys"][0]["in_flight"].as_u64().filter(|calls| *calls > 0)
    };
    let began = std::time::Instant::now();
    let calls = loop {
        match in_flight() {
            Some(calls) => break calls,
            None => assert!(began.elapsed().as_secs() < 30, "no call is in flight"),
        }
    };
    assert_eq!(calls, 3);
    interrupt(&batch);
    assert_eq!(wait_for_exit(batch).0, 130);
}
