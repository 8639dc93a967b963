//! The built-in simulator as a provider, for a first try without an API key.

#[cfg(feature = "simulator")]
mod enabled {
    use llmpool::Providers;
    use llmpool_simulator::{Scenario, Simulator};

    /// A running simulator. Stops when dropped.
    pub(crate) struct BuiltInSimulator(
        #[expect(dead_code, reason = "keeps the simulator running")] Simulator,
    );

    impl BuiltInSimulator {
        pub(crate) const IS_AVAILABLE: bool = true;

        /// Starts the simulator on a local socket and returns it with its only provider, `simulator/built-in`.
        pub(crate) async fn start() -> Result<(Self, Providers), String> {
            let simulator = Simulator::start(Scenario::default())
                .await
                .map_err(|error| format!("cannot start the built-in simulator: {error}"))?;
            let file = format!(
                r#"{{"simulator":[{{"model_name":"built-in","api_keys":["none"],"base_url":"{}","rate_limit_capacity":null}}]}}"#,
                simulator.url()
            );
            let providers = Providers::from_json(&file).map_err(|error| error.to_string())?;
            Ok((Self(simulator), providers))
        }
    }
}

#[cfg(not(feature = "simulator"))]
mod disabled {
    use llmpool::Providers;

    /// Stands for the simulator in a build without the `simulator` feature; has no values.
    pub(crate) enum BuiltInSimulator {}

    impl BuiltInSimulator {
        pub(crate) const IS_AVAILABLE: bool = false;

        #[expect(clippy::unused_async, reason = "same signature as with the feature")]
        pub(crate) async fn start() -> Result<(Self, Providers), String> {
            Err("this llmpool was built without the `simulator` feature".to_owned())
        }
    }
}

#[cfg(not(feature = "simulator"))]
pub(crate) use self::disabled::BuiltInSimulator;
#[cfg(feature = "simulator")]
pub(crate) use self::enabled::BuiltInSimulator;
