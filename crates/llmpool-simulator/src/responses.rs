//! `POST /v1/responses`: parses a request, stores earlier responses, and encodes the answer.
//!
//! The content of an answer is the [draft](crate::answer_draft) that a chat request gets too.
//!
//! Invariants: events are numbered from 0 without gaps; each item and part is opened and closed once; the last event
//! contains exactly what was streamed.

mod fields;
mod input;
mod item;
mod owner;
mod request;
mod simulated;
mod store;
mod template;

pub(crate) use owner::ResponseOwner;
pub(crate) use request::ParsedResponsesRequest;
pub(crate) use simulated::SimulatedResponse;
pub(crate) use store::ResponseStore;
