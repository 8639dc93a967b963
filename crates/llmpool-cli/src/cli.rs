//! The command line: commands, arguments and help texts.

mod chat;
mod config;
mod plan;
mod shared;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use clap::builder::Styles;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub(crate) use self::chat::{BatchArgs, ChatArgs, OutputOrder};
pub(crate) use self::config::{ConfigCommand, InitArgs, ShowArgs, ValidateArgs};
pub(crate) use self::plan::{
    PlanArgs, TrafficArgs, parse_burst, parse_callers, parse_latency, parse_rate, parse_tokens,
};
pub(crate) use self::shared::{ConfigFileArgs, StateFileArgs, non_empty, parse_seconds};

/// One interface to every OpenAI-compatible provider.
#[derive(Debug, Parser)]
#[command(name = "llmpool", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print only errors to stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

const AFTER_HELP: &str = "\
Examples:
  llmpool chat \"Hello\"                 print one answer; without a prompt, start an interactive chat
  llmpool config init                  write a provider.json
  llmpool check                        test every API key

Exit codes:
    0  success
    1  failure
    2  invalid command line or batch line
   75  rate limited or timed out; retry later
   77  credentials refused
   78  configuration missing or invalid
  130  interrupted with Ctrl-C

Environment:
  LLMPOOL_CONFIG   provider file, same as --config
  LLMPOOL_MODEL    model, same as --model
  LLMPOOL_STATE    state file, same as --state
  LLMPOOL_HISTORY  file with the prompt history of interactive chats; empty disables it
  OPENAI_API_KEY   defines a provider if there is no provider file; OPENAI_BASE_URL, OPENAI_ORG_ID
                   and OPENAI_PROJECT_ID apply if set
  NO_COLOR         disables colours; CLICOLOR_FORCE=1 enables them in pipes";

/// Styles of clap's help and error messages, with the colours that the `terminal` module uses.
const STYLES: Styles = Styles::styled()
    .header(Style::new().effects(Effects::BOLD))
    .usage(Style::new().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new())
    .error(AnsiColor::Red.on_default().effects(Effects::BOLD))
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a prompt to a model and print the answer
    Chat(ChatArgs),
    /// Test which API keys the providers accept
    Check(CheckArgs),
    /// List the configured models
    Models(ModelsArgs),
    /// Write, show and validate the provider file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the key states and limits saved in a state file
    Status(StatusArgs),
    /// Simulate traffic against the configured limits
    Plan(PlanArgs),
    /// Run a simulated provider with configurable faults
    Sim(SimArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool check\n  llmpool check -m openai/gpt-4o-mini --json\n  llmpool check --call\n\n\
                  Lists the models with every key, and once with an invalid key. Providers do not bill for that.\n\
                  The exit code is 77 if a key is refused. It is 0 if a result is inconclusive or a provider is unreachable."
)]
pub(crate) struct CheckArgs {
    /// Check only this model, given as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// Also make one short, billed streaming call to each model
    #[arg(long)]
    pub(crate) call: bool,
    /// Timeout of each request
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub(crate) timeout: Duration,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  llmpool models\n  llmpool models --json | jq -r '.[].id'")]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool chat --jsonl prompts.jsonl --state keys.state > answers.jsonl
  llmpool status --state keys.state          in another terminal, at the same time

AVAILABLE includes what the limits have refilled since the file was saved, assuming no further calls.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) state: StateFileArgs,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool completions bash > ~/.local/share/bash-completion/completions/llmpool
  llmpool completions zsh > ~/.zfunc/_llmpool
  llmpool completions fish > ~/.config/fish/completions/llmpool.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell to generate completions for
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  llmpool man | man -l -\n  llmpool man --folder ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write the manual pages of all commands to this directory
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool sim --scenario rate-limited\n  llmpool sim --scenario flaky --seed 7\n  \
                        llmpool sim --scenario ./mine.json --listen 127.0.0.1:0"
)]
pub(crate) struct SimArgs {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// Scenario to simulate: the name of a built-in scenario, or a JSON file whose path contains / or ends in
    /// .json
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// Random seed, which overrides the seed of the scenario
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}
