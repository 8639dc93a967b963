//! What every command says, whole: good and bad, wide and narrow, with colours and without.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test -p llmpool-cli --test snapshots`, and read what changed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::{BufRead, BufReader};

use insta::assert_snapshot;
use llmpool_simulator::Simulator;
use support::{Folder, ended, interrupt, llmpool, simulator, start};

const NARROW: (&str, &str) = ("COLUMNS", "60");
const WIDE: (&str, &str) = ("COLUMNS", "120");
const COLOURED: (&str, &str) = ("CLICOLOR_FORCE", "1");
const KEYS: [(&str, &str); 2] = [("KEY_1", "sk-canary-fine"), ("KEY_2", "sk-canary-gone")];

/// Two providers: one with a good and a refused key, one whose server is not there.
const FILE: &str = r#"{
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

struct Scene {
    folder: Folder,
    /// Stands for the simulator's address in what is shown.
    url: String,
    _simulator: Option<Simulator>,
}

impl Scene {
    /// Nothing is configured.
    fn empty() -> Self {
        Self {
            folder: Folder::new(),
            url: "http://nowhere:no-port/v1".to_owned(),
            _simulator: None,
        }
    }

    /// Two providers are configured, and one of them is there.
    async fn configured() -> Self {
        let simulator = simulator(SCENARIO).await;
        let scene = Self {
            folder: Folder::new(),
            url: simulator.url(),
            _simulator: Some(simulator),
        };
        scene
            .folder
            .write("provider.json", &FILE.replace("URL", &scene.url));
        scene
    }

    /// Everything that a command says.
    fn says(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let variables: Vec<_> = KEYS.iter().chain(variables).copied().collect();
        self.says_with(arguments, &variables)
    }

    fn says_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
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
        // As long as it was, for the columns behind it.
        steady(&text.replace(port, &"#".repeat(port.len())))
    }
}

/// Members of JSON that are times have no value.
fn without_times(text: &str) -> String {
    let mut pieces = text.split("_s\":");
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let number = piece.len()
            - piece
                .trim_start_matches(|sign: char| sign.is_ascii_digit() || sign == '.')
                .len();
        let shown = if number > 0 { "#" } else { "" };
        bare += &format!("_s\":{shown}{}", &piece[number..]);
    }
    bare
}

/// Without what differs from run to run, and with escape codes to read.
fn steady(text: &str) -> String {
    let text = without_times(&text.replace('\u{1b}', "␛"));
    let mut steady = String::new();
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
        steady += if is_time { "#s" } else { word };
        steady += end;
    }
    steady
}

#[test]
fn help_of_every_command() {
    let scene = Scene::empty();
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
        assert_snapshot!(format!("help-{name}"), scene.says(&arguments, &[WIDE]));
    }
    assert_snapshot!("help-narrow", scene.says(&["chat", "--help"], &[NARROW]));
    assert_snapshot!(
        "help-coloured",
        scene.says(&["config", "--help"], &[WIDE, COLOURED])
    );
}

