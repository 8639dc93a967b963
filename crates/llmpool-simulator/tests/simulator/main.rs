//! The simulator over a real socket, seen by a client that looks at every byte.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what fails here has failed the test"
)]

mod answers;
mod behaviours;
mod client;
mod connections;
mod counting;
mod embeddings;
mod limits;
mod offline;
mod ready;
mod response_events;
mod responses;
mod responses_misbehave;

use llmpool_simulator::{Scenario, Simulator};

/// Starts a simulator that plays this scenario.
async fn simulate(scenario: &str) -> Simulator {
    Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap()
}
