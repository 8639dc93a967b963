//! Tests of the simulator with a client that checks every byte.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod answers;
mod behaviours;
mod built_in;
mod client;
mod connections;
mod embeddings;
mod limits;
mod offline;
mod response_events;
mod response_failures;
mod responses;
mod stats;

use llmpool_simulator::{Scenario, Simulator};

/// Starts a simulator with this scenario.
async fn simulate(scenario: &str) -> Simulator {
    Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap()
}
