//! The Responses API: a request, what is remembered of earlier ones, and the answer to it.
//!
//! What an answer says is the [draft](crate::draft) that a chat request gets; here is its form. Always true: events are
//! numbered from 0 without a gap; each item and part is opened and closed once; what was streamed is what the last event
//! holds as a whole.

mod answer;
mod fields;
mod input;
mod item;
mod object;
mod owner;
mod request;
mod store;

pub(crate) use answer::ResponseAnswer;
pub(crate) use owner::Owner;
pub(crate) use request::ResponsesRequest;
pub(crate) use store::Store;
