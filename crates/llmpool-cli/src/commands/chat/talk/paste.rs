//! Long texts that are pasted into a question: shown as one short sign, sent whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossterm::event::Event;
use reedline::{EditCommand, EditMode, Emacs, PromptEditMode, ReedlineEvent, ReedlineRawEvent};

/// A paste of at most so many lines and signs is shown as it is, and can be edited.
const MOST_LINES: usize = 10;
const MOST_SIGNS: usize = 1_000;

/// What was pasted, in order. A clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Pasted(Arc<Mutex<Vec<String>>>);

/// Keys as in Emacs, and long pastes as a sign.
pub(super) struct Keys {
    pub(super) emacs: Emacs,
    pub(super) pasted: Pasted,
}

impl EditMode for Keys {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        let event = Event::from(event);
        if let Event::Paste(text) = &event {
            return ReedlineEvent::Edit(vec![EditCommand::InsertString(self.pasted.shown(text))]);
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

impl Pasted {
    /// What stands in the question for this.
    fn shown(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if lines <= MOST_LINES && text.len() <= MOST_SIGNS {
            return text;
        }
        let mut pasted = self.lock();
        pasted.push(text);
        sign(pasted.len(), lines)
    }

    /// The question with everything in its place, or a sign that stands for nothing: it is from an earlier talk.
    pub(super) fn put_back(&self, question: &str) -> Result<String, String> {
        let pasted = self.lock();
        let mut whole = String::with_capacity(question.len());
        let mut rest = question;
        while let Some((before, sign, after)) = next_sign(rest) {
            whole += before;
            whole += pasted
                .get(number(sign).wrapping_sub(1))
                .filter(|text| self::sign(number(sign), text.lines().count()) == sign)
                .ok_or_else(|| sign.to_owned())?;
            rest = after;
        }
        Ok(whole + rest)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sign(number: usize, lines: usize) -> String {
    match lines {
        1 => format!("[pasted text {number}: 1 line]"),
        lines => format!("[pasted text {number}: {lines} lines]"),
    }
}

/// What is before the next sign, the sign, and what is behind it.
fn next_sign(text: &str) -> Option<(&str, &str, &str)> {
    const BEGIN: &str = "[pasted text ";
    let mut from = 0;
    while let Some(at) = text[from..].find(BEGIN).map(|at| from + at) {
        let end = at + text[at..].find(']')? + 1;
        let sign = &text[at..end];
        let inside = sign[BEGIN.len()..].trim_end_matches("s]").trim_end_matches(']');
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (number, lines) = inside.split_once(": ").unwrap_or_default();
        if digits(number) && lines.strip_suffix(" line").is_some_and(digits) {
            return Some((&text[..at], sign, &text[end..]));
        }
        from = at + BEGIN.len();
    }
    None
}

fn number(sign: &str) -> usize {
    let digits = sign.trim_start_matches(|sign: char| !sign.is_ascii_digit());
    let end = digits.find(':').unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_paste_is_a_sign_and_comes_back_whole() {
        let pasted = Pasted::default();
        let long: String = (0..2000).map(|line| format!("line {line}\r\n")).collect();
        assert_eq!(pasted.shown("two\rlines"), "two\nlines");
        assert_eq!(pasted.shown(&long), "[pasted text 1: 2000 lines]");
        assert_eq!(pasted.shown(&"x".repeat(1001)), "[pasted text 2: 1 line]");
        let question = "Sum up [pasted text 1: 2000 lines], then [pasted text 2: 1 line]!";
        let whole = format!(
            "Sum up {}, then {}!",
            long.replace("\r\n", "\n"),
            "x".repeat(1001)
        );
        assert_eq!(pasted.put_back(question), Ok(whole));
    }

    #[test]
    fn what_only_looks_like_a_sign_stays_and_what_is_gone_is_told() {
        let pasted = Pasted::default();
        for text in [
            "",
            "[pasted text ",
            "[pasted text one: 2 lines]",
            "[pasted text 1: lines]",
            "a [b] c",
        ] {
            assert_eq!(pasted.put_back(text).as_deref(), Ok(text));
        }
        let gone = "[pasted text 1: 12 lines]";
        assert_eq!(pasted.put_back(&format!("see {gone}")), Err(gone.to_owned()));
    }
}
