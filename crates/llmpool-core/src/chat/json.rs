//! JSON values stored as their original text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lenient_json;

/// A JSON value stored as text, so that all digits of numbers and the order of object fields are preserved.
///
/// `Debug` output shows only the length of the text in bytes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Serializes a value to JSON.
    ///
    /// # Errors
    /// Fails if JSON cannot represent the value, for example a map whose keys are structs.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Returns the value as JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Returns the value with its text cleaned, or `None` if nothing had to be replaced.
    pub(crate) fn cleaned(&self) -> Option<Self> {
        let text = lenient_json::cleaned(self.get().as_bytes())?;
        RawValue::from_string(text).ok().map(Self)
    }

    /// Parses the JSON text into a [`Value`]. Numbers are limited to the precision of [`serde_json::Number`].
    /// Returns [`Value::Null`] if the JSON is nested more deeply than `serde_json` can parse.
    pub fn value(&self) -> Value {
        serde_json::from_str(self.get()).unwrap_or_default()
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        // Cannot fail: every `Value` can be serialized.
        Self::of(&value).unwrap_or_else(|_| Self(RawValue::NULL.to_owned()))
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
