//! All lines of a batch, before the first of them is asked: broken ones are told together, and then nothing is sent.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use super::line::{self, Defect, Line};

/// The longest line that is read, in bytes: more than any provider takes.
const LONGEST_LINE: usize = 32 << 20;

/// What a source holds.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) lines: Vec<Line>,
    /// By line number.
    pub(super) broken: Vec<(u64, Defect)>,
}

/// Reads to the end.
pub(super) fn read(mut source: impl BufRead, system: Option<&str>) -> io::Result<Input> {
    let mut input = Input::default();
    let mut names = HashMap::new();
    let mut text = Vec::new();
    let mut number = 0;
    while let Some(fits) = next(&mut source, &mut text, LONGEST_LINE)? {
        number += 1;
        let bytes = text.strip_prefix(b"\xEF\xBB\xBF").filter(|_| number == 1);
        let bytes = bytes.unwrap_or(&text).trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let read = match fits {
            true => line::read(bytes, number, system).and_then(|line| named_once(line, &mut names)),
            false => Err(too_long()),
        };
        match read {
            Ok(line) => input.lines.push(line),
            Err(defect) => input.broken.push((number, defect)),
        }
    }
    Ok(input)
}

/// Reads the next line into `text`, without what is beyond `most`, and answers whether all of it fits; `None` at the end.
fn next(source: &mut impl BufRead, text: &mut Vec<u8>, most: usize) -> io::Result<Option<bool>> {
    text.clear();
    source.by_ref().take(most as u64 + 1).read_until(b'\n', text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let fits = text.len() <= most || text.ends_with(b"\n");
    if !fits {
        source.skip_until(b'\n')?;
    }
    Ok(Some(fits))
}

fn named_once(line: Line, names: &mut HashMap<String, u64>) -> Result<Line, Defect> {
    match names.insert(line.name.clone(), line.number) {
        None => Ok(line),
        Some(earlier) => {
            names.insert(line.name, earlier);
            Err(Defect::new(
                format!("line {earlier} has the same id"),
                "give each an id of its own; a line without one is called by its number",
            ))
        }
    }
}

fn too_long() -> Defect {
    let limit = LONGEST_LINE >> 20;
    Defect::new(
        format!("it is longer than {limit} MiB, more than any provider takes"),
        "send less of it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_count_and_are_skipped() {
        let input = read(&b"\xEF\xBB\xBF\"a\"\r\n\n  \n\"b\""[..], None).unwrap();
        let found: Vec<_> = input
            .lines
            .iter()
            .map(|line| (line.number, &*line.name))
            .collect();
        assert_eq!(found, [(1, "1"), (4, "4")]);
        assert!(input.broken.is_empty());
    }

    #[test]
    fn a_long_line_does_not_hide_the_next() {
        let mut source = io::BufReader::with_capacity(3, &b"1234\n12345\n1\n123456"[..]);
        let mut text = Vec::new();
        let mut found = Vec::new();
        while let Some(fits) = next(&mut source, &mut text, 4).unwrap() {
            found.push((fits, text.len()));
        }
        assert_eq!(found, [(true, 5), (false, 5), (true, 2), (false, 5)]);
    }

    #[test]
    fn a_name_is_told_with_the_first_line_that_has_it() {
        let text = "{\"id\":\"3\",\"prompt\":\"a\"}\n\"b\"\n\"c\"\n{\"id\":\"3\",\"prompt\":\"d\"}\n";
        let input = read(text.as_bytes(), None).unwrap();
        let broken: Vec<_> = input
            .broken
            .iter()
            .map(|(number, defect)| (*number, &*defect.problem))
            .collect();
        assert_eq!(
            broken,
            [(3, "line 1 has the same id"), (4, "line 1 has the same id")]
        );
    }
}
