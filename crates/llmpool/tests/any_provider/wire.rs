//! JSON with what a JSON writer refuses: characters of the model stand for it, until the value is written.

use serde_json::Value;

/// The escape sequence of the first half of 😀, without or before that of the second half.
pub const HIGH_HALF: char = '\u{e000}';
pub const LOW_HALF: char = '\u{e001}';
/// A byte that is no UTF-8.
pub const BAD_BYTE: char = '\u{e002}';
/// A control character that is not escaped.
pub const CONTROL: char = '\u{e003}';
/// Before and after JSON text that stands in place of a string.
const RAW_START: char = '\u{e010}';
const RAW_END: char = '\u{e011}';

/// Returns a value that is written as `json`, which need not be valid JSON.
pub fn raw_json(json: &str) -> Value {
    Value::from(format!("{RAW_START}{json}{RAW_END}"))
}

/// Returns the text that a caller must get.
pub fn readable(text: &str) -> String {
    text.replace(&format!("{HIGH_HALF}{LOW_HALF}"), "😀")
        .replace([HIGH_HALF, LOW_HALF, BAD_BYTE], "\u{fffd}")
        .replace(CONTROL, "\t")
}

/// Writes a value as a provider does.
pub fn to_bytes(value: &Value) -> Vec<u8> {
    substituted(&value.to_string())
}

/// Writes a value on several lines.
pub fn to_pretty_bytes(value: &Value) -> Vec<u8> {
    substituted(&serde_json::to_string_pretty(value).unwrap())
}

fn substituted(json: &str) -> Vec<u8> {
    let json = json
        .replace(&format!("\"{RAW_START}"), "")
        .replace(&format!("{RAW_END}\""), "");
    let mut bytes = Vec::new();
    for character in json.chars() {
        match character {
            HIGH_HALF => bytes.extend(b"\\ud83d"),
            LOW_HALF => bytes.extend(b"\\ude00"),
            BAD_BYTE => bytes.push(0xff),
            CONTROL => bytes.push(b'\t'),
            other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

/// Returns pieces none of which ends between the halves of a pair.
pub fn with_whole_pairs(pieces: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.ends_with(HIGH_HALF) => last.push_str(piece),
            _ => joined.push(piece.clone()),
        }
    }
    joined
}

/// Returns pieces each of which ends after the first half of a pair.
pub fn with_split_pairs(pieces: &[String]) -> Vec<String> {
    let split = pieces.iter().flat_map(|piece| piece.split_inclusive(HIGH_HALF));
    split.map(str::to_owned).collect()
}
