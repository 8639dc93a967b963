//! How the pieces of a call's arguments make the arguments.
//!
//! Nearly always each piece is appended. Some providers begin with a placeholder, `{}`, and then send the arguments
//! (LiteLLM #4537), and some repeat the complete arguments at the end. After a complete object nothing can be
//! appended that leaves it valid, so these pieces are recognised by what is there already.

use serde_json::Value;

use super::json_progress::JsonProgress;

/// How a piece changes the arguments of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentsChange {
    /// The piece continues the arguments.
    Append,
    /// The piece takes the place of the arguments so far, which are a placeholder.
    Replace,
    /// The piece repeats the arguments, which stay as they are.
    Keep,
}

/// What is known of the arguments of one call, apart from their text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ArgumentsProgress {
    json: JsonProgress,
    is_placeholder: bool,
}

impl ArgumentsProgress {
    /// Returns whether nothing but white space has arrived.
    pub(crate) fn is_empty(self) -> bool {
        self.json.is_empty()
    }

    /// Returns whether the arguments are a complete object.
    pub(crate) fn is_complete(self) -> bool {
        self.json.is_complete()
    }

    /// Returns whether the arguments are an object without members that arrived in one piece, so that other
    /// arguments can take its place.
    pub(crate) fn is_placeholder(self) -> bool {
        self.is_placeholder
    }

    /// Returns how `piece` changes the arguments. `known` returns the text of the arguments so far.
    pub(crate) fn change<'a>(self, piece: &str, known: impl FnOnce() -> &'a str) -> ArgumentsChange {
        if !self.json.is_complete() || is_blank(piece) {
            ArgumentsChange::Append
        } else if self.is_placeholder {
            ArgumentsChange::Replace
        } else if is_same_object(known(), piece) {
            ArgumentsChange::Keep
        } else {
            ArgumentsChange::Append
        }
    }

    /// Adds a piece that changes the arguments in the given way.
    pub(crate) fn push(&mut self, piece: &str, change: ArgumentsChange) {
        match change {
            ArgumentsChange::Append => {}
            ArgumentsChange::Replace => *self = Self::default(),
            ArgumentsChange::Keep => return,
        }
        let is_first = self.json.is_empty();
        self.json.push(piece);
        self.is_placeholder =
            self.json.is_complete() && (self.is_placeholder || is_first && has_no_member(piece));
    }
}

impl ArgumentsChange {
    /// Changes the text of the arguments with a piece.
    pub(crate) fn apply(self, arguments: &mut String, piece: String) {
        match self {
            Self::Append if !arguments.is_empty() => arguments.push_str(&piece),
            Self::Append | Self::Replace => *arguments = piece,
            Self::Keep => {}
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim_ascii().is_empty()
}

/// Returns whether an object has no members.
fn has_no_member(object: &str) -> bool {
    let inner = object.trim_ascii().strip_prefix('{');
    inner
        .and_then(|inner| inner.strip_suffix('}'))
        .is_some_and(is_blank)
}

/// Returns whether two texts are the same JSON object, in any notation.
fn is_same_object(known: &str, piece: &str) -> bool {
    /// No notation is longer by more than this factor, except for white space. Pieces that are shorter are not compared,
    /// so that the time for all of them is linear.
    const LONGEST_NOTATION: usize = 8;
    if known.len() / LONGEST_NOTATION > piece.len() {
        return false;
    }
    let (known, piece) = (known.trim_ascii(), piece.trim_ascii());
    if known == piece {
        return true;
    }
    let parse = |text: &str| serde_json::from_str(text).ok().filter(Value::is_object);
    parse(piece).is_some_and(|piece| parse(known) == Some(piece))
}
