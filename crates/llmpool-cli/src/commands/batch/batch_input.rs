//! Reads and validates all lines of a batch's input.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::batch_line::{self, BatchLine, LineError};

/// Maximum length of an input line, in bytes, without the line feed. No provider accepts a larger request.
const MAX_LINE_BYTES: usize = 32 << 20;

/// The valid lines of a batch's input, and the errors of the invalid lines.
#[derive(Debug, Default)]
pub(super) struct BatchInput {
    pub(super) lines: Vec<BatchLine>,
    /// The one-based line number and the error of each invalid line.
    pub(super) errors: Vec<(u64, LineError)>,
}

/// Returns whether the path is `-`, which stands for stdin or stdout.
pub(super) fn is_standard_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens the file for reading, or stdin if the path is `-`.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match is_standard_stream(path) {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::new(std::fs::File::open(path)?)),
    })
}

/// Reads and parses all lines of the input. Blank lines are skipped, but count in line numbers. `system` is
/// the system prompt for requests without one.
pub(super) fn read(mut source: impl BufRead, system: Option<&str>) -> io::Result<BatchInput> {
    let mut input = BatchInput::default();
    let mut ids = HashMap::new();
    let mut text = Vec::new();
    let mut number = 0;
    while let Some(is_complete) = read_line(&mut source, &mut text, MAX_LINE_BYTES)? {
        number += 1;
        let without_bom = text.strip_prefix(b"\xEF\xBB\xBF").filter(|_| number == 1);
        let bytes = without_bom.unwrap_or(&text).trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let line = match is_complete {
            true => {
                batch_line::parse(bytes, number, system).and_then(|line| reject_duplicate(line, &mut ids))
            }
            false => Err(too_long()),
        };
        match line {
            Ok(line) => input.lines.push(line),
            Err(error) => input.errors.push((number, error)),
        }
    }
    Ok(input)
}

/// Reads the next line into `text`. Returns `Some(true)` if the line has at most `max` bytes before the line
/// feed. Truncates a longer line and returns `Some(false)`. Returns `None` at the end of the input.
fn read_line(source: &mut impl BufRead, text: &mut Vec<u8>, max: usize) -> io::Result<Option<bool>> {
    text.clear();
    source.by_ref().take(max as u64 + 1).read_until(b'\n', text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let is_complete = text.len() <= max || text.ends_with(b"\n");
    if !is_complete {
        source.skip_until(b'\n')?;
    }
    Ok(Some(is_complete))
}

fn reject_duplicate(line: BatchLine, ids: &mut HashMap<String, u64>) -> Result<BatchLine, LineError> {
    match ids.insert(line.id.clone(), line.number) {
        None => Ok(line),
        Some(first) => {
            ids.insert(line.id, first);
            Err(LineError::new(
                format!("duplicate id; line {first} has the same id"),
                "give each line a unique id; the default id of a line is its number",
            ))
        }
    }
}

fn too_long() -> LineError {
    let limit = MAX_LINE_BYTES >> 20;
    LineError::new(
        format!("line is longer than {limit} MiB, more than any provider accepts"),
        "shorten the prompt",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_are_skipped_and_numbered() {
        let input = read(&b"\xEF\xBB\xBF\"a\"\r\n\n  \n\"b\""[..], None).unwrap();
        let lines: Vec<_> = input.lines.iter().map(|line| (line.number, &*line.id)).collect();
        assert_eq!(lines, [(1, "1"), (4, "4")]);
        assert!(input.errors.is_empty());
    }

    #[test]
    fn line_after_a_too_long_line_is_read() {
        let mut source = io::BufReader::with_capacity(3, &b"1234\n12345\n1\n123456"[..]);
        let mut text = Vec::new();
        let mut lines = Vec::new();
        while let Some(is_complete) = read_line(&mut source, &mut text, 4).unwrap() {
            lines.push((is_complete, text.len()));
        }
        assert_eq!(lines, [(true, 5), (false, 5), (true, 2), (false, 5)]);
    }

    #[test]
    fn duplicate_id_names_the_first_line_with_it() {
        let text = "{\"id\":\"3\",\"prompt\":\"a\"}\n\"b\"\n\"c\"\n{\"id\":\"3\",\"prompt\":\"d\"}\n";
        let input = read(text.as_bytes(), None).unwrap();
        let errors: Vec<_> = input
            .errors
            .iter()
            .map(|(number, error)| (*number, &*error.message))
            .collect();
        assert_eq!(
            errors,
            [
                (3, "duplicate id; line 1 has the same id"),
                (4, "duplicate id; line 1 has the same id")
            ]
        );
    }
}
