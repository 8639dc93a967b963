//! Decodes JSON objects in which some fields have values of an unexpected type.

use serde::de::DeserializeOwned;

use super::empty_object::EmptyObject;
use super::unknown_fields::UnknownFields;

/// A type that keeps the unknown fields of the JSON object from which it was decoded.
pub(crate) trait HasUnknownFields {
    fn unknown_fields_mut(&mut self) -> &mut UnknownFields;
}

/// Decodes a JSON object. A field whose value has an unexpected type is kept as an unknown field.
///
/// Returns `None` if the JSON is not an object, or if a required field is missing or has an unexpected type.
pub(crate) fn decode_valid_fields<T: HasUnknownFields + DeserializeOwned>(json: &[u8]) -> Option<T> {
    let object: EmptyObject = serde_json::from_slice(json).ok()?;
    let (mut valid, mut invalid) = (EmptyObject::default(), Vec::new());
    for (name, json) in object.extra.iter() {
        let mut single = EmptyObject::default();
        single.extra.push(name.to_owned(), json.clone());
        if decode::<T>(&single).is_some() {
            valid.extra.push(name.to_owned(), json.clone());
        } else {
            invalid.push((name, json));
        }
    }
    let mut decoded: T = decode(&valid)?;
    for (name, json) in invalid {
        decoded.unknown_fields_mut().push(name.to_owned(), json.clone());
    }
    Some(decoded)
}

fn decode<T: DeserializeOwned>(object: &EmptyObject) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(object).ok()?).ok()
}
