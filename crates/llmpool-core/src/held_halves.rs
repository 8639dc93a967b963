//! First halves of surrogate pairs that wait for the next piece of their text.

/// Length in bytes of an escape sequence such as `\ud83d`.
const ESCAPE_LENGTH: usize = 6;

/// Maximum number of halves that are held back at once, so that the time for a piece is bounded. A stream has
/// a few texts at most, unless it is malicious.
const MAX_HELD: usize = 64;

/// The first halves with which texts end so far, as escape sequences, with the place of each text.
///
/// Invariant: at most one for each place.
#[derive(Clone)]
pub(crate) struct HeldHalves<P>(Vec<(P, String)>);

impl<P> Default for HeldHalves<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: PartialEq> HeldHalves<P> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a half of a place that `filter` accepts is held back.
    pub(crate) fn contains(&self, filter: impl Fn(&P) -> bool) -> bool {
        self.0.iter().any(|(place, _)| filter(place))
    }

    /// Removes and returns the halves of all places that `filter` accepts.
    pub(crate) fn take_all(&mut self, filter: impl Fn(&P) -> bool) -> Vec<(P, String)> {
        let (taken, others) = self.0.drain(..).partition(|(place, _)| filter(place));
        self.0 = others;
        taken
    }

    /// Puts the half that is held back for `place` in front of a piece of the text there, and holds back the
    /// half with which the piece ends. `json` is the JSON text of the piece. Changes nothing if it is not a
    /// string, or is empty.
    pub(crate) fn join(&mut self, place: P, json: &str) -> String {
        let inner = json.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else {
            return json.to_owned();
        };
        let mut text = self.take(&place).unwrap_or_default() + inner;
        if self.0.len() < MAX_HELD && ends_with_first_half(&text) {
            let half = text.split_off(text.len() - ESCAPE_LENGTH);
            self.0.push((place, half));
        }
        format!("\"{text}\"")
    }

    fn take(&mut self, place: &P) -> Option<String> {
        let position = self.0.iter().position(|(known, _)| known == place)?;
        Some(self.0.swap_remove(position).1)
    }
}

/// Returns whether the text, the inside of a JSON string, ends with the escape sequence of the first half of
/// a surrogate pair.
fn ends_with_first_half(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((before, [b'\\', b'u', b'd' | b'D', second, _, _])) = bytes.split_last_chunk() else {
        return false;
    };
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    matches!(second, b'8' | b'9' | b'a' | b'b' | b'A' | b'B') && backslashes.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_held_halves_is_bounded() {
        let mut halves = HeldHalves::default();
        for place in 0..1000 {
            let kept = if place < MAX_HELD {
                r#""a""#
            } else {
                r#""a\ud83d""#
            };
            assert_eq!(halves.join(place, r#""a\ud83d""#), kept);
        }
        assert_eq!(halves.join(0, r#""\ude00""#), r#""\ud83d\ude00""#);
        assert!(halves.contains(|place| *place == 1) && !halves.contains(|place| *place == 0));
        assert_eq!(halves.take_all(|_| true).len(), MAX_HELD - 1);
        assert!(halves.is_empty());
    }

    #[test]
    fn only_escape_sequences_of_first_halves_are_held() {
        for (text, is_half) in [
            (r"\ud83d", true),
            (r"a\uDBFF", true),
            (r"\\\ud83d", true),
            (r"\\ud83d", false),
            (r"\ude00", false),
            (r"\ud7ff", false),
            (r"ud83d", false),
            ("", false),
        ] {
            assert_eq!(ends_with_first_half(text), is_half, "{text}");
        }
    }
}
