//! Errors for Rust types with a JSON schema that providers do not accept.

use std::fmt;

/// An error for a Rust type with a feature that providers do not support in strict mode. Contains the feature
/// and the path to the feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    path: String,
    reason: Unsupported,
}

impl SchemaError {
    pub(super) fn new(path: String, reason: Unsupported) -> Self {
        Self { path, reason }
    }

    /// Returns the path to the unsupported feature: the name of the type, then the names of the fields, such
    /// as `Order.items[].prices`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the feature that strict mode does not support.
    pub fn reason(&self) -> &Unsupported {
        &self.reason
    }
}

/// A feature of JSON Schema or of Rust types that providers do not support in strict mode.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// A reply type that is not a JSON object, such as a list or an enum.
    Root,
    /// A map: an object with arbitrary keys.
    Map,
    /// A value of any type, such as a `serde_json::Value`.
    Any,
    /// A tuple: an array with a separate type for each position.
    Tuple,
    /// An enum that `#[serde(flatten)]` merges into a struct.
    FlattenedEnum,
    /// A reference to a definition that does not exist. Also an internally tagged enum variant whose content
    /// contains itself or is not a struct. Holds the value of the `$ref` keyword.
    Reference(String),
    /// A type without values, such as an enum without variants, or a struct that consists only of itself.
    NoValue,
    /// Any other keyword of JSON Schema that strict mode does not support. Holds the keyword.
    Keyword(String),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => {
                f.write_str("a reply must be a struct with named fields; make this type a field of a struct")
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
                write!(
                    f,
                    "`{name}` is not supported here; it must have a definition, and in a tagged enum variant \
                     it must be a struct that does not contain itself"
                )
            }
            Self::NoValue => f.write_str("the type has no values, so no reply can have this type"),
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
