//! What a function returns: the value that the model wrote, or an error of the caller's type.

use std::time::Duration;

use llmpool_core::chat::Usage;
use llmpool_core::structured::JsonSchema;
use serde::de::DeserializeOwned;

use super::chat_answer::ChatAnswer;
use super::error::FunctionError;
use crate::report::{AttemptReport, CallReport, sum_of_usages};

/// The `Result` that a function returns. Implemented for every `Result` whose error can be made from a
/// [`FunctionError`], such as `anyhow::Result`.
pub trait Returned: Sized + Send + 'static {
    /// The value that the model writes.
    type Value: Send + 'static;
    /// The error of the function.
    type Error: CallError;
    /// The value with the report of its calls, or the error.
    type Reported: Send + 'static;

    /// Converts the outcome of a call.
    fn from_outcome(outcome: Result<Self::Value, FunctionError>) -> Self;

    /// Converts the outcome of a call with its report.
    fn reported(outcome: Result<Reply<Self::Value>, FunctionError>) -> Self::Reported;
}

impl<T: Send + 'static, E: CallError> Returned for Result<T, E> {
    type Value = T;
    type Error = E;
    type Reported = Result<Reply<T>, E>;

    fn from_outcome(outcome: Result<T, FunctionError>) -> Self {
        outcome.map_err(E::from)
    }

    fn reported(outcome: Result<Reply<T>, FunctionError>) -> Self::Reported {
        outcome.map_err(E::from)
    }
}

/// The `Result` of a function with a typed value.
#[diagnostic::on_unimplemented(
    message = "a function that a model answers cannot return `{Self}`",
    label = "not a `Result`",
    note = "return `Result<T, llmpool::function::FunctionError>`"
)]
pub trait TypedReturn: Returned<Value: ModelValue> {}

impl<T: ModelValue, E: CallError> TypedReturn for Result<T, E> {}

/// The `Result` of a chat.
#[diagnostic::on_unimplemented(
    message = "a chat cannot return `{Self}`",
    label = "not a `Result` with a `ChatAnswer`",
    note = "return `Result<llmpool::function::ChatAnswer, llmpool::function::FunctionError>`"
)]
pub trait ChatReturn: Returned<Value = ChatAnswer> {}

impl<E: CallError> ChatReturn for Result<ChatAnswer, E> {}

/// A value that a model can write. Implemented for every type that implements `Deserialize` and [`JsonSchema`].
#[diagnostic::on_unimplemented(
    message = "a model cannot write a value of type `{Self}`",
    label = "`{Self}` has no JSON schema, or cannot be parsed",
    note = "write `#[derive(serde::Deserialize, schemars::JsonSchema)]` above the type, which must be `Send` and `'static`, too"
)]
pub trait ModelValue: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> ModelValue for T {}

/// An error that a function can return. Implemented for every type that can be made from a [`FunctionError`].
#[diagnostic::on_unimplemented(
    message = "a call cannot fail with `{Self}`",
    label = "`{Self}` cannot be made from a `FunctionError`",
    note = "return `Result<_, llmpool::function::FunctionError>`, or implement `From<llmpool::function::FunctionError>` for `{Self}`, which must be `Send` and `'static`, too"
)]
pub trait CallError: From<FunctionError> + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<E: From<FunctionError> + Send + 'static> CallError for E {}

/// The value of a function call, and what it took to get it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reply<T> {
    /// The value that the model wrote.
    pub value: T,
    /// The tokens of all chat calls together. A count is `None` if one of the calls does not report it; `None` as a
    /// whole if the usage of one of them is unknown.
    pub usage: Option<Usage>,
    /// The reports of the chat calls in chronological order: the first try, rounds of tool calls, and repairs.
    pub calls: Vec<CallReport>,
    /// How many replies were unusable, so that the model was asked for another one.
    pub repairs: u32,
}

impl<T> Reply<T> {
    pub(super) fn new(value: T, calls: Vec<CallReport>, repairs: u32) -> Self {
        Self {
            value,
            usage: sum_of_usages(&calls),
            calls,
            repairs,
        }
    }

    /// Returns the attempts of all chat calls in chronological order.
    pub fn attempts(&self) -> impl Iterator<Item = &AttemptReport> {
        self.calls.iter().flat_map(|call| &call.attempts)
    }

    /// Returns the duration of all chat calls together, without the time that tools took.
    pub fn elapsed(&self) -> Duration {
        self.calls.iter().map(|call| call.elapsed).sum()
    }
}
