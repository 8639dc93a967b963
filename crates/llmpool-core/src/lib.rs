//! The values and decisions of llmpool.
//!
//! Nothing here waits, reads a clock, an environment variable or a socket: `now` and chance are arguments, so every
//! decision can be tested as a table, fuzzed, and run in virtual time. The `llmpool` crate is the shell that moves bytes
//! and sleeps.

pub mod api_format;
pub mod chat;
pub mod dialect;
pub mod embeddings;
pub mod estimate;
pub mod failure;
pub mod forecast;
pub mod limits;
pub mod models;
pub mod provider_error;
pub mod rate_headers;
pub mod responses;
pub mod routing;
pub mod sse;
pub mod sse_writer;
pub mod stream_view;
pub mod structured;
pub mod time;
pub mod translate;
