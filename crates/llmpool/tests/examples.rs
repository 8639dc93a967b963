//! Runs each program in `examples/` against a simulated provider.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use llmpool_simulator::{Scenario, Simulator};

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
];

#[tokio::test(flavor = "multi_thread")]
async fn every_example_prints_the_expected_output() {
    for case in CASES {
        let simulator = Simulator::start(Scenario::from_json(case.scenario).unwrap())
            .await
            .unwrap();
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

fn run(case: &Case, base_url: &str) -> Output {
    let file = std::env::temp_dir().join(format!("llmpool-example-{}.json", std::process::id()));
    let mut command = command(case.example);
    if case.example == "hello" {
        let model =
            serde_json::json!({"model_name": "gpt-4o-mini", "api_keys": [case.keys], "base_url": base_url});
        std::fs::write(&file, serde_json::json!({"openai": [model]}).to_string()).unwrap();
        command.arg(&file);
    } else {
        command
            .env("OPENAI_BASE_URL", base_url)
            .env("OPENAI_API_KEY", case.keys);
    }
    let output = command.output().unwrap();
    let _ = std::fs::remove_file(file);
    output
}

/// Returns the command that runs an example with an empty environment. `cargo test` and `cargo nextest run` build the examples of the
/// packages that they test, into a directory beside the one of this test.
fn command(example: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("{example}{}", std::env::consts::EXE_SUFFIX);
    let program = target.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is missing; run cargo build --examples",
        program.display()
    );
    let mut command = Command::new(program);
    command.env_clear().current_dir(directory());
    command
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
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
