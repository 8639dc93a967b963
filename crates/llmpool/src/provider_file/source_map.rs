//! The locations of the values in a provider file.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::field::{Field, LineIndex};
use super::secret_ref::{Environment, SecretRef};

/// The maximum nesting depth of a value whose location is recorded. The top-level object has depth 0. The
/// deepest fields of the file format, such as `openai[0].on_status.418.action`, have depth 5.
const MAX_DEPTH: usize = 6;

/// A map from the fields of a provider file, such as `openai[0].api_keys[2]`, to their locations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap(BTreeMap<String, SourceLocation>);

/// The location of a value in a provider file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceLocation {
    /// The one-based line number.
    pub line: usize,
    /// The one-based column, counted in characters.
    pub column: usize,
    /// The text of the value if the value refers to a key, as `${NAME}` does. `None` for all other values, so
    /// that a source map never contains a key.
    pub reference: Option<String>,
}

impl SourceLocation {
    /// Returns whether the value refers to an environment variable or a file that is missing, unreadable or
    /// empty. The function `env` looks up environment variables.
    pub fn is_unresolved(&self, env: Environment<'_>) -> bool {
        let reference = self.reference.as_deref().map(SecretRef::parse);
        reference.is_some_and(|reference| reference.resolve(env).is_err())
    }
}

impl SourceMap {
    /// Returns the locations of all values in the text of a provider file, including nested values. Returns
    /// an empty map if the text is not valid JSON.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut map = Self::default();
        if let Ok(value) = serde_json::from_str::<&RawValue>(text) {
            let path = String::new();
            map.insert(&LineIndex::new(text), Field { path, value }, MAX_DEPTH);
        }
        map
    }

    /// Returns the location of the value of `field`, a path such as `openai[0].rpm`. Returns `None` if the
    /// file does not contain the field.
    pub fn get(&self, field: &str) -> Option<&SourceLocation> {
        self.0.get(field)
    }

    fn insert(&mut self, lines: &LineIndex<'_>, field: Field<'_>, depth: usize) {
        let (line, column) = lines.position(field.value);
        let reference = serde_json::from_str::<String>(field.value.get()).ok();
        let location = SourceLocation {
            line,
            column,
            reference: reference.filter(|text| SecretRef::parse(text).is_external()),
        };
        if depth > 0 {
            let members = field.members();
            let members = members
                .iter()
                .flat_map(|members| members.iter().map(|(_, value)| value));
            let items = field.items().into_iter().flatten();
            for value in members.chain(items) {
                self.insert(lines, value, depth - 1);
            }
        }
        self.0.insert(field.path, location);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_map_locates_every_value_and_stores_no_key() {
        let text = "{\"p\": [\n  {\"api_keys\": [\"${ONE}\", {\"key\": \"sk-canary\"}],\n   \"timeouts\": {\"idle\": 5}}]}";
        let map = SourceMap::parse(text);
        let at = |field: &str| map.get(field).map(|location| (location.line, location.column));
        assert_eq!(at("p[0]"), Some((2, 3)));
        assert_eq!(at("p[0].api_keys[0]"), Some((2, 17)));
        assert_eq!(at("p[0].timeouts.idle"), Some((3, 25)));
        assert_eq!(at("p[0].rpm"), None);
        assert_eq!(
            map.get("p[0].api_keys[0]").unwrap().reference.as_deref(),
            Some("${ONE}")
        );
        assert!(!format!("{map:?}").contains("canary"));
        assert_eq!(SourceMap::parse("no json"), SourceMap::default());
        let deep = format!("{{\"p\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(SourceMap::parse(&deep).0.len() <= MAX_DEPTH + 1);
    }
}
