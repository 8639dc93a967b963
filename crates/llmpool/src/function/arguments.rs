//! The arguments of a call, rendered for the prompt.
//!
//! A single text is the user message as it is. Otherwise the user message is one JSON object with the names and
//! values of the arguments. Images, audio and files follow as parts of their own; in their place in the JSON stands a
//! text such as `[image 1]`.

use llmpool_core::chat::{Content, Part};
use serde::Serialize;

use super::attachment;
use super::description::Piece;
use super::error::ArgumentError;
use super::text_value::as_text;

/// The arguments of one call, in the order of the parameters.
#[derive(Default)]
pub(super) struct Arguments {
    arguments: Vec<Argument>,
    /// The images, audio and files of all arguments, in the order in which they are written.
    attachments: Vec<Part>,
}

struct Argument {
    name: &'static str,
    value: Written,
}

/// An argument in the form in which the prompt contains it.
enum Written {
    Text(String),
    Json(String),
}

impl Argument {
    /// Returns the value as the prompt contains it: a text as it is, any other value as JSON.
    fn text(&self) -> &str {
        match &self.value {
            Written::Text(text) | Written::Json(text) => text,
        }
    }
}

impl Arguments {
    /// Renders the value at once, so that the call borrows nothing of it.
    pub(super) fn push<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ArgumentError> {
        let write = || match as_text(value) {
            Some(text) => Ok(Written::Text(text)),
            None => serde_json::to_string(value).map(Written::Json),
        };
        let written = attachment::collect(&mut self.attachments, write);
        let value = written.map_err(|error| ArgumentError::new(name, error))?;
        self.arguments.push(Argument { name, value });
        Ok(())
    }

    /// Returns the system prompt: the pieces, with arguments in the place of their names.
    pub(super) fn instructions(&self, pieces: &[Piece]) -> String {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Argument(name) => {
                    let argument = self.arguments.iter().find(|argument| argument.name == *name);
                    text.push_str(argument.map(Argument::text).unwrap_or_default());
                }
            }
        }
        text
    }

    /// Returns the user message: all arguments that the instructions do not contain. `None` if there are none, nor
    /// attachments.
    pub(super) fn into_user_content(mut self, pieces: &[Piece]) -> Option<Content> {
        self.arguments
            .retain(|argument| !pieces.contains(&Piece::Argument(argument.name)));
        let is_empty = self.arguments.is_empty();
        let text = match self.arguments.pop() {
            None => String::new(),
            Some(Argument {
                value: Written::Text(text),
                ..
            }) if self.arguments.is_empty() => text,
            Some(last) => {
                self.arguments.push(last);
                json_object(&self.arguments)
            }
        };
        if self.attachments.is_empty() {
            return (!is_empty).then(|| text.into());
        }
        let text = (!text.is_empty()).then(|| Part::text(text));
        Some(Content::Parts(text.into_iter().chain(self.attachments).collect()))
    }

    /// Returns the message that consists of the first argument alone: a text as it is, any other value as JSON.
    pub(super) fn into_content(self) -> Content {
        let text = self
            .arguments
            .first()
            .map(Argument::text)
            .unwrap_or_default()
            .to_owned();
        if self.attachments.is_empty() {
            return text.into();
        }
        Content::Parts([Part::text(text)].into_iter().chain(self.attachments).collect())
    }
}

fn json_object(arguments: &[Argument]) -> String {
    let mut json = Vec::with_capacity(arguments.iter().map(|argument| argument.text().len() + 32).sum());
    // Cannot fail: every text can be written as JSON.
    let write_text = |json: &mut Vec<u8>, text: &str| drop(serde_json::to_writer(json, text));
    for argument in arguments {
        json.push(if json.is_empty() { b'{' } else { b',' });
        write_text(&mut json, argument.name);
        json.push(b':');
        match &argument.value {
            Written::Text(text) => write_text(&mut json, text),
            Written::Json(text) => json.extend_from_slice(text.as_bytes()),
        }
    }
    json.push(b'}');
    String::from_utf8(json).unwrap_or_default()
}
