//! `llmpool plan`: what becomes of traffic under the limits of a model and its keys, and what would be enough for it.

mod advice;
mod chart;
mod setup;
mod told;
mod traffic;

use std::process::ExitCode;

use advice::Advice;
use setup::Setup;
use told::Told;

use super::{code, print};
use crate::cli::Plan;
use crate::exit;

/// More calls than these would take minutes and gigabytes.
const MOST_CALLS: f64 = 2e6;

pub(crate) async fn run(plan: Plan) -> ExitCode {
    // On a thread of its own, so that Ctrl-C is heard while it counts.
    let told = tokio::task::spawn_blocking(move || foretell(&plan)).await;
    code(told.unwrap_or_else(|_| Err(exit::failed("the forecast broke off"))))
}

fn foretell(plan: &Plan) -> Result<(), ExitCode> {
    let setup = Setup::find(plan)?;
    let traffic = traffic::read(&plan.calls)?;
    if traffic.calls() > MOST_CALLS {
        let problem = format!(
            "that is about {:.0} calls, more than the {MOST_CALLS:.0} that are foretold; make --for shorter",
            traffic.calls()
        );
        return Err(exit::with(exit::USAGE, &problem));
    }
    let forecast = setup.forecast(&traffic)?;
    let advice = Advice::seek(&setup, &traffic, &forecast, plan.target_wait)?;
    let told = Told {
        setup: &setup,
        traffic: &traffic,
        forecast: &forecast,
        advice: &advice,
        target_wait: plan.target_wait,
    };
    if plan.json {
        return print(&format!("{}\n", told.as_json()));
    }
    print(&told.as_text(chart::Signs::of_terminal()))
}
