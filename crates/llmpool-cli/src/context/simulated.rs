//! The built-in simulator as a provider, for a first try without an API key.

use llmpool::Providers;

/// A running simulator, which stops when it is dropped.
#[cfg(feature = "simulator")]
pub(crate) type BuiltInSimulator = llmpool_simulator::Simulator;
#[cfg(not(feature = "simulator"))]
pub(crate) type BuiltInSimulator = std::convert::Infallible;

/// Starts the simulator on a local socket, and returns it with its only provider, `simulator/built-in`.
#[cfg(feature = "simulator")]
pub(crate) async fn start() -> Result<(BuiltInSimulator, Providers), String> {
    let simulator = BuiltInSimulator::start(llmpool_simulator::Scenario::default())
        .await
        .map_err(|error| format!("cannot start the built-in simulator: {error}"))?;
    let file = format!(
        r#"{{"simulator":[{{"model_name":"built-in","api_keys":["none"],"base_url":"{}","rate_limit_capacity":null}}]}}"#,
        simulator.url()
    );
    let providers = Providers::from_json(&file).map_err(|error| error.to_string())?;
    Ok((simulator, providers))
}

#[cfg(not(feature = "simulator"))]
pub(crate) async fn start() -> Result<(BuiltInSimulator, Providers), String> {
    Err("this llmpool was built without the `simulator` feature".to_owned())
}
