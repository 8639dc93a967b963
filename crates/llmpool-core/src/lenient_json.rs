//! Repair of the text of JSON that a parser refuses.
//!
//! Providers send single halves of surrogate pairs where an answer was cut inside an emoji, invalid UTF-8 where
//! it was cut inside a character, unescaped control characters, and the numbers `NaN` and `Infinity` of
//! JavaScript and Python. The answer has been paid for, so it is read as well as it can be.
//!
//! All decoders call the same function, and only after ordinary decoding has failed. They therefore agree on
//! what can be read, and an ordinary answer costs nothing more.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;

/// The log probability of a token that cannot occur, which JSON has no number for. OpenAI sends this number.
const LOWEST_LOGPROB: &str = "-9999.0";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the text with everything replaced that JSON does not allow in a string or as a number:
///
/// - invalid UTF-8 and single halves of surrogate pairs become U+FFFD, the replacement character;
/// - control characters in strings become escape sequences;
/// - `NaN`, `Infinity` and `-Infinity` become null; as a log probability, `-Infinity` becomes -9999.
///
/// Removes byte order marks at the beginning. Returns `None` if nothing had to be replaced. Reads the text
/// once and does not check its structure, so the returned text can still be invalid JSON.
pub(crate) fn cleaned(json: &[u8]) -> Option<String> {
    replaced(json, false)
}

/// Returns the cleaned text, but keeps single halves of surrogate pairs, because their counterparts can be in
/// another chunk.
pub(crate) fn cleaned_except_halves(json: &[u8]) -> Cow<'_, str> {
    replaced(json, true).map_or_else(|| String::from_utf8_lossy(json), Cow::Owned)
}

fn replaced(json: &[u8], keeps_halves: bool) -> Option<String> {
    let mut unmarked = json;
    while let Some(rest) = unmarked.strip_prefix(BYTE_ORDER_MARK) {
        unmarked = rest;
    }
    let text = String::from_utf8_lossy(unmarked);
    match (Cleaner::new(&text, keeps_halves).run(), text) {
        (Some(replaced), _) => Some(replaced),
        (None, Cow::Owned(text)) => Some(text),
        (None, Cow::Borrowed(text)) => (unmarked.len() < json.len()).then(|| text.to_owned()),
    }
}

/// Returns the cleaned text, which is the text itself if nothing has to be replaced.
pub(crate) fn cleaned_text(json: &[u8]) -> Cow<'_, str> {
    cleaned(json).map_or_else(|| String::from_utf8_lossy(json), Cow::Owned)
}

/// Decodes JSON with `decode`. If that fails, cleans the text and decodes it again.
///
/// # Errors
/// Returns the first error if the cleaned text cannot be decoded either.
pub(crate) fn decode_cleaned<T, E>(json: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>) -> Result<T, E> {
    decode(json).or_else(|error| {
        let text = cleaned(json);
        let decoded = text.and_then(|text| decode(text.as_bytes()).ok());
        decoded.ok_or(error)
    })
}

/// Decodes a part of a document that was kept as JSON text. `None` if it does not have the type `T`, even
/// after its text was cleaned.
pub(crate) fn decode_part<T: DeserializeOwned>(json: &str) -> Option<T> {
    decode_cleaned(json.as_bytes(), |json| crate::chat::from_json(json)).ok()
}

/// One pass over a text. Copies the text from the first replacement on.
struct Cleaner<'a> {
    text: &'a str,
    keeps_halves: bool,
    /// Number of bytes of `text` that `output` covers.
    covered: usize,
    output: String,
}

impl<'a> Cleaner<'a> {
    fn new(text: &'a str, keeps_halves: bool) -> Self {
        Self {
            text,
            keeps_halves,
            covered: 0,
            output: String::new(),
        }
    }

    /// Returns the text with its replacements, or `None` if there are none.
    fn run(mut self) -> Option<String> {
        let mut at = 0;
        while let Some(byte) = self.text.as_bytes().get(at) {
            at = match byte {
                b'"' => self.string(at + 1),
                b'-' | b'+' | b'a'..=b'z' | b'A'..=b'Z' => self.word(at),
                _ => at + 1,
            };
        }
        if self.covered == 0 {
            return None;
        }
        self.output.push_str(&self.text[self.covered..]);
        Some(self.output)
    }

    /// Reads the string whose first character is at `at`. Returns the position after its closing quote.
    fn string(&mut self, mut at: usize) -> usize {
        while let Some(&byte) = self.text.as_bytes().get(at) {
            at = match byte {
                b'"' => return at + 1,
                b'\\' => self.escape(at),
                0..0x20 => self.replace(at..at + 1, &format!("\\u{byte:04x}")),
                _ => at + 1,
            };
        }
        at
    }

    /// Reads the escape sequence at `at`, or both escape sequences of a surrogate pair. Returns the position
    /// after it.
    fn escape(&mut self, at: usize) -> usize {
        match self.code_unit(at) {
            None => at + 2,
            Some(0xd800..0xdc00) if matches!(self.code_unit(at + 6), Some(0xdc00..0xe000)) => at + 12,
            Some(0xd800..0xe000) if !self.keeps_halves => self.replace(at..at + 6, "\\ufffd"),
            Some(_) => at + 6,
        }
    }

