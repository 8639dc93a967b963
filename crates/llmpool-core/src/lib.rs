//! The data types and decisions of llmpool, without I/O.
//!
//! This crate does not wait and reads no clock, environment variable or socket. The current time and the random seed are arguments, so every
//! decision can be tested as a table, fuzzed, and run in virtual time. The `llmpool` crate does the I/O and the waiting.

pub mod api_format;
pub mod chat;
pub mod embeddings;
pub mod estimate;
pub mod failure;
pub mod forecast;
pub mod limits;
pub mod models;
pub mod provider_error;
pub mod provider_profile;
pub mod rate_headers;
pub mod responses;
pub mod routing;
pub mod seeded_rng;
pub mod sse;
pub mod sse_writer;
pub mod stream_view;
pub mod structured;
pub mod time;
mod time_format;
pub mod translate;
