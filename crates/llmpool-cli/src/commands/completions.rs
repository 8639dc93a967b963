//! `llmpool completions` and `llmpool man`: what shells and readers want to know of the command line, made from the command line itself.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{code, print};
use crate::cli::{Cli, Man};
use crate::exit;

pub(crate) fn run(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "llmpool", &mut script);
    code(print(&String::from_utf8_lossy(&script)))
}

/// The page of the command itself, or all pages into a folder.
pub(crate) fn man(man: &Man) -> ExitCode {
    code(match &man.folder {
        None => page(&Cli::command()).and_then(|page| print(&page)),
        Some(folder) => all(folder),
    })
}

fn page(command: &clap::Command) -> Result<String, ExitCode> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut page);
    rendered.map_err(|error| exit::failed(&format!("the page cannot be made: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn all(folder: &Path) -> Result<(), ExitCode> {
    let shown = folder.display();
    let unwritable = |error: std::io::Error| exit::failed(&format!("{shown} cannot be written: {error}"));
    fs::create_dir_all(folder).map_err(unwritable)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(unwritable)
}
