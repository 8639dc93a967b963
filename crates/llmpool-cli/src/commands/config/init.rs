//! `llmpool config init`: a provider file to begin with.

use std::fs::OpenOptions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use llmpool::provider_file::{PROVIDER_SCHEMA, ProviderFile};
use serde_json::Value;

use super::examples::{self, EXAMPLES};
use super::hints;
use crate::cli::Init;
use crate::commands::counted;
use crate::{exit, say, settings};

const SCHEMA: &str = "provider.schema.json";

/// Everything that the file depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    provider: String,
    base_url: String,
    model: String,
    /// Variables that hold keys; none where the server asks for none.
    key_env: Vec<String>,
}

/// Asks on a thread of its own, so that Ctrl-C is heard.
pub(super) async fn run(init: Init) -> Result<(), ExitCode> {
    let done = tokio::task::spawn_blocking(move || begin(&init)).await;
    done.unwrap_or_else(|_| Err(exit::failed("the questions broke off")))
}

fn begin(init: &Init) -> Result<(), ExitCode> {
    let shown = init.file.display();
    if init.file.exists() {
        let problem = format!("{shown} is there already and stays as it is");
        let hint = "give another name, as in llmpool config init other.json, or change it by hand";
        return Err(exit::hinting(exit::USAGE, &problem, hint));
    }
    let answers = match io::stdin().is_terminal() && io::stderr().is_terminal() {
        true => asked(init).map_err(|error| exit::failed(&format!("the answer cannot be read: {error}")))?,
        false => Some(init.clone()),
    };
    let answers = answers.map_or_else(|| Err(exit::code(exit::INTERRUPTED)), |init| complete(&init))?;
    let text = text(&answers);
    check(&text)?;
    create(&init.file, &text).map_err(|error| unwritable(&init.file, &error))?;
    write_schema(&init.file)?;
    say::note(format!(
        "wrote {shown}, and {SCHEMA} by which editors complete and check it"
    ));
    next(init, &answers);
    Ok(())
}

/// What is not said yet, from the person at the terminal; `None` where nobody answers.
fn asked(init: &Init) -> io::Result<Option<Init>> {
    let mut init = init.clone();
    if init.provider.is_none() {
        say::under(format!("Providers: {}, or a name of your own", examples::names()));
        let Some(provider) = question("Provider", EXAMPLES[0].name)? else {
            return Ok(None);
        };
        init.provider = Some(provider);
    }
    let example = init.provider.as_deref().and_then(examples::named);
    let questions = [
        (
            "Base URL",
            &mut init.base_url,
            example.map(|example| example.base_url),
            example.is_none(),
        ),
        (
            "Model",
            &mut init.model,
            example.map(|example| example.model),
            true,
        ),
    ];
    for (what, said, usual, is_asked) in questions {
        if said.is_none() && is_asked {
            match question(what, usual.unwrap_or_default())? {
                Some(answer) => *said = Some(answer).filter(|answer| !answer.is_empty()),
                None => return Ok(None),
            }
        }
    }
    if init.key_env.is_empty() && example.is_none_or(|example| example.key.is_some()) {
        let usual = example.and_then(|example| example.key).unwrap_or_default();
        let what = "Variables that hold the keys, with blanks between them";
        let Some(variables) = question(what, usual)? else {
            return Ok(None);
        };
        init.key_env = variables.split_whitespace().map(str::to_owned).collect();
    }
    Ok(Some(init))
}

/// The answer, or the usual one where there is none; `None` at the end of the input.
fn question(what: &str, usual: &str) -> io::Result<Option<String>> {
    let suggestion = match usual {
        "" => String::new(),
        usual => format!(" [{usual}]"),
    };
    let mut err = io::stderr();
    write!(err, "{what}{suggestion}: ")?;
    err.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(match line.trim() {
        "" => usual.to_owned(),
        said => said.to_owned(),
    }))
}

/// What was said, and what is usual where nothing was.
fn complete(init: &Init) -> Result<Answers, ExitCode> {
    let provider = init.provider.as_deref().unwrap_or(EXAMPLES[0].name);
    let example = examples::named(provider);
    let missing = |what: &str, option: &str| {
        let problem = format!("{provider} is none of the known providers, so its {what} has to be said");
        let hint = format!("say {option}, or one of {}", examples::names());
        exit::hinting(exit::USAGE, &problem, &hint)
    };
    let usual = |said: &Option<String>, usual: Option<&str>| said.clone().or(usual.map(str::to_owned));
    let base_url = usual(&init.base_url, example.map(|example| example.base_url));
    let model = usual(&init.model, example.map(|example| example.model));
    let key_env = match &init.key_env[..] {
        [] => example
            .and_then(|example| example.key)
            .map(str::to_owned)
            .into_iter()
            .collect(),
        said => said.to_vec(),
    };
    Ok(Answers {
        base_url: base_url.ok_or_else(|| missing("base URL", "--base-url"))?,
        model: model.ok_or_else(|| missing("model", "--model"))?,
        provider: provider.to_owned(),
        key_env,
    })
}

