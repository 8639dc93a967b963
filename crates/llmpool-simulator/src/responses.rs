//! `POST /v1/responses`: parses requests, stores responses that later requests can continue, and encodes
//! answers.
//!
//! The content of an answer is a [draft](crate::answer_draft), which is the same for chat requests: both
//! endpoints give the same answer to the same question.
//!
//! Invariants:
//! - The events of a stream are numbered from 0 without gaps.
//! - In a stream without an error, each output item and each content part is opened once and closed once. The
//!   last event before `[DONE]` contains exactly the output that was streamed.

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
