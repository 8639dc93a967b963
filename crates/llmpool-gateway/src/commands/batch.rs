//! `llmpool chat --jsonl`: many questions, one JSON line each, answered with one JSON line each.
//!
//! Everything is read and checked before the first call: a mistake is told at once, and not after an hour.

mod call;
mod input;
mod line;
mod output;
mod progress;
mod row;
mod tally;
mod turns;

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use llmpool::{CallOptions, ChatResponse, Error, OpenAiCompatible, Providers};
use tokio::task::JoinSet;

use self::input::Input;
use self::line::{Defect, Line};
use self::output::{Kept, Output};
use self::tally::Tally;
use self::turns::Turns;
use super::chat::{choose, providers};
use crate::cli::{self, Chat};
use crate::exit;

/// The most broken lines that are told one by one: nobody mends more of them by hand.
const MOST_TOLD: usize = 100;

pub(super) async fn run(chat: &Chat, source: PathBuf) -> Result<(), ExitCode> {
    let (_simulator, providers) = providers(chat).await?;
    let mut questions = questions(chat, source, &providers).await?;
    let (output, answered) = output(chat.batch.output.clone()).await?;
    let lines = questions.len();
    questions.retain(|question| !answered.contains(&question.line.name));
    let skipped = lines - questions.len();
    let began = Instant::now();
    let mut batch = Batch {
        calls: JoinSet::new(),
        turns: Turns::new(chat.batch.order),
        bar: progress::bar(questions.len(), &output),
        output,
        tally: Tally::new(skipped),
    };
    batch.ask(questions, &chat.batch).await?;
    batch.bar.finish_and_clear();
    exit::note(&batch.tally.summary(began.elapsed()));
    batch.ending()
}

/// A line and the model that it is for.
struct Question {
    line: Line,
    model: OpenAiCompatible,
}

/// Every line with its model, or every broken line at once.
async fn questions(chat: &Chat, source: PathBuf, providers: &Providers) -> Result<Vec<Question>, ExitCode> {
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

fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
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
        let problem = exit::one_line(&error.to_string());
        Defect::new(problem, "name one of them, or remove the line's model and say -m")
    })
}

fn refused(name: &str, mut broken: Vec<(u64, Defect)>) -> ExitCode {
    broken.sort_by_key(|(number, _)| *number);
    let count = broken.len();
    let mut message = format!("{name} has {count} broken line(s), so nothing is sent:");
    for (number, defect) in broken.iter().take(MOST_TOLD) {
        let column = defect
            .column
            .map(|column| format!(":{column}"))
            .unwrap_or_default();
        message += &format!("\n{name}:{number}{column}: {}; {}", defect.problem, defect.cure);
    }
    if count > MOST_TOLD {
        message += &format!("\nand {} more", count - MOST_TOLD);
    }
    exit::with(exit::USAGE, &message)
}

async fn output(path: Option<PathBuf>) -> Result<(Output, HashSet<String>), ExitCode> {
    let Some(path) = path.filter(|path| !is_standard(path)) else {
        return Ok((Output::Stdout, HashSet::new()));
    };
    // On a thread of its own, so that Ctrl-C is heard while a long file is read.
    let opened = tokio::task::spawn_blocking(move || Kept::open(&path)).await;
    let (kept, answered) = opened.unwrap_or(Err(exit::code(exit::FAILED)))?;
    Ok((Output::File(kept), answered))
}

/// A batch under way. However it ends, its file has everything that was finished.
struct Batch {
    calls: JoinSet<Done>,
    turns: Turns,
    output: Output,
    tally: Tally,
    bar: ProgressBar,
}

/// What became of a line.
struct Done {
    turn: usize,
    name: String,
    number: u64,
    outcome: Result<ChatResponse, Error>,
}

impl Batch {
    async fn ask(&mut self, questions: Vec<Question>, said: &cli::Batch) -> Result<(), ExitCode> {
        let options = CallOptions {
            timeout: Some(said.timeout),
            ..CallOptions::default()
        };
        let mut questions = questions.into_iter().enumerate();
        loop {
            while self.calls.len() < usize::from(said.concurrency)
                && let Some((turn, question)) = questions.next()
            {
                self.calls.spawn(ask(turn, question, options.clone()));
            }
            let Some(done) = self.calls.join_next().await else {
                return Ok(());
            };
            match done {
                Ok(done) => self.take(&done)?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
            while let Some(row) = self.turns.next() {
                self.output.write(row).await?;
            }
        }
    }

    fn take(&mut self, done: &Done) -> Result<(), ExitCode> {
        let row = row::write(&done.name, done.number, &done.outcome)
            .map_err(|error| exit::failed(&format!("an answer cannot be written as JSON: {error}")))?;
        self.turns.done(done.turn, row);
        self.tally.note(&done.outcome);
        self.bar.inc(1);
        self.bar
            .set_message(format!("({} failed)", self.tally.failures()));
        Ok(())
    }

    fn ending(&self) -> Result<(), ExitCode> {
        if self.tally.failures() > 0 && matches!(self.output, Output::File(_)) {
            let when = match self.tally.may_do_later() {
                true => " later",
                false => "",
            };
            exit::note(&format!(
                "hint: the same command{when} asks only the failed lines again"
            ));
        }
        match self.tally.code() {
            0 => Ok(()),
            code => Err(exit::code(code)),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        while let Some(done) = self.calls.try_join_next() {
            if let Ok(done) = done {
                let _ = self.take(&done);
            }
        }
        if let Output::File(kept) = &self.output {
            while let Some(row) = self.turns.rest() {
                let _ = kept.append(&row);
            }
        }
    }
}

async fn ask(turn: usize, question: Question, options: CallOptions) -> Done {
    let Question { line, model } = question;
    Done {
        turn,
        outcome: call::run(&model, &line.request, &options).await,
        name: line.name,
        number: line.number,
    }
}
