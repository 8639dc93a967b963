//! Where an answer is shown: on a terminal with markdown in colours, and into a pipe as it is.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::print;
use crate::say;
use crate::terminal::markdown::Markdown;
use crate::terminal::{Look, Screen};

/// An answer on its way to stdout.
pub(super) struct Page {
    /// `None` where stdout is no terminal: bytes as they came.
    shown: Option<Shown>,
    at_line_start: bool,
}

struct Shown {
    markdown: Markdown,
    screen: Screen,
    /// Turns until there is something to read.
    waiting: Option<ProgressBar>,
    /// Whether what was last shown was the model's reasoning.
    reasoning: bool,
}

impl Page {
    /// A page on stdout. Until something comes, a sign on stderr tells that it is waited for.
    pub(super) fn begin(whom: &str) -> Self {
        let screen = Screen::stdout();
        let shown = io::stdout().is_terminal().then(|| Shown {
            markdown: Markdown::new(screen.paint),
            screen,
            waiting: waiting(whom),
            reasoning: false,
        });
        Self {
            shown,
            at_line_start: true,
        }
    }

    /// The next piece of the answer.
    pub(super) fn text(&mut self, text: &str) -> Result<(), ExitCode> {
        if text.is_empty() {
            return Ok(());
        }
        let out = match &mut self.shown {
            None => text.to_owned(),
            Some(shown) => {
                shown.stop_waiting();
                let separator = if std::mem::take(&mut shown.reasoning) {
                    "\n\n"
                } else {
                    ""
                };
                format!("{separator}{}", shown.markdown.push(&harmless(text)))
            }
        };
        self.at_line_start = text.ends_with('\n');
        print(&out)
    }

    /// The next piece of what the model thinks, for the person who looks on; it is no part of the answer.
    pub(super) fn reasoning(&mut self, text: &str) -> Result<(), ExitCode> {
        let Some(shown) = self.shown.as_mut().filter(|_| !text.is_empty()) else {
            return Ok(());
        };
        shown.stop_waiting();
        shown.reasoning = true;
        self.at_line_start = text.ends_with('\n');
        let paint = shown.screen.paint;
        // Line by line, for a terminal that wraps must not paint to its edge.
        let lines: Vec<_> = harmless(text)
            .split('\n')
            .map(|line| paint.paint(Look::Dim, line).to_string())
            .collect();
        print(&lines.join("\n"))
    }

    /// Ends the last line, if one was begun.
    pub(super) fn end(&mut self) -> Result<(), ExitCode> {
        let mut out = String::new();
        if let Some(shown) = &mut self.shown {
            shown.stop_waiting();
            out += &shown.markdown.finish();
        }
        if !self.at_line_start {
            out.push('\n');
        }
        self.at_line_start = true;
        print(&out)
    }
}

impl Shown {
    fn stop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.finish_and_clear();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

fn waiting(whom: &str) -> Option<ProgressBar> {
    if say::is_quiet() || !io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").ok()?;
    let waiting = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(whom.to_owned());
    waiting.enable_steady_tick(Duration::from_millis(100));
    Some(waiting)
}

/// Without signs that move the cursor or change the terminal: who answers must not.
fn harmless(text: &str) -> String {
    text.chars()
        .filter(|sign| !sign.is_control() || matches!(sign, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_cannot_touch_the_terminal() {
        assert_eq!(
            harmless("a\u{1b}]0;title\u{7}\r\nb\t\u{9b}31mc\u{8}"),
            "a]0;title\nb\t31mc"
        );
    }
}
