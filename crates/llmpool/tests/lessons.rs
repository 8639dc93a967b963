//! Checks `docs/lessons.md`: each lesson has one row, and a test marked with its ID or a file that shows why it cannot happen.
//!
//! A test is marked by a comment above its attribute `#[test]` or `#[tokio::test]` that lists IDs and nothing else: `// L16, U09`.
//! The faults of the flow control have numbers, and comments like `// reproduction 3, reproduction 10`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const NO_TEST: &str = "Cannot happen: ";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn is_lesson_id(text: &str) -> bool {
    let digits = text.strip_prefix(['U', 'O', 'L']).unwrap_or_default();
    digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the lesson IDs of a comment that lists IDs and nothing else.
fn ids_in_comment(line: &str) -> Option<Vec<&str>> {
    let ids: Vec<_> = line.strip_prefix("// ")?.split(", ").collect();
    ids.iter().all(|id| is_lesson_id(id)).then_some(ids)
}

/// Returns the IDs of all marked tests in a source file.
///
/// # Errors
///
/// IDs that mark no test: they do not stand above the attributes of a function, or none of these attributes makes it a test.
fn marked_ids(source: &str) -> Result<Vec<&str>, Vec<&str>> {
    let (mut marked, mut pending, mut is_test) = (Vec::new(), Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(ids) = ids_in_comment(line) {
            pending.extend(ids);
            is_test = false;
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else if !line.starts_with("//") {
            let is_marked_test = is_test && line.contains("fn ") && line.contains('(');
            if !pending.is_empty() && !is_marked_test {
                return Err(pending);
            }
            marked.append(&mut pending);
            is_test = false;
        }
    }
    if pending.is_empty() {
        Ok(marked)
    } else {
        Err(pending)
    }
}

#[test]
fn only_ids_above_a_test_are_marks() {
    let marked = "// L01, U02\n#[test]\nfn a() {}\n// O03\n#[cfg(unix)]\n#[tokio::test(start_paused = true)]\n// Why.\nasync fn b() {}";
    assert_eq!(marked_ids(marked), Ok(vec!["L01", "U02", "O03"]));
    let of_macro = "proptest! {\n    // L01\n    #[test]\n    fn a(x in 0..1) {}\n}";
    assert_eq!(marked_ids(of_macro), Ok(vec!["L01"]));
    for unmarked in [
        "// L01\nfn helper() {}",
        "// L01\n#[inline]\nfn helper() {}",
        "// L01\nstruct A;\n#[test]\nfn a() {}",
        "#[test]\n// L01\nfn a() {}",
        "#[test]\nfn a() {}\n// L01\nfn helper() {}",
        "// L01",
    ] {
        assert_eq!(marked_ids(unmarked), Err(vec!["L01"]), "{unmarked}");
    }
    assert_eq!(marked_ids("// See L01.\nfn helper() {}"), Ok(vec![]));
}

/// Returns the text of each source file below a folder.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.append(&mut self::sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            sources.push((path, source));
        }
    }
    sources
}

/// Returns the ID and the text of each row of all tables.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| {
            let (id, behaviour) = line.trim_matches('|').split_once(" | ")?;
            is_lesson_id(id.trim()).then_some((id.trim(), behaviour.trim()))
        })
        .collect()
}

// These lessons are due now; later capabilities bring the others.
fn due_ids() -> impl Iterator<Item = String> {
    let u = (1..=15).chain([17, 18]).map(|number| format!("U{number:02}"));
    let o = (1..=30).map(|number| format!("O{number:02}"));
    let l = [
        1..=8,
        10..=18,
        20..=21,
        26..=28,
        33..=36,
        38..=40,
        93..=94,
        47..=53,
        56..=56,
        59..=59,
    ];
    let l = l
        .into_iter()
        .chain([61..=62, 65..=68, 71..=77, 79..=79])
        .flatten();
    u.chain(o).chain(l.map(|number| format!("L{number:02}")))
}

#[test]
fn every_lesson_has_a_row_and_a_marked_test() {
    let mut marked = BTreeSet::new();
    for (path, source) in sources(&root().join("crates")) {
        let ids =
            marked_ids(&source).unwrap_or_else(|ids| panic!("{}: {ids:?} mark no test", path.display()));
        marked.extend(ids.into_iter().map(str::to_owned));
    }
    let text = std::fs::read_to_string(root().join("docs/lessons.md")).unwrap();
    let rows = rows(&text);
    for id in due_ids() {
        assert_eq!(
            rows.iter().filter(|row| row.0 == id).count(),
            1,
            "{id} has no single row"
        );
    }
    for id in &marked {
        assert!(
            rows.iter().any(|row| row.0 == id),
            "a test is marked with {id}, which has no row"
        );
    }
    for (id, behaviour) in rows {
        match behaviour.split_once(NO_TEST) {
            Some((_, why)) => {
                let file = why.split('`').nth(1).unwrap_or_default();
                assert!(root().join(file).is_file(), "{id} names no file");
            }
            None => assert!(marked.contains(id), "no test is marked with {id}"),
        }
    }
}

#[test]
fn every_fault_of_the_flow_control_has_a_row_and_a_marked_test() {
    let sources = sources(&root().join("crates"));
    let comments = sources.iter().flat_map(|(_, source)| source.lines());
    let comments = comments.filter_map(|line| line.trim().strip_prefix("// "));
    let numbers = comments.flat_map(|comment| comment.split(", "));
    let numbers = numbers.filter_map(|word| word.strip_prefix("reproduction ")?.parse().ok());
    let marked: BTreeSet<u32> = numbers.collect();
    let text = std::fs::read_to_string(root().join("docs/lessons.md")).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse().ok());
    assert_eq!(rows.collect::<BTreeSet<u32>>(), marked);
}
