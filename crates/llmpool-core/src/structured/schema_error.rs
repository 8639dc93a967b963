//! Errors for types whose schema strict mode does not accept.

use std::fmt;

/// Error for a type whose schema strict mode does not accept, with the position of the problem in the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    path: String,
    reason: Unsupported,
}

impl SchemaError {
    pub(super) fn new(path: String, reason: Unsupported) -> Self {
        Self { path, reason }
    }

    /// Returns the position: the type and the fields that lead to it, such as `Order.items[].prices`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the unsupported feature.
    pub fn reason(&self) -> &Unsupported {
        &self.reason
    }
}

/// A feature that strict schemas do not support.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// A reply that is not an object.
    Root,
    /// A map: an object with arbitrary keys.
    Map,
    /// A value of any type.
    Any,
    /// A tuple: a list with a type for each position.
    Tuple,
    /// An enum flattened into a struct.
    FlattenedEnum,
    /// A reference that cannot be resolved, or that is recursive without an end.
    Reference(String),
    /// Another keyword of JSON Schema.
    Keyword(String),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => {
                f.write_str("a reply must be a struct with named fields; make this type a field of one")
            }
            Self::Map => f.write_str(
                "strict schemas do not support maps; use a list of structs with a key and a value",
            ),
            Self::Any => f.write_str(
                "strict schemas do not support values of any type; use a specific type, or a string",
            ),
            Self::Tuple => f.write_str("strict schemas do not support tuples; use a struct"),
            Self::FlattenedEnum => {
                f.write_str("strict schemas do not support flattened enums; make the enum a field")
            }
            Self::Reference(name) => {
                write!(f, "strict schemas do not support the reference to `{name}` here")
            }
            Self::Keyword(name) => write!(f, "strict schemas do not support `{name}`"),
        }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

impl std::error::Error for SchemaError {}
