//! `llmpool config`: is the provider file right, what holds, and what may stand in it.

mod examples;
mod hints;
mod init;
mod show;
mod validate;

use std::process::ExitCode;

use llmpool::provider_file::PROVIDER_SCHEMA;

use super::{code, print};
use crate::cli::Config;

pub(crate) async fn run(config: Config) -> ExitCode {
    code(match config {
        Config::Init(init) => init::run(init).await,
        Config::Show(show) => show::run(&show),
        Config::Validate(validate) => validate::run(&validate),
        Config::Schema => print(PROVIDER_SCHEMA),
    })
}
