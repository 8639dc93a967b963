//! Snapshots of the complete output of every command: success and errors, wide and narrow, with and without colours.
//!
//! After an intended change run `INSTA_UPDATE=always cargo test -p llmpool-cli --test snapshots` and review the diff.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{BufRead, BufReader};

use insta::assert_snapshot;
use llmpool_simulator::Simulator;
use support::{Folder, interrupt, llmpool, mask_elapsed, simulator, start, wait_for_exit};

const NARROW: (&str, &str) = ("COLUMNS", "60");
const WIDE: (&str, &str) = ("COLUMNS", "120");
const COLOURED: (&str, &str) = ("CLICOLOR_FORCE", "1");
const KEYS: [(&str, &str); 2] = [("KEY_1", "sk-canary-fine"), ("KEY_2", "sk-canary-gone")];

/// Two providers: `good` has an accepted and a refused key, the server of `away` is unreachable.
const PROVIDER_FILE: &str = r#"{
  "good": [
    {
      "model_name": "small",
      "api_keys": ["${KEY_1}", {"key": "env:KEY_2", "weight": 2, "rpm": 60}],
      "base_url": "URL",
      "rate_limit_capacity": 20,
      "rate_limit_refill_rate": 2.0,
      "headers": {"x-team": "canary"}
    }
  ],
  "away": [{"model_name": "large", "api_keys": ["${KEY_1}"], "base_url": "http://127.0.0.1:1/v1", "rpm": 600, "max_retries": 0}]
}"#;

const SCENARIO: &str = r#"{
  "models": ["small"],
  "answer": "A **short** answer.",
  "keys": [
    {"key": "sk-canary-fine"},
    {"key": "sk-canary-gone", "behaviours": [{"status": 401}, {"status": 401, "on": "models"}]}
  ]
}"#;

/// A directory to run commands in, with the simulator.
struct Environment {
    folder: Folder,
    /// Of the simulator; its port is masked in the output.
    url: String,
    _simulator: Option<Simulator>,
}

impl Environment {
    /// Creates a directory without configuration.
    fn empty() -> Self {
        Self {
            folder: Folder::new(),
            url: "http://nowhere:no-port/v1".to_owned(),
            _simulator: None,
        }
    }

    /// Creates a directory with the provider file, and starts the simulator for the provider `good`.
    async fn configured() -> Self {
        let simulator = simulator(SCENARIO).await;
        let environment = Self {
            folder: Folder::new(),
            url: simulator.url(),
            _simulator: Some(simulator),
        };
        environment
            .folder
            .write("provider.json", &PROVIDER_FILE.replace("URL", &environment.url));
        environment
    }

    /// Runs a command with the keys set. Returns its exit code and output.
    fn output(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let variables: Vec<_> = KEYS.iter().chain(variables).copied().collect();
        self.output_with(arguments, &variables)
    }

    fn output_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let (code, out, err) = llmpool(&self.folder.0, arguments, "", variables);
        for text in [&out, &err] {
            assert!(!text.contains("canary"), "{text}");
            let coloured = text.contains('\u{1b}');
            assert!(
                !coloured || variables.contains(&COLOURED),
                "escape codes in a pipe: {text}"
            );
        }
        let text = format!(
            "$ llmpool {}\nexit code {code}\n── stdout\n{out}── stderr\n{err}",
            arguments.join(" ")
        );
        let port = self
            .url
            .rsplit(':')
            .next()
            .unwrap_or_default()
            .trim_end_matches("/v1");
        // Masked with the same length, so that the columns after it do not move.
        mask(&text.replace(port, &"#".repeat(port.len())))
    }
}

/// Masks the durations in JSON, whose names end in `_s`.
fn mask_json_durations(text: &str) -> String {
    let mut pieces = text.split("_s\":");
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let number = piece.len()
            - piece
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let shown = if number > 0 { "#" } else { "" };
        bare += &format!("_s\":{shown}{}", &piece[number..]);
    }
    bare
}

