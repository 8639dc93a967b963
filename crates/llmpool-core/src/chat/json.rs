//! JSON values that preserve their text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON value stored as text, which preserves all digits of numbers and the order of fields in objects.
///
/// `Debug` output shows only the length of the text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Serializes a value to JSON.
    ///
    /// # Errors
    /// If the value cannot be represented in JSON, for example a map with keys that are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// Returns the JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Parses the JSON text. Numbers have the precision of [`serde_json::Number`]. A value that is nested too deeply for the parser becomes `null`.
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
    /// Compares the parsed values, so that white space and escapes in the text make no difference.
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
