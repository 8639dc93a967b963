//! Errors of function calls.
//!
//! `Display` and `Debug` show no text that the model wrote, because logs must not contain it. The methods of
//! [`UnusableReply`] return it.

use std::fmt;

use llmpool_core::chat::{Message, Usage};
use llmpool_core::structured::{Mismatch, ReplyError, SchemaError};

use crate::error::Error;
use crate::report::{CallReport, sum_of_usages};

/// The error of a function call.
#[derive(Debug)]
#[non_exhaustive]
pub enum FunctionError {
    /// A chat call failed.
    Call {
        /// The error of the chat call, with its report.
        error: Error,
        /// What the function call had done before.
        progress: Box<Progress>,
    },
    /// No JSON schema can express the type that the function returns, or the arguments of a tool.
    Schema(SchemaError),
    /// An argument or an example cannot be written as JSON. Nothing was sent.
    Argument(ArgumentError),
    /// The reply was truncated because it reached the token limit. A higher `max_tokens` helps.
    Truncated(Box<UnusableReply>),
    /// The provider's content filter ended the reply.
    Filtered(Box<UnusableReply>),
    /// The model refused to answer. [`UnusableReply::text`] is the text of the refusal.
    Refused(Box<UnusableReply>),
    /// The reply contains no text.
    Empty(Box<UnusableReply>),
    /// The reply is not a value of the type that the function returns, and the repairs were used up.
    Invalid(Box<UnusableReply>),
    /// The `check` of the function rejected the value, and the repairs were used up.
    Rejected(Box<UnusableReply>),
    /// The model called tools in more rounds than the call allows: see [`Call::rounds`](super::Call::rounds).
    TooManyRounds(Box<UnusableReply>),
    /// The conversation with the results of tools or with rejected replies no longer fits into the context window
    /// of the model. [`UnusableReply::reason`] contains the estimated number of tokens.
    ContextWindow(Box<UnusableReply>),
    /// The call was cancelled through its [`Cancellation`](super::Cancellation). [`UnusableReply::reason`] is the
    /// reason that the program gave.
    Cancelled(Box<UnusableReply>),
}

/// What a function call had done before it failed.
///
/// `Debug` shows no content.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The reports of the chat calls, in chronological order. A failed chat call is not among them: its report is in its
    /// error. A chat call that was cancelled is, with unknown usage.
    pub calls: Vec<CallReport>,
    /// The messages without the system prompt and the examples: the input, tool calls with their results, and replies
    /// that were to be repaired. Every tool call has a result, so the messages can be sent again.
    pub history: Vec<Message>,
}

/// A reply that cannot be returned, or the reason why there is none.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct UnusableReply {
    text: String,
    path: Option<String>,
    reason: String,
    shown: String,
    progress: Progress,
}

impl UnusableReply {
    /// `shown` is the reason without text that the model wrote.
    pub(super) fn new(text: impl Into<String>, reason: impl Into<String>, shown: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            path: None,
            reason: reason.into(),
            shown: shown.into(),
            progress: Progress::default(),
        }
    }

    fn of_mismatch(text: String, mismatch: &Mismatch) -> Self {
        Self {
            path: Some(mismatch.path()),
            ..Self::new(text, mismatch.detail(), mismatch.to_string())
        }
    }

    /// Returns the text of the last reply; of a refusal, the text of the refusal. May be empty.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the path to the value that does not fit, such as `items[3].price`. `None` if the error belongs to the
    /// whole reply.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Returns why the reply is unusable: the words of the parser, of the type's own validation, or of the `check`.
    /// May quote the reply: do not log it.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the reports of all chat calls that were made, in chronological order.
    pub fn calls(&self) -> &[CallReport] {
        &self.progress.calls
    }

    /// Returns the messages without the system prompt and the examples: see [`Progress::history`].
    pub fn history(&self) -> &[Message] {
        &self.progress.history
    }

    /// Returns the tokens of all chat calls together. `None` if the usage of one of them is unknown.
    pub fn usage(&self) -> Option<Usage> {
        sum_of_usages(&self.progress.calls)
    }
}

impl fmt::Debug for UnusableReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnusableReply")
            .field("text_bytes", &self.text.len())
            .field("reason", &self.shown)
            .field("calls", &self.progress.calls.len())
            .finish()
    }
}

