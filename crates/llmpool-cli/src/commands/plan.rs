//! `llmpool plan`: what becomes of traffic under the limits of models and their keys, and what would be enough for it.

mod advice;
mod chart;
mod document;
mod setup;
mod text;
mod trace;
mod traffic;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use advice::Advice;
use chart::Chart;
use llmpool::forecast::{Forecast, Traffic};
use setup::{Setup, Unforetold};

use super::{code, print};
use crate::cli::Plan;
use crate::exit;
use crate::terminal::Screen;

/// Everything that is told.
struct Told {
    setup: Setup,
    traffic: Traffic,
    target_wait: Duration,
    /// One for each model that calls are for.
    models: Vec<Model>,
}

struct Model {
    forecast: Forecast,
    advice: Advice,
}

pub(crate) async fn run(plan: Plan) -> ExitCode {
    // On a thread of its own, so that Ctrl-C is heard while it counts.
    let told = tokio::task::spawn_blocking(move || foretell(&plan)).await;
    code(told.unwrap_or_else(|_| Err(exit::failed("the forecast broke off"))))
}

fn foretell(plan: &Plan) -> Result<(), ExitCode> {
    let mut setup = Setup::find(plan)?;
    let traffic = traffic::read(plan, &mut setup)?;
    let forecasts = setup.forecast(&traffic).map_err(Unforetold::ended)?;
    let advised = forecasts.into_iter().enumerate().map(|(at, forecast)| {
        let advice = Advice::seek(&setup, at, &traffic, &forecast, plan.target_wait)?;
        Ok(Model { forecast, advice })
    });
    let models = advised.collect::<Result<Vec<_>, ExitCode>>()?;
    let told = Told {
        setup,
        traffic,
        target_wait: plan.target_wait,
        models,
    };
    if plan.json {
        return print(&format!("{}\n", document::of(&told)));
    }
    let screen = Screen::stdout();
    print(&text::of(&told, screen, Chart::on(screen)))
}