/// Masks durations, and makes escape codes visible.
fn mask(text: &str) -> String {
    let text = mask_json_durations(&mask_elapsed(&text.replace('\u{1b}', "␛")));
    let mut masked = String::new();
    for piece in text.split_inclusive([' ', '\n', ',', '(', ')', ':', ';']) {
        let (word, end) = piece.split_at(
            piece.len()
                - piece.chars().last().map_or(0, |last| {
                    if last.is_alphanumeric() {
                        0
                    } else {
                        last.len_utf8()
                    }
                }),
        );
        let bare = word.trim_start_matches("␛[0m");
        let is_time = bare
            .strip_suffix('s')
            .is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok());
        masked += if is_time { "#s" } else { word };
        masked += end;
    }
    masked
}

#[test]
fn help_of_every_command() {
    let environment = Environment::empty();
    for command in [
        "",
        "chat",
        "check",
        "models",
        "config",
        "config init",
        "config show",
        "config validate",
        "config schema",
        "status",
        "plan",
        "sim",
        "completions",
        "man",
        "version",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let name = if command.is_empty() { "llmpool" } else { command }.replace(' ', "-");
        assert_snapshot!(format!("help-{name}"), environment.output(&arguments, &[WIDE]));
    }
    assert_snapshot!("help-narrow", environment.output(&["chat", "--help"], &[NARROW]));
    assert_snapshot!(
        "help-coloured",
        environment.output(&["config", "--help"], &[WIDE, COLOURED])
    );
}

