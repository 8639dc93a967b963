//! The command line as a person meets it: whole outputs and exit codes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use llmpool_simulator::{Scenario, Simulator};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("llmpool-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the command in a folder with nothing configured around it. Answers exit code, stdout, and stderr with times blanked.
fn llmpool(
    folder: &Path,
    arguments: &[&str],
    stdin: &str,
    variables: &[(&str, &str)],
) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_llmpool"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        without_times(&text(output.stderr)),
    )
}

/// `0.03s` becomes `#s`.
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            shown.push(' ');
        }
        let number = word
            .trim_end_matches([',', '\n', ':'])
            .strip_suffix('s')
            .filter(|number| number.parse::<f64>().is_ok());
        shown += &number.map_or_else(|| word.to_owned(), |number| word.replacen(number, "#", 1));
    }
    shown
}

async fn simulator(scenario: &str) -> Simulator {
    Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap()
}

fn provider_file(url: &str) -> String {
    format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["env:KEY"],"base_url":"{url}","max_retries":0,"rate_limit_capacity":null}}]}}"#
    )
}

const NOTHING: &str = "llmpool: nothing is configured, so the built-in simulator answers\n\
                       llmpool: hint: for a real model set OPENAI_API_KEY and say -m MODEL, or write a provider.json\n";

#[test]
fn with_nothing_configured_the_simulator_answers_and_says_so() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["chat", "Hello"], "", &[]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("Hello! This is the built-in simulator of llmpool") && out.ends_with('\n'));
    let summary =
        "llmpool: simulator/built-in: 1 prompt + 29 completion tokens, first content #s, total #s\n";
    assert_eq!(err, format!("{NOTHING}{summary}"));
}

#[test]
fn a_named_model_without_a_provider_is_a_matter_of_configuration() {
    let folder = Folder::new();
    for arguments in [["chat", "-m", "openai/x", "hi"].as_slice(), &["models"]] {
        let (code, out, err) = llmpool(&folder.0, arguments, "", &[]);
        assert_eq!((code, out.as_str()), (78, ""));
        assert_eq!(
            err,
            "llmpool: no provider is configured; set OPENAI_API_KEY, or write a provider.json\n"
        );
    }
}

#[test]
fn no_prompt_is_a_matter_of_usage() {
    let folder = Folder::new();
    let (code, _, err) = llmpool(&folder.0, &["chat"], "", &[]);
    assert_eq!(
        (code, err.as_str()),
        (
            2,
            "llmpool: there is no prompt; give one as an argument or on stdin\n"
        )
    );
}

#[test]
fn a_bad_file_is_told_whole_and_nothing_of_it_is_used() {
    let folder = Folder::new();
    folder.write(
        "bad.json",
        "{\"p\": [\n  {\"model_nam\": \"m\", \"api_keys\": [\"env:NOPE\"], \"base_url\": \"h\"}\n]}",
    );
    for arguments in [
        ["config", "validate", "--config", "bad.json"].as_slice(),
        &["chat", "--config", "bad.json", "hi"],
    ] {
        let (code, out, err) = llmpool(&folder.0, arguments, "", &[]);
        assert_eq!((code, out.as_str()), (78, ""));
        assert_eq!(
            err,
            "llmpool: bad.json has 4 defects, so nothing of it is used:\n\
             bad.json:2:3: p[0].model_name: this field is missing; add it\n\
             bad.json:2:17: p[0].model_nam: unknown field; did you mean `model_name`?\n\
             bad.json:2:35: p[0].api_keys[0]: the variable NOPE is not set; set it, as in export NOPE=…\n\
             bad.json:2:60: p[0].base_url: base URL: it has to begin with http:// or https://; write it as in https://api.openai.com/v1\n"
        );
    }
}

#[test]
fn the_schema_is_json() {
    let folder = Folder::new();
    let (code, out, err) = llmpool(&folder.0, &["config", "schema"], "", &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(serde_json::from_str::<serde_json::Value>(&out).unwrap()["$defs"]["model"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_the_folder_is_used_and_named_and_stdin_is_appended() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"echo":true}"#).await;
    let folder = Folder::new();
    folder.write("provider.json", &provider_file(&simulator.url()));
    let (code, out, err) = llmpool(&folder.0, &["chat", "Sum", "up:"], "one\ntwo\n", &[("KEY", "k")]);
    assert_eq!((code, out.as_str()), (0, "Sum up:\n\none\ntwo\n"), "{err}");
    assert!(
        err.starts_with("llmpool: using ./provider.json\nllmpool: p/m: "),
        "{err}"
    );
    let (code, out, _) = llmpool(&folder.0, &["models", "--json"], "", &[("KEY", "k")]);
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap()[0]["id"],
        "p/m"
    );
    let (code, out, _) = llmpool(&folder.0, &["chat", "-S", "--json", "x"], "", &[("KEY", "k")]);
    assert_eq!(code, 0);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["choices"][0]["message"]["content"],
        "x"
    );
    let (code, _, err) = llmpool(&folder.0, &["chat", "-m", "p/other", "x"], "", &[("KEY", "k")]);
    assert_eq!(code, 2);
    assert!(
        err.ends_with("llmpool: no model p/other is configured; there are p/m\n"),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_say_what_went_wrong() {
    for (status, code, words) in [
        (401, 77, "key refused"),
        (403, 77, "permission denied"),
        (429, 75, "rate limited"),
        (402, 75, "no quota left"),
        (503, 75, "overloaded"),
        (500, 1, "server error"),
        (400, 1, "invalid request"),
    ] {
        let scenario = format!(r#"{{"keys":[{{"key":"k","behaviours":[{{"status":{status}}}]}}]}}"#);
        let simulator = simulator(&scenario).await;
        let folder = Folder::new();
        folder.write("p.json", &provider_file(&simulator.url()));
        let (found, out, err) = llmpool(
            &folder.0,
            &["chat", "hi"],
            "",
            &[("KEY", "k"), ("LLMPOOL_CONFIG", "p.json")],
        );
        assert_eq!((found, out.as_str()), (code, ""), "{status}: {err}");
        assert!(
            err.starts_with(&format!("llmpool: p/m: {words} after 1 attempt in #s: key-1 (")),
            "{status}: {err}"
        );
        assert!(!err.contains("Bearer"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_the_environment_alone_makes_a_provider() {
    let simulator = simulator(r#"{"keys":[{"key":"k"}],"answer":"yes"}"#).await;
    let folder = Folder::new();
    let url = simulator.url();
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", url.as_str())];
    let (code, out, err) = llmpool(&folder.0, &["chat", "-m", "any", "hi"], "", &variables);
    assert_eq!((code, out.as_str()), (0, "yes\n"), "{err}");
    let (code, _, err) = llmpool(&folder.0, &["chat", "hi"], "", &variables);
    assert_eq!(
        (code, err.as_str()),
        (2, "llmpool: say which model with -m, as in -m gpt-4o-mini\n")
    );
}
