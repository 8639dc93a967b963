//! `llmpool config`: is the provider file right, and what may stand in it.

use std::process::ExitCode;

use llmpool::provider_file::PROVIDER_SCHEMA;

use super::{code, print};
use crate::cli::{Config, Source};
use crate::exit;
use crate::settings::{self, Found};

pub(crate) fn run(config: &Config) -> ExitCode {
    code(match config {
        Config::Validate(source) => validate(source),
        Config::Schema => print(PROVIDER_SCHEMA),
    })
}

fn validate(source: &Source) -> Result<(), ExitCode> {
    match settings::find(source).map_err(|error| exit::of(&error))? {
        Found::Providers(providers) if providers.takes_any_model() => {
            print("ok: no provider file, but a provider from OPENAI_API_KEY that takes any model's name\n")
        }
        Found::Providers(providers) => print(&format!("ok: {} model(s)\n", providers.models().count())),
        Found::Nothing => Err(exit::with(
            exit::CONFIG,
            "there is no provider file; give one with --config, or write ./provider.json",
        )),
    }
}
