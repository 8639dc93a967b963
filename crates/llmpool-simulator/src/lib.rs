//! An OpenAI-compatible provider on a real socket that misbehaves on request.
//!
//! Clients of language models fail where no test looks: a key runs dry, a stream breaks in the middle, a server goes
//! silent. This provider does all of that when told to, on a loopback port, and says afterwards what it saw.
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
//! Always true: a request is in flight until its response's last byte, a cut or the client's departure, and 0 are in
//! flight when all ended; a body cut after n bytes has n bytes; the same seed misbehaves in the same way; neither keys
//! nor prompts appear in stats, errors or debug output, and prompts appear in answers only where `echo` is set.

mod answer;
mod behaviour;
mod body;
mod calendar;
mod chat;
mod clock;
mod connection;
mod dialect;
mod draft;
mod embeddings;
mod errors;
mod exchange;
mod gate;
mod limits;
mod offline;
mod outgoing;
mod random;
mod ready;
mod responses;
mod rules;
mod sample;
mod scenario;
mod server;
mod service;
mod stats;
mod words;

pub use behaviour::{
    Action, AfterResponse, Behaviour, Endpoint, ErrorIn200, PaceOverride, Point, RateLimit, Raw, RefusalForm,
    Reply, RetryAfter, RetryAfterForm, StatusReply,
};
pub use dialect::Dialect;
pub use limits::{Account, Denied, Gauge, Limits, Meter, Quota, Sent, WindowKind};
pub use offline::Offline;
pub use scenario::{Scenario, ScenarioError, SimulatedAccount, SimulatedKey, UsagePolicy};
pub use server::Simulator;
pub use stats::{
    Abort, AccountStats, ConnectionStats, KeyStats, LogEntry, NotReached, Phase, RequestKind, Stats,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
