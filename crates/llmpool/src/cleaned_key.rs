//! Removes what copying and quoting leave around a key.

/// A key without the characters around it that cannot belong to it.
pub(crate) struct CleanedKey<'a> {
    pub(crate) key: &'a str,
    spaces: bool,
    marks: bool,
    quotes: bool,
}

/// Quotes that a shell, an editor or a chat program puts around a key.
const QUOTES: [(char, char); 8] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('\u{201c}', '\u{201d}'),
    ('\u{201e}', '\u{201c}'),
    ('\u{2018}', '\u{2019}'),
    ('\u{201d}', '\u{201d}'),
    ('\u{ab}', '\u{bb}'),
];

impl<'a> CleanedKey<'a> {
    /// Removes white space, byte order marks, zero-width characters and pairs of quotes, as often as they occur.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut cleaned = Self {
            key: text,
            spaces: false,
            marks: false,
            quotes: false,
        };
        loop {
            let key = cleaned.key;
            cleaned.key = key.trim();
            cleaned.spaces |= cleaned.key != key;
            let key = cleaned.key;
            cleaned.key = key.trim_matches(is_invisible);
            cleaned.marks |= cleaned.key != key;
            if let Some(inner) = without_quotes(cleaned.key) {
                cleaned.key = inner;
                cleaned.quotes = true;
            } else if cleaned.key == key {
                return cleaned;
            }
        }
    }

    /// Returns what was removed, in words, or `None` if nothing was.
    pub(crate) fn removed(&self) -> Option<String> {
        let removed = [
            (self.spaces, "white space"),
            (self.marks, "a byte order mark or other invisible characters"),
            (self.quotes, "quotes"),
        ];
        let removed: Vec<_> = removed.into_iter().filter(|(was, _)| *was).collect();
        let removed: Vec<_> = removed.into_iter().map(|(_, name)| name).collect();
        (!removed.is_empty()).then(|| removed.join(" and "))
    }
}

fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

fn without_quotes(text: &str) -> Option<&str> {
    let quoted = |(open, close): &(char, char)| text.strip_prefix(*open)?.strip_suffix(*close);
    QUOTES.iter().find_map(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_around_a_key_is_removed() {
        for (text, removed) in [
            ("k", None),
            ("\"k", None),
            (" k\n", Some("white space")),
            (
                "\u{feff}k",
                Some("a byte order mark or other invisible characters"),
            ),
            (
                "k\u{200b}",
                Some("a byte order mark or other invisible characters"),
            ),
            ("'k'", Some("quotes")),
            ("\u{201c}k\u{201d}", Some("quotes")),
            ("\u{201e}k\u{201c}", Some("quotes")),
            ("\"'k' \"", Some("white space and quotes")),
        ] {
            let cleaned = CleanedKey::new(text);
            assert_eq!(cleaned.key.trim_start_matches('"'), "k", "{text:?}");
            assert_eq!(cleaned.removed().as_deref(), removed, "{text:?}");
        }
        for text in ["", " ", "''", "\"", "\u{feff}\"\""] {
            assert!(CleanedKey::new(text).key.len() <= 1, "{text:?}");
        }
    }
}
