//! `docs/lessons.md` names tests and files that exist, and leaves out none of the lessons that are due.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The names of all test functions in a folder.
fn collect_tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                if let Some((_, rest)) = line.split_once("fn ")
                    && is_test
                    && let Some((name, _)) = rest.split_once('(')
                {
                    names.insert(name.to_owned());
                    is_test = false;
                }
            }
        }
    }
}

/// The rows of all tables: ID and the column that says what holds it.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [id, .., held] = cells[..] else { return None };
            let is_id = id.starts_with(['U', 'O', 'L']) && id[1..].bytes().all(|byte| byte.is_ascii_digit());
            is_id.then_some((id, held))
        })
        .collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_lesson_is_held_by_a_test_that_carries_its_id() {
    let mut tests = BTreeSet::new();
    collect_tests(&root().join("crates"), &mut tests);
    let text = std::fs::read_to_string(root().join("docs/lessons.md")).unwrap();
    let rows = rows(&text);
    let due = (1..=15).chain([17, 18]).map(|number| format!("U{number:02}"));
    let numbers = 1..=30;
    let others = (1..=8).chain(10..=18).chain([20, 21]).chain(26..=28);
    let others = others.chain(33..=36).chain(38..=40).chain([93, 94]);
    let others = others
        .chain(47..=53)
        .chain([56, 59, 61, 62])
        .chain(65..=68)
        .chain(71..=77)
        .chain([79]);
    let others = others.map(|number| format!("L{number:02}"));
    let due = due.chain(others);
    for id in due.chain(numbers.map(|number| format!("O{number:02}"))) {
        assert_eq!(rows.iter().filter(|row| row.0 == id).count(), 1, "{id}");
    }
    for (id, held) in rows {
        if let Some(why) = held.strip_prefix("cannot happen: ") {
            let file = quoted(why).next().unwrap_or_default();
            assert!(root().join(file).is_file(), "{id} names no file");
            continue;
        }
        let marked: Vec<_> = quoted(held).collect();
        assert!(!marked.is_empty(), "{id} names no test");
        for name in marked {
            assert!(tests.contains(name), "{id}: there is no test {name}");
            let carries = name.split('_').any(|part| part == id.to_ascii_lowercase());
            assert!(carries, "{name} does not carry {id}");
        }
    }
}
