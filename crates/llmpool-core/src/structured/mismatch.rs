//! Errors for JSON that does not match a Rust type.
//!
//! The errors of `serde_json` quote values and map keys that the model wrote. The `Display` and `Debug`
//! output of a [`Mismatch`] contains only field names that the Rust type declares, and kinds of JSON values,
//! such as `string`.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// The first position at which a reply does not match the requested Rust type, and the reason.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Segments of the path to the mismatch, innermost first.
    path: Vec<PathSegment>,
    reason: String,
    detail: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum PathSegment {
    /// The name of a field or variant that the Rust type declares.
    Name(&'static str),
    /// The zero-based index of an array item.
    Index(usize),
    /// A map key, or another name that the Rust type does not declare. The name is not stored, because the
    /// model wrote it.
    Key,
}

impl Mismatch {
    /// Returns the path to the mismatch in the reply, such as `items[3].price`. `$` stands for the whole
    /// reply, and `*` for a name that the Rust type does not declare.
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

    /// Returns why the value does not match the Rust type, such as `invalid type: string, expected f64`.
    /// Contains no text that the model wrote.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// If custom validation in the type's `Deserialize` implementation rejected the value, returns the error
    /// message of the validation. Otherwise returns the [`reason`](Self::reason). The error message may quote
    /// the reply, so `Display` and `Debug` do not show the message.
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

    /// Creates a mismatch from a `serde_json` error whose position is unknown. The path is `$`, the whole
    /// reply.
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
    /// Returns [`PathSegment::Name`] if `known` contains `name`. Otherwise returns [`PathSegment::Key`].
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
