//! `llmpool config init`: writes a new provider file.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use llmpool::provider_file::{PROVIDER_SCHEMA, ProviderFile};
use serde_json::Value;

use super::provider_templates::{self, TEMPLATES};
use super::server_location;
use crate::blocking::run_blocking;
use crate::cli::InitArgs;
use crate::context::diagnostics;
use crate::problem::{self, Problem};
use crate::{exit, format, output};

const SCHEMA_FILE: &str = "provider.schema.json";

/// The settings to write to the new provider file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NewProvider {
    name: String,
    base_url: String,
    model: String,
    /// Names of the environment variables that contain the API keys. Empty if the server needs no key.
    key_variables: Vec<String>,
}

pub(super) async fn run(args: InitArgs) -> Result<(), ExitCode> {
    run_blocking(move || init(&args)).await
}

fn init(args: &InitArgs) -> Result<(), ExitCode> {
    let shown = args.file.display();
    if args.file.exists() {
        return Err(Problem::new(format!("{shown} already exists"))
            .with_hint("edit the file, or pass another name, for example llmpool config init other.json")
            .exit(exit::USAGE));
    }
    let args = match io::stdin().is_terminal() && io::stderr().is_terminal() {
        true => prompt_for_missing(args)
            .map_err(|error| problem::failed(format!("cannot read the answer from the terminal: {error}")))?
            .ok_or_else(|| ExitCode::from(exit::INTERRUPTED))?,
        false => args.clone(),
    };
    let provider = new_provider(&args).map_err(|problem| problem.exit(exit::USAGE))?;
    let text = file_text(&provider);
    validate(&text)?;
    create(&args.file, &text).map_err(|error| cannot_write(&args.file, &error))?;
    write_schema(&args.file)?;
    output::note(format!(
        "wrote {shown}, and {SCHEMA_FILE} for completion and validation in editors"
    ));
    print_next_steps(&args, &provider);
    Ok(())
}

/// Asks the user for the settings that the options leave out. Returns `None` if the input ends before all
/// questions are answered.
fn prompt_for_missing(args: &InitArgs) -> io::Result<Option<InitArgs>> {
    let mut args = args.clone();
    if args.provider.is_none() {
        output::line(format!(
            "Providers: {}, or any other name",
            provider_templates::names()
        ));
        let Some(provider) = prompt("Provider", TEMPLATES[0].name)? else {
            return Ok(None);
        };
        args.provider = Some(provider);
    }
    let template = args.provider.as_deref().and_then(provider_templates::find);
    let settings = [
        (
            "Base URL",
            &mut args.base_url,
            template.map(|template| template.base_url),
            template.is_none(),
        ),
        (
            "Model",
            &mut args.model,
            template.map(|template| template.model),
            true,
        ),
    ];
    for (label, setting, default, is_needed) in settings {
        if setting.is_none() && is_needed {
            match prompt(label, default.unwrap_or_default())? {
                Some(answer) => *setting = Some(answer).filter(|answer| !answer.is_empty()),
                None => return Ok(None),
            }
        }
    }
    if args.key_env.is_empty() && template.is_none_or(|template| template.key.is_some()) {
        let default = template.and_then(|template| template.key).unwrap_or_default();
        let Some(variables) = prompt("Environment variables of the keys, separated by spaces", default)?
        else {
            return Ok(None);
        };
        args.key_env = variables.split_whitespace().map(str::to_owned).collect();
    }
    Ok(Some(args))
}

/// Prints a prompt and reads the user's answer. Returns `default` for an empty answer, and `None` at the end
/// of the input.
fn prompt(label: &str, default: &str) -> io::Result<Option<String>> {
    let suggestion = match default {
        "" => String::new(),
        default => format!(" [{default}]"),
    };
    let mut err = io::stderr();
    write!(err, "{label}{suggestion}: ")?;
    err.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(match line.trim() {
        "" => default.to_owned(),
        answer => answer.to_owned(),
    }))
}

/// Combines the options with the template of the provider, which supplies settings that the options leave
/// out. Fails if a required setting is in neither of them.
fn new_provider(args: &InitArgs) -> Result<NewProvider, Problem> {
    let name = args.provider.as_deref().unwrap_or(TEMPLATES[0].name);
    let template = provider_templates::find(name);
    let missing = |setting: &str, option: &str| {
        Problem::new(format!(
            "the {setting} is required for provider {name}, which has no template"
        ))
        .with_hint(format!(
            "pass {option}, or choose a known provider: {}",
            provider_templates::names()
        ))
    };
    let or_default =
        |option: &Option<String>, default: Option<&str>| option.clone().or(default.map(str::to_owned));
    let base_url = or_default(&args.base_url, template.map(|template| template.base_url));
    let model = or_default(&args.model, template.map(|template| template.model));
    let key_variables = match &args.key_env[..] {
        [] => template
            .and_then(|template| template.key)
            .map(str::to_owned)
            .into_iter()
            .collect(),
        variables => variables.to_vec(),
    };
    Ok(NewProvider {
        base_url: base_url.ok_or_else(|| missing("base URL", "--base-url"))?,
        model: model.ok_or_else(|| missing("model", "--model"))?,
        name: name.to_owned(),
        key_variables,
    })
}