impl FunctionError {
    /// Returns the error of a reply that cannot be read. `text` is the text of the reply.
    pub(super) fn of_reply(error: &ReplyError, text: String) -> Self {
        let shown = error.to_string();
        let variant = match error {
            ReplyError::Truncated => Self::Truncated,
            ReplyError::Filtered => Self::Filtered,
            ReplyError::Refused(refusal) => {
                let reply = UnusableReply::new(refusal.text(), shown.clone(), shown);
                return Self::Refused(Box::new(reply));
            }
            ReplyError::NoContent => Self::Empty,
            ReplyError::Mismatch(mismatch) => {
                return Self::Invalid(Box::new(UnusableReply::of_mismatch(text, mismatch)));
            }
            _ => Self::Invalid,
        };
        variant(Box::new(UnusableReply::new(text, shown.clone(), shown)))
    }

    /// Returns the error of a value that the function's `check` rejected with `reason`.
    pub(super) fn rejected(text: String, reason: String) -> Self {
        let shown = "the check of the function rejected the value";
        Self::Rejected(Box::new(UnusableReply::new(text, reason, shown)))
    }

    /// Returns the reply that cannot be returned. `None` if the call failed before there was one.
    pub fn unusable(&self) -> Option<&UnusableReply> {
        match self {
            Self::Call { .. } | Self::Schema(_) | Self::Argument(_) => None,
            Self::Truncated(reply)
            | Self::Filtered(reply)
            | Self::Refused(reply)
            | Self::Empty(reply)
            | Self::Invalid(reply)
            | Self::Rejected(reply)
            | Self::TooManyRounds(reply)
            | Self::ContextWindow(reply)
            | Self::Cancelled(reply) => Some(reply),
        }
    }

    /// Returns what the call had done before it failed. `None` if it failed before it sent anything because of its
    /// arguments or types.
    pub fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Call { progress, .. } => Some(progress),
            other => other.unusable().map(|reply| &reply.progress),
        }
    }

    /// Returns the tokens of all chat calls together, the failed one included. `None` if the usage of one of them is
    /// unknown.
    pub fn usage(&self) -> Option<Usage> {
        let mut calls = self.progress()?.calls.clone();
        match self {
            Self::Call { error, .. } if !error.attempts().is_empty() => calls.push(error.report().clone()),
            _ => {}
        }
        sum_of_usages(&calls)
    }

    /// Returns the unusable reply if another reply of the model may be usable.
    pub(super) fn repairable(&self) -> Option<&UnusableReply> {
        match self {
            Self::Empty(reply) | Self::Invalid(reply) | Self::Rejected(reply) => Some(reply),
            _ => None,
        }
    }

    pub(super) fn with_progress(mut self, made: Progress) -> Self {
        match &mut self {
            Self::Call { progress, .. } => **progress = made,
            Self::Schema(_) | Self::Argument(_) => {}
            Self::Truncated(reply)
            | Self::Filtered(reply)
            | Self::Refused(reply)
            | Self::Empty(reply)
            | Self::Invalid(reply)
            | Self::Rejected(reply)
            | Self::TooManyRounds(reply)
            | Self::ContextWindow(reply)
            | Self::Cancelled(reply) => reply.progress = made,
        }
        self
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.unusable()) {
            (Self::Call { error, .. }, _) => error.fmt(f),
            (Self::Schema(error), _) => error.fmt(f),
            (Self::Argument(error), _) => error.fmt(f),
            (Self::Cancelled(_), _) => f.write_str("the call was cancelled"),
            (_, Some(reply)) => {
                f.write_str(&reply.shown)?;
                match reply.calls().len() {
                    0 | 1 => Ok(()),
                    calls => write!(f, " (after {calls} chat calls)"),
                }
            }
            (_, None) => Ok(()),
        }
    }
}

impl std::error::Error for FunctionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call { error, .. } => error.source(),
            Self::Argument(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for FunctionError {
    fn from(error: Error) -> Self {
        Self::Call {
            error,
            progress: Box::default(),
        }
    }
}

impl From<SchemaError> for FunctionError {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

/// The error of an argument or an example that cannot be written as JSON.
pub struct ArgumentError {
    name: &'static str,
    source: serde_json::Error,
}

impl ArgumentError {
    pub(super) fn new(name: &'static str, source: serde_json::Error) -> Self {
        Self { name, source }
    }

    /// Returns the name of the argument, or `examples`.
    pub fn name(&self) -> &str {
        self.name
    }
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the argument `{}` cannot be written as JSON", self.name)
    }
}

impl fmt::Debug for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArgumentError({})", self.name)
    }
}

impl std::error::Error for ArgumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
