//! Where rows go: stdout, or a file that remembers what was answered before.
//!
//! Always true: a row is written whole or not at all, and nothing is taken from a file but the torn end of a row.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::ExitCode;

use super::row;
use crate::commands::print;
use crate::{exit, say};

#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    File(Kept),
}

/// A file that rows are appended to.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    /// How it is called in messages.
    name: String,
}

impl Output {
    pub(super) async fn write(&self, row: String) -> Result<(), ExitCode> {
        match self {
            // On a thread of its own, so that calls go on and Ctrl-C is heard while a slow reader is awaited.
            Self::Stdout => tokio::task::spawn_blocking(move || print(&row))
                .await
                .unwrap_or(Err(exit::code(exit::FAILED))),
            Self::File(kept) => kept
                .append(&row)
                .map_err(|error| exit::failed(&format!("{} cannot be written: {error}", kept.name))),
        }
    }
}

impl Kept {
    /// Opens a file, and reads which lines it has an answer for.
    pub(super) fn open(path: &Path) -> Result<(Self, HashSet<String>), ExitCode> {
        let name = path.display().to_string();
        let opened = OpenOptions::new().read(true).append(true).create(true).open(path);
        let unusable = |error| exit::with(exit::USAGE, &format!("{name} cannot be used: {error}"));
        let file = opened.map_err(unusable)?;
        let kept = Self {
            file,
            name: name.clone(),
        };
        let answered = match kept.file.metadata().map_err(unusable)?.is_file() {
            true => kept.lock().and_then(|()| kept.answered()).map_err(unusable)?,
            // A device or a pipe remembers nothing.
            false => HashSet::new(),
        };
        Ok((kept, answered))
    }

    /// Two batches on one file would each ask what the other asks.
    fn lock(&self) -> io::Result<()> {
        match self.file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(io::Error::other("another batch is writing it")),
            // Not every file system has locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        }
    }

    /// The lines that were answered, by name; the newest row of a name counts. A torn last row is removed.
    fn answered(&self) -> io::Result<HashSet<String>> {
        let mut answered = HashSet::new();
        let mut reader = BufReader::new(&self.file);
        let (mut text, mut number, mut begin) = (Vec::new(), 0, 0);
        while reader.read_until(b'\n', &mut text)? > 0 {
            number += 1;
            let whole = text.ends_with(b"\n");
            match row::read(&text) {
                Some(row) if row.answered => _ = answered.insert(row.name),
                Some(row) => _ = answered.remove(&row.name),
                None if !whole && row::may_be_torn(&text) => return self.cut(begin).map(|()| answered),
                None if text.trim_ascii().is_empty() => {}
                None => return Err(no_row(number)),
            }
            if !whole {
                (&self.file).write_all(b"\n")?;
            }
            begin += text.len() as u64;
            text.clear();
        }
        Ok(answered)
    }

    fn cut(&self, end: u64) -> io::Result<()> {
        say::note(format!(
            "the last line of {} was cut short; it is removed and asked again",
            self.name
        ));
        self.file.set_len(end)
    }

    /// Appends a row with one write; what was written of it before an error is taken back.
    pub(super) fn append(&self, row: &str) -> io::Result<()> {
        let mut file = &self.file;
        let end = file.metadata()?.len();
        file.write_all(row.as_bytes()).inspect_err(|_| {
            let _ = file.set_len(end);
        })
    }
}

fn no_row(number: u64) -> io::Error {
    io::Error::other(format!(
        "its line {number} is no answer of a batch; name another file, or remove the line"
    ))
}
