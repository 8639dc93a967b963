//! The line editor for prompts, with multi-line input, history and completion.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, EditCommand, Emacs, FileBackedHistory, Highlighter, KeyCode, KeyModifiers, MenuBuilder,
    Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, StyledText, ValidationResult, Validator, default_emacs_keybindings,
};

use super::completion::ChatCompleter;
use super::paste::{PasteBuffer, PasteEditMode};
use crate::blocking::run_blocking;
use crate::context::paths;
use crate::output;
use crate::problem::{self, Problem};
use crate::terminal::Screen;

/// Maximum number of prompts in the history.
const MAX_HISTORY: usize = 1_000;

/// The line editor that reads prompts from the terminal.
pub(super) struct Editor {
    lines: Reedline,
    pasted: PasteBuffer,
}

/// The result of reading one input from the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EditorInput {
    Text(String),
    /// There is nothing to send: the input is blank, or it is invalid and the error has already been printed.
    Empty,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The user pressed Ctrl-D, or the terminal was closed.
    End,
}

impl Editor {
    /// Creates an editor. The Tab key completes the names in `models` after `/model`.
    pub(super) fn new(models: Vec<String>) -> Self {
        const MENU: &str = "completions";
        let pasted = PasteBuffer::default();
        let mut keys = default_emacs_keybindings();
        let new_line = || ReedlineEvent::Edit(vec![EditCommand::InsertNewline]);
        keys.add_binding(KeyModifiers::ALT, KeyCode::Enter, new_line());
        keys.add_binding(KeyModifiers::SHIFT, KeyCode::Enter, new_line());
        keys.add_binding(
            KeyModifiers::NONE,
            KeyCode::Tab,
            ReedlineEvent::UntilFound(vec![
                ReedlineEvent::Menu(MENU.to_owned()),
                ReedlineEvent::MenuNext,
            ]),
        );
        let edit_mode = PasteEditMode {
            emacs: Emacs::new(keys),
            pasted: pasted.clone(),
        };
        let menu = ColumnarMenu::default().with_name(MENU).with_columns(1);
        let lines = Reedline::create()
            .with_ansi_colors(Screen::stdout().painter.colours)
            .use_bracketed_paste(true)
            .with_edit_mode(Box::new(edit_mode))
            .with_highlighter(Box::new(CommandHighlighter))
            .with_validator(Box::new(MultilineValidator))
            .with_completer(Box::new(ChatCompleter { models }))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_history(Box::new(open_history()))
            .with_history_exclusion_prefix(Some(" ".to_owned()));
        Self { lines, pasted }
    }

    /// Moves the editor to a blocking thread and reads the next input there. Returns the editor and the
    /// input.
    pub(super) async fn read(mut self) -> Result<(Self, EditorInput), ExitCode> {
        let (editor, signal) = run_blocking(move || {
            let signal = self.lines.read_line(&ChatPrompt);
            // Saved after every prompt, so that the history survives a killed process.
            let _ = self.lines.sync_history();
            (self, signal)
        })
        .await;
        let input = match signal {
            Ok(Signal::Success(text)) => editor.expand(&text),
            Ok(Signal::CtrlC) => EditorInput::Interrupted,
            Ok(_) => EditorInput::End,
            Err(error) => {
                return Err(problem::failed(format!("cannot read from the terminal: {error}")));
            }
        };
        Ok((editor, input))
    }

    /// Joins lines that end in a backslash with the next line, and replaces the placeholders of pasted texts
    /// by the texts.
    fn expand(&self, text: &str) -> EditorInput {
        match self.pasted.expand(&text.replace("\\\n", "\n")) {
            Ok(text) if text.trim().is_empty() => EditorInput::Empty,
            Ok(text) => EditorInput::Text(text),
            Err(placeholder) => {
                Problem::new(format!(
                    "{placeholder} was pasted in an earlier chat and is not available"
                ))
                .with_hint("paste the text again")
                .print();
                EditorInput::Empty
            }
        }
    }
}

/// Opens the file with the prompt history, or creates a file that only its owner can access. On failure,
/// prints a warning and keeps the history in memory.
fn open_history() -> FileBackedHistory {
    let history = paths::prompt_history().and_then(|path| {
        create_private(&path)
            .and_then(|()| FileBackedHistory::with_file(MAX_HISTORY, path.clone()).map_err(io::Error::other))
            .inspect_err(|error| {
                output::warning(format!("{}: history is not saved: {error}", path.display()));
            })
            .ok()
    });
    history.unwrap_or_default()
}

fn create_private(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Decides whether Enter sends the input. After a trailing backslash or inside an open code fence, Enter
/// starts a new line instead.
struct MultilineValidator;

impl Validator for MultilineValidator {
    fn validate(&self, line: &str) -> ValidationResult {
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let fences = line
            .lines()
            .filter(|line| line.trim_start().starts_with("```"))
            .count();
        match backslashes % 2 == 1 || fences % 2 == 1 {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Complete,
        }
    }
}

/// Colours the slash command at the start of the input, such as `/model`.
struct CommandHighlighter;

impl Highlighter for CommandHighlighter {
    fn highlight(&self, line: &str, _: usize) -> StyledText {
        let mut styled = StyledText::new();
        let end = match line.starts_with('/') {
            true => line.find(char::is_whitespace).unwrap_or(line.len()),
            false => 0,
        };
        let (command, rest) = line.split_at(end);
        styled.push((Style::new().fg(Color::Cyan), command.to_owned()));
        styled.push((Style::new(), rest.to_owned()));
        styled
    }
}

/// The text before each line of the input: `> ` before the first line, two spaces before the following lines.
struct ChatPrompt;

impl Prompt for ChatPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("  ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let prefix = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "no match for ",
        };
        Cow::Owned(format!("({prefix}{}) ", search.term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_continues_after_backslash_and_in_open_fence() {
        let is_complete = |text| matches!(MultilineValidator.validate(text), ValidationResult::Complete);
        for complete in [
            "",
            "one",
            "one\ntwo",
            "a \\\\",
            "```\ncode\n```",
            "a ``` in a line",
        ] {
            assert!(is_complete(complete), "{complete:?}");
        }
        for incomplete in ["one \\", "```", "see:\n```rust\nlet a;"] {
            assert!(!is_complete(incomplete), "{incomplete:?}");
        }
    }
}
