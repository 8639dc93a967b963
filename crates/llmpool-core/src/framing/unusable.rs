//! The failure of an attempt whose answer cannot be read.

use serde::de::IgnoredAny;

use super::page::{page_title, shortened};
use super::{Framing, sniff, without_prefix};
use crate::failure::{Failure, FailureKind};

/// The [`detail`](Failure::detail) of a failure whose answer was an HTML page.
pub const HTML_PAGE: &str = "an HTML page";

/// The number of bytes of an answer that are searched for tags of HTML or shown as text.
const MAX_SEARCHED: usize = 1 << 10;

/// Returns the failure of an attempt with the answer `answer`, which contains no document. The detail says what came,
/// such as `an HTML page`. The message is the title of the page, or the beginning of the text.
pub fn unusable(answer: &[u8]) -> Failure {
    let content = without_prefix(answer).trim_ascii_end();
    let failure = |what| Failure::new(FailureKind::UnusableAnswer).with_detail(what);
    // A second request may get what is missing.
    let incomplete = |what| Failure::new(FailureKind::InvalidResponse).with_detail(what);
    match sniff(answer) {
        _ if content.is_empty() => incomplete("an empty body"),
        Some(Framing::Events) => failure("an event stream"),
        Some(Framing::Page) if is_html(content) => Failure {
            message: page_title(answer),
            ..failure(HTML_PAGE)
        },
        Some(Framing::Page) => failure("an XML document"),
        _ if content.starts_with(b"{") => incomplete("broken JSON"),
        _ if answer.starts_with(b"\xff\xfe") || answer.starts_with(b"\xfe\xff") => failure("UTF-16 text"),
        _ if serde_json::from_slice::<IgnoredAny>(content).is_ok() => {
            failure("a JSON value that is not an object")
        }
        _ => {
            let start = &content[..content.len().min(MAX_SEARCHED)];
            Failure {
                message: Some(shortened(&String::from_utf8_lossy(start))).filter(|text| !text.is_empty()),
                ..failure("plain text")
            }
        }
    }
}

fn is_html(page: &[u8]) -> bool {
    let start = page[..page.len().min(MAX_SEARCHED)].to_ascii_lowercase();
    let has = |tag: &[u8]| memchr::memmem::find(&start, tag).is_some();
    [&b"<!doctype html"[..], b"<html", b"<head", b"<body"]
        .into_iter()
        .any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_says_what_came() {
        let (unusable_answer, invalid) = (FailureKind::UnusableAnswer, FailureKind::InvalidResponse);
        for (answer, kind, detail, message) in [
            ("", invalid, "an empty body", None),
            ("\u{feff} \n", invalid, "an empty body", None),
            (
                "<!DOCTYPE html><title>Welcome</title>",
                unusable_answer,
                HTML_PAGE,
                Some("Welcome"),
            ),
            ("<html><body>x", unusable_answer, HTML_PAGE, None),
            (
                "<?xml version=\"1.0\"?>\n<html xmlns=\"x\">",
                unusable_answer,
                HTML_PAGE,
                None,
            ),
            ("5", unusable_answer, "a JSON value that is not an object", None),
            ("[DONE", unusable_answer, "plain text", Some("[DONE")),
            (
                "<?xml version='1.0'?><Error/>",
                unusable_answer,
                "an XML document",
                None,
            ),
            (
                "Not\x07 \n found",
                unusable_answer,
                "plain text",
                Some("Not found"),
            ),
            (
                "\"text\"",
                unusable_answer,
                "a JSON value that is not an object",
                None,
            ),
            ("[1]", unusable_answer, "a JSON value that is not an object", None),
            ("{\"a\":1", invalid, "broken JSON", None),
            ("data: {}", unusable_answer, "an event stream", None),
        ] {
            let failure = unusable(answer.as_bytes());
            assert_eq!(failure.kind, kind, "{answer}");
            assert_eq!(failure.detail(), Some(detail), "{answer}");
            assert_eq!(failure.message.as_deref(), message, "{answer}");
        }
    }
}
