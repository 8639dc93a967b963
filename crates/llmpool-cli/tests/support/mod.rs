//! Runs the built command in a temporary directory with a clean environment.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test support: each file uses its own part, and a failed unwrap is a failed test"
)]

pub mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use llmpool_simulator::{Scenario, Simulator};

/// A new directory that is removed on drop.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("llmpool-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.0.join(name), text).unwrap();
        self
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts the command in a directory.
pub fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_llmpool"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the command to its end. Returns the exit code, stdout, and stderr with times masked.
pub fn llmpool(
    folder: &Path,
    arguments: &[&str],
    stdin: &str,
    variables: &[(&str, &str)],
) -> (i32, String, String) {
    let mut child = start(folder, arguments, variables);
    // Fails if the command ends before it reads its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    wait_for_exit(child)
}

/// Waits for the end of the command. Returns the same as [`llmpool`].
pub fn wait_for_exit(child: Child) -> (i32, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        mask_elapsed(&mask_times(&text(output.stderr))),
    )
}

/// Sends Ctrl-C.
pub fn interrupt(child: &Child) {
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Masks elapsed times: `in 0.3 s` becomes `in # s`.
pub fn mask_elapsed(text: &str) -> String {
    let parts: Vec<_> = text
        .split(" in ")
        .map(|part| match part.split_once(" s") {
            Some((number, rest)) if number.parse::<f64>().is_ok() => format!("# s{rest}"),
            _ => part.to_owned(),
        })
        .collect();
    parts.join(" in ")
}

/// Masks times: `0.03s` becomes `#s`.
fn mask_times(text: &str) -> String {
    let mut masked = String::new();
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            masked.push(' ');
        }
        let number = word
            .trim_end_matches([',', '\n', ':'])
            .strip_suffix('s')
            .filter(|number| number.parse::<f64>().is_ok());
        masked += &number.map_or_else(|| word.to_owned(), |number| word.replacen(number, "#", 1));
    }
    masked
}

pub async fn simulator(scenario: &str) -> Simulator {
    Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap()
}

pub fn provider_file(url: &str) -> String {
    format!(
        r#"{{"p":[{{"model_name":"m","api_keys":["env:KEY"],"base_url":"{url}","max_retries":0,"rate_limit_capacity":null}}]}}"#
    )
}
