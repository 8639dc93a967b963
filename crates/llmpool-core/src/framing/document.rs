//! Separates the JSON objects in the body of an answer from marks around them.

use memchr::memchr2;

use super::{DONE, without_prefix};

/// The maximum number of objects in a body. A list of more would need many times the memory of the body.
const MAX_DOCUMENTS: usize = 1 << 20;

/// Returns the JSON objects that a body consists of. Ignores white space, byte order marks, comments of an event
/// stream, `[DONE]` or `data: [DONE]` after an object, and other text after the last object. Returns an empty list if
/// the body begins with anything else, is cut off, or consists of more than 1 048 576 objects.
///
/// Takes linear time. Checks only that strings end and brackets are balanced, so an object can still be
/// invalid JSON.
pub fn documents(body: &[u8]) -> Vec<&[u8]> {
    let mut objects = Vec::new();
    let mut rest = without_prefix(body);
    while rest.starts_with(b"{") && objects.len() < MAX_DOCUMENTS {
        let Some(length) = object_length(rest) else {
            return Vec::new();
        };
        let (object, after) = rest.split_at(length);
        objects.push(object);
        rest = without_marks(after);
    }
    // What has another object in it is something else, such as a stream whose first event has no field name.
    if memchr::memchr(b'{', rest).is_some() {
        objects.clear();
    }
    objects
}

/// Returns the bytes after white space, byte order marks, comments and end markers.
fn without_marks(mut bytes: &[u8]) -> &[u8] {
    loop {
        bytes = without_prefix(bytes);
        if bytes.starts_with(b":") {
            let end = memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
            bytes = &bytes[end..];
            continue;
        }
        let unlabelled = bytes.strip_prefix(b"data:").map(<[u8]>::trim_ascii_start);
        match unlabelled.unwrap_or(bytes).strip_prefix(DONE) {
            Some(rest) => bytes = rest,
            None => return bytes,
        }
    }
}

/// Returns the length of the JSON object at the beginning of `bytes`. `None` if the object does not end.
fn object_length(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        at += bytes[at..]
            .iter()
            .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
        match bytes[at] {
            b'"' => at = string_end(bytes, at + 1)?,
            b'{' | b'[' => depth += 1,
            _ => depth -= 1,
        }
        at += 1;
        if depth == 0 {
            return (bytes[at - 1] == b'}').then_some(at);
        }
    }
}

/// Returns the position of the quote that ends the string whose content begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}
