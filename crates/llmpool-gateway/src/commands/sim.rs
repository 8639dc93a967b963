//! `llmpool sim`: the simulator as a server.

use std::process::ExitCode;

use llmpool_simulator::{Scenario, Simulator};

use super::{code, print};
use crate::cli::Sim;
use crate::exit;

pub(crate) async fn run(sim: Sim) -> ExitCode {
    code(serve(sim).await)
}

async fn serve(sim: Sim) -> Result<(), ExitCode> {
    let scenario = match &sim.scenario {
        None => Scenario::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                exit::with(
                    exit::CONFIG,
                    &format!("{} cannot be read: {error}", path.display()),
                )
            })?;
            Scenario::from_json(&text)
                .map_err(|error| exit::with(exit::CONFIG, &format!("{}: {error}", path.display())))?
        }
    };
    let simulator = Simulator::start_on(sim.listen, scenario)
        .await
        .map_err(|error| exit::failed(&format!("{}: {error}", sim.listen)))?;
    print(&format!("{}\n", simulator.url()))?;
    exit::note("counts are at /stats; Ctrl-C ends it");
    std::future::pending().await
}
