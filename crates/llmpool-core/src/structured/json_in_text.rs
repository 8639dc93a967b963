//! Finds JSON values among the other text of a reply.
//!
//! Models write sentences and Markdown code fences around JSON, although the instructions forbid it.
//!
//! Invariant: a value that is part of a larger value with a syntax error is not found, because it has another
//! meaning on its own.
//!
//! Invariant: the time is linear in the length of the text.

use memchr::memchr2;
use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::fence::FENCE;

/// Maximum number of values that are found in one text.
const MAX_VALUES: usize = 8;

/// The JSON values in a text.
#[derive(Debug, Default)]
pub(super) struct FoundJson<'a> {
    /// Objects and arrays that are in no other object or array, in the order of the text.
    values: Vec<&'a str>,
    /// The first value with a syntax error: its text up to the end of the reply.
    pub(super) broken: Option<&'a str>,
}

impl<'a> FoundJson<'a> {
    pub(super) fn in_text(text: &'a str) -> Self {
        let mut found = Self::default();
        let mut at = 0;
        while let Some(start) = next_bracket(text, at) {
            if found.values.len() == MAX_VALUES {
                break;
            }
            match found.read(&text[start..]) {
                Some(length) => at = start + length,
                None => break,
            }
        }
        found
    }

    /// Returns the objects, the first one first.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a str> {
        self.values.iter().copied().filter(|json| json.starts_with('{'))
    }

    /// Returns the arrays, the first one first.
    pub(super) fn arrays(&self) -> impl Iterator<Item = &'a str> {
        self.values.iter().copied().filter(|json| json.starts_with('['))
    }

    /// Reads the value at the start of `rest`, which is a bracket. Returns the length of the text that needs no
    /// further look, or `None` if the text ends within a value.
    fn read(&mut self, rest: &'a str) -> Option<usize> {
        let mut values = Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let error = match values.next()? {
            Ok(_) => {
                let length = values.byte_offset();
                self.values.push(&rest[..length]);
                return Some(length);
            }
            Err(error) => error,
        };
        let read = error_offset(rest, &error).max(1);
        if !is_broken_json(rest, read) {
            // A bracket of a sentence.
            return Some(read);
        }
        self.broken.get_or_insert(rest);
        balanced_length(rest.as_bytes())
    }
}

fn next_bracket(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes().get(from..)?;
    memchr2(b'{', b'[', bytes).map(|at| from + at)
}

/// Returns whether the bracket at the start of the text, whose value has a syntax error after `read` bytes, was
/// meant to be JSON: because a member or an item was read, or because the error is in the first of them.
fn is_broken_json(text: &str, read: usize) -> bool {
    let separator = if text.starts_with('{') { ':' } else { ',' };
    let is_sign = |letter| matches!(letter, '{' | '[' | ']' | '}') || letter == separator;
    let first_sign = || text[1..].chars().find(|letter| is_sign(*letter));
    memchr2(b':', b',', &text.as_bytes()[..read]).is_some() || first_sign() == Some(separator)
}

/// Returns the number of bytes before the error. At most the length of the text.
fn error_offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let before: usize = lines.map(str::len).sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}

/// Returns the length up to the bracket that closes the first one. `None` if there is none.
fn balanced_length(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Returns the contents of fenced blocks in the text, without the name of their language. They may be no JSON.
pub(super) fn fenced_blocks(text: &str) -> impl Iterator<Item = &str> {
    let contents = text.split(FENCE).skip(1).step_by(2).take(MAX_VALUES);
    contents.map(|block| block.split_once('\n').map_or(block, |(_, content)| content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        FoundJson::in_text(text).values
    }

    #[test]
    fn outermost_values_are_found() {
        assert_eq!(
            found("Sure: {\"a\": [1]} and [2, {}]."),
            ["{\"a\": [1]}", "[2, {}]"]
        );
        assert_eq!(found("é{{\"é\":1}}"), ["{\"é\":1}"]);
        assert_eq!(found("set {x} [see] {\n\n{\"a\":\n1}"), ["{\"a\":\n1}"]);
        assert_eq!(found("\"{}\" 5"), ["{}"]);
        assert_eq!(found(&"[]".repeat(20)).len(), MAX_VALUES);
        for text in ["", "5", "[", "{", "}]", "{\"a\"", "é"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn parts_of_broken_values_are_not_found() {
        for text in [
            "{\"a\": {\"b\": 1}, x}",
            "{\"a\": x, \"b\": {\"c\": 1}}",
            "{\"a\": {\"b\": 1}",
            "[{\"b\": 1}, {\"b\": 2}",
            "[{\"b\": 1}, x, {\"b\": 2}]",
            "{\"a\": 1,\n\n{\"b\": 2}",
            "[{\"a\": x, \"b\": {\"c\": 1}}]",
            "{a: {\"b\": 1}}",
            "{\n 'a': {\"b\": 1}}",
            "[x, {\"b\": 1}]",
        ] {
            let found = FoundJson::in_text(text);
            assert!(found.values.is_empty(), "{text}");
            assert_eq!(found.broken, Some(text));
        }
        assert_eq!(found("[see {\"a\": 1}]"), ["{\"a\": 1}"]);
        assert_eq!(found("[a, b] {x: y} {\"a\": 1}"), ["{\"a\": 1}"]);
        assert_eq!(found("{\"a}\": {\"b\": 1}, x} Sorry: {\"a\": 1}"), ["{\"a\": 1}"]);
    }

    #[test]
    fn fenced_blocks_have_no_language() {
        let blocks: Vec<_> = fenced_blocks("A ```json\n1\n``` b ```2``` c").collect();
        assert_eq!(blocks, ["1\n", "2"]);
    }
}
