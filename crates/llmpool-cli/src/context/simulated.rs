//! Runs the built-in simulator as a provider, so that a new user can try llmpool without an API key.

use llmpool::Providers;

use crate::problem::Problem;

/// A running simulator. Dropping this value stops the simulator.
#[cfg(feature = "simulator")]
pub(crate) type BuiltInSimulator = llmpool_simulator::Simulator;
#[cfg(not(feature = "simulator"))]
pub(crate) type BuiltInSimulator = std::convert::Infallible;

/// Starts the simulator on a free local port. Returns the simulator, and providers that contain only the
/// model `simulator/built-in`.
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

/// Returns an error that explains how to install a build with the simulator.
#[cfg(not(feature = "simulator"))]
pub(crate) fn unavailable() -> Problem {
    Problem::new("this llmpool was built without the `simulator` feature")
        .with_hint("reinstall llmpool with the default features: cargo install llmpool-cli")
}
