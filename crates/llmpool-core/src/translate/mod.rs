//! From one wire format to the other.
//!
//! What has an equivalent is mapped. What has none is an error that names the field where the answer would be wrong without it, and is
//! reported where it would not.

mod answer;
mod chunks;
mod events;
mod extras;
mod reasoning;
mod response;
mod to_chat;
mod to_responses;

use std::fmt;

use answer::BETWEEN;
pub(crate) use answer::usage_of;
pub use answer::{Failed, completion_of, usage_in};
pub use chunks::ChunkTranslator;
pub use events::{EventTranslator, Undecoded};
use response::flat_annotation;
pub use response::{Frame, response_of};
pub use to_chat::{ChatAccent, ReasoningBack, to_chat};
pub use to_responses::to_responses;

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