#[test]
fn usage_errors_and_generated_files() {
    let environment = Environment::empty();
    assert_snapshot!("version", environment.output(&["version"], &[]));
    assert_snapshot!("no-command", environment.output(&[], &[WIDE]));
    assert_snapshot!("unknown-command", environment.output(&["chta"], &[]));
    assert_snapshot!(
        "unknown-option",
        environment.output(&["chat", "--modell", "x"], &[COLOURED])
    );
    assert_snapshot!(
        "completions-fish",
        environment.output(&["completions", "fish"], &[])
    );
    assert_snapshot!(
        "completions-unknown",
        environment.output(&["completions", "tcsh"], &[])
    );
    assert_snapshot!("man", environment.output(&["man"], &[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat() {
    let environment = Environment::configured().await;
    let small = ["chat", "-m", "good/small", "Hello"];
    assert_snapshot!("chat", environment.output(&small, &[]));
    assert_snapshot!(
        "chat-quiet",
        environment.output(&["-q", "chat", "-m", "good/small", "Hello"], &[])
    );
    assert_snapshot!("chat-coloured", environment.output(&small, &[COLOURED]));
    assert_snapshot!(
        "chat-no-color",
        environment.output(&small, &[("NO_COLOR", "1"), ("CLICOLOR", "1")])
    );
    let dry = [
        "chat",
        "-m",
        "good/small",
        "--system",
        "Be brief",
        "--dry-run",
        "Hello",
    ];
    assert_snapshot!("chat-dry-run", environment.output(&dry, &[]));
    assert_snapshot!(
        "chat-ambiguous-model",
        environment.output(&["chat", "Hello"], &[])
    );
    assert_snapshot!(
        "chat-unknown-model",
        environment.output(&["chat", "-m", "good/smal", "Hello"], &[])
    );
    assert_snapshot!(
        "chat-unreachable",
        environment.output(&["chat", "-m", "away/large", "Hello"], &[])
    );
    assert_snapshot!(
        "chat-no-prompt",
        environment.output(&["chat", "-m", "good/small"], &[])
    );
    assert_snapshot!(
        "chat-missing-attachment",
        environment.output(&["chat", "-m", "good/small", "-f", "nowhere.txt", "Hello"], &[])
    );
    environment.folder.write("data.bin", "a\0b");
    assert_snapshot!(
        "chat-unsupported-attachment",
        environment.output(&["chat", "-m", "good/small", "-f", "data.bin", "Hello"], &[])
    );
    environment.folder.write(
        "lines.jsonl",
        "\"One\"\n{\"id\": \"two\", \"prompt\": 2}\nthree\n",
    );
    let batch = ["chat", "-m", "good/small", "--jsonl", "lines.jsonl"];
    assert_snapshot!("chat-batch-invalid-lines", environment.output(&batch, &[]));
    environment.folder.write(
        "prompts.jsonl",
        "\"One\"\n{\"id\": \"two\", \"prompt\": \"Two\"}\n",
    );
    let batch = [
        "chat",
        "-m",
        "good/small",
        "--jsonl",
        "prompts.jsonl",
        "--output",
        "answers.jsonl",
    ];
    assert_snapshot!("chat-batch", environment.output(&batch, &[]));
    assert_snapshot!(
        "chat-batch-resumed-coloured",
        environment.output(&batch, &[COLOURED])
    );
    environment.folder.write(
        "provider.json",
        "{\"p\": [{\"model_nam\": \"m\", \"api_keys\": [\"${NOPE}\"], \"base_url\": \"h\"}]}",
    );
    assert_snapshot!("chat-invalid-provider-file", environment.output(&small, &[]));
    assert_snapshot!(
        "chat-invalid-provider-file-coloured",
        environment.output(&small, &[COLOURED])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_with_refused_key() {
    let environment = Environment::configured().await;
    let only = PROVIDER_FILE
        .replace("URL", &environment.url)
        .replace("\"${KEY_1}\", ", "");
    environment.folder.write("provider.json", &only);
    assert_snapshot!(
        "chat-refused",
        environment.output(&["chat", "-m", "good/small", "Hello"], &[])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_and_models() {
    let environment = Environment::configured().await;
    assert_snapshot!("check", environment.output(&["check"], &[]));
    assert_snapshot!(
        "check-narrow-coloured",
        environment.output(&["check"], &[NARROW, COLOURED])
    );
    assert_snapshot!("check-json", environment.output(&["check", "--json"], &[]));
    assert_snapshot!(
        "check-call-wide",
        environment.output(&["check", "-m", "small", "--call"], &[WIDE])
    );
    assert_snapshot!("models", environment.output(&["models"], &[]));
    assert_snapshot!(
        "models-narrow-coloured",
        environment.output(&["models"], &[NARROW, COLOURED])
    );
    assert_snapshot!("models-json", environment.output(&["models", "--json"], &[]));
    let empty = Environment::empty();
    assert_snapshot!("check-unconfigured", empty.output(&["check"], &[]));
    assert_snapshot!("models-unconfigured", empty.output(&["models"], &[]));
    assert_snapshot!(
        "models-environment",
        empty.output(&["models"], &[("OPENAI_API_KEY", "sk-canary-env")])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config() {
    let environment = Environment::configured().await;
    assert_snapshot!(
        "config-show",
        environment.output(
            &["config", "show"],
            &[
                ("LLMPOOL_MODEL", ""),
                ("HTTPS_PROXY", "http://me:canary@proxy:3128")
            ]
        )
    );
    let large = ["config", "show", "-m", "large"];
    assert_snapshot!(
        "config-show-narrow-coloured",
        environment.output(&large, &[NARROW, COLOURED])
    );
    assert_snapshot!(
        "config-show-without-keys",
        environment.output_with(&["config", "show", "-m", "small"], &[WIDE])
    );
    assert_snapshot!(
        "config-show-json",
        environment.output(&["config", "show", "-m", "large", "--json"], &[])
    );
    assert_snapshot!(
        "config-validate",
        environment.output(&["config", "validate"], &[])
    );
    environment.folder.write(
        "other.json",
        "{\"p\": [{\"model_name\": \"m\", \"api_keys\": [\"${KEY_1}\", \"sk-canary-literal\"], \"base_url\": \"http://api.example/v1\",\n\
         \"rate_limit_capacity\": 500, \"rate_limit_refill_rate\": 60}]}",
    );
    let both = ["config", "validate", "provider.json", "other.json"];
    assert_snapshot!("config-validate-hints", environment.output(&both, &[]));
    assert_snapshot!(
        "config-validate-hints-coloured",
        environment.output(&both, &[COLOURED])
    );
    assert_snapshot!(
        "config-validate-hints-json",
        environment.output(&["config", "validate", "other.json", "--json"], &[])
    );
    environment.folder.write(
        "bad.json",
        "{\"p\": [{\"model_nam\": \"m\", \"api_keys\": [], \"base_url\": \"h\"}]}",
    );
    assert_snapshot!(
        "config-validate-errors",
        environment.output(&["config", "validate", "provider.json", "bad.json"], &[])
    );
    assert_snapshot!(
        "config-validate-errors-json",
        environment.output(&["config", "validate", "bad.json", "--json"], &[])
    );
    assert_snapshot!(
        "config-validate-missing-file",
        environment.output(&["config", "validate", "nowhere.json"], &[])
    );
    let empty = Environment::empty();
    assert_snapshot!(
        "config-validate-unconfigured",
        empty.output(&["config", "validate"], &[])
    );
    assert_snapshot!("config-show-unconfigured", empty.output(&["config", "show"], &[]));
    let environment = [
        ("OPENAI_API_KEY", "sk-canary-env"),
        ("OPENAI_BASE_URL", "http://h/v1?key=canary"),
        ("OPENAI_ORG_ID", "canary"),
    ];
    assert_snapshot!(
        "config-show-environment",
        empty.output(&["config", "show"], &environment)
    );
    assert_snapshot!(
        "config-validate-environment",
        empty.output(&["config", "validate"], &environment)
    );
}

#[test]
fn config_init() {
    let environment = Environment::empty();
    let read = |name: &str| std::fs::read_to_string(environment.folder.0.join(name)).unwrap();
    assert_snapshot!("config-init", environment.output(&["config", "init"], &[]));
    assert_snapshot!("config-init-file", read("provider.json"));
    assert_eq!(
        read("provider.schema.json"),
        llmpool::provider_file::PROVIDER_SCHEMA
    );
    assert_snapshot!(
        "config-init-existing-file",
        environment.output(&["config", "init"], &[])
    );
    let own = [
        "config",
        "init",
        "own.json",
        "--provider",
        "local",
        "--base-url",
        "http://127.0.0.1:8088/v1",
    ];
    assert_snapshot!("config-init-no-model", environment.output(&own, &[]));
    let whole: Vec<&str> = own
        .iter()
        .chain(&["--model", "m", "--key-env", "A", "--key-env", "B"])
        .copied()
        .collect();
    assert_snapshot!(
        "config-init-custom-provider",
        environment.output(&whole, &[("A", "canary")])
    );
    assert_snapshot!("config-init-custom-provider-file", read("own.json"));
    let wrong = [
        "config",
        "init",
        "wrong.json",
        "--provider",
        "a/b",
        "--base-url",
        "h",
        "--model",
        "m",
    ];
    assert_snapshot!("config-init-invalid", environment.output(&wrong, &[]));
    assert!(!environment.folder.0.join("wrong.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status() {
    let environment = Environment::configured().await;
    assert_snapshot!("status-no-name", environment.output(&["status"], &[]));
    assert_snapshot!(
        "status-no-file",
        environment.output(&["status", "--state", "keys.state"], &[])
    );
    // The refused key comes first, and the limit refills too slowly to be seen.
    let file = PROVIDER_FILE
        .replace("URL", &environment.url)
        .replace("2.0", "0.001");
    let file = file
        .replacen("${KEY_1}", "${KEY_3}", 1)
        .replace("env:KEY_2", "env:KEY_1")
        .replace("KEY_3", "KEY_2");
    environment.folder.write("provider.json", &file);
    let chat = environment.output(
        &["chat", "-m", "good/small", "--state", "keys.state", "Hello"],
        &[],
    );
    assert!(chat.contains("exit code 0"), "{chat}");
    let state = std::fs::read_to_string(environment.folder.0.join("keys.state")).unwrap();
    assert!(!state.contains("canary"));
    let mask_seconds = |text: String| {
        let words: Vec<_> = text.split(' ').collect();
        let is_time = |at: usize| {
            words[at].parse::<u32>().is_ok() && words.get(at + 1).is_some_and(|next| next.trim() == "s")
        };
        let words = (0..words.len()).map(|at| if is_time(at) { "#" } else { words[at] });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_snapshot!(
        "status",
        mask_seconds(environment.output(&["status", "--state", "keys.state"], &[]))
    );
    let coloured = environment.output(&["status", "--state", "keys.state"], &[NARROW, COLOURED]);
    assert_snapshot!("status-narrow-coloured", mask_seconds(coloured));
    assert_snapshot!(
        "status-json",
        environment.output(&["status", "--state", "keys.state", "--json"], &[])
    );
    environment.folder.write("broken.state", "{");
    assert_snapshot!(
        "status-invalid-file",
        environment.output(&["status", "--state", "broken.state"], &[])
    );
    let saved = serde_json::json!({
        "version": 1, "salt": "s", "saved_at": 0, "keys": [{"provider": "good", "fingerprint": "unknown", "state": "disabled"}],
        "rates": [{"model": "good/small", "available": 0, "waiting": 7}],
    });
    environment.folder.write("old.state", &saved.to_string());
    let mask_days = |text: String| {
        let words = text.split(' ').map(|word| {
            if word.parse::<u64>().is_ok_and(|days| days > 20_000) {
                "#"
            } else {
                word
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let old = ["status", "--state", "old.state"];
    assert_snapshot!(
        "status-old-narrow-coloured",
        mask_days(environment.output(&old, &[NARROW, COLOURED]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan() {
    let environment = Environment::configured().await;
    let plan = ["plan", "-m", "small", "--rate", "4", "--for", "120"];
    assert_snapshot!("plan", environment.output(&plan, &[]));
    assert_snapshot!(
        "plan-narrow-coloured",
        environment.output(&plan, &[NARROW, COLOURED, ("LANG", "C.UTF-8")])
    );
    assert_snapshot!("plan-wide", environment.output(&plan, &[WIDE]));
    let json: Vec<&str> = plan.iter().chain(&["--json"]).copied().collect();
    assert_snapshot!("plan-json", environment.output(&json, &[]));
    assert_snapshot!(
        "plan-no-traffic",
        environment.output(&["plan", "-m", "small"], &[WIDE])
    );
    assert_snapshot!(
        "plan-invalid-rate",
        environment.output(&["plan", "-m", "small", "--rate", "0"], &[])
    );
    assert_snapshot!(
        "plan-no-file",
        Environment::empty().output(&["plan", "--rate", "1"], &[])
    );
}

#[test]
fn sim() {
    let environment = Environment::empty();
    assert_snapshot!(
        "sim-unknown-scenario",
        environment.output(&["sim", "--scenario", "falky"], &[WIDE])
    );
    assert_snapshot!(
        "sim-invalid-address",
        environment.output(&["sim", "--listen", "nowhere"], &[])
    );
    // The simulator runs until it is interrupted.
    let mut child = start(&environment.folder.0, &["sim", "--listen", "127.0.0.1:0"], &[]);
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut url)
        .unwrap();
    let mut note = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut note)
        .unwrap();
    interrupt(&child);
    let (code, rest, err) = wait_for_exit(child);
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with("/v1\n"),
        "{url}"
    );
    assert_eq!((code, rest.as_str(), err.as_str()), (130, "", ""));
    assert_snapshot!("sim", note);
}
