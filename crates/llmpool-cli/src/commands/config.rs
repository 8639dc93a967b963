//! `llmpool config`: writes, shows and validates the provider file.

mod init;
mod provider_templates;
mod server_location;
mod show;
mod suspicious_settings;
mod validate;

use std::process::ExitCode;

use llmpool::provider_file::PROVIDER_SCHEMA;

use crate::cli::ConfigCommand;
use crate::output;

pub(crate) async fn run(command: ConfigCommand) -> Result<(), ExitCode> {
    match command {
        ConfigCommand::Init(args) => init::run(args).await,
        ConfigCommand::Show(args) => show::run(&args),
        ConfigCommand::Validate(args) => validate::run(&args),
        ConfigCommand::Schema => output::print(PROVIDER_SCHEMA),
    }
}
