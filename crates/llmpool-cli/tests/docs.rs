//! Runs the examples of the documentation in order, in a new directory, and compares their output.
//!
//! A ```console block contains commands after `$ `, each followed by its output on stdout and stderr. A line `…` matches any number of
//! lines, `…` at the end of a line any rest of it, and a time matches any time. A ```json block below a file name in bold is the content of that file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use support::{Folder, simulator};

/// The address of the simulator in the documentation.
const ADDRESS: &str = "127.0.0.1:8089";

/// The variables with keys in the provider files of the documentation.
const KEYS: [(&str, &str); 10] = [
    ("KEY_1", "sk-one"),
    ("KEY_2", "sk-two"),
    ("KEY_3", "sk-three"),
    ("KEY_WRONG", "sk-wrong"),
    ("KEY_BROKE", "sk-broke"),
    ("KEY_BUSY", "sk-busy"),
    ("KEY_CUT", "sk-cut"),
    ("KEY_SILENT", "sk-silent"),
    ("KEY_UNCOUNTED", "sk-uncounted"),
    ("KEY_FORMATLESS", "sk-formatless"),
];

/// A file or a command of the documentation.
#[derive(Debug, PartialEq)]
enum Example {
    File {
        name: String,
        text: String,
    },
    Command {
        line: usize,
        command: String,
        output: String,
    },
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut block: Option<(&str, String)> = None;
    let mut heading = "";
    for (index, line) in page.lines().enumerate() {
        match &mut block {
            None => match line.strip_prefix("```") {
                Some(kind) => block = Some((kind, String::new())),
                None if line.is_empty() => {}
                None => heading = line,
            },
            Some((kind, text)) if line == "```" => {
                let name = heading
                    .strip_prefix("**")
                    .and_then(|rest| rest.strip_suffix("**"));
                if let Some(name) = name.filter(|_| kind.starts_with("json")) {
                    let (name, text) = (name.to_owned(), std::mem::take(text));
                    examples.push(Example::File { name, text });
                }
                block = None;
            }
            Some(("console", _)) => match (line.strip_prefix("$ "), examples.last_mut()) {
                (Some(command), _) => examples.push(Example::Command {
                    line: index + 1,
                    command: command.to_owned(),
                    output: String::new(),
                }),
                (None, Some(Example::Command { output, .. })) => *output += &format!("{line}\n"),
                (None, _) => panic!("line {}: output without a command", index + 1),
            },
            Some((_, text)) => *text += &format!("{line}\n"),
        }
    }
    examples
}

/// Masks times, and joins words with single spaces: the width of a column depends on the port.
fn normalize(line: &str) -> String {
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', '.', ';', ')']);
        let is_time = bare
            .strip_suffix('s')
            .is_some_and(|number| number.parse::<f64>().is_ok());
        match is_time {
            true => word.replacen(bare, "#s", 1),
            false => word.to_owned(),
        }
    };
    let words: Vec<_> = line.split_whitespace().map(word).collect();
    let next = words.iter().skip(1).map(String::as_str).chain([""]);
    let masked = words.iter().zip(next).map(|(word, next)| match next {
        "s" | "s," | "s;" | "s:" if is_number(word) => "#",
        _ => word,
    });
    masked.collect::<Vec<_>>().join(" ")
}

/// Returns whether the lines match the documented ones, in which `…` matches any number of lines.
fn matches_documented(actual: &[String], documented: &[String]) -> bool {
    match documented.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=actual.len()).any(|skipped| matches_documented(&actual[skipped..], rest))
        }
        Some((first, rest)) => {
            let is_same = |line: &String| match first.strip_suffix(" …") {
                Some(start) => line.starts_with(start),
                None => line == first,
            };
            actual.first().is_some_and(is_same) && matches_documented(&actual[1..], rest)
        }
    }
}

async fn run(page: &str) {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)).unwrap();
    let examples = examples(&page);
    let files: BTreeMap<&str, &str> = examples
        .iter()
        .filter_map(|example| match example {
            Example::File { name, text } => Some((name.as_str(), text.as_str())),
            Example::Command { .. } => None,
        })
        .collect();
    let simulator = simulator(files["scenario.json"]).await;
    let address = simulator.url().replace("http://", "").replace("/v1", "");
    let with_address = |text: &str| text.replace(ADDRESS, &address);
    let folder = Folder::new();
    let bin = Path::new(env!("CARGO_BIN_EXE_llmpool")).parent().unwrap();
    let mut commands = 0;
    for example in &examples {
        let (line, command, expected) = match example {
            Example::File { name, text } => {
                folder.write(name, &with_address(text));
                continue;
            }
            Example::Command {
                line,
                command,
                output,
            } => (line, command, output),
        };
        let result = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {}", with_address(command))])
            .current_dir(&folder.0)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", &folder.0)
            .env("LANG", "C.UTF-8")
            .envs(KEYS)
            .output()
            .unwrap();
        let actual = String::from_utf8(result.stdout)
            .unwrap()
            .replace(&address, ADDRESS);
        let lines = |text: &str| text.lines().map(normalize).collect::<Vec<_>>();
        assert!(
            matches_documented(&lines(&actual), &lines(expected)),
            "line {line}: $ {command}\nactual output:\n{actual}\nexpected output:\n{expected}"
        );
        commands += 1;
    }
    assert!(commands > 0, "the page has no example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_commands_md_have_the_documented_output() {
    run("docs/commands.md").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_troubleshooting_md_have_the_documented_output() {
    run("docs/troubleshooting.md").await;
}

#[test]
fn documented_lines_match_with_wildcards() {
    let lines = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    for (actual, documented, expected) in [
        ("a|b", "a|b", true),
        ("a|b|c", "a|…|c", true),
        ("a|c", "a|…|c", true),
        ("a|b|c", "a|…|b", false),
        ("a", "b", false),
        ("a b c", "a …", true),
        ("b a c", "a …", false),
        ("a|b", "a", false),
    ] {
        assert_eq!(
            matches_documented(&lines(actual), &lines(documented)),
            expected,
            "{actual} {documented}"
        );
    }
    assert_eq!(
        normalize("total 0.35s, (2.00s) 3s items in 2.5 s, not 3 sets"),
        "total #s, (2.00s) #s items in # s, not 3 sets"
    );
}
