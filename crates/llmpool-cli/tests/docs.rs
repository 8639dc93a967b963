//! What the documentation shows is what the commands say: its examples are run, one after the other, in a folder of their own.
//!
//! A ```console block has commands behind `$ `, and below each what it says on stdout and stderr; a line `…` stands for any lines, and
//! times for any times. A ```json block that is headed by the name of a file in bold is that file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use support::{Folder, simulator};

/// Where the documentation's simulator listens.
const ADDRESS: &str = "127.0.0.1:8089";

/// A piece of a page.
#[derive(Debug, PartialEq)]
enum Piece {
    File {
        name: String,
        text: String,
    },
    Command {
        line: usize,
        command: String,
        says: String,
    },
}

fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
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
                    pieces.push(Piece::File { name, text });
                }
                block = None;
            }
            Some(("console", _)) => match (line.strip_prefix("$ "), pieces.last_mut()) {
                (Some(command), _) => pieces.push(Piece::Command {
                    line: index + 1,
                    command: command.to_owned(),
                    says: String::new(),
                }),
                (None, Some(Piece::Command { says, .. })) => *says += &format!("{line}\n"),
                (None, _) => panic!("line {}: there is no command above", index + 1),
            },
            Some((_, text)) => *text += &format!("{line}\n"),
        }
    }
    pieces
}

/// Without times, and with one blank between words: an address is as long as its port.
fn steady(line: &str) -> String {
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
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Whether lines are as documented, where `…` stands for any number of lines.
fn is_as_documented(said: &[String], documented: &[String]) -> bool {
    match documented.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=said.len()).any(|skipped| is_as_documented(&said[skipped..], rest))
        }
        Some((first, rest)) => said.first() == Some(first) && is_as_documented(&said[1..], rest),
    }
}

async fn run(page: &str) {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)).unwrap();
    let pieces = pieces(&page);
    let files: BTreeMap<&str, &str> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::File { name, text } => Some((name.as_str(), text.as_str())),
            Piece::Command { .. } => None,
        })
        .collect();
    let simulator = simulator(files["scenario.json"]).await;
    let address = simulator.url().replace("http://", "").replace("/v1", "");
    let here = |text: &str| text.replace(ADDRESS, &address);
    let folder = Folder::new();
    let bin = Path::new(env!("CARGO_BIN_EXE_llmpool")).parent().unwrap();
    let mut commands = 0;
    for piece in &pieces {
        let (line, command, says) = match piece {
            Piece::File { name, text } => {
                folder.write(name, &here(text));
                continue;
            }
            Piece::Command { line, command, says } => (line, command, says),
        };
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {}", here(command))])
            .current_dir(&folder.0)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", &folder.0)
            .env("LANG", "C.UTF-8")
            .envs([("KEY_1", "sk-one"), ("KEY_2", "sk-two"), ("KEY_3", "sk-three")])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout)
            .unwrap()
            .replace(&address, ADDRESS);
        let lines = |text: &str| text.lines().map(steady).collect::<Vec<_>>();
        assert!(
            is_as_documented(&lines(&said), &lines(says)),
            "line {line}: $ {command}\nsays\n{said}\nand not\n{says}"
        );
        commands += 1;
    }
    assert!(commands > 0, "there is no example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_of_commands_say_what_they_say() {
    run("docs/commands.md").await;
}

#[test]
fn an_example_is_compared_line_by_line() {
    let lines = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
    for (said, documented, same) in [
        ("a|b", "a|b", true),
        ("a|b|c", "a|…|c", true),
        ("a|c", "a|…|c", true),
        ("a|b|c", "a|…|b", false),
        ("a", "b", false),
        ("a|b", "a", false),
    ] {
        assert_eq!(
            is_as_documented(&lines(said), &lines(documented)),
            same,
            "{said} {documented}"
        );
    }
    assert_eq!(
        steady("total 0.35s, (2.00s) 3s items"),
        "total #s, (2.00s) #s items"
    );
}
