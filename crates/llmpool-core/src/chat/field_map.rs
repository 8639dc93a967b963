//! A map of JSON fields in order of first appearance.

use std::collections::HashMap;

use super::json::Json;
use super::unknown_fields::UnknownFields;

/// Maximum number of fields whose names are compared one by one. If there are more, the names are hashed.
const MAX_COMPARED: usize = 8;

/// The fields of a JSON object, in order of first appearance.
///
/// The provider determines the number of fields, and they can arrive one by one. Therefore finding a field
/// takes constant time.
#[derive(Clone, Debug)]
pub(super) struct FieldMap<V> {
    fields: Vec<(String, V)>,
    /// Positions of all fields, if there are more than [`MAX_COMPARED`]. Otherwise empty.
    positions: HashMap<String, usize>,
}

impl<V> Default for FieldMap<V> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            positions: HashMap::new(),
        }
    }
}

impl<V> FieldMap<V> {
    /// Returns the value of a field. `None` if there is no such field.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let position = if self.positions.is_empty() {
            self.fields.iter().position(|(known, _)| known == name)?
        } else {
            *self.positions.get(name)?
        };
        Some(&mut self.fields[position].1)
    }

    /// Adds a field. There must be no field of this name.
    pub(super) fn push(&mut self, name: String, value: V) {
        self.fields.push((name, value));
        let hashed = self.positions.len();
        if self.fields.len() > MAX_COMPARED {
            let new = self.fields.iter().enumerate().skip(hashed);
            self.positions
                .extend(new.map(|(at, (name, _))| (name.clone(), at)));
        }
    }

    /// Returns the names and values of the fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Removes all fields and returns them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (String, V)> + use<V> {
        self.positions.clear();
        std::mem::take(&mut self.fields).into_iter()
    }
}

impl FieldMap<Json> {
    /// Copies the fields of `from`, replacing fields of the same name. Fields named in `skip` are not copied.
    pub(super) fn replace(&mut self, from: &UnknownFields, skip: &[&str]) {
        for (name, json) in from.iter().filter(|(name, _)| !skip.contains(name)) {
            match self.get_mut(name) {
                Some(known) => *known = json.clone(),
                None => self.push(name.to_owned(), json.clone()),
            }
        }
    }

    /// Moves all fields to the end of `fields`, which must contain no field of the same name.
    pub(super) fn move_to(&mut self, fields: &mut UnknownFields) {
        self.take().for_each(|(name, json)| fields.push(name, json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_are_found_at_every_size() {
        let mut map = FieldMap::default();
        for number in 0..40 {
            assert!(map.get_mut(&number.to_string()).is_none());
            map.push(number.to_string(), number);
            for known in 0..=number {
                assert_eq!(map.get_mut(&known.to_string()), Some(&mut { known }));
            }
        }
        assert!(map.iter().map(|(_, number)| *number).eq(0..40));
        assert_eq!(map.take().count(), 40);
        assert!(map.get_mut("1").is_none());
        map.push("1".to_owned(), 7);
        assert_eq!(map.get_mut("1"), Some(&mut 7));
    }
}
