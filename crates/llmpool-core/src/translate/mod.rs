//! From one wire format to the other.
//!
//! What has an equivalent is mapped. What has none is an error that names the field where the answer would be wrong without it, and is
//! reported where it would not.

mod annotation;
mod failed;
mod images;
mod reasoning;
mod to_chat;
mod to_responses;
mod unknown_fields;
pub(crate) mod usage;

use std::fmt;

pub use failed::Failed;
pub use to_chat::{ChatCapabilities, EventTranslator, ReasoningEcho, Undecoded, completion_of, to_chat};
pub use to_responses::{ChunkTranslator, ResponseEnvelope, response_of, to_responses};
pub use usage::usage_in;

/// Between one piece of reasoning and the next.
const BETWEEN: &str = "\n\n";

/// A request in the other format, and what of it was left out.
#[derive(Clone, PartialEq)]
pub struct Translated<T> {
    /// It.
    pub request: T,
    /// Fields that were left out or changed and matter little, as paths: `seed`, `messages[0].name`.
    pub dropped: Vec<String>,
}

impl<T: fmt::Debug> fmt::Debug for Translated<T> {
    /// Paths may hold names that somebody made up: only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translated")
            .field("request", &self.request)
            .field("dropped", &self.dropped.len())
            .finish()
    }
}

/// A field that the other format has no equivalent for, though the answer would be wrong without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untranslatable {
    /// Which one, as a path: `stop`, `messages[2].content[0]`.
    pub param: String,
    /// Why, and what to do.
    pub why: &'static str,
}

impl Untranslatable {
    fn new(param: impl Into<String>, why: &'static str) -> Self {
        Self {
            param: param.into(),
            why,
        }
    }
}

impl fmt::Display for Untranslatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.param, self.why)
    }
}

impl std::error::Error for Untranslatable {}
