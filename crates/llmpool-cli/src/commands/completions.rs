//! `llmpool completions` and `llmpool man`: generate shell completions and manual pages from the definition
//! of the command line.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, ManArgs};
use crate::{output, problem};

pub(crate) fn run(shell: Shell) -> Result<(), ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "llmpool", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of `llmpool`, or writes the pages of all commands to a directory.
pub(crate) fn man(args: &ManArgs) -> Result<(), ExitCode> {
    match &args.folder {
        None => output::print(&page(&Cli::command())?),
        Some(directory) => write_pages(directory),
    }
}

fn page(command: &clap::Command) -> Result<String, ExitCode> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| problem::failed(format!("cannot generate the manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn write_pages(directory: &Path) -> Result<(), ExitCode> {
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| problem::failed(format!("cannot write to {}: {error}", directory.display())))
}
