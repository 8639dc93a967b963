//! Classification of streamed events: whether an event has output, is an error, reports usage, or ends the
//! stream.
//!
//! Each event is classified once, and the result is passed along with the event. Therefore code that only
//! forwards bytes does not have to decode the event, and decoders can reuse the result.
//!
//! Most events of a stream differ from an earlier event only in a few strings. A *template* is an earlier
//! event without these strings. An event that matches a template needs no full classification.

mod chat_chunk;
mod event_flags;
mod json_fields;
mod output_size;
mod repeat;
mod reported_usage;
mod requested_choices;
mod response_event;
mod view;

pub use event_flags::EventFlags;
pub use output_size::estimated_tokens;
pub use repeat::{EventRepeat, VaryingField};
pub use requested_choices::requested_choices;
pub use view::{Observation, StreamView};

#[cfg(test)]
mod tests;
