//! Why a type has no strict schema.

use std::fmt;

/// Why a type has no strict schema, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    at: String,
    why: Unsupported,
}

impl SchemaError {
    pub(super) fn new(at: String, why: Unsupported) -> Self {
        Self { at, why }
    }

    /// Where: the type and the fields down to it, such as `Order.items[].prices`.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// What strict schemas do not have.
    pub fn why(&self) -> &Unsupported {
        &self.why
    }
}

/// What strict schemas do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// A whole reply that is no object.
    Root,
    /// An object whose names are not known beforehand.
    Map,
    /// A value of any kind.
    Any,
    /// A list whose places have different types.
    Tuple,
    /// An enum whose members are those of the struct around it.
    FlattenedEnum,
    /// Something that cannot be referred to, or contains itself without end.
    Reference(String),
    /// Any other keyword of JSON Schema.
    Keyword(String),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => {
                f.write_str("a reply has to be a struct with named fields: make this a field of one")
            }
            Self::Map => {
                f.write_str("strict schemas have no maps: use a list of structs with a key and a value")
            }
            Self::Any => {
                f.write_str("strict schemas have no values of any kind: name a type, or ask for a text")
            }
            Self::Tuple => f.write_str("strict schemas have no tuples: use a struct"),
            Self::FlattenedEnum => f.write_str("strict schemas have no flattened enums: make it a field"),
            Self::Reference(name) => write!(f, "strict schemas cannot refer to `{name}` here"),
            Self::Keyword(name) => write!(f, "strict schemas have no `{name}`"),
        }
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

impl std::error::Error for SchemaError {}