#[test]
fn the_command_line_itself() {
    let scene = Scene::empty();
    assert_snapshot!("version", scene.says(&["version"], &[]));
    assert_snapshot!("no-command", scene.says(&[], &[WIDE]));
    assert_snapshot!("unknown-command", scene.says(&["chta"], &[]));
    assert_snapshot!(
        "unknown-option",
        scene.says(&["chat", "--modell", "x"], &[COLOURED])
    );
    assert_snapshot!("completions-fish", scene.says(&["completions", "fish"], &[]));
    assert_snapshot!("completions-unknown", scene.says(&["completions", "tcsh"], &[]));
    assert_snapshot!("man", scene.says(&["man"], &[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat() {
    let scene = Scene::configured().await;
    let small = ["chat", "-m", "good/small", "Hello"];
    assert_snapshot!("chat", scene.says(&small, &[]));
    assert_snapshot!(
        "chat-quiet",
        scene.says(&["-q", "chat", "-m", "good/small", "Hello"], &[])
    );
    assert_snapshot!("chat-coloured", scene.says(&small, &[COLOURED]));
    assert_snapshot!(
        "chat-no-color",
        scene.says(&small, &[("NO_COLOR", "1"), ("CLICOLOR", "1")])
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
    assert_snapshot!("chat-dry-run", scene.says(&dry, &[]));
    assert_snapshot!("chat-which-model", scene.says(&["chat", "Hello"], &[]));
    assert_snapshot!(
        "chat-unknown-model",
        scene.says(&["chat", "-m", "good/smal", "Hello"], &[])
    );
    assert_snapshot!(
        "chat-nobody-there",
        scene.says(&["chat", "-m", "away/large", "Hello"], &[])
    );
    assert_snapshot!("chat-no-prompt", scene.says(&["chat", "-m", "good/small"], &[]));
    assert_snapshot!(
        "chat-no-file",
        scene.says(&["chat", "-m", "good/small", "-f", "nowhere.txt", "Hello"], &[])
    );
    scene.folder.write("data.bin", "a\0b");
    assert_snapshot!(
        "chat-no-text",
        scene.says(&["chat", "-m", "good/small", "-f", "data.bin", "Hello"], &[])
    );
    scene.folder.write(
        "lines.jsonl",
        "\"One\"\n{\"id\": \"two\", \"prompt\": 2}\nthree\n",
    );
    let batch = ["chat", "-m", "good/small", "--jsonl", "lines.jsonl"];
    assert_snapshot!("chat-broken-lines", scene.says(&batch, &[]));
    scene.folder.write(
        "questions.jsonl",
        "\"One\"\n{\"id\": \"two\", \"prompt\": \"Two\"}\n",
    );
    let batch = [
        "chat",
        "-m",
        "good/small",
        "--jsonl",
        "questions.jsonl",
        "--output",
        "answers.jsonl",
    ];
    assert_snapshot!("chat-batch", scene.says(&batch, &[]));
    assert_snapshot!("chat-batch-again-coloured", scene.says(&batch, &[COLOURED]));
    scene.folder.write(
        "provider.json",
        "{\"p\": [{\"model_nam\": \"m\", \"api_keys\": [\"${NOPE}\"], \"base_url\": \"h\"}]}",
    );
    assert_snapshot!("chat-bad-file", scene.says(&small, &[]));
    assert_snapshot!("chat-bad-file-coloured", scene.says(&small, &[COLOURED]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_is_told_with_what_helps() {
    let scene = Scene::configured().await;
    let only = FILE.replace("URL", &scene.url).replace("\"${KEY_1}\", ", "");
    scene.folder.write("provider.json", &only);
    assert_snapshot!(
        "chat-refused",
        scene.says(&["chat", "-m", "good/small", "Hello"], &[])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_and_models() {
    let scene = Scene::configured().await;
    assert_snapshot!("check", scene.says(&["check"], &[]));
    assert_snapshot!(
        "check-narrow-coloured",
        scene.says(&["check"], &[NARROW, COLOURED])
    );
    assert_snapshot!("check-json", scene.says(&["check", "--json"], &[]));
    assert_snapshot!(
        "check-call-wide",
        scene.says(&["check", "-m", "small", "--call"], &[WIDE])
    );
    assert_snapshot!("models", scene.says(&["models"], &[]));
    assert_snapshot!(
        "models-narrow-coloured",
        scene.says(&["models"], &[NARROW, COLOURED])
    );
    assert_snapshot!("models-json", scene.says(&["models", "--json"], &[]));
    let empty = Scene::empty();
    assert_snapshot!("check-nothing", empty.says(&["check"], &[]));
    assert_snapshot!("models-nothing", empty.says(&["models"], &[]));
    assert_snapshot!(
        "models-environment",
        empty.says(&["models"], &[("OPENAI_API_KEY", "sk-canary-env")])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config() {
    let scene = Scene::configured().await;
    assert_snapshot!(
        "config-show",
        scene.says(
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
        scene.says(&large, &[NARROW, COLOURED])
    );
    assert_snapshot!(
        "config-show-without-keys",
        scene.says_with(&["config", "show", "-m", "small"], &[WIDE])
    );
    assert_snapshot!(
        "config-show-json",
        scene.says(&["config", "show", "-m", "large", "--json"], &[])
    );
    assert_snapshot!("config-validate", scene.says(&["config", "validate"], &[]));
    scene.folder.write(
        "other.json",
        "{\"p\": [{\"model_name\": \"m\", \"api_keys\": [\"${KEY_1}\", \"sk-canary-literal\"], \"base_url\": \"http://api.example/v1\",\n\
         \"rate_limit_capacity\": 500, \"rate_limit_refill_rate\": 60}]}",
    );
    let both = ["config", "validate", "provider.json", "other.json"];
    assert_snapshot!("config-validate-hints", scene.says(&both, &[]));
    assert_snapshot!("config-validate-hints-coloured", scene.says(&both, &[COLOURED]));
    assert_snapshot!(
        "config-validate-hints-json",
        scene.says(&["config", "validate", "other.json", "--json"], &[])
    );
    scene.folder.write(
        "bad.json",
        "{\"p\": [{\"model_nam\": \"m\", \"api_keys\": [], \"base_url\": \"h\"}]}",
    );
    assert_snapshot!(
        "config-validate-bad",
        scene.says(&["config", "validate", "provider.json", "bad.json"], &[])
    );
    assert_snapshot!(
        "config-validate-bad-json",
        scene.says(&["config", "validate", "bad.json", "--json"], &[])
    );
    assert_snapshot!(
        "config-validate-no-file",
        scene.says(&["config", "validate", "nowhere.json"], &[])
    );
    let empty = Scene::empty();
    assert_snapshot!(
        "config-validate-nothing",
        empty.says(&["config", "validate"], &[])
    );
    assert_snapshot!("config-show-nothing", empty.says(&["config", "show"], &[]));
    let environment = [
        ("OPENAI_API_KEY", "sk-canary-env"),
        ("OPENAI_BASE_URL", "http://h/v1?key=canary"),
        ("OPENAI_ORG_ID", "canary"),
    ];
    assert_snapshot!(
        "config-show-environment",
        empty.says(&["config", "show"], &environment)
    );
    assert_snapshot!(
        "config-validate-environment",
        empty.says(&["config", "validate"], &environment)
    );
}

#[test]
fn config_init() {
    let scene = Scene::empty();
    let read = |name: &str| std::fs::read_to_string(scene.folder.0.join(name)).unwrap();
    assert_snapshot!("config-init", scene.says(&["config", "init"], &[]));
    assert_snapshot!("config-init-file", read("provider.json"));
    assert_eq!(
        read("provider.schema.json"),
        llmpool::provider_file::PROVIDER_SCHEMA
    );
    assert_snapshot!("config-init-again", scene.says(&["config", "init"], &[]));
    let own = [
        "config",
        "init",
        "own.json",
        "--provider",
        "local",
        "--base-url",
        "http://127.0.0.1:8088/v1",
    ];
    assert_snapshot!("config-init-no-model", scene.says(&own, &[]));
    let whole: Vec<&str> = own
        .iter()
        .chain(&["--model", "m", "--key-env", "A", "--key-env", "B"])
        .copied()
        .collect();
    assert_snapshot!("config-init-own", scene.says(&whole, &[("A", "canary")]));
    assert_snapshot!("config-init-own-file", read("own.json"));
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
    assert_snapshot!("config-init-wrong", scene.says(&wrong, &[]));
    assert!(!scene.folder.0.join("wrong.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status() {
    let scene = Scene::configured().await;
    assert_snapshot!("status-no-name", scene.says(&["status"], &[]));
    assert_snapshot!(
        "status-no-file",
        scene.says(&["status", "--state", "keys.state"], &[])
    );
    // The refused key comes first, and the limit refills too slowly to be seen.
    let file = FILE.replace("URL", &scene.url).replace("2.0", "0.001");
    let file = file
        .replacen("${KEY_1}", "${KEY_3}", 1)
        .replace("env:KEY_2", "env:KEY_1")
        .replace("KEY_3", "KEY_2");
    scene.folder.write("provider.json", &file);
    let said = scene.says(
        &["chat", "-m", "good/small", "--state", "keys.state", "Hello"],
        &[],
    );
    assert!(said.contains("exit code 0"), "{said}");
    let state = std::fs::read_to_string(scene.folder.0.join("keys.state")).unwrap();
    assert!(!state.contains("canary"));
    let seconds = |text: String| {
        let words: Vec<_> = text.split(' ').collect();
        let is_time = |at: usize| {
            words[at].parse::<u32>().is_ok() && words.get(at + 1).is_some_and(|next| next.trim() == "s")
        };
        let words = (0..words.len()).map(|at| if is_time(at) { "#" } else { words[at] });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_snapshot!(
        "status",
        seconds(scene.says(&["status", "--state", "keys.state"], &[]))
    );
    let coloured = scene.says(&["status", "--state", "keys.state"], &[NARROW, COLOURED]);
    assert_snapshot!("status-narrow-coloured", seconds(coloured));
    assert_snapshot!(
        "status-json",
        scene.says(&["status", "--state", "keys.state", "--json"], &[])
    );
    scene.folder.write("broken.state", "{");
    assert_snapshot!(
        "status-broken",
        scene.says(&["status", "--state", "broken.state"], &[])
    );
    let saved = serde_json::json!({
        "version": 1, "salt": "s", "saved_at": 0, "keys": [{"provider": "good", "fingerprint": "nobody's", "state": "disabled"}],
        "rates": [{"model": "good/small", "available": 0, "waiting": 7}],
    });
    scene.folder.write("old.state", &saved.to_string());
    let days = |text: String| {
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
        days(scene.says(&old, &[NARROW, COLOURED]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plan() {
    let scene = Scene::configured().await;
    let plan = ["plan", "-m", "small", "--rate", "4", "--for", "120"];
    assert_snapshot!("plan", scene.says(&plan, &[]));
    assert_snapshot!(
        "plan-narrow-coloured",
        scene.says(&plan, &[NARROW, COLOURED, ("LANG", "C.UTF-8")])
    );
    assert_snapshot!("plan-wide", scene.says(&plan, &[WIDE]));
    let json: Vec<&str> = plan.iter().chain(&["--json"]).copied().collect();
    assert_snapshot!("plan-json", scene.says(&json, &[]));
    assert_snapshot!(
        "plan-nothing-asked",
        scene.says(&["plan", "-m", "small"], &[WIDE])
    );
    assert_snapshot!(
        "plan-bad-number",
        scene.says(&["plan", "-m", "small", "--rate", "0"], &[])
    );
    assert_snapshot!("plan-no-file", Scene::empty().says(&["plan", "--rate", "1"], &[]));
}

#[test]
fn sim() {
    let scene = Scene::empty();
    assert_snapshot!(
        "sim-unknown-scenario",
        scene.says(&["sim", "--scenario", "falky"], &[WIDE])
    );
    assert_snapshot!(
        "sim-bad-address",
        scene.says(&["sim", "--listen", "nowhere"], &[])
    );
    // It runs until somebody ends it.
    let mut child = start(&scene.folder.0, &["sim", "--listen", "127.0.0.1:0"], &[]);
    let mut url = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut url)
        .unwrap();
    let mut note = String::new();
    BufReader::new(child.stderr.as_mut().unwrap())
        .read_line(&mut note)
        .unwrap();
    interrupt(&child);
    let (code, rest, err) = ended(child);
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with("/v1\n"),
        "{url}"
    );
    assert_eq!((code, rest.as_str(), err.as_str()), (130, "", ""));
    assert_snapshot!("sim", note);
}
