//! `POST /v1/responses`: parses a request, stores earlier responses, and encodes the answer.
//!
//! The content of an answer is a [draft](crate::answer_draft), which does not depend on the endpoint: the same question
//! gets the same answer from a chat request.
//!
//! Invariants: the events of a stream are numbered from 0 without gaps; each output item and each content part is
//! opened once and closed once; the last event contains exactly the output that was streamed.

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
