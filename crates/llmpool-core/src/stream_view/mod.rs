//! Classification of streamed events: whether an event has content, is an error, reports usage, or ends the stream.
//!
//! Each event is classified once. The result travels with it, so that code that only forwards bytes need not decode them, and
//! decoders can reuse what the classification found.

mod chat_chunk;
mod event_flags;
mod json_fields;
mod output_size;
mod repeat;
mod response_event;
mod view;

pub use event_flags::EventFlags;
pub use output_size::estimated_tokens;
pub use repeat::{EventRepeat, VaryingField};
pub use view::{Observation, StreamView};

#[cfg(test)]
mod tests;
