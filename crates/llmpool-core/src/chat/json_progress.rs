//! Recognition of the end of a JSON object that arrives in pieces.

use memchr::memchr2;

/// The progress of a text that may be a JSON object. Takes time linear in the text, however the text is split
/// into pieces, because each piece is read once.
///
/// Checks only that strings end and brackets are balanced, so a complete object can still be invalid JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JsonProgress {
    /// Only white space so far.
    #[default]
    Empty,
    /// The object has begun. `depth` counts the open brackets.
    Open {
        depth: usize,
        in_string: bool,
        is_escaped: bool,
    },
    /// The object is complete. Only white space has followed.
    Complete,
    /// The text is not a JSON object.
    Other,
}

impl JsonProgress {
    /// Adds the next piece of the text.
    pub(crate) fn push(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            (*self, rest) = match *self {
                Self::Other => return,
                Self::Empty | Self::Complete if first.is_ascii_whitespace() => (*self, after),
                Self::Empty if *first == b'{' => (Self::open(1), after),
                Self::Empty | Self::Complete => (Self::Other, after),
                Self::Open {
                    depth,
                    in_string: true,
                    is_escaped,
                } => in_string(depth, is_escaped, rest),
                Self::Open { depth, .. } => match first {
                    b'"' => (in_string_state(depth, false), after),
                    b'{' | b'[' => (Self::open(depth + 1), after),
                    b'}' if depth == 1 => (Self::Complete, after),
                    b']' if depth == 1 => (Self::Other, after),
                    b'}' | b']' => (Self::open(depth - 1), after),
                    _ => (*self, after),
                },
            };
        }
    }

    /// Returns whether nothing but white space has arrived.
    pub(crate) fn is_empty(self) -> bool {
        self == Self::Empty
    }

    /// Returns whether the text is a complete object.
    pub(crate) fn is_complete(self) -> bool {
        self == Self::Complete
    }

    fn open(depth: usize) -> Self {
        Self::Open {
            depth,
            in_string: false,
            is_escaped: false,
        }
    }
}

fn in_string_state(depth: usize, is_escaped: bool) -> JsonProgress {
    JsonProgress::Open {
        depth,
        in_string: true,
        is_escaped,
    }
}

/// Reads `rest`, which begins within a string, up to its end or an escape sequence.
fn in_string(depth: usize, is_escaped: bool, rest: &[u8]) -> (JsonProgress, &[u8]) {
    if is_escaped {
        return (in_string_state(depth, false), &rest[1..]);
    }
    match memchr2(b'"', b'\\', rest) {
        Some(at) if rest[at] == b'"' => (JsonProgress::open(depth), &rest[at + 1..]),
        Some(at) => (in_string_state(depth, true), &rest[at + 1..]),
        None => (in_string_state(depth, false), &[]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn progress(pieces: &[&str]) -> JsonProgress {
        let mut progress = JsonProgress::default();
        pieces.iter().for_each(|piece| progress.push(piece));
        progress
    }

    #[test]
    fn object_is_complete_at_its_last_brace() {
        for complete in ["{}", " {\"a\":{\"b\":[{}]}}\n", "{\"a\":\"}\\\"}\"}"] {
            assert!(progress(&[complete]).is_complete(), "{complete}");
            for end in 0..complete.trim_end().len() {
                assert!(
                    !progress(&[&complete[..end]]).is_complete(),
                    "{complete} up to {end}"
                );
            }
            assert!(!progress(&[complete, "x"]).is_complete(), "{complete}");
        }
        assert!(progress(&["", " \n"]).is_empty());
        for other in ["[]", "x{}", "{}{}", "{]", "5"] {
            let progress = progress(&[other]);
            assert!(!progress.is_complete() && !progress.is_empty(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn progress_does_not_depend_on_the_pieces(text in "[{}\\[\\]\"\\\\ a]{0,20}", at in 0_usize..20) {
            let at = at.min(text.len());
            prop_assert_eq!(progress(&[&text[..at], &text[at..]]), progress(&[&text]));
        }

        #[test]
        fn valid_objects_are_complete(key in any::<String>(), value in any::<String>()) {
            let json = serde_json::json!({key: [{"a": value}]}).to_string();
            prop_assert!(progress(&[&json]).is_complete());
        }
    }
}
