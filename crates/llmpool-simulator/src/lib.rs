//! A simulated OpenAI-compatible provider for testing clients of language models.
//!
//! The simulator listens on a real socket (or serves in-memory pipes), answers with a fixed text, and fails as
//! configured: rate limits, invalid keys, broken streams, silent servers, dead connections. Its [`Stats`] show every
//! request that arrived.
//!
//! ```
//! use llmpool_simulator::{Scenario, Simulator};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scenario = Scenario::from_json(r#"{"script": [{"status": 503}, {"ok": true}]}"#)?;
//! let provider = Simulator::start(scenario).await?;
//! // Point a client at provider.url() and let it retry, then:
//! assert_eq!(provider.stats().requests, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What can be configured
//!
//! | aspect | in a [`Scenario`] | default |
//! |---|---|---|
//! | accepted keys, each with limits and behaviours of its own | [`keys`](Scenario::keys): [`SimulatedKey`] | any key, or none |
//! | accounts whose limits several keys share | [`accounts`](Scenario::accounts): [`SimulatedAccount`] | none |
//! | requests, tokens, concurrency and quota of a key or account | [`ProviderLimits`] | unlimited |
//! | the provider whose rate limit headers and error bodies are imitated | [`dialect`](Scenario::dialect): [`ProviderDialect`] | OpenAI |
//! | existing models | [`models`](Scenario::models) | any model |
//! | text, reasoning, refusal and tool arguments of an answer | [`answer`](Scenario::answer), [`echo`](Scenario::echo), [`reasoning`](Scenario::reasoning), [`refusal`](Scenario::refusal), [`tool_arguments`](Scenario::tool_arguments) | a text that names the simulator |
//! | number and size of stream events | [`words_per_chunk`](Scenario::words_per_chunk), [`chunk_count`](Scenario::chunk_count), [`done`](Scenario::done) | one word per event, `[DONE]` at the end |
//! | delays | [`head_delay`](Scenario::head_delay), [`first_chunk_delay`](Scenario::first_chunk_delay), [`chunk_delay`](Scenario::chunk_delay) | 0 s |
//! | token usage in responses | [`usage`](Scenario::usage): [`UsagePolicy`] | as with OpenAI |
//! | the connection after a response | [`after_response`](Scenario::after_response): [`AfterResponse`] | stays open |
//! | failures of the first requests | [`script`](Scenario::script): [`Behaviour`] | none |
//! | failures by probability, time, endpoint or rate | [`behaviours`](Scenario::behaviours): [`Behaviour`] | none |
//! | clock skew in all dates | [`clock_skew`](Scenario::clock_skew) | 0 s |
//! | random decisions | [`seed`](Scenario::seed) | 0 |
//!
//! [`Scenario::built_in`] returns one of the scenarios that ship with the crate. The README is the manual of the JSON
//! format.
//!
//! # Invariants
//!
//! - A request is in flight from the arrival of its head until the last byte of its response, a cut, or the
//!   client's disconnect. When all requests have ended, [`Stats::in_flight`] is 0.
//! - A response body that is cut after `n` bytes has exactly `n` bytes.
//! - The same seed and the same requests produce the same failures.
//! - Statistics, errors and debug output contain no keys and no prompts. An answer contains a prompt only if
//!   [`Scenario::echo`] is set.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod answer_draft;
mod answer_text;
mod behaviour;
mod body;
mod chat;
mod clock;
mod connection;
mod dialect;
mod embeddings;
mod errors;
mod in_flight;
mod key_limiters;
mod limits;
mod offline;
mod random;
mod reply;
mod response;
mod responses;
mod retry_after;
mod rules;
mod scenario;
mod schema_sample;
mod seconds;
mod server;
mod service;
mod stats;
mod time_format;

pub use behaviour::{AfterResponse, Behaviour, BehaviourAction, DelayOverride, EndpointFilter, SlidingLimit};
pub use dialect::ProviderDialect;
pub use limits::{
    LimitExceeded, ProviderLimitKind, ProviderLimiter, ProviderLimits, RequestQuota, TimedRequest,
    WindowKind, WindowStatus,
};
pub use offline::OfflineSimulator;
pub use reply::{ErrorIn200, RecordedBody, ResponsePoint, SimulatedReply, StatusReply, StreamOptionsRefusal};
pub use retry_after::{RetryAfter, RetryAfterForm};
pub use scenario::{Scenario, ScenarioError, SimulatedAccount, SimulatedKey, UsagePolicy};
pub use server::Simulator;
pub use stats::{
    Abort, AbortPhase, AccountStats, ConnectionStats, KeyStats, LogEntry, RequestKind, Stats, WaitTimeout,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
