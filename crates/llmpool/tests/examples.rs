//! Runs each program in `examples/` against a simulated provider.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "support/example_program.rs"]
mod example_program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use example_program::{ProviderFile, command, directory};
use llmpool_simulator::{Scenario, Simulator};
use serde_json::{Value, json};

/// The longest example, in lines that are not imports.
const MAX_LINES: usize = 25;

/// An example with the scenario that it runs against, and what it prints.
struct Case {
    example: &'static str,
    scenario: &'static str,
    keys: &'static str,
    /// Texts that the output contains, in this order.
    output: &'static [&'static str],
    /// The number of requests that the simulator receives.
    requests: u64,
}

const CASES: &[Case] = &[
    Case {
        example: "hello",
        scenario: r#"{"answer": "Good morning"}"#,
        keys: "sk-a",
        output: &["Good morning\n", "3 tokens\n"],
        requests: 1,
    },
    Case {
        example: "stream",
        scenario: r#"{"answer": "one two three"}"#,
        keys: "sk-a",
        output: &["one two three\n", "first text after ", ", end after "],
        requests: 1,
    },
    Case {
        example: "three_keys",
        scenario: r#"{"keys": [{"key": "sk-a"}, {"key": "sk-b"}, {"key": "sk-c"}], "echo": true}"#,
        keys: "sk-a,sk-b,sk-c",
        output: &[
            "What is a bucket?\nWhat is a window?\nWhat is a queue?\n",
            "key-1 (",
            "): healthy\nkey-2 (",
            "): healthy\nkey-3 (",
            "): healthy\n",
        ],
        requests: 3,
    },
    Case {
        example: "from_env",
        scenario: r#"{"echo": true, "keys": [{"key": "sk-a"}]}"#,
        keys: "sk-a",
        output: &["Why is the sky blue?\n"],
        requests: 1,
    },
    Case {
        example: "tools",
        scenario: r#"{"answer": "It is sunny in Paris.", "tool_arguments": "{\"city\": \"Paris\"}"}"#,
        keys: "sk-a",
        output: &["get_weather in \"Paris\"\nIt is sunny in Paris.\n"],
        requests: 2,
    },
    Case {
        example: "typed_reply",
        scenario: "{}",
        keys: "sk-a",
        output: &[" for ", " euros\n"],
        requests: 1,
    },
    Case {
        example: "function",
        scenario: "{}",
        keys: "sk-a",
        output: &["(urgent: false)\n"],
        requests: 1,
    },
    Case {
        example: "responses",
        scenario: r#"{"echo": true, "keys": [{"key": "sk-a"}]}"#,
        keys: "sk-a",
        output: &["Name a city in Italy.\nAnd one in Spain?\n"],
        requests: 2,
    },
    Case {
        example: "pacing",
        scenario: "{}",
        keys: "",
        output: &[
            "job 1 after 0.0 s\njob 2 after 0.0 s\njob 3 after ",
            "job 5 after ",
            "next slot in ",
        ],
        requests: 0,
    },
    Case {
        example: "errors",
        scenario: r#"{"script": [{"status": 429, "retry_after": 40}]}"#,
        keys: "sk-a",
        output: &["openai/gpt-4o-mini: ", "(429)", "come back in 40 s\n"],
        requests: 1,
    },
    Case {
        example: "two_models",
        scenario: r#"{"keys": [{"key": "sk-a"}, {"key": "sk-b"}], "models": ["gpt-4o-mini", "gpt-4o"], "answer": "Hi"}"#,
        keys: "sk-a,sk-b",
        output: &[
            "openai/gpt-4o-mini with key-1 (",
            "  2 tokens\n",
            "openai/gpt-4o with key-2 (",
            "  2 tokens\n",
        ],
        requests: 2,
    },
    Case {
        example: "collaboration",
        scenario: r#"{"models": ["gpt-4o-mini", "gpt-4o"], "answer": "We look for it."}"#,
        keys: "sk-a",
        output: &["urgent: false\nWe look for it.\n"],
        requests: 2,
    },
    Case {
        example: "fallback",
        scenario: r#"{"answer": "In order.", "script": [{"status": 400, "code": "context_length_exceeded"}]}"#,
        keys: "sk-a",
        output: &["openai/gpt-4o-mini: ", "In order.\n"],
        requests: 2,
    },
    // The library has retried once, as the file says, before the program asks the other model.
    Case {
        example: "fallback",
        scenario: r#"{"answer": "In order.", "script": [{"status": 503}, {"status": 503}]}"#,
        keys: "sk-a",
        output: &["openai/gpt-4o-mini: ", "(503)", "In order.\n"],
        requests: 3,
    },
    // The library's own retry succeeds, so the program does not ask the other model, which does not exist.
    Case {
        example: "fallback",
        scenario: r#"{"models": ["gpt-4o-mini"], "answer": "In order.", "script": [{"status": 500}]}"#,
        keys: "sk-a",
        output: &["In order.\n"],
        requests: 2,
    },
    Case {
        example: "monitoring",
        scenario: r#"{"answer": "Paris", "keys": [{"key": "sk-a", "script": [{"status": 401}]}, {"key": "sk-b"}]}"#,
        keys: "sk-a,sk-b",
        output: &[
            "invalid API key after ",
            " with key-1 (",
            "answer after ",
            " with key-2 (",
            "Some(",
            ") tokens, according to [Provider]\nkey-1 (",
            "): invalid, 0 in flight\nkey-2 (",
            "): healthy, 0 in flight\n",
            "capacity: 10,",
        ],
        requests: 2,
    },
    Case {
        example: "observer",
        scenario: r#"{"script": [{"status": 429, "retry_after": 0.1, "retry_after_form": "ms"}]}"#,
        keys: "sk-a",
        output: &[
            "key-1 (",
            "): healthy -> throttled\nkey-1 (",
            "-> healthy\nSucceeded in ",
            "usage from the provider\nnext key: Some(key-1 (",
        ],
        requests: 2,
    },
    Case {
        example: "chat_with_tools",
        scenario: r#"{"answer": "Rome is warmer."}"#,
        keys: "sk-a",
        output: &[
            "Paris or Rome?\n",
            "20 °C in Paris\n",
            "20 °C in Rome\n",
            "Rome is warmer.\n",
        ],
        requests: 2,
    },
    Case {
        example: "chatbot",
        scenario: r#"{"echo": true}"#,
        keys: "sk-a",
        output: &[
            "Who wrote Emma? (2 messages)\n",
            "What else did she write? (4 messages)\n",
        ],
        requests: 2,
    },
    Case {
        example: "streaming_function",
        scenario: r#"{"script": [{"raw": {"body":
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"{\\\"value\\\": [\\\"Seine\\\", \\\"Loire\\\"]}\"}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n"
        }}]}"#,
        keys: "sk-a",
        output: &["[0]: \"Seine\"\n[1]: \"Loire\"\n2 rivers, Some(", ") tokens\n"],
        requests: 1,
    },
    Case {
        example: "parallel_calls",
        scenario: "{}",
        keys: "sk-a",
        output: &["Great film. 0\nI fell asleep. 0\nNot bad at all. 0\n"],
        requests: 3,
    },
    Case {
        example: "images",
        scenario: r#"{"answer": "They show one church."}"#,
        keys: "sk-a",
        output: &["They show one church.\n"],
        requests: 2,
    },
    // The second request is that of the tool.
    Case {
        example: "agent_as_tool",
        scenario: r#"{"answer": "First boxes, then a van."}"#,
        keys: "sk-a",
        output: &["First boxes, then a van.\n"],
        requests: 3,
    },
    Case {
        example: "templates",
        scenario: r#"{"answer": "In order."}"#,
        keys: "sk-a",
        output: &[
            "--- system ---\nYou are a teacher. Rewrite the text for children.\n--- user ---\nA queue serves calls in order.\n",
            "In order.\nIn order.\n",
        ],
        requests: 2,
    },
];

