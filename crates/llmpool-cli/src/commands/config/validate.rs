//! `llmpool config validate`: reports all errors, warnings and hints of provider files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::Providers;
use llmpool::provider_file::{Diagnostic, ProviderFile, ProviderFileError};
use serde_json::{Value, json};

use super::suspicious_settings;
use crate::cli::ValidateArgs;
use crate::context::{ProviderSource, diagnostics, environment_variable, paths};
use crate::problem::Problem;
use crate::{exit, format, output};

/// The result of validating one file.
struct ValidatedFile {
    name: String,
    /// The number of models in the file, or the errors of the file.
    models: Result<usize, Vec<Diagnostic>>,
    warnings: Vec<Diagnostic>,
    hints: Vec<Diagnostic>,
}

pub(super) fn run(args: &ValidateArgs) -> Result<(), ExitCode> {
    let files = match args.files.is_empty() {
        false => args.files.clone(),
        true => match paths::provider_file(&args.config) {
            Some(file) => vec![file],
            None => return without_file(args),
        },
    };
    let validated = validate(&files);
    match args.json {
        true => output::print(&format!("{}\n", validated.iter().map(to_json).collect::<Value>()))?,
        false => print_text(&validated)?,
    }
    match validated.iter().all(|file| file.models.is_ok()) {
        true => Ok(()),
        false => Err(ExitCode::from(exit::CONFIG)),
    }
}

fn without_file(args: &ValidateArgs) -> Result<(), ExitCode> {
    match ProviderSource::load(&args.config)? {
        ProviderSource::Environment(_) if args.json => output::print("[]\n"),
        ProviderSource::Environment(_) => {
            output::print("ok: no provider file; the provider from OPENAI_API_KEY accepts any model name\n")
        }
        ProviderSource::File { .. } | ProviderSource::Unconfigured => {
            Err(Problem::new("no provider file was found")
                .with_hint("run llmpool config init to write a provider file, or pass one with --config")
                .exit(exit::CONFIG))
        }
    }
}

/// Validates the files, and returns the results in the same order.
fn validate(paths: &[PathBuf]) -> Vec<ValidatedFile> {
    let results: Vec<_> = paths
        .iter()
        .map(|path| (path.display().to_string(), load(path)))
        .collect();
    let valid = results
        .iter()
        .filter_map(|(name, result)| Some((name.clone(), result.as_ref().ok()?.clone())));
    let mut hints = suspicious_settings::find(&valid.collect::<Vec<_>>()).into_iter();
    let validated = results.into_iter().map(|(name, result)| match result {
        Ok(file) => ValidatedFile {
            name,
            models: Ok(file.providers.iter().map(|provider| provider.models.len()).sum()),
            warnings: file.warnings,
            hints: hints.next().unwrap_or_default(),
        },
        Err(error) => ValidatedFile {
            name,
            models: Err(error.diagnostics().to_vec()),
            warnings: Vec::new(),
            hints: Vec::new(),
        },
    });
    validated.collect()
}

/// Reads a file, and builds the providers in it to find errors that involve several entries of the file.
fn load(path: &Path) -> Result<ProviderFile, ProviderFileError> {
    let file = ProviderFile::read(path, &environment_variable)?;
    match Providers::from_provider_file(file.clone()) {
        Ok(_) => Ok(file),
        Err(error) => {
            let help = "correct the setting and run llmpool config validate again";
            Err(Diagnostic::about_file(path.display().to_string(), error.to_string(), help).into())
        }
    }
}

fn print_text(files: &[ValidatedFile]) -> Result<(), ExitCode> {
    for file in files {
        match &file.models {
            Err(errors) => diagnostics::print_errors(&file.name, errors),
            Ok(models) => {
                for warning in &file.warnings {
                    diagnostics::print_warning(warning);
                }
                for hint in &file.hints {
                    output::hint(format!("{}{}", diagnostics::location(hint), hint.message));
                    output::continuation(&hint.help);
                }
                output::print(&format!(
                    "ok: {}, {}\n",
                    file.name,
                    format::count(*models, "model")
                ))?;
            }
        }
    }
    Ok(())
}

fn to_json(file: &ValidatedFile) -> Value {
    let all = |diagnostics: &[Diagnostic]| diagnostics.iter().map(diagnostic_to_json).collect::<Value>();
    let (models, errors) = match &file.models {
        Ok(models) => (Some(models), &[][..]),
        Err(errors) => (None, &errors[..]),
    };
    json!({
        "file": file.name,
        "ok": models.is_some(),
        "models": models,
        "defects": all(errors),
        "warnings": all(&file.warnings),
        "hints": all(&file.hints),
    })
}

fn diagnostic_to_json(diagnostic: &Diagnostic) -> Value {
    let Diagnostic {
        line,
        column,
        field,
        message,
        help,
        ..
    } = diagnostic;
    json!({"line": line, "column": column, "field": field, "problem": message, "cure": help})
}
