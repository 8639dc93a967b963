//! Where questions are typed: several lines, what was said before, and completion.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, Completer, CompletionResult, EditCommand, Emacs, FileBackedHistory, Highlighter, KeyCode,
    KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus,
    Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, StyledText, Suggestion, ValidationResult, Validator,
    default_emacs_keybindings,
};

use super::command::COMMANDS;
use super::paste::{Keys, Pasted};
use crate::terminal::Screen;
use crate::{exit, say, settings};

/// The most questions that are remembered.
const MOST_REMEMBERED: usize = 1_000;

/// More than these nobody looks through.
const MOST_SUGGESTED: usize = 100;

/// A line editor on the terminal.
pub(super) struct Editor {
    lines: Reedline,
    pasted: Pasted,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Said(String),
    /// An empty line, or one that cannot be sent, which was told.
    Nothing,
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or nobody is there any more.
    Over,
}

impl Editor {
    /// `models` are completed.
    pub(super) fn new(models: Vec<String>) -> Self {
        const MENU: &str = "completions";
        let pasted = Pasted::default();
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
        let keys = Keys {
            emacs: Emacs::new(keys),
            pasted: pasted.clone(),
        };
        let menu = ColumnarMenu::default().with_name(MENU).with_columns(1);
        let lines = Reedline::create()
            .with_ansi_colors(Screen::stdout().paint.colours)
            .use_bracketed_paste(true)
            .with_edit_mode(Box::new(keys))
            .with_highlighter(Box::new(Signs))
            .with_validator(Box::new(Whole))
            .with_completer(Box::new(Names { models }))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_history(Box::new(history()))
            .with_history_exclusion_prefix(Some(" ".to_owned()));
        Self { lines, pasted }
    }

    /// Waits for a question, on a thread of its own.
    pub(super) async fn read(mut self) -> Result<(Self, Input), ExitCode> {
        let read = tokio::task::spawn_blocking(move || {
            let read = self.lines.read_line(&Sign);
            // What was said is remembered also where the program is killed.
            let _ = self.lines.sync_history();
            (self, read)
        });
        let Ok((editor, read)) = read.await else {
            return Err(exit::failed("the line editor broke off"));
        };
        let input = match read {
            Ok(Signal::Success(text)) => editor.heard(&text),
            Ok(Signal::CtrlC) => Input::Interrupted,
            Ok(_) => Input::Over,
            Err(error) => return Err(exit::failed(&format!("the terminal cannot be used: {error}"))),
        };
        Ok((editor, input))
    }

    fn heard(&self, text: &str) -> Input {
        match self.pasted.put_back(&text.replace("\\\n", "\n")) {
            Ok(text) if text.trim().is_empty() => Input::Nothing,
            Ok(text) => Input::Said(text),
            Err(gone) => {
                say::error(format!("{gone} was pasted in an earlier talk and is gone"));
                say::about_the_error("hint:", "paste it again");
                Input::Nothing
            }
        }
    }
}

/// What was said in earlier talks, in a file that only its owner reads; where that cannot be, what was said in this one.
fn history() -> FileBackedHistory {
    let kept = settings::history_file().and_then(|path| {
        let kept = private(&path).and_then(|()| {
            FileBackedHistory::with_file(MOST_REMEMBERED, path.clone()).map_err(io::Error::other)
        });
        kept.inspect_err(|error| say::warning(format!("{}: no history is kept: {error}", path.display())))
            .ok()
    });
    kept.unwrap_or_default()
}

fn private(path: &PathBuf) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Whether a question is whole.
struct Whole;

impl Validator for Whole {
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

/// Completes commands, and behind `/model` the names of models.
struct Names {
    models: Vec<String>,
}

impl Names {
    fn matching(&self, typed: &str) -> Vec<Suggestion> {
        let suggestion = |from: usize, value: &str, description: Option<&str>| Suggestion {
            value: value.to_owned(),
            description: description.map(str::to_owned),
            span: Span::new(from, typed.len()),
            ..Suggestion::default()
        };
        if let Some(name) = typed.strip_prefix("/model ") {
            let models = self.models.iter().filter(|model| model.contains(name.trim()));
            return models
                .map(|model| suggestion("/model ".len(), model, None))
                .collect();
        }
        if let Some(path) = typed.strip_prefix("/file ") {
            let paths = paths(path.trim_start());
            let from = typed.len() - path.trim_start().len();
            return paths.iter().map(|path| suggestion(from, path, None)).collect();
        }
        if !typed.starts_with('/') {
            return Vec::new();
        }
        let commands = COMMANDS.iter().filter(|(name, ..)| name.starts_with(typed));
        commands
            .map(|(name, _, what)| suggestion(0, name, Some(what)))
            .collect()
    }
}

/// What is there that begins so, folders with a slash at the end.
fn paths(begun: &str) -> Vec<String> {
    let (folder, name) = begun.split_at(begun.rfind('/').map_or(0, |slash| slash + 1));
    let place = if folder.is_empty() { "." } else { folder };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let found = entry.file_name().into_string().ok()?;
        let is_meant = found.starts_with(name) && (!found.starts_with('.') || name.starts_with('.'));
        let slash = if entry.path().is_dir() { "/" } else { "" };
        is_meant.then(|| format!("{folder}{found}{slash}"))
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found.truncate(MOST_SUGGESTED);
    found
}

impl Completer for Names {
    fn complete(&mut self, line: &str, at: usize) -> CompletionResult {
        CompletionResult::fresh(self.matching(line.get(..at).unwrap_or(line)))
    }
}

/// Commands in the colour of commands, questions in the terminal's own.
struct Signs;

impl Highlighter for Signs {
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

/// `> `, and blanks before further lines.
struct Sign;

impl Prompt for Sign {
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
        let found = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing found for ",
        };
        Cow::Owned(format!("({found}{}) ", search.term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_whole_unless_it_says_otherwise() {
        let is_whole = |text| matches!(Whole.validate(text), ValidationResult::Complete);
        for whole in [
            "",
            "one",
            "one\ntwo",
            "a \\\\",
            "```\ncode\n```",
            "a ``` in a line",
        ] {
            assert!(is_whole(whole), "{whole:?}");
        }
        for open in ["one \\", "```", "see:\n```rust\nlet a;"] {
            assert!(!is_whole(open), "{open:?}");
        }
    }

    #[test]
    fn commands_and_models_are_completed() {
        let names = Names {
            models: vec!["openai/gpt-4o".to_owned(), "local/smol".to_owned()],
        };
        let found = |typed| -> Vec<String> {
            names
                .matching(typed)
                .into_iter()
                .map(|found| found.value)
                .collect()
        };
        assert_eq!(found("/s"), ["/system", "/save"]);
        assert_eq!(found("/model sm"), ["local/smol"]);
        assert_eq!(found("/model "), ["openai/gpt-4o", "local/smol"]);
        assert!(found("hello").is_empty() && found("").is_empty());
        // Tests run in the folder of their crate.
        assert_eq!(found("/file Cargo"), ["Cargo.toml"]);
        assert_eq!(found("/file  src/comm"), ["src/commands/"]);
        assert!(found("/file nowhere/").is_empty());
    }
}
