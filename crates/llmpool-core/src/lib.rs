//! The decisions of llmpool (such as admission, retries and translation), as pure functions and values.
//!
//! This crate uses no runtime, socket, clock or environment variable: the caller passes the current time and
//! a random seed. Every decision can therefore be tested with a table of cases, fuzzed, model-checked, and
//! run in virtual time. The `llmpool` crate adds connections, timers and locks.
//!
//! # Stability
//!
//! Depend on `llmpool`, not on this crate. `llmpool` re-exports the types that users need: [`chat`],
//! [`responses`], [`embeddings`], [`models`], `structured`, and some individual types. The re-exported types
//! follow semantic versioning. Everything else in this crate is internal and may change in any release.
//!
//! # Modules
//!
//! | module | contents |
//! |---|---|
//! | [`chat`], [`responses`], [`embeddings`], [`models`] | types of the wire formats; unknown fields are kept |
//! | `structured` | JSON schemas of Rust types, and typed replies |
//! | [`translate`] | translation between Chat Completions and Responses |
//! | [`sse`], [`sse_writer`], [`stream_view`] | server-sent events: decoding, encoding, classification |
//! | [`framing`] | what the bytes of an answer are, and conversion between documents and event streams |
//! | [`api_format`], [`answer_format`], [`provider_profile`], [`schema_limits`] | formats, peculiarities and limits of providers |
//! | [`failure`], [`provider_error`], [`rate_headers`] | classification of failed requests |
//! | [`limits`] | limiter, wait queue, buckets, windows, key and target health |
//! | [`routing`] | attempts and retries of one call, and the retry budget of a target |
//! | [`estimate`], [`forecast`], [`time`] | token estimates, forecasts in virtual time, timestamps |
//! | [`seeded_rng`] | deterministic random numbers |
//!
//! # Features
//!
//! `structured` (enabled by default): the module `structured`, which depends on the crate schemars.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod answer_format;
pub mod api_format;
pub mod chat;
pub mod embeddings;
pub mod estimate;
pub mod failure;
pub mod forecast;
pub mod framing;
mod held_halves;
mod lenient_json;
pub mod limits;
pub mod models;
pub mod provider_error;
pub mod provider_profile;
pub mod rate_headers;
mod raw_object;
pub mod responses;
pub mod routing;
pub mod schema_limits;
pub mod seeded_rng;
pub mod sse;
pub mod sse_writer;
pub mod stream_view;
#[cfg(feature = "structured")]
pub mod structured;
pub mod time;
mod time_format;
pub mod translate;
pub mod type_notation;
