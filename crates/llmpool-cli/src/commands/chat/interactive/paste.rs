//! Handles long pasted text: the input line shows a short placeholder, which is replaced by the text when the
//! prompt is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossterm::event::Event;
use reedline::{EditCommand, EditMode, Emacs, PromptEditMode, ReedlineEvent, ReedlineRawEvent};

use crate::format;

/// Maximum number of lines of a paste that is inserted as text. A longer paste is inserted as a placeholder.
const MAX_INLINE_LINES: usize = 10;
/// Maximum length in bytes of a paste that is inserted as text. A longer paste is inserted as a placeholder.
const MAX_INLINE_BYTES: usize = 1_000;

/// The pasted texts for which the input line shows placeholders. Placeholder 1 stands for the first text.
/// Clones share the same texts.
#[derive(Clone, Debug, Default)]
pub(super) struct PasteBuffer(Arc<Mutex<Vec<String>>>);

/// The Emacs key bindings of the editor, extended so that a long paste is inserted as a placeholder.
pub(super) struct PasteEditMode {
    pub(super) emacs: Emacs,
    pub(super) pasted: PasteBuffer,
}

impl EditMode for PasteEditMode {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        let event = Event::from(event);
        if let Event::Paste(text) = &event {
            return ReedlineEvent::Edit(vec![EditCommand::InsertString(self.pasted.insert(text))]);
        }
        match ReedlineRawEvent::try_from(event) {
            Ok(event) => self.emacs.parse_event(event),
            Err(()) => ReedlineEvent::None,
        }
    }

    fn edit_mode(&self) -> PromptEditMode {
        self.emacs.edit_mode()
    }
}

impl PasteBuffer {
    /// Returns the text to insert into the input line: the pasted text itself if it is short, otherwise a
    /// placeholder.
    fn insert(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if lines <= MAX_INLINE_LINES && text.len() <= MAX_INLINE_BYTES {
            return text;
        }
        let mut pasted = self.lock();
        pasted.push(text);
        placeholder(pasted.len(), lines)
    }

    /// Returns the prompt with each placeholder replaced by its pasted text.
    ///
    /// # Errors
    ///
    /// Returns the first placeholder whose text is unknown. The prompt history can contain such placeholders
    /// from earlier chats.
    pub(super) fn expand(&self, prompt: &str) -> Result<String, String> {
        let pasted = self.lock();
        let mut expanded = String::with_capacity(prompt.len());
        let mut rest = prompt;
        while let Some((before, found, after)) = next_placeholder(rest) {
            expanded += before;
            expanded += pasted
                .get(number(found).wrapping_sub(1))
                .filter(|text| placeholder(number(found), text.lines().count()) == found)
                .ok_or_else(|| found.to_owned())?;
            rest = after;
        }
        Ok(expanded + rest)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn placeholder(number: usize, lines: usize) -> String {
    format!("[pasted text {number}: {}]", format::count(lines, "line"))
}

/// Finds the first placeholder in the text. Returns the text before the placeholder, the placeholder, and the
/// text after it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    const PREFIX: &str = "[pasted text ";
    let mut from = 0;
    while let Some(start) = text[from..].find(PREFIX).map(|start| from + start) {
        let end = start + text[start..].find(']')? + 1;
        let found = &text[start..end];
        let inside = found[PREFIX.len()..].trim_end_matches("s]").trim_end_matches(']');
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (number, lines) = inside.split_once(": ").unwrap_or_default();
        if is_number(number) && lines.strip_suffix(" line").is_some_and(is_number) {
            return Some((&text[..start], found, &text[end..]));
        }
        from = start + PREFIX.len();
    }
    None
}

fn number(placeholder: &str) -> usize {
    let digits = placeholder.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(':').unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paste_becomes_placeholder_and_is_expanded() {
        let pasted = PasteBuffer::default();
        let long: String = (0..2000).map(|line| format!("line {line}\r\n")).collect();
        assert_eq!(pasted.insert("two\rlines"), "two\nlines");
        assert_eq!(pasted.insert(&long), "[pasted text 1: 2000 lines]");
        assert_eq!(pasted.insert(&"x".repeat(1001)), "[pasted text 2: 1 line]");
        let prompt = "Sum up [pasted text 1: 2000 lines], then [pasted text 2: 1 line]!";
        let expanded = format!(
            "Sum up {}, then {}!",
            long.replace("\r\n", "\n"),
            "x".repeat(1001)
        );
        assert_eq!(pasted.expand(prompt), Ok(expanded));
    }

    #[test]
    fn text_that_resembles_a_placeholder_is_kept() {
        let pasted = PasteBuffer::default();
        for text in [
            "",
            "[pasted text ",
            "[pasted text one: 2 lines]",
            "[pasted text 1: lines]",
            "a [b] c",
        ] {
            assert_eq!(pasted.expand(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn placeholder_without_text_is_an_error() {
        let placeholder = "[pasted text 1: 12 lines]";
        let pasted = PasteBuffer::default();
        assert_eq!(
            pasted.expand(&format!("see {placeholder}")),
            Err(placeholder.to_owned())
        );
    }
}