fn file_text(provider: &NewProvider) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let keys = match &provider.key_variables[..] {
        [] => quoted("none"),
        variables => {
            let references = variables
                .iter()
                .map(|variable| quoted(&format!("${{{variable}}}")));
            references.collect::<Vec<_>>().join(", ")
        }
    };
    // A local server has no rate limit; only its concurrency is limited.
    let (comment, limits) = match server_location::is_local(&provider.base_url) {
        true => (
            "At most 4 concurrent requests",
            "\"rate_limit_capacity\": null,\n      \"max_concurrency\": 4",
        ),
        false => (
            "A burst of 10 requests, then 2 per second",
            "\"rate_limit_capacity\": 10,\n      \"rate_limit_refill_rate\": 2.0",
        ),
    };
    format!(
        r#"{{
  "$schema": "./{SCHEMA_FILE}",
  "//": "Models by provider. llmpool config validate validates this file, config show prints the effective settings, and check tests the keys.",
  {name}: [
    {{
      "model_name": {model},
      "//api_keys": "Each call uses the least loaded healthy key. ${{NAME}} is an environment variable, file:PATH a file. Limits of one key: {{\"key\": \"${{NAME}}\", \"rpm\": 60}}.",
      "api_keys": [{keys}],
      "base_url": {base_url},
      "//limits": "{comment}. See also rpm, tpm, rpd and max_concurrency; null means no limit. llmpool plan simulates their effect.",
      {limits}
    }}
  ]
}}
"#,
        name = quoted(&provider.name),
        model = quoted(&provider.model),
        base_url = quoted(&provider.base_url),
    )
}

/// Validates the text of the new file as if all environment variables were set, because the user can set them
/// later.
fn validate(text: &str) -> Result<(), ExitCode> {
    let env = |_: &str| Some("set".to_owned());
    let file = ProviderFile::parse(text, "new file", &env);
    file.map(drop).map_err(|error| {
        let errors = format::count(error.diagnostics().len(), "error");
        output::print_error(format!("{errors} in these settings; file not written"));
        diagnostics::list_errors(error.diagnostics());
        ExitCode::from(exit::USAGE)
    })
}

/// Creates a file with the given text. Fails if the file already exists.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Writes the JSON Schema as `provider.schema.json` next to the provider file. Leaves an existing file of
/// this name unchanged.
fn write_schema(provider_file: &Path) -> Result<(), ExitCode> {
    let path = provider_file.with_file_name(SCHEMA_FILE);
    match create(&path, PROVIDER_SCHEMA) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(cannot_write(&path, &error)),
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> ExitCode {
    problem::failed(format!("cannot write {}: {error}", path.display()))
}

fn print_next_steps(args: &InitArgs, provider: &NewProvider) {
    let unset = provider
        .key_variables
        .iter()
        .filter(|name| std::env::var_os(name).is_none());
    let unset: Vec<_> = unset.map(|name| format!("export {name}=…")).collect();
    if !unset.is_empty() {
        output::hint(format!("set the API key: {}", unset.join("; ")));
    }
    let option = match args.file == Path::new("provider.json") {
        true => String::new(),
        false => format!(" --config {}", args.file.display()),
    };
    output::hint(format!(
        "test the key with llmpool check{option}, then start with llmpool chat{option}"
    ));
}

#[cfg(test)]
mod tests {
    use super::super::suspicious_settings;
    use super::*;

    #[test]
    fn every_template_gives_a_valid_file_without_warnings() {
        for template in TEMPLATES {
            let args = InitArgs {
                file: "provider.json".into(),
                provider: Some(template.name.to_owned()),
                model: None,
                base_url: None,
                key_env: Vec::new(),
            };
            let text = file_text(&new_provider(&args).unwrap());
            let env = |name: &str| (Some(name) == template.key).then(|| "sk".to_owned());
            let file = ProviderFile::parse(&text, "f", &env).unwrap();
            assert!(file.warnings.is_empty(), "{}: {:?}", template.name, file.warnings);
            let hints = suspicious_settings::find(&[("f".to_owned(), file)]);
            assert!(hints[0].is_empty(), "{hints:?}");
        }
    }

    #[test]
    fn special_characters_in_settings_are_escaped() {
        let provider = NewProvider {
            name: "my\"own".to_owned(),
            base_url: "https://h/\"v1".to_owned(),
            model: "a\\b\n".to_owned(),
            key_variables: vec!["A".to_owned(), "B".to_owned()],
        };
        let file: Value = serde_json::from_str(&file_text(&provider)).unwrap();
        assert_eq!(file["my\"own"][0]["model_name"], "a\\b\n");
        assert_eq!(file["my\"own"][0]["api_keys"][1], "${B}");
    }
}
