//! `llmpool sim`: the simulator as a server.

use std::path::Path;
use std::process::ExitCode;

use llmpool_simulator::{Scenario, Simulator};

use super::{code, print};
use crate::cli::Sim;
use crate::{exit, say};

pub(crate) async fn run(sim: Sim) -> ExitCode {
    code(serve(sim).await)
}

async fn serve(sim: Sim) -> Result<(), ExitCode> {
    let mut scenario = match &sim.scenario {
        None => Scenario::default(),
        Some(named) => scenario(named).map_err(|message| exit::with(exit::CONFIG, &message))?,
    };
    scenario.seed = sim.seed.unwrap_or(scenario.seed);
    let simulator = Simulator::start_on(sim.listen, scenario)
        .await
        .map_err(|error| exit::failed(&format!("{}: {error}", sim.listen)))?;
    print(&format!("{}\n", simulator.url()))?;
    say::note("counts are at /stats; Ctrl-C ends it");
    std::future::pending().await
}

fn scenario(named: &Path) -> Result<Scenario, String> {
    let place = named.display();
    match ready_name(named) {
        Some(name) => Scenario::built_in(name)
            .map_err(|error| format!("{place}: {error}; the name of a file has a / or ends in .json")),
        None => {
            let text =
                std::fs::read_to_string(named).map_err(|error| format!("{place} cannot be read: {error}"))?;
            Scenario::from_json(&text).map_err(|error| format!("{place}: {error}"))
        }
    }
}

/// Names and files look different, so that no file that happens to be there changes what a name means.
fn ready_name(named: &Path) -> Option<&str> {
    let name = named.to_str()?;
    let is_file = name.contains(['/', std::path::MAIN_SEPARATOR]) || name.ends_with(".json");
    (!is_file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ready_and_a_file_has_a_slash_or_an_ending() {
        assert_eq!(ready_name(Path::new("flaky")), Some("flaky"));
        for file in ["flaky.json", "./flaky", "a/flaky", "/flaky"] {
            assert_eq!(ready_name(Path::new(file)), None, "{file}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_which_there_are_and_a_wrong_file_why() {
        let message = scenario(Path::new("falky")).unwrap_err();
        assert!(
            message.starts_with("falky: ") && message.contains("dying-keys, flaky"),
            "{message}"
        );
        assert!(scenario(Path::new("flaky")).is_ok());
        let message = scenario(Path::new("no/such.json")).unwrap_err();
        assert!(message.starts_with("no/such.json cannot be read: "), "{message}");
    }
}
