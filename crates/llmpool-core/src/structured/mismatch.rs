//! Where a value is not what a type expects, told without the value.
//!
//! The errors of `serde_json` quote what they found, and the names of members they went through may be the model's too. Here a
//! place is made of the names that the type knows, and only kinds of values are told.

use std::fmt;

use serde::de::{Expected, Unexpected};

/// Where a reply is not what a type expects, and what was expected there.
#[derive(Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// From the inside out.
    path: Vec<Segment>,
    why: String,
    detail: String,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// A field or variant that the type knows.
    Name(&'static str),
    Index(usize),
    /// A name that the model chose.
    Key,
}

impl Mismatch {
    /// The place, such as `items[3].price`; `$` is the whole reply, and `*` stands for a name that the type does not know.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
                name => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(name.name());
                }
            }
        }
        if path.is_empty() { "$".to_owned() } else { path }
    }

    /// What is wrong there, such as `invalid type: string, expected f64`.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The whole message of whoever found it. It may quote the reply, so it is in no `Display` and no `Debug`.
    pub fn detail(&self) -> &str {
        if self.detail.is_empty() {
            &self.why
        } else {
            &self.detail
        }
    }

    pub(super) fn within(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }

    /// What `serde_json` refused and a second look did not.
    pub(super) fn elsewhere(error: &serde_json::Error) -> Self {
        serde::de::Error::custom(error)
    }

    fn plain(why: String) -> Self {
        Self {
            path: Vec::new(),
            why,
            detail: String::new(),
        }
    }
}

impl Segment {
    /// The name if it is one of those that the type knows.
    pub(super) fn of(name: &str, known: &'static [&'static str]) -> Self {
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
            ..Self::plain("refused by the type".to_owned())
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::plain(format!("invalid type: {}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::plain(format!("invalid value: {}, expected {expected}", kind(found)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::plain(format!("invalid length {length}, expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::plain(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::plain(format!("duplicate field `{field}`"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::plain(format!("unknown variant, expected {}", one_of(expected)))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::plain(format!("unknown field, expected {}", one_of(expected)))
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
        _ => "another",
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
        write!(f, "{}: {}", self.path(), self.why)
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mismatch({self})")
    }
}

impl std::error::Error for Mismatch {}
