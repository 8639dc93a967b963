//! `llmpool config validate`: can these files be used, and is that what was meant?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::Providers;
use llmpool::provider_file::{Diagnostic, ProviderFile, ProviderFileError};
use serde_json::{Value, json};

use super::hints;
use crate::cli::Validate;
use crate::commands::{counted, print};
use crate::settings::{self, Found};
use crate::{exit, say};

/// What became of one file.
struct Checked {
    name: String,
    /// How many models there are, or what is wrong.
    models: Result<usize, Vec<Diagnostic>>,
    warnings: Vec<Diagnostic>,
    hints: Vec<Diagnostic>,
}

pub(super) fn run(validate: &Validate) -> Result<(), ExitCode> {
    let files = match validate.files.is_empty() {
        false => validate.files.clone(),
        true => match settings::file(&validate.source) {
            Some(file) => vec![file],
            None => return without_a_file(validate),
        },
    };
    let checked = check(&files);
    match validate.json {
        true => print(&format!("{}\n", checked.iter().map(as_json).collect::<Value>()))?,
        false => tell(&checked)?,
    }
    match checked.iter().all(|file| file.models.is_ok()) {
        true => Ok(()),
        false => Err(exit::code(exit::CONFIG)),
    }
}

fn without_a_file(validate: &Validate) -> Result<(), ExitCode> {
    match settings::find(&validate.source)? {
        Found::Environment(_) if validate.json => print("[]\n"),
        Found::Environment(_) => {
            print("ok: no provider file, but a provider from OPENAI_API_KEY that takes any model's name\n")
        }
        Found::File { .. } | Found::Nothing => Err(exit::hinting(
            exit::CONFIG,
            "there is no provider file",
            "llmpool config init writes one; or name one with --config",
        )),
    }
}

fn check(paths: &[PathBuf]) -> Vec<Checked> {
    let read = paths.iter().map(|path| read(path));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (path, read) in paths.iter().zip(read) {
        let name = path.display().to_string();
        match read {
            Ok(file) => good.push((name, file)),
            Err(error) => bad.push(Checked {
                name,
                models: Err(error.diagnostics().to_vec()),
                warnings: Vec::new(),
                hints: Vec::new(),
            }),
        }
    }
    let hints = hints::of(&good);
    let good = good.into_iter().zip(hints).map(|((name, file), hints)| Checked {
        name,
        warnings: file.warnings,
        hints,
        models: Ok(file.providers.iter().map(|provider| provider.models.len()).sum()),
    });
    let mut checked: Vec<_> = good.chain(bad).collect();
    let place = |checked: &Checked| {
        paths
            .iter()
            .position(|path| path.display().to_string() == checked.name)
    };
    checked.sort_by_key(place);
    checked
}

/// The file, if it can also be used.
fn read(path: &Path) -> Result<ProviderFile, ProviderFileError> {
    let file = ProviderFile::read(path, &settings::variable)?;
    match Providers::from_provider_file(file.clone()) {
        Ok(_) => Ok(file),
        Err(error) => {
            let diagnostic = Diagnostic::about_file(
                path.display().to_string(),
                error.to_string(),
                "change it and check again",
            );
            Err(diagnostic.into())
        }
    }
}

fn tell(checked: &[Checked]) -> Result<(), ExitCode> {
    for file in checked {
        match &file.models {
            Err(defects) => settings::tell_defects(&file.name, defects),
            Ok(models) => {
                for warning in &file.warnings {
                    settings::tell_warning(&file.name, warning);
                }
                for hint in &file.hints {
                    say::hint(format!("{}{}", settings::place(&file.name, hint), hint.message));
                    say::more(&hint.help);
                }
                print(&format!("ok: {}, {}\n", file.name, counted(*models, "model")))?;
            }
        }
    }
    Ok(())
}

fn as_json(file: &Checked) -> Value {
    let all = |defects: &[Diagnostic]| defects.iter().map(defect_as_json).collect::<Value>();
    let (models, defects) = match &file.models {
        Ok(models) => (Some(models), &[][..]),
        Err(defects) => (None, &defects[..]),
    };
    json!({
        "file": file.name,
        "ok": models.is_some(),
        "models": models,
        "defects": all(defects),
        "warnings": all(&file.warnings),
        "hints": all(&file.hints),
    })
}

fn defect_as_json(defect: &Diagnostic) -> Value {
    let Diagnostic {
        line,
        column,
        field,
        message,
        help,
        ..
    } = defect;
    json!({"line": line, "column": column, "field": field, "problem": message, "cure": help})
}
