//! Dispatches to the commands. Each command has its own file or folder.

mod batch;
mod chat;
mod check;
mod completions;
mod config;
mod models;
mod plan;
#[cfg(feature = "simulator")]
mod sim;
mod status;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use crate::cli::{ChatArgs, Cli, Command};
use crate::output;

/// Returns whether the command handles Ctrl-C itself. If not, Ctrl-C ends the command.
pub(crate) fn handles_ctrl_c(cli: &Cli) -> bool {
    matches!(&cli.command, Command::Chat(args) if is_interactive(args))
}

/// Runs the command and returns its exit code.
pub(crate) async fn run(cli: Cli) -> ExitCode {
    dispatch(cli.command)
        .await
        .map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

async fn dispatch(command: Command) -> Result<(), ExitCode> {
    match command {
        Command::Chat(args) if args.batch.jsonl.is_some() => batch::run(&args).await,
        Command::Chat(args) if is_interactive(&args) => chat::interactive::run(args).await,
        Command::Chat(args) => chat::run(args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Models(args) => models::run(&args),
        Command::Config(command) => config::run(command).await,
        Command::Status(args) => status::run(&args),
        Command::Completions(args) => completions::run(args.shell),
        Command::Man(args) => completions::man(&args),
        Command::Version => output::print(concat!("llmpool ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Plan(args) => plan::run(args).await,
        #[cfg(feature = "simulator")]
        Command::Sim(args) => sim::run(args).await,
        #[cfg(not(feature = "simulator"))]
        Command::Sim(_) => Err(crate::context::simulated::unavailable().exit(crate::exit::FAILED)),
    }
}

/// Returns whether `llmpool chat` starts an interactive chat: stdin, stdout and stderr are terminals, and the
/// arguments contain neither a prompt nor an option for a single call or a batch.
fn is_interactive(args: &ChatArgs) -> bool {
    let is_one_call =
        !args.prompt.is_empty() || args.batch.jsonl.is_some() || args.json || args.no_stream || args.dry_run;
    !is_one_call && io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}