fn text(answers: &Answers) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let keys = match &answers.key_env[..] {
        [] => quoted("none"),
        variables => {
            let references = variables
                .iter()
                .map(|variable| quoted(&format!("${{{variable}}}")));
            references.collect::<Vec<_>>().join(", ")
        }
    };
    // A server of one's own has no limit but what it can do at once.
    let limits = match hints::is_local(&answers.base_url) {
        true => (
            "At most 4 requests at once",
            "\"rate_limit_capacity\": null,\n      \"max_concurrency\": 4",
        ),
        false => (
            "At most 10 requests at once, then 2 a second",
            "\"rate_limit_capacity\": 10,\n      \"rate_limit_refill_rate\": 2.0",
        ),
    };
    format!(
        r#"{{
  "$schema": "./{SCHEMA}",
  "//": "Models by provider. llmpool config validate checks this file, config show tells what holds, and check asks the providers.",
  {provider}: [
    {{
      "model_name": {model},
      "//api_keys": "Of several keys the least loaded healthy one is taken. ${{NAME}} is a variable, file:PATH a file; for limits of one key write {{\"key\": \"${{NAME}}\", \"rpm\": 60}}.",
      "api_keys": [{keys}],
      "base_url": {base_url},
      "//limits": "{limits}. Also: rpm, tpm, rpd, max_concurrency; null is no limit. llmpool plan tells what they give.",
      {rate}
    }}
  ]
}}
"#,
        limits = limits.0,
        rate = limits.1,
        provider = quoted(&answers.provider),
        model = quoted(&answers.model),
        base_url = quoted(&answers.base_url),
    )
}

/// What is written has to be right but for the variables, which may be set later.
fn check(text: &str) -> Result<(), ExitCode> {
    let env = |_: &str| Some("set".to_owned());
    let checked = ProviderFile::parse(text, "the file", &env);
    checked.map(drop).map_err(|error| {
        let defects = counted(error.diagnostics().len(), "defect");
        say::error(format!(
            "with these answers the file would have {defects}, so it is not written"
        ));
        settings::list_defects(error.file(), error.diagnostics());
        exit::code(exit::USAGE)
    })
}

fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Beside the file. One that is there already is the same, or somebody's own.
fn write_schema(beside: &Path) -> Result<(), ExitCode> {
    let path = beside.with_file_name(SCHEMA);
    match create(&path, PROVIDER_SCHEMA) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unwritable(&path, &error)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> ExitCode {
    exit::failed(&format!("{} cannot be written: {error}", path.display()))
}

/// What is left to do.
fn next(init: &Init, answers: &Answers) {
    let unset = answers
        .key_env
        .iter()
        .filter(|name| std::env::var_os(name).is_none());
    let unset: Vec<_> = unset.map(|name| format!("export {name}=…")).collect();
    if !unset.is_empty() {
        say::hint(format!("set the key first: {}", unset.join("; ")));
    }
    let source = match init.file == Path::new("provider.json") {
        true => String::new(),
        false => format!(" --config {}", init.file.display()),
    };
    say::hint(format!("then llmpool check{source}, and llmpool chat{source}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_gives_a_file_that_is_right_and_has_nothing_to_warn_of() {
        for example in EXAMPLES {
            let init = Init {
                file: "provider.json".into(),
                provider: Some(example.name.to_owned()),
                model: None,
                base_url: None,
                key_env: Vec::new(),
            };
            let text = text(&complete(&init).unwrap());
            let env = |name: &str| (Some(name) == example.key).then(|| "sk".to_owned());
            let file = ProviderFile::parse(&text, "f", &env).unwrap();
            assert!(file.warnings.is_empty(), "{}: {:?}", example.name, file.warnings);
            let hints = super::super::hints::of(&[("f".to_owned(), file)]);
            assert!(hints[0].is_empty(), "{hints:?}");
        }
    }

    #[test]
    fn what_is_said_cannot_break_the_file() {
        let answers = Answers {
            provider: "my\"own".to_owned(),
            base_url: "https://h/\"v1".to_owned(),
            model: "a\\b\n".to_owned(),
            key_env: vec!["A".to_owned(), "B".to_owned()],
        };
        let file: Value = serde_json::from_str(&text(&answers)).unwrap();
        assert_eq!(file["my\"own"][0]["model_name"], "a\\b\n");
        assert_eq!(file["my\"own"][0]["api_keys"][1], "${B}");
    }
}
