//! `llmpool chat --jsonl`: many questions, one JSON line each, answered with one JSON line each.
//!
//! Everything is read and checked before the first call: a mistake is told at once, and not after an hour.

mod input;
mod line;
mod output;
mod progress;
mod questions;
mod row;
mod tally;
mod turns;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use llmpool::{CallOptions, ChatResponse, Error, LlmInterface};
use tokio::task::JoinSet;

use self::output::{Kept, Output};
use self::questions::Question;
use self::tally::Tally;
use self::turns::Turns;
use super::chat::{Warn, providers};
use super::state::Remembered;
use crate::cli::{self, Chat};
use crate::{exit, say};

pub(super) async fn run(chat: &Chat, source: PathBuf) -> Result<(), ExitCode> {
    let (_simulator, providers) = providers(chat, Warn::Yes).await?;
    let kept = Remembered::load(&chat.state, &providers)?;
    let mut questions = questions::read(chat, source, &providers).await?;
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
    kept.during(&providers, batch.ask(questions, &chat.batch))
        .await??;
    batch.bar.finish_and_clear();
    say::note(batch.tally.summary(began.elapsed()));
    batch.ending()
}

/// Whether a path stands for stdin or stdout.
fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
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
            // Where every key is refused, each line would wait for the same refusal.
            fail_fast: true,
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
            say::hint(format!("the same command{when} asks only the failed lines again"));
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
        outcome: model.chat_with(&line.request, &options).await,
        name: line.name,
        number: line.number,
    }
}
