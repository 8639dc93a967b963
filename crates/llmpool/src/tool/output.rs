//! What the model gets from a tool.

use std::fmt;

use llmpool_core::chat::Part;
use serde::Serialize;

use crate::function::{as_text, collect_attachments};

/// What the model gets from a tool: text or JSON, and images.
///
/// `Debug` shows only sizes.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ToolOutput {
    /// The result: a text as it is, any other value as JSON. In the place of an image stands `[image 1]`.
    pub text: String,
    /// The images, audio and files of the result. They follow in a message of their own, because the result of a tool
    /// can only be text.
    pub attachments: Vec<Part>,
    /// Whether the tool failed, so that `text` is an error.
    pub is_error: bool,
}

impl ToolOutput {
    pub(super) fn of<T: Serialize, E: fmt::Display>(result: &Result<T, E>) -> Self {
        let value = match result {
            Ok(value) => value,
            Err(error) => return Self::error(error.to_string()),
        };
        let mut attachments = Vec::new();
        let write = || as_text(value).map_or_else(|| serde_json::to_string(value), Ok);
        let text = match collect_attachments(&mut attachments, write) {
            Ok(text) => text,
            Err(error) => return Self::error(format!("the result cannot be written as JSON: {error}")),
        };
        Self {
            text,
            attachments,
            is_error: false,
        }
    }

    pub(super) fn error(reason: impl fmt::Display) -> Self {
        Self {
            text: format!("error: {reason}"),
            attachments: Vec::new(),
            is_error: true,
        }
    }

    /// Cuts the text after `max` bytes at most, and notes that in the text.
    pub(super) fn cut(mut self, max: usize) -> Self {
        let length = self.text.len();
        if length > max {
            let kept = self.text.floor_char_boundary(max);
            self.text.truncate(kept);
            self.text
                .push_str(&format!("\n[cut: {kept} of {length} bytes are shown]"));
        }
        self
    }
}

impl fmt::Debug for ToolOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolOutput")
            .field("bytes", &self.text.len())
            .field("attachments", &self.attachments.len())
            .field("is_error", &self.is_error)
            .finish()
    }
}