    /// Returns the UTF-16 code unit of the `\u` escape sequence at `at`. `None` if there is no such sequence.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let sequence = self.text.as_bytes().get(at..at + 6)?;
        let digits = sequence.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(unit << 4 | digit as u16)
        })
    }

    /// Reads the word at `at`, which may begin with a sign. Returns the position after it.
    fn word(&mut self, at: usize) -> usize {
        let (sign, rest) = self.text[at..]
            .split_at_checked(1)
            .filter(|(sign, _)| matches!(*sign, "-" | "+"))
            .unwrap_or(("", &self.text[at..]));
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let end = at + sign.len() + length;
        match &rest[..length] {
            "NaN" | "nan" => self.replace(at..end, "null"),
            "Infinity" | "inf" if sign == "-" && self.is_logprob(at) => self.replace(at..end, LOWEST_LOGPROB),
            "Infinity" | "inf" => self.replace(at..end, "null"),
            _ => end,
        }
    }

    /// Returns whether the value at `at` is that of a member `logprob`.
    fn is_logprob(&self, at: usize) -> bool {
        let name = self.text[..at].trim_ascii_end().strip_suffix(':');
        name.is_some_and(|name| name.trim_ascii_end().ends_with("\"logprob\""))
    }

    /// Replaces a part of the text. Returns the end of this part.
    fn replace(&mut self, part: Range<usize>, with: &str) -> usize {
        self.output.push_str(&self.text[self.covered..part.start]);
        self.output.push_str(with);
        self.covered = part.end;
        part.end
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn refused_text_is_replaced() {
        for (json, expected) in [
            (&b"\xef\xbb\xbf{}"[..], "{}"),
            (br#""a\ud83db""#, r#""a\ufffdb""#),
            (br#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (br#""\ud83d\ud83d\ude00\uDE00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (br#"{"a\udfff":1}"#, r#"{"a\ufffd":1}"#),
            (b"\"a\xffb\"", "\"a\u{fffd}b\""),
            (b"\"\xf0\x9f\x98\"", "\"\u{fffd}\""),
            (b"\"a\nb\t\0\"\n", "\"a\\u000ab\\u0009\\u0000\"\n"),
            (b"[NaN, Infinity,-Infinity]", "[null, null,null]"),
            (b"[nan,+inf,-inf,-NaN]", "[null,null,null,null]"),
            (
                br#"{"logprob" : -Infinity, "a": -Infinity, "logprob":NaN}"#,
                r#"{"logprob" : -9999.0, "a": null, "logprob":null}"#,
            ),
            (b"\"\\\xff\"", "\"\\\u{fffd}\""),
        ] {
            assert_eq!(cleaned(json).as_deref(), Some(expected));
            assert_eq!(cleaned(expected.as_bytes()), None, "{expected}");
        }
    }

    #[test]
    fn allowed_text_is_not_copied() {
        for json in [
            "",
            r#"{"NaN":"NaN -Infinity","a":[true,false,null,-1,1e+5,1E5]}"#,
            r#""\ud83d\ude00 \\ud83d \" \u00e9 😀""#,
            "{\n\t\"a\": 1\r\n}",
            r#""\u12"#,
            "\"\\",
            "[NaNs,Inf]",
        ] {
            assert_eq!(cleaned(json.as_bytes()), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn cleaned_text_needs_no_cleaning(json in prop::collection::vec(prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            prop::sample::select(&["\\ud83d", "\\ude00", "NaN", "-Infinity", "\"", "\\", "\u{feff}", "\"logprob\":"][..])
                .prop_map(|text| text.as_bytes().to_vec()),
        ], 0..40)) {
            let json = json.concat();
            if let Some(text) = cleaned(&json) {
                prop_assert_eq!(cleaned(text.as_bytes()), None);
            } else {
                prop_assert!(std::str::from_utf8(&json).is_ok());
            }
        }

        #[test]
        fn any_code_units_are_read_as_text(units in prop::collection::vec(prop_oneof![any::<u16>(), 0xd7f0_u16..0xe010], 0..20)) {
            let escapes: String = units.iter().map(|unit| format!("\\u{unit:04X}")).collect();
            let read: String = decode_part(&format!("\"{escapes}\"")).unwrap();
            prop_assert_eq!(read, String::from_utf16_lossy(&units));
        }

        #[test]
        fn any_bytes_of_a_string_are_read_as_text(mut bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            bytes.retain(|byte| !matches!(byte, b'"' | b'\\'));
            let json = [b"[\"", &bytes[..], b"\"]"].concat();
            let read: Vec<String> = decode_cleaned(&json, |json| crate::chat::from_json(json)).unwrap();
            prop_assert_eq!(&read[0], &String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn valid_json_is_not_changed(text in ".{0,20}", number in any::<f64>()) {
            let value = Value::from_iter([("a", Value::from(text)), ("logprob", Value::from(number))]);
            prop_assert_eq!(cleaned(value.to_string().as_bytes()), None);
        }
    }
}
