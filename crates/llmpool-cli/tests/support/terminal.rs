//! A real terminal, driven from outside: tmux draws it, types into it, pastes and resizes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::Folder;

/// The longest that anything on the screen is waited for: a small model on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a shell command in it, gone at the end.
pub struct Terminal {
    folder: Folder,
    socket: PathBuf,
}

/// Whether there is a tmux. Where tests must not be left out, there has to be one.
pub fn is_there() -> bool {
    let found = Command::new("tmux").arg("-V").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "tmux is not installed");
    found
}

impl Terminal {
    /// Runs a shell command in a terminal of this size, with nothing but these variables around it.
    pub fn start(folder: Folder, size: (u16, u16), command: &str, variables: &[(&str, &str)]) -> Self {
        let socket = folder.0.join("tmux");
        // What was on the screen is there to be looked at also when the command has ended.
        folder.write("tmux.conf", "set -g remain-on-exit on\n");
        let terminal = Self { folder, socket };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let home = format!("HOME={}", terminal.folder.0.display());
        let set: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let around = [
            "PATH=/usr/bin:/bin",
            "LANG=C.UTF-8",
            "TERM=screen-256color",
            &home,
        ];
        let mut arguments = vec!["new-session", "-d", "-x", &columns, "-y", &rows, "env", "-i"];
        arguments.extend(around);
        arguments.extend(set.iter().map(String::as_str));
        // Ctrl-C is the command's alone, as in an interactive shell.
        let command = format!(
            "trap : INT; cd '{}' && {{ {command}; }}",
            terminal.folder.0.display()
        );
        arguments.extend(["sh", "-c", &command]);
        terminal.tmux(&arguments);
        terminal
    }

    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Presses keys by their names, as in `Enter`, `C-c`, `M-Enter`.
    pub fn press(&self, keys: &[&str]) -> &Self {
        self.tmux(&[&["send-keys"], keys].concat());
        self
    }

    /// Types a text as it is.
    pub fn write(&self, text: &str) -> &Self {
        self.tmux(&["send-keys", "-l", text]);
        self
    }

    /// Types a line.
    pub fn enter(&self, line: &str) -> &Self {
        self.write(line).press(&["Enter"])
    }

    /// Pastes a text at once, as terminals do that tell of it.
    pub fn paste(&self, text: &str) -> &Self {
        let file = self.folder.0.join("pasted");
        std::fs::write(&file, text).unwrap();
        self.tmux(&["load-buffer", file.to_str().unwrap()]);
        self.tmux(&["paste-buffer", "-p"]);
        self
    }

    pub fn resize(&self, columns: u16, rows: u16) -> &Self {
        self.tmux(&[
            "resize-window",
            "-x",
            &columns.to_string(),
            "-y",
            &rows.to_string(),
        ]);
        self
    }

    /// Everything that is and was on the screen, lines that were too long for it in one piece.
    pub fn text(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let lines = shown.lines().map(str::trim_end);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The screen as it is, with colours.
    pub fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the text has this so many times.
    pub fn wait_for(&self, what: &str, times: usize) -> String {
        self.wait_until(&format!("{what:?} {times} time(s)"), |text| {
            text.matches(what).count() >= times
        })
    }

    /// Waits until the text is so.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "{what} did not come:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("-f")
            .arg(self.folder.0.join("tmux.conf"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(&self.socket)
            .arg("kill-server")
            .output();
    }
}
