//! The lines of a batch with their models, or every broken line at once.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::{OpenAiCompatible, Providers};

use super::input::{self, Input};
use super::is_standard;
use super::line::{Defect, Line};
use crate::cli::Chat;
use crate::commands::chat::choose;
use crate::commands::counted;
use crate::{exit, say};

/// The most broken lines that are told one by one: nobody mends more of them by hand.
const MOST_TOLD: usize = 100;

/// A line and the model that it is for.
pub(super) struct Question {
    pub(super) line: Line,
    pub(super) model: OpenAiCompatible,
}

/// Every line with its model, or every broken line at once.
pub(super) async fn read(
    chat: &Chat,
    source: PathBuf,
    providers: &Providers,
) -> Result<Vec<Question>, ExitCode> {
    let name = match is_standard(&source) {
        true => "stdin".to_owned(),
        false => source.display().to_string(),
    };
    let system = chat.system.clone();
    // On a thread of its own, so that Ctrl-C is heard while it waits.
    let read = tokio::task::spawn_blocking(move || input::read(open(&source)?, system.as_deref()));
    let Input { lines, mut broken } = read
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| exit::with(exit::USAGE, &format!("{name} cannot be read: {error}")))?;
    let nameless = lines.iter().any(|line| line.model.is_none());
    let own = match nameless || chat.model().is_some() {
        true => Some(choose(providers, chat.model())?),
        false => None,
    };
    let mut questions = Vec::with_capacity(lines.len());
    for line in lines {
        match model(line.model.as_deref(), own.as_ref(), providers) {
            Ok(model) => questions.push(Question { line, model }),
            Err(defect) => broken.push((line.number, defect)),
        }
    }
    match broken.is_empty() {
        true => Ok(questions),
        false => Err(refused(&name, broken)),
    }
}

fn open(source: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match is_standard(source) {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::new(std::fs::File::open(source)?)),
    })
}

/// The model that a line names, else the one for all.
fn model(
    named: Option<&str>,
    own: Option<&OpenAiCompatible>,
    providers: &Providers,
) -> Result<OpenAiCompatible, Defect> {
    let known = match (named, own) {
        (None, Some(own)) => return Ok(own.clone()),
        (named, _) => providers.model(named.unwrap_or_default()),
    };
    known.map_err(|error| {
        let problem = say::one_line(&error.to_string());
        Defect::new(problem, "name one of them, or remove the line's model and say -m")
    })
}

fn refused(name: &str, mut broken: Vec<(u64, Defect)>) -> ExitCode {
    broken.sort_by_key(|(number, _)| *number);
    let count = broken.len();
    say::error(format!(
        "{name} has {}, so nothing is sent",
        counted(count, "broken line")
    ));
    for (number, defect) in broken.iter().take(MOST_TOLD) {
        let column = defect.column.map(|column| format!(":{column}"));
        let place = format!("{name}:{number}{}:", column.unwrap_or_default());
        say::defect(&place, &defect.problem, &defect.cure);
    }
    if count > MOST_TOLD {
        say::under(format!("and {} more", count - MOST_TOLD));
    }
    exit::code(exit::USAGE)
}
