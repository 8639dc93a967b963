//! The `llmpool` command. Prints answers to stdout and everything else to stderr. The exit code tells the
//! cause of a failure.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod blocking;
mod cli;
mod commands;
mod context;
mod exit;
mod format;
mod output;
mod problem;
mod table;
mod terminal;
mod token_totals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if cli.quiet {
        output::set_quiet();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return problem::failed("cannot start the async runtime: out of threads or file descriptors");
    };
    let code = runtime.block_on(async {
        if commands::handles_ctrl_c(&cli) {
            return commands::run(cli).await;
        }
        tokio::select! {
            // The signal handler is installed before the command prints anything: the user may press Ctrl-C right after the first output.
            biased;
            _ = tokio::signal::ctrl_c() => ExitCode::from(exit::INTERRUPTED),
            code = commands::run(cli) => code,
        }
    });
    // Does not wait for a thread that is still blocked reading stdin.
    runtime.shutdown_background();
    code
}
