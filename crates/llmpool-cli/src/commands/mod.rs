//! One file for each command.

mod batch;
mod chat;
mod check;
mod completions;
mod config;
mod models;
mod plan;
mod sim;
mod state;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::exit;

/// Whether Ctrl-C is the command's own business, and not the end of it.
pub(crate) fn hears_ctrl_c(cli: &Cli) -> bool {
    matches!(&cli.command, Command::Chat(chat) if chat::is_talk(chat))
}

pub(crate) async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Chat(chat) if chat::is_talk(&chat) => chat::talk::run(chat).await,
        Command::Chat(chat) => chat::run(chat).await,
        Command::Check(check) => check::run(&check).await,
        Command::Models(models) => models::run(&models),
        Command::Config(config) => config::run(config).await,
        Command::Status(status) => status::run(&status),
        Command::Completions(completions) => completions::run(completions.shell),
        Command::Man(man) => completions::man(&man),
        Command::Version => code(print(concat!("llmpool ", env!("CARGO_PKG_VERSION"), "\n"))),
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

/// So many of something.
pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        several => format!("{several} {what}s"),
    }
}