/// The tools that the model calls in its first reply, with their arguments.
const TOOL_CALLS: &[(&str, &[(&str, &str)])] = &[
    (
        "chat_with_tools",
        &[
            ("weather", r#"{"city": "Paris"}"#),
            ("weather", r#"{"city": "Rome"}"#),
        ],
    ),
    ("images", &[("photo", r#"{"place": "Delft"}"#)]),
    ("agent_as_tool", &[("plan", r#"{"task": "Hire a van."}"#)]),
];

/// The examples that take the path of a provider file. The others read OPENAI_BASE_URL and OPENAI_API_KEY.
const WITH_PROVIDER_FILE: &[&str] = &["collaboration", "fallback", "function", "hello", "monitoring"];

#[tokio::test(flavor = "multi_thread")]
async fn every_example_prints_the_expected_output() {
    for case in CASES {
        let simulator = Simulator::start(scenario(case)).await.unwrap();
        let output = run(case, &simulator.url());
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let name = case.example;
        assert!(output.status.success(), "{name} failed: {stdout}{stderr}");
        assert_eq!(stderr, "", "{name}");
        let mut rest = stdout.as_str();
        for expected in case.output {
            let Some(at) = rest.find(expected) else {
                panic!("{name} did not print {expected:?}: {stdout:?}");
            };
            rest = &rest[at + expected.len()..];
        }
        assert_eq!(simulator.stats().requests, case.requests, "{name}");
    }
}

// The simulator has no keys; each example that sends a request fails without one, and names the variable or the file.
#[test]
fn examples_without_configuration_name_what_is_missing() {
    for case in CASES.iter().filter(|case| case.requests > 0) {
        let output = command(case.example).output().unwrap();
        assert!(!output.status.success(), "{}", case.example);
        let stderr = text(&output.stderr);
        let is_named = ["OPENAI_API_KEY", "provider.json", "NotPresent"]
            .iter()
            .any(|name| stderr.contains(name));
        assert!(is_named, "{}: {stderr}", case.example);
    }
}

#[test]
fn every_example_has_a_case_and_at_most_25_lines() {
    let files = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.collect();
    let names: BTreeSet<_> = files
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(names, CASES.iter().map(|case| case.example).collect());
    for file in &files {
        let source = std::fs::read_to_string(file).unwrap();
        let lines = lines_without_imports(&source);
        assert!(lines <= MAX_LINES, "{} has {lines} lines", file.display());
        for forbidden in [".unwrap()", ".expect(", "panic!"] {
            assert!(!source.contains(forbidden), "{}: {forbidden}", file.display());
        }
    }
}

#[test]
fn readme_contains_the_function_example() {
    let function = std::fs::read_to_string(directory().join("function.rs")).unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let blocks: Vec<_> = text.split("```rust,no_run\n").skip(1).collect();
    assert!(
        blocks[1].starts_with(&format!("{function}```\n")),
        "the second block is not examples/function.rs"
    );
}

#[test]
fn readme_contains_the_hello_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let hello = std::fs::read_to_string(directory().join("hello.rs")).unwrap();
    for readme in [root.join("../../README.md"), root.join("README.md")] {
        let text = std::fs::read_to_string(&readme).unwrap();
        let block = format!("```rust,no_run\n{hello}```\n");
        assert!(
            text.contains(&block),
            "{} differs from examples/hello.rs",
            readme.display()
        );
    }
}

fn scenario(case: &Case) -> Scenario {
    let mut scenario: Value = serde_json::from_str(case.scenario).unwrap();
    if let Some((_, calls)) = TOOL_CALLS.iter().find(|(example, _)| *example == case.example) {
        scenario["script"] =
            json!([{"raw": {"content_type": "application/json", "body": reply_with(calls)}}]);
    }
    Scenario::from_json(&scenario.to_string()).unwrap()
}

fn reply_with(calls: &[(&str, &str)]) -> String {
    let calls = calls.iter().enumerate().map(|(number, (name, arguments))| {
        json!({"id": format!("call-{number}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let message = json!({"role": "assistant", "tool_calls": calls.collect::<Vec<_>>()});
    json!({"choices": [{"finish_reason": "tool_calls", "message": message}]}).to_string()
}

fn run(case: &Case, base_url: &str) -> Output {
    let mut command = command(case.example);
    if !WITH_PROVIDER_FILE.contains(&case.example) {
        command
            .env("OPENAI_BASE_URL", base_url)
            .env("OPENAI_API_KEY", case.keys);
        return command.output().unwrap();
    }
    let keys: Vec<_> = case.keys.split(',').collect();
    let model = |name| {
        let mut model = json!({"model_name": name, "api_keys": keys, "base_url": base_url});
        model["max_retries"] = json!(1);
        model["retry_delay"] = json!(0.01);
        model
    };
    let provider = json!({"openai": [model("gpt-4o-mini"), model("gpt-4o")]});
    let file = ProviderFile::write(case.example, &provider);
    command.arg(file.path()).output().unwrap()
}

fn lines_without_imports(source: &str) -> usize {
    let mut in_import = false;
    let lines = source.lines().filter(|line| {
        let is_import = in_import || line.starts_with("use ");
        in_import = is_import && !line.ends_with(';');
        !is_import
    });
    lines.count()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
