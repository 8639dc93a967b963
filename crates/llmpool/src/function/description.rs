//! The static description of a function: its name, its instructions to the model, and the schema of its replies.

use std::marker::PhantomData;
use std::sync::OnceLock;

use llmpool_core::structured::{ReplySchema, SchemaError};

use super::returned::TypedReturn;

/// A function that a model answers, as [`llm_function`](crate::llm_function) declares it in a `static`. `R` is the
/// `Result` that the function returns.
///
/// A function can also be declared without the macro:
///
/// ```no_run
/// use llmpool::LlmInterface;
/// use llmpool::function::{Call, Function, FunctionError, Piece};
///
/// fn capital<'llm>(llm: &'llm dyn LlmInterface, country: &str) -> Call<'llm, Result<String, FunctionError>> {
///     static FUNCTION: Function<Result<String, FunctionError>> =
///         Function::new("capital", &[Piece::Text("Name the capital of the country, and nothing else.")]);
///     FUNCTION.call(llm).argument("country", country)
/// }
/// ```
pub struct Function<R> {
    name: &'static str,
    instructions: &'static [Piece],
    make_schema: fn() -> Result<ReplySchema, SchemaError>,
    /// Made by the first call, and then used by all calls.
    schema: OnceLock<Result<ReplySchema, SchemaError>>,
    returned: PhantomData<fn() -> R>,
}

/// A piece of the instructions to the model (the system prompt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Fixed text.
    Text(&'static str),
    /// The value of the argument with this name. Such an argument is left out of the user message.
    Argument(&'static str),
}

impl<R> Function<R> {
    /// Describes a function. The concatenated `instructions` are the system prompt; none are sent if there are no
    /// pieces.
    ///
    /// All else that makes a call has no bounds until it is awaited, so a wrong return type is one compile error, here.
    pub const fn new(name: &'static str, instructions: &'static [Piece]) -> Self
    where
        R: TypedReturn,
    {
        Self {
            name,
            instructions,
            make_schema: ReplySchema::of::<R::Value>,
            schema: OnceLock::new(),
            returned: PhantomData,
        }
    }

    /// Returns the name of the function.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn instructions(&self) -> &'static [Piece] {
        self.instructions
    }

    /// Returns how the model writes the value that the function returns: as plain text, or as JSON with a schema.
    ///
    /// # Errors
    /// Fails if no JSON schema can express the type.
    pub fn schema(&self) -> Result<&ReplySchema, SchemaError> {
        let schema = self.schema.get_or_init(self.make_schema);
        schema.as_ref().map_err(Clone::clone)
    }
}
