//! `llmpool plan`: simulates traffic against the limits of models and keys, and recommends sufficient limits.

mod advice;
mod chart;
mod limit_labels;
mod plan_json;
mod plan_report;
mod plan_setup;
mod plan_text;
mod trace;
mod traffic;

use std::process::ExitCode;

use self::advice::Advice;
use self::chart::Chart;
use self::plan_report::{ModelPlan, PlanReport};
use self::plan_setup::{ForecastError, PlanSetup};
use crate::blocking::run_blocking;
use crate::cli::PlanArgs;
use crate::output;
use crate::terminal::Screen;

pub(crate) async fn run(args: PlanArgs) -> Result<(), ExitCode> {
    run_blocking(move || plan(&args)).await
}

fn plan(args: &PlanArgs) -> Result<(), ExitCode> {
    let mut setup = PlanSetup::load(args)?;
    let traffic = traffic::from_args(args, &mut setup)?;
    let forecasts = setup.forecast(&traffic).map_err(ForecastError::exit)?;
    let models = forecasts.into_iter().enumerate().map(|(index, forecast)| {
        let advice = Advice::find(&setup, index, &traffic, &forecast, args.target_wait)?;
        Ok(ModelPlan { forecast, advice })
    });
    let models = models.collect::<Result<Vec<_>, ExitCode>>()?;
    let report = PlanReport {
        setup,
        traffic,
        target_wait: args.target_wait,
        models,
    };
    if args.json {
        return output::print(&format!("{}\n", plan_json::render(&report)));
    }
    let screen = Screen::stdout();
    output::print(&plan_text::render(&report, screen, Chart::new(screen)))
}
