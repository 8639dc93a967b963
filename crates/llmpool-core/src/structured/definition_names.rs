//! Names of shared definitions, which strict mode accepts only if they consist of plain letters.

use serde_json::{Map, Value};

const DEFINITIONS: &str = "#/$defs/";

/// Returns the name of the definition to which a `$ref` refers. Returns `None` if the reference is not to a
/// definition. Decodes what `schemars` encodes: characters that URLs do not allow, `~` and `/`.
pub(super) fn definition_name(reference: &str) -> Option<String> {
    let encoded = reference.strip_prefix(DEFINITIONS)?;
    Some(percent_decoded(encoded).replace("~1", "/").replace("~0", "~"))
}

fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let digits = more.get(..2).filter(|_| *first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The definitions that are referenced so far, in the order of their first reference.
#[derive(Default)]
pub(super) struct ReferencedDefinitions {
    /// The original name and the written name of each definition.
    names: Vec<(String, String)>,
}

impl ReferencedDefinitions {
    /// Returns the original name and the written name of a definition.
    pub(super) fn get(&self, index: usize) -> Option<&(String, String)> {
        self.names.get(index)
    }

    /// Adds a reference to the definition `name`, and returns the reference to write. Writes `_` for
    /// characters other than ASCII letters, digits, `_` and `-`. `definitions` are all definitions, whose names
    /// are not used for another definition.
    pub(super) fn reference(&mut self, name: String, definitions: &Map<String, Value>) -> String {
        let known = self.names.iter().find(|(original, _)| *original == name);
        if let Some((_, written)) = known {
            return format!("{DEFINITIONS}{written}");
        }
        let mut written = plain_name(&name);
        let is_taken = |written: &String| {
            definitions.contains_key(written) || self.names.iter().any(|(_, other)| other == written)
        };
        while written != name && is_taken(&written) {
            written.push('_');
        }
        let reference = format!("{DEFINITIONS}{written}");
        self.names.push((name, written));
        reference
    }
}

/// Replaces characters that providers do not accept in names by `_`.
pub(super) fn plain_name(name: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters = name.chars();
    letters
        .map(|letter| if is_allowed(letter) { letter } else { '_' })
        .collect()
}
