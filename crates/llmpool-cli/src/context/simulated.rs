//! The built-in simulator as a provider, for a first try without an API key.

use llmpool::Providers;

use crate::problem::Problem;

/// A running simulator, which stops when it is dropped.
#[cfg(feature = "simulator")]
pub(crate) type BuiltInSimulator = llmpool_simulator::Simulator;
#[cfg(not(feature = "simulator"))]
pub(crate) type BuiltInSimulator = std::convert::Infallible;

/// Starts the simulator on a local socket, and returns it with its only provider, `simulator/built-in`.
#[cfg(feature = "simulator")]
pub(crate) async fn start() -> Result<(BuiltInSimulator, Providers), Problem> {
    let simulator = BuiltInSimulator::start(llmpool_simulator::Scenario::default())
        .await
        .map_err(|error| Problem::new(format!("cannot start the built-in simulator: {error}")))?;
    let file = format!(
        r#"{{"simulator":[{{"model_name":"built-in","api_keys":["none"],"base_url":"{}","rate_limit_capacity":null}}]}}"#,
        simulator.url()
    );
    let providers = Providers::from_json(&file).map_err(|error| Problem::from(&error))?;
    Ok((simulator, providers))
}

#[cfg(not(feature = "simulator"))]
pub(crate) async fn start() -> Result<(BuiltInSimulator, Providers), Problem> {
    Err(unavailable())
}

/// Explains how to get a build with the simulator.
#[cfg(not(feature = "simulator"))]
pub(crate) fn unavailable() -> Problem {
    Problem::new("this llmpool was built without the `simulator` feature")
        .with_hint("build it with the default features: cargo install llmpool-cli")
}
