//! The output of a batch: stdout, or a file from which an interrupted batch can resume.
//!
//! Invariant: a failed write leaves no partial row in the file. If the process is killed during a write, the
//! next run removes the partial last row. Nothing else is removed from an existing file.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use super::batch_row;
use crate::blocking::run_blocking;
use crate::output;
use crate::problem::{self, Problem};

#[derive(Debug)]
pub(super) enum BatchOutput {
    Stdout,
    File(OutputFile),
}

/// An output file to which rows are appended.
#[derive(Debug)]
pub(super) struct OutputFile {
    file: File,
    /// The path of the file, as shown in messages.
    name: String,
}

impl BatchOutput {
    /// Writes a row. If the write fails, prints the error and returns the exit code.
    pub(super) async fn write(&self, row: String) -> Result<(), ExitCode> {
        match self {
            // A slow reader of stdout must not block the calls.
            Self::Stdout => run_blocking(move || output::print(&row)).await,
            Self::File(file) => file
                .append(&row)
                .map_err(|error| problem::failed(format!("cannot write {}: {error}", file.name))),
        }
    }
}

impl OutputFile {
    /// Opens the file at `path`, or creates it if it does not exist. Also returns the ids of the input lines
    /// that the file already answers.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened or read, if another batch has locked it, or if it contains a line
    /// that is not a row of a batch.
    pub(super) fn open(path: &Path) -> Result<(Self, HashSet<String>), Problem> {
        let name = path.display().to_string();
        let unusable = |error| Problem::new(format!("cannot use {name} as output: {error}"));
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(unusable)?;
        // A device or a pipe has no earlier rows.
        let is_regular = file.metadata().map_err(unusable)?.is_file();
        let output = Self {
            file,
            name: name.clone(),
        };
        if !is_regular {
            return Ok((output, HashSet::new()));
        }
        output.lock()?;
        let answered = output.answered_ids()?;
        Ok((output, answered))
    }

    /// Locks the file, so that a second batch with the same output file cannot send the same lines. If the
    /// file system does not support locks, continues without a lock.
    fn lock(&self) -> Result<(), Problem> {
        match self.file.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                Err(Problem::new(format!("{} is in use by another batch", self.name))
                    .with_hint("wait until the other batch ends, or pass another file with --output"))
            }
        }
    }

    /// Returns the ids whose rows contain an answer and no error. If several rows have the same id, only the
    /// last of these rows counts. Removes an incomplete last row from the file.
    fn answered_ids(&self) -> Result<HashSet<String>, Problem> {
        let unusable = |error| Problem::new(format!("cannot use {} as output: {error}", self.name));
        let mut answered = HashSet::new();
        let mut reader = BufReader::new(&self.file);
        let (mut text, mut number, mut start) = (Vec::new(), 0, 0);
        while reader.read_until(b'\n', &mut text).map_err(unusable)? > 0 {
            number += 1;
            let is_complete = text.ends_with(b"\n");
            match batch_row::parse(&text) {
                Some(row) if row.is_answered => _ = answered.insert(row.id),
                Some(row) => _ = answered.remove(&row.id),
                None if !is_complete && batch_row::may_be_incomplete(&text) => {
                    self.truncate(start).map_err(unusable)?;
                    return Ok(answered);
                }
                None if text.trim_ascii().is_empty() => {}
                None => return Err(self.not_a_row(number)),
            }
            if !is_complete {
                (&self.file).write_all(b"\n").map_err(unusable)?;
            }
            start += text.len() as u64;
            text.clear();
        }
        Ok(answered)
    }

    fn truncate(&self, end: u64) -> io::Result<()> {
        output::note(format!(
            "the last line of {} is incomplete; removing it and sending its prompt again",
            self.name
        ));
        self.file.set_len(end)
    }

    fn not_a_row(&self, line: u64) -> Problem {
        Problem::new(format!(
            "cannot use {} as output: line {line} is not a row of a batch",
            self.name
        ))
        .with_hint("pass another file with --output, or remove the line")
    }

    /// Appends a row to the file. If the write fails, truncates the file to its previous length.
    pub(super) fn append(&self, row: &str) -> io::Result<()> {
        let mut file = &self.file;
        let end = file.metadata()?.len();
        file.write_all(row.as_bytes()).inspect_err(|_| {
            let _ = file.set_len(end);
        })
    }
}
