//! Prints an answer: with coloured Markdown on a terminal, unchanged in a file or a pipe.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;
use crate::terminal::markdown::MarkdownPainter;
use crate::terminal::{Painter, Screen, Style};

/// Prints one answer to stdout, piece by piece.
pub(super) struct AnswerPrinter {
    /// State for output to a terminal. `None` if stdout is not a terminal, so that text is printed unchanged.
    terminal: Option<TerminalAnswer>,
    at_line_start: bool,
}

struct TerminalAnswer {
    markdown: MarkdownPainter,
    painter: Painter,
    /// A spinner on stderr, shown until the first piece of the answer arrives.
    spinner: Option<ProgressBar>,
    /// Whether the last printed piece was reasoning, not text of the answer.
    is_reasoning: bool,
}

impl AnswerPrinter {
    /// Creates a printer for one answer. If stdout and stderr are terminals, shows a spinner with the model's
    /// name until the first piece of the answer arrives.
    pub(super) fn start(model: &str) -> Self {
        let painter = Screen::stdout().painter;
        let terminal = io::stdout().is_terminal().then(|| TerminalAnswer {
            markdown: MarkdownPainter::new(painter),
            painter,
            spinner: spinner(model),
            is_reasoning: false,
        });
        Self {
            terminal,
            at_line_start: true,
        }
    }

    /// Prints a piece of the answer's text. On a terminal, colours Markdown and removes control characters.
    pub(super) fn print_text(&mut self, text: &str) -> Result<(), ExitCode> {
        if text.is_empty() {
            return Ok(());
        }
        let out = match &mut self.terminal {
            None => text.to_owned(),
            Some(terminal) => {
                terminal.clear_spinner();
                let separator = if std::mem::take(&mut terminal.is_reasoning) {
                    "\n\n"
                } else {
                    ""
                };
                let text = without_control_characters(text);
                format!("{separator}{}", terminal.markdown.push(&text))
            }
        };
        self.at_line_start = text.ends_with('\n');
        output::print(&out)
    }

    /// Prints a piece of the model's reasoning, dimmed. Prints nothing if stdout is not a terminal, because
    /// reasoning is not part of the answer.
    pub(super) fn print_reasoning(&mut self, text: &str) -> Result<(), ExitCode> {
        let Some(terminal) = self.terminal.as_mut().filter(|_| !text.is_empty()) else {
            return Ok(());
        };
        terminal.clear_spinner();
        terminal.is_reasoning = true;
        self.at_line_start = text.ends_with('\n');
        // Styled line by line: a style that spans a line break would colour the rest of the wrapped line.
        let lines: Vec<_> = without_control_characters(text)
            .split('\n')
            .map(|line| terminal.painter.paint(Style::Dim, line).to_string())
            .collect();
        output::print(&lines.join("\n"))
    }

    /// Ends the answer: prints text that the Markdown painter has held back, and ends the current line.
    pub(super) fn finish(&mut self) -> Result<(), ExitCode> {
        let mut out = String::new();
        if let Some(terminal) = &mut self.terminal {
            terminal.clear_spinner();
            out += &terminal.markdown.finish();
        }
        if !self.at_line_start {
            out.push('\n');
        }
        self.at_line_start = true;
        output::print(&out)
    }
}

impl TerminalAnswer {
    fn clear_spinner(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for TerminalAnswer {
    fn drop(&mut self) {
        self.clear_spinner();
    }
}

fn spinner(model: &str) -> Option<ProgressBar> {
    if output::is_quiet() || !io::stderr().is_terminal() {
        return None;
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").ok()?;
    let spinner = ProgressBar::new_spinner()
        .with_style(style)
        .with_message(model.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    Some(spinner)
}

/// Removes control characters except line feeds and tabs, so that an answer cannot move the cursor or
/// reconfigure the terminal.
fn without_control_characters(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_an_answer_are_removed() {
        assert_eq!(
            without_control_characters("a\u{1b}]0;title\u{7}\r\nb\t\u{9b}31mc\u{8}"),
            "a]0;title\nb\t31mc"
        );
    }
}
