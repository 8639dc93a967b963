//! Selects the model for each line of a batch.

use std::path::Path;
use std::process::ExitCode;

use llmpool::{OpenAiCompatible, Providers};

use super::batch_input::{self, BatchInput};
use super::batch_line::{BatchLine, LineError};
use crate::blocking::run_blocking;
use crate::cli::ChatArgs;
use crate::context::select_model;
use crate::problem::Problem;
use crate::{exit, format, output};

/// Maximum number of invalid lines whose errors are printed. Of further invalid lines, only the number is
/// printed.
const MAX_PRINTED_ERRORS: usize = 100;

/// A batch line and the model that it is sent to.
pub(super) struct BatchRequest {
    pub(super) line: BatchLine,
    pub(super) model: OpenAiCompatible,
}

/// Reads all lines of the input, and selects a model for each line. If lines are invalid, prints their errors
/// and returns the exit code.
pub(super) async fn read_all(args: &ChatArgs, providers: &Providers) -> Result<Vec<BatchRequest>, ExitCode> {
    let path = args
        .batch
        .jsonl
        .clone()
        .unwrap_or_else(|| Path::new("-").to_owned());
    let name = match batch_input::is_standard_stream(&path) {
        true => "stdin".to_owned(),
        false => path.display().to_string(),
    };
    let system = args.system.clone();
    let input = run_blocking(move || batch_input::read(batch_input::open(&path)?, system.as_deref())).await;
    let BatchInput { lines, mut errors } =
        input.map_err(|error| Problem::new(format!("cannot read {name}: {error}")).exit(exit::USAGE))?;
    let needs_default = lines.iter().any(|line| line.model.is_none());
    let default = match needs_default || args.model().is_some() {
        true => Some(select_model(providers, args.model())?),
        false => None,
    };
    let mut requests = Vec::with_capacity(lines.len());
    for line in lines {
        match model_for(&line, default.as_ref(), providers) {
            Ok(model) => requests.push(BatchRequest { line, model }),
            Err(error) => errors.push((line.number, error)),
        }
    }
    match errors.is_empty() {
        true => Ok(requests),
        false => Err(print_errors(&name, errors)),
    }
}

/// Returns the model that the line names, or `default` if the line names no model.
fn model_for(
    line: &BatchLine,
    default: Option<&OpenAiCompatible>,
    providers: &Providers,
) -> Result<OpenAiCompatible, LineError> {
    let model = match (&line.model, default) {
        (None, Some(default)) => return Ok(default.clone()),
        (name, _) => providers.model(name.as_deref().unwrap_or_default()),
    };
    model.map_err(|error| {
        let help = error.help().unwrap_or("use a configured model");
        LineError::new(
            output::one_line(&error.to_string()),
            format!("{help}; or remove the model from the line and pass -m"),
        )
    })
}

fn print_errors(name: &str, mut errors: Vec<(u64, LineError)>) -> ExitCode {
    errors.sort_by_key(|(number, _)| *number);
    let count = errors.len();
    output::print_error(format!(
        "{name}: {}; nothing sent",
        format::count(count, "invalid line")
    ));
    for (number, error) in errors.iter().take(MAX_PRINTED_ERRORS) {
        let column = error.column.map(|column| format!(":{column}"));
        let location = format!("{name}:{number}{}:", column.unwrap_or_default());
        output::error_at(&location, &error.message, &error.hint);
    }
    if count > MAX_PRINTED_ERRORS {
        output::line(format!("and {} more", count - MAX_PRINTED_ERRORS));
    }
    ExitCode::from(exit::USAGE)
}
