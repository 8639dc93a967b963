//! A part of a reply that is complete, while the reply still arrives.

use std::fmt::{self, Write};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::reply::{JsonRoot, ReplyError, parse_value};

/// A member of an object or an item of an array in a reply, whose value is complete. `Debug` shows only the depth
/// and the length of the value.
#[derive(Clone, PartialEq, Eq)]
pub struct FinishedField {
    pub(super) segments: Vec<FieldSegment>,
    pub(super) json: String,
}

/// One step of the path to a value.
#[derive(Clone, PartialEq, Eq)]
pub enum FieldSegment {
    /// The name of an object's member.
    Name(Arc<str>),
    /// The zero-based index of an array's item.
    Index(usize),
}

impl FinishedField {
    /// Returns the path to the value, such as `items[3].price`. Two fields can have the same path if a name
    /// contains dots or brackets; their [`segments`](Self::segments) differ.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in &self.segments {
            match segment {
                // Cannot fail: writing to a string never fails.
                FieldSegment::Index(index) => drop(write!(path, "[{index}]")),
                FieldSegment::Name(name) => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(name);
                }
            }
        }
        path
    }

    /// Returns the path to the value, outermost segment first. Never empty.
    pub fn segments(&self) -> &[FieldSegment] {
        &self.segments
    }

    /// Returns the number of segments of the path: 1 for the fields of the reply itself.
    pub fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Returns the value as the model wrote it, as JSON text.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Deserializes the value. Null stands for the absence of a member, as in the whole reply.
    ///
    /// # Errors
    /// Fails if the value does not match `T`. The path of the mismatch starts at this value.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ReplyError> {
        parse_value(&self.json, &self.json, JsonRoot::Any)
    }
}

impl fmt::Debug for FinishedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FinishedField(depth {}, {} bytes)",
            self.depth(),
            self.json.len()
        )
    }
}

impl fmt::Debug for FieldSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "Name({} bytes)", name.len()),
            Self::Index(index) => write!(f, "Index({index})"),
        }
    }
}
