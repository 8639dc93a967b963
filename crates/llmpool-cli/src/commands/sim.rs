//! `llmpool sim`: runs the simulator as a server.

use std::path::Path;
use std::process::ExitCode;

use llmpool_simulator::{Scenario, Simulator};

use crate::cli::SimArgs;
use crate::problem::{self, Problem};
use crate::{exit, output};

/// Runs the simulator until the process is interrupted.
pub(crate) async fn run(args: SimArgs) -> Result<(), ExitCode> {
    let mut scenario = match &args.scenario {
        None => Scenario::default(),
        Some(name) => load_scenario(name).map_err(|problem| problem.exit(exit::CONFIG))?,
    };
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let simulator = Simulator::start_on(args.listen, scenario)
        .await
        .map_err(|error| problem::failed(format!("cannot listen on {}: {error}", args.listen)))?;
    output::print(&format!("{}\n", simulator.url()))?;
    output::note("statistics at /stats; stop with Ctrl-C");
    std::future::pending().await
}

/// Loads the built-in scenario of this name, or the scenario file at this path.
fn load_scenario(name: &Path) -> Result<Scenario, Problem> {
    let shown = name.display();
    match built_in_name(name) {
        Some(name) => Scenario::built_in(name).map_err(|error| {
            Problem::new(format!("{shown}: {error}"))
                .with_hint("to load a file, give a path that contains / or ends in .json")
        }),
        None => {
            let text = std::fs::read_to_string(name)
                .map_err(|error| Problem::new(format!("cannot read {shown}: {error}")))?;
            Scenario::from_json(&text).map_err(|error| Problem::new(format!("{shown}: {error}")))
        }
    }
}

/// Returns `name` if it can be the name of a built-in scenario, or `None` if it is a path. Paths contain a
/// slash or end in `.json`, so that the meaning of a name does not depend on the files that exist.
fn built_in_name(name: &Path) -> Option<&str> {
    let name = name.to_str()?;
    let is_path = name.contains(['/', std::path::MAIN_SEPARATOR]) || name.ends_with(".json");
    (!is_path).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_with_slash_or_json_suffix_is_a_path() {
        assert_eq!(built_in_name(Path::new("flaky")), Some("flaky"));
        for path in ["flaky.json", "./flaky", "a/flaky", "/flaky"] {
            assert_eq!(built_in_name(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn unknown_scenario_lists_the_known_ones() {
        let message = load_scenario(Path::new("falky")).unwrap_err().message;
        assert!(
            message.starts_with("falky: ") && message.contains("dying-keys, flaky"),
            "{message}"
        );
        assert!(load_scenario(Path::new("flaky")).is_ok());
    }

    #[test]
    fn unreadable_scenario_file_is_an_error_with_its_path() {
        let message = load_scenario(Path::new("no/such.json")).unwrap_err().message;
        assert!(message.starts_with("cannot read no/such.json: "), "{message}");
    }
}
