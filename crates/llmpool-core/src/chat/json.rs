//! JSON values stored as their original text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lenient_json;

/// A JSON value stored as text, so that all digits of numbers and the order of object fields are preserved.
///
/// `Debug` output shows only the length of the text in bytes.
#[derive(Clone)]
pub struct Json(JsonText);

#[derive(Clone)]
enum JsonText {
    Owned(Box<RawValue>),
    Shared(Arc<RawValue>),
}

impl Json {
    /// Serializes a value to JSON.
    ///
    /// # Errors
    /// Fails if JSON cannot represent the value, for example a map whose keys are structs.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// Returns the value as JSON text.
    pub fn get(&self) -> &str {
        self.raw().get()
    }

    /// Returns the same value with a text that all its clones share, so that a clone copies no text. Use this
    /// for a value that is part of many requests, such as a schema.
    #[must_use]
    pub fn into_shared(self) -> Self {
        Self(match self.0 {
            JsonText::Owned(raw) => JsonText::Shared(raw.into()),
            shared @ JsonText::Shared(_) => shared,
        })
    }

    /// Returns the value with its text cleaned, or `None` if nothing had to be replaced.
    pub(crate) fn cleaned(&self) -> Option<Self> {
        let text = lenient_json::cleaned(self.get().as_bytes())?;
        RawValue::from_string(text).ok().map(Self::from)
    }

    /// Parses the JSON text into a [`Value`]. Numbers are limited to the precision of [`serde_json::Number`].
    /// Returns [`Value::Null`] if the JSON is nested more deeply than `serde_json` can parse.
    pub fn value(&self) -> Value {
        serde_json::from_str(self.get()).unwrap_or_default()
    }

    fn raw(&self) -> &RawValue {
        match &self.0 {
            JsonText::Owned(raw) => raw,
            JsonText::Shared(raw) => raw,
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Box<RawValue>>::deserialize(deserializer).map(Self::from)
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(JsonText::Owned(raw))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // Cannot fail: every `Value` can be serialized.
        Self::of(&value).unwrap_or_else(|_| Self::from(RawValue::NULL.to_owned()))
    }
}

impl PartialEq for Json {
    /// Compares the parsed values. Differences in white space and escape sequences are ignored.
    fn eq(&self, other: &Self) -> bool {
        let parse = |json: &Self| serde_json::from_str::<Value>(json.get()).ok();
        self.get() == other.get() || parse(self).is_some_and(|value| parse(other) == Some(value))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.get().len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn clones_of_a_shared_value_have_one_text() {
        let json: Json = serde_json::from_str("{\"a\": 1.50}").unwrap();
        assert_ne!(json.clone().get().as_ptr(), json.get().as_ptr());
        let shared = json.clone().into_shared().into_shared();
        assert_eq!(shared.clone().get().as_ptr(), shared.get().as_ptr());
        assert_eq!(shared, json);
        assert_eq!(serde_json::to_string(&shared).unwrap(), "{\"a\": 1.50}");
        assert_eq!(format!("{shared:?}"), format!("{json:?}"));
    }
}
