//! One file for each command.

mod batch;
mod chat;
mod check;
mod config;
mod models;
mod plan;
mod sim;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit;

pub(crate) async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Chat(chat) => chat::run(chat).await,
        Command::Check(check) => check::run(&check).await,
        Command::Models(models) => models::run(&models),
        Command::Config(config) => config::run(&config),
        Command::Plan(plan) => plan::run(plan).await,
        Command::Sim(sim) => sim::run(sim).await,
    }
}

/// Writes to stdout. A reader that has left is a reason to stop, not an error.
fn print(text: &str) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ExitCode::SUCCESS),
        Err(error) => Err(exit::failed(&format!("stdout cannot be written: {error}"))),
    }
}

/// The exit code of a command that either went through or knows its code.
fn code(done: Result<(), ExitCode>) -> ExitCode {
    done.map_or_else(|code| code, |()| ExitCode::SUCCESS)
}
