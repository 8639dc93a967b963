//! The `llmpool` command: answers on stdout, everything else on stderr, and an exit code that says what went wrong.

mod cli;
mod commands;
mod exit;
mod say;
mod settings;
mod table;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if cli.quiet {
        say::be_quiet();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::failed("the operating system gives no more threads or files");
    };
    let code = runtime.block_on(async {
        if commands::hears_ctrl_c(&cli) {
            return commands::run(cli).await;
        }
        tokio::select! {
            // Listens before anything is said: who reads it may press Ctrl-C at once.
            biased;
            _ = tokio::signal::ctrl_c() => exit::code(exit::INTERRUPTED),
            code = commands::run(cli) => code,
        }
    });
    // A thread that still reads stdin is not waited for.
    runtime.shutdown_background();
    code
}
