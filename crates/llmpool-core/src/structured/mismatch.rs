//! Errors for JSON that does not fit a type, without text of the model.
//!
//! Errors of `serde_json` quote values and map keys that the model wrote. A [`Mismatch`] contains only field names that the type
//! declares, and types of values.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// Position at which a reply does not fit a type, and what was expected there.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The segments of the path, innermost first.
    path: Vec<PathSegment>,
    reason: String,
    detail: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// A field or variant that the type declares.
    Name(&'static str),
    Index(usize),
    /// A map key, which the model chose.
    Key,
}

impl Mismatch {
    /// Returns the position, such as `items[3].price`. `$` is the reply itself; `*` stands for a name that the type does not declare.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                PathSegment::Index(index) => path.push_str(&format!("[{index}]")),
                name => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(name.name());
                }
            }
        }
        if path.is_empty() { "$".to_owned() } else { path }
    }

    /// Returns the reason, such as `invalid type: string, expected f64`.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the full message of the type's own validation. The message may quote the reply, so `Display` and `Debug` leave it out.
    pub fn detail(&self) -> &str {
        if self.detail.is_empty() {
            &self.reason
        } else {
            &self.detail
        }
    }

    pub(super) fn within(mut self, segment: PathSegment) -> Self {
        self.path.push(segment);
        self
    }

    /// Creates a mismatch without a position, from an error that only `serde_json` itself reports.
    pub(super) fn without_path(error: &serde_json::Error) -> Self {
        serde::de::Error::custom(error)
    }

    fn with_reason(reason: String) -> Self {
        Self {
            path: Vec::new(),
            reason,
            detail: String::new(),
        }
    }
}

impl PathSegment {
    /// Returns the name if the type declares it, and otherwise [`PathSegment::Key`].
    pub(super) fn new(name: &str, known: &'static [&'static str]) -> Self {
        let known = known.iter().find(|known| **known == name);
        known.map_or(Self::Key, |known| Self::Name(known))
    }

    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Index(_) | Self::Key => "*",
        }
    }
}

impl serde::de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            detail: message.to_string(),
            ..Self::with_reason("rejected by the type".to_owned())
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::with_reason(format!("invalid type: {}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::with_reason(format!("invalid value: {}, expected {expected}", kind(found)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::with_reason(format!("invalid length {length}, expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::with_reason(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::with_reason(format!("duplicate field `{field}`"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::with_reason(format!("unknown variant, expected {}", one_of(expected)))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::with_reason(format!("unknown field, expected {}", one_of(expected)))
    }
}

fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "string",
        Unexpected::Unit => "null",
        Unexpected::Seq => "array",
        Unexpected::Map => "object",
        _ => "other",
    }
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "none".to_owned(),
        [only] => only.clone(),
        several => format!("one of {}", several.join(", ")),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.reason)
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mismatch({self})")
    }
}

impl std::error::Error for Mismatch {}
