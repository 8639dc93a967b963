//! Where each value of a provider file stands.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Environment;
use super::json::{Kind, Members};
use super::read::joined;
use crate::secrets::Reference;

/// So deep do the fields of a provider file go: `openai[0].on_status.418.action`.
const DEEPEST: usize = 6;

/// Where each value of a file stands, by its field as in `openai[0].api_keys[2]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap(BTreeMap<String, Place>);

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The value where it refers to a key elsewhere, as in `${NAME}`; a key itself is never here.
    pub reference: Option<String>,
}

impl Place {
    /// Whether this refers to a key that is not to be had: a variable that is not set, a file that cannot be read.
    pub fn leads_nowhere(&self, env: Environment<'_>) -> bool {
        let reference = self.reference.as_deref().map(Reference::read);
        reference.is_some_and(|reference| reference.resolve(env).is_err())
    }
}

impl SourceMap {
    /// Those of all values, also inside of one another; none where the text is not JSON.
    pub fn of(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut places = Self::default();
        if let Ok(whole) = serde_json::from_str::<&RawValue>(text) {
            places.note(&Lines::of(text), whole, "", DEEPEST);
        }
        places
    }

    /// Where the value of a field stands, if the file has it.
    pub fn get(&self, field: &str) -> Option<&Place> {
        self.0.get(field)
    }

    fn note(&mut self, lines: &Lines<'_>, value: &RawValue, field: &str, deepest: usize) {
        let (line, column) = lines.position(value.get());
        let reference = match serde_json::from_str::<String>(value.get()) {
            Ok(said) if Reference::read(&said).leads_elsewhere() => Some(said),
            _ => None,
        };
        let place = Place {
            line,
            column,
            reference,
        };
        self.0.insert(field.to_owned(), place);
        let Some(deepest) = deepest.checked_sub(1) else {
            return;
        };
        match Kind::of(value) {
            Kind::Object => {
                let members =
                    serde_json::from_str(value.get()).map_or(Vec::new(), |Members(members)| members);
                for (name, value) in members {
                    self.note(lines, value, &joined(field, &name), deepest);
                }
            }
            Kind::List => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                for (index, value) in items.into_iter().enumerate() {
                    self.note(lines, value, &format!("{field}[{index}]"), deepest);
                }
            }
            Kind::Text | Kind::Number | Kind::Bool | Kind::Null => {}
        }
    }
}

/// Where lines begin: a position without counting from the beginning of the file each time.
struct Lines<'a> {
    text: &'a str,
    begin: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            text,
            begin: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Line and column, from 1, of a piece of the text.
    fn position(&self, piece: &str) -> (usize, usize) {
        let offset = (piece.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let line = self.begin.partition_point(|begin| *begin <= offset);
        let begin = self.begin[line.saturating_sub(1)];
        let before = self.text.get(begin..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place_and_no_key_is_kept() {
        let text = "{\"p\": [\n  {\"api_keys\": [\"${ONE}\", {\"key\": \"sk-canary\"}],\n   \"timeouts\": {\"idle\": 5}}]}";
        let places = SourceMap::of(text);
        let at = |field: &str| places.get(field).map(|place| (place.line, place.column));
        assert_eq!(at("p[0]"), Some((2, 3)));
        assert_eq!(at("p[0].api_keys[0]"), Some((2, 17)));
        assert_eq!(at("p[0].timeouts.idle"), Some((3, 25)));
        assert_eq!(at("p[0].rpm"), None);
        assert_eq!(
            places.get("p[0].api_keys[0]").unwrap().reference.as_deref(),
            Some("${ONE}")
        );
        assert!(!format!("{places:?}").contains("canary"));
        assert_eq!(SourceMap::of("no json"), SourceMap::default());
        let deep = format!("{{\"p\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(SourceMap::of(&deep).0.len() <= DEEPEST + 1);
    }
}
