//! A real terminal, driven through tmux.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::Folder;

/// The longest wait for text on the screen: a small model on a busy machine is slow.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A terminal that runs a shell command. Killed on drop.
pub struct Terminal {
    folder: Folder,
    socket: PathBuf,
}

/// Returns whether tmux is installed.
///
/// # Panics
///
/// In CI, where no test may be skipped, if it is not.
pub fn is_available() -> bool {
    let found = Command::new("tmux").arg("-V").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "tmux is not installed");
    found
}

impl Terminal {
    /// Runs a shell command in a terminal of this size (columns, rows) with only these environment variables.
    pub fn start(folder: Folder, size: (u16, u16), command: &str, variables: &[(&str, &str)]) -> Self {
        let socket = folder.0.join("tmux");
        // Keeps the screen after the command has ended.
        folder.write("tmux.conf", "set -g remain-on-exit on\n");
        let terminal = Self { folder, socket };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        let home = format!("HOME={}", terminal.folder.0.display());
        let assignments: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let defaults = [
            "PATH=/usr/bin:/bin",
            "LANG=C.UTF-8",
            "TERM=screen-256color",
            &home,
        ];
        let mut arguments = vec!["new-session", "-d", "-x", &columns, "-y", &rows, "env", "-i"];
        arguments.extend(defaults);
        arguments.extend(assignments.iter().map(String::as_str));
        // As in an interactive shell, Ctrl-C does not end the shell itself.
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

    /// Presses keys by their tmux names, such as `Enter`, `C-c` and `M-Enter`.
    pub fn press(&self, keys: &[&str]) -> &Self {
        self.tmux(&[&["send-keys"], keys].concat());
        self
    }

    /// Types text.
    pub fn write(&self, text: &str) -> &Self {
        self.tmux(&["send-keys", "-l", text]);
        self
    }

    /// Types a line and presses Enter.
    pub fn enter(&self, line: &str) -> &Self {
        self.write(line).press(&["Enter"])
    }

    /// Pastes text with bracketed paste.
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

    /// Returns the screen with its scrollback; wrapped lines are joined.
    pub fn text(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let lines = shown.lines().map(str::trim_end);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the screen with its colour escape codes.
    pub fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the text occurs this many times, and returns the screen.
    pub fn wait_for(&self, what: &str, times: usize) -> String {
        self.wait_until(&format!("{what:?} {times} time(s)"), |text| {
            text.matches(what).count() >= times
        })
    }

    /// Waits until the condition holds for the screen, and returns the screen.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if condition(&text) {
                return text;
            }
            assert!(start.elapsed() < TIMEOUT, "{what} did not appear:\n{text}");
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
