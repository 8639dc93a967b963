//! `llmpool chat --jsonl`: sends the prompts of a JSON Lines file concurrently, and writes one JSON line for
//! each prompt.
//!
//! All input lines are read and validated before the first call, so that invalid lines are reported before
//! anything is sent.

mod batch_input;
mod batch_line;
mod batch_request;
mod batch_row;
mod batch_summary;
mod output_file;
mod progress;
mod reorderer;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::ProgressBar;
use llmpool::{CallOptions, ChatResponse, Error, LlmInterface};
use tokio::task::JoinSet;

use self::batch_request::BatchRequest;
use self::batch_summary::BatchSummary;
use self::output_file::{BatchOutput, OutputFile};
use self::reorderer::Reorderer;
use crate::blocking::run_blocking;
use crate::cli::{BatchArgs, ChatArgs};
use crate::context::ProviderSource;
use crate::context::state_file::StateFile;
use crate::{exit, output, problem};

pub(crate) async fn run(args: &ChatArgs) -> Result<(), ExitCode> {
    let source = ProviderSource::load(&args.config)?.print_warnings();
    let (_simulator, providers) = source.providers_or_simulator(args.model()).await?;
    let state = StateFile::load(&args.state, &providers)?;
    let mut requests = batch_request::read_all(args, &providers).await?;
    let (output, answered) = open_output(args.batch.output.clone()).await?;
    let lines = requests.len();
    requests.retain(|request| !answered.contains(&request.line.id));
    let skipped = lines - requests.len();
    let start = Instant::now();
    let mut batch = BatchRun {
        calls: JoinSet::new(),
        reorderer: Reorderer::new(args.batch.order),
        progress: progress::bar(requests.len(), &output),
        output,
        summary: BatchSummary::new(skipped),
    };
    state
        .save_during(&providers, batch.send_all(requests, &args.batch))
        .await??;
    batch.progress.finish_and_clear();
    output::note(batch.summary.text(start.elapsed()));
    batch.exit_result()
}

/// Opens the output. Also returns the ids of the input lines that an existing output file already answers;
/// for stdout, there are none.
async fn open_output(path: Option<PathBuf>) -> Result<(BatchOutput, HashSet<String>), ExitCode> {
    let Some(path) = path.filter(|path| !batch_input::is_standard_stream(path)) else {
        return Ok((BatchOutput::Stdout, HashSet::new()));
    };
    let opened = run_blocking(move || OutputFile::open(&path)).await;
    let (file, answered) = opened.map_err(|problem| problem.exit(exit::USAGE))?;
    Ok((BatchOutput::File(file), answered))
}

/// A running batch. If the batch is dropped before it ends, for example after Ctrl-C, finished rows are still
/// written to the output file.
struct BatchRun {
    calls: JoinSet<FinishedLine>,
    reorderer: Reorderer,
    output: BatchOutput,
    summary: BatchSummary,
    progress: ProgressBar,
}

/// The result of the call for one input line.
struct FinishedLine {
    /// Zero-based index among the lines that this run sends. Lines that an earlier run answered are not
    /// counted.
    position: usize,
    id: String,
    line_number: u64,
    result: Result<ChatResponse, Error>,
}

impl BatchRun {
    async fn send_all(&mut self, requests: Vec<BatchRequest>, args: &BatchArgs) -> Result<(), ExitCode> {
        let options = CallOptions {
            timeout: Some(args.timeout),
            ..CallOptions::default()
        };
        let mut requests = requests.into_iter().enumerate();
        loop {
            while self.calls.len() < usize::from(args.concurrency)
                && let Some((position, request)) = requests.next()
            {
                self.calls.spawn(send(position, request, options.clone()));
            }
            let Some(finished) = self.calls.join_next().await else {
                return Ok(());
            };
            match finished {
                Ok(finished) => self.record(&finished)?,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
            while let Some(row) = self.reorderer.pop_ready() {
                self.output.write(row).await?;
            }
        }
    }

    fn record(&mut self, finished: &FinishedLine) -> Result<(), ExitCode> {
        let row = batch_row::encode(&finished.id, finished.line_number, &finished.result)
            .map_err(|error| problem::failed(format!("cannot encode an answer as JSON: {error}")))?;
        self.reorderer.insert(finished.position, row);
        self.summary.add(&finished.result);
        self.progress.inc(1);
        self.progress
            .set_message(format!("({} failed)", self.summary.failures()));
        Ok(())
    }

    /// If lines failed, returns their exit code as an error. If there is an output file, also prints how to
    /// retry the failed lines.
    fn exit_result(&self) -> Result<(), ExitCode> {
        if self.summary.failures() > 0 && matches!(self.output, BatchOutput::File(_)) {
            output::hint(match self.summary.has_temporary_failures() {
                true => "run the same command later to retry only the failed lines",
                false => "run the same command again to retry only the failed lines",
            });
        }
        match self.summary.exit_code() {
            0 => Ok(()),
            code => Err(ExitCode::from(code)),
        }
    }
}

impl Drop for BatchRun {
    fn drop(&mut self) {
        while let Some(finished) = self.calls.try_join_next() {
            if let Ok(finished) = finished {
                let _ = self.record(&finished);
            }
        }
        if let BatchOutput::File(file) = &self.output {
            while let Some(row) = self.reorderer.pop_any() {
                let _ = file.append(&row);
            }
        }
    }
}

async fn send(position: usize, request: BatchRequest, options: CallOptions) -> FinishedLine {
    let BatchRequest { line, model } = request;
    FinishedLine {
        position,
        result: model.chat_with(&line.request, &options).await,
        id: line.id,
        line_number: line.number,
    }
}
