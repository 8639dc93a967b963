//! Attributes that turn Rust functions into calls of language models, and functions into tools for them.
//!
//! The crate `llmpool` re-exports them, so applications do not depend on this crate: they write
//! `use llmpool::llm_function`.
//!
//! | attribute | on | makes |
//! |---|---|---|
//! | [`macro@llm_function`] | an `async fn` without a body | a function whose typed result a model writes |
//! | [`macro@llm_chat`] | an `async fn` without a body | a function that continues a conversation |
//! | [`macro@tool`] | an `async fn` | a tool that a model can call, and still a function |
//! | [`macro@tools`] | an `impl` block | tools that share a value |
//!
//! An attribute reports all mistakes of its item together, each at its place and with the edit that fixes it.

mod declaration;
mod doc_comment;
mod expansion;
mod function_item;
mod mistakes;
mod option_value;
mod options;
mod suggestion;
mod template;
#[cfg(test)]
mod testing;
mod tool_definition;
mod tool_parameter;
mod type_tokens;

// These have the names of the attributes, which are in another namespace.
mod tool;
mod tools;

use proc_macro::TokenStream;

/// Makes a function whose result a model writes: the doc comment is the prompt, the signature is the
/// contract.
///
/// ```ignore
/// use llmpool::{LlmInterface, llm_function};
///
/// /// Sort this support mail. Urgent means money or safety.
/// #[llm_function(check = has_reason, repairs = 2)]
/// async fn triage(llm: &dyn LlmInterface, mail: &str, history: &[Note]) -> Result<Ticket>;
///
/// let ticket = triage(&model, &mail, &notes).await?;
/// let reply = triage(&model, &mail, &notes).temperature(0.0).report().await?;
/// ```
///
/// The function returns a `llmpool::function::Call`, which is awaited for the result, or refined by the
/// methods of `Call` first. A call borrows only the model: it renders the other arguments at once.
///
/// # Prompt
///
/// The doc comment is the system prompt. `{parameter}` stands for the value of a parameter, which then is no
/// part of the user message. An unknown name in braces is a compile error; `{{name}}` writes `{name}`. All
/// other braces are text as they stand, so JSON needs no escapes: `{"a": {"b": 1}}`.
///
/// # Parameters
///
/// The first parameter is the model, as a shared reference such as `&dyn LlmInterface`, `&impl LlmInterface`
/// or `&M`. All others implement `Serialize` and are shown to the model under their names.
///
/// # Return type
///
/// A `Result<T, E>`, or an alias of one. `T` implements `Deserialize` and `JsonSchema`, and `E` implements
/// `From<FunctionError>`. `T` cannot depend on generic parameters, because its schema is computed once.
///
/// # Options
///
/// | option | value | sets, for each call |
/// |---|---|---|
/// | `check` | path of a function from `&T` to `Result<(), impl Display>` | which answers are rejected, with the message for the model |
/// | `repairs` | whole number | how many unusable answers are sent back to the model |
/// | `tools` | list of paths of functions with [`macro@tool`] | the tools that the model can call |
/// | `rounds` | whole number | how many times the model can call tools |
/// | `examples` | path of a function without parameters that returns pairs of input and output | examples in the prompt |
/// | `temperature` | number from 0 up | the parameter of the same name |
/// | `top_p` | number from 0 to 1 | the parameter of the same name |
/// | `max_tokens` | whole number | the most tokens of an answer |
/// | `seed` | whole number | the parameter of the same name |
/// | `timeout` | seconds from 0.001 up | the time for the whole call, with repairs and tools |
/// | `crate` | path | where the crate `llmpool` is, by default `::llmpool` |
///
/// An option that is not set has the default of the method of `Call` with the same name.
///
/// `check` and `examples` are looked up where the function stands. A parameter of the same name is a compile error.
#[proc_macro_attribute]
pub fn llm_function(options: TokenStream, item: TokenStream) -> TokenStream {
    expansion::llm_function(options.into(), item.into()).into()
}

/// Makes a function that continues a conversation, with tools if it has any.
///
/// ```ignore
/// use llmpool::chat::Message;
/// use llmpool::function::ChatAnswer;
/// use llmpool::{LlmInterface, llm_chat};
///
/// /// You are the librarian of {city}.
/// #[llm_chat(tools = [search], rounds = 8)]
/// async fn librarian(
///     llm: &dyn LlmInterface,
///     history: &[Message],
///     city: &str,
///     message: &str,
/// ) -> Result<ChatAnswer>;
///
/// let answer = librarian(&model, &[], "Delft", "Do you have maps?").await?;
/// let next = librarian(&model, &answer.history, "Delft", "Of 1650?").await?;
/// ```
///
/// The function keeps no state: the answer contains the history for the next call. It returns a
/// `llmpool::function::ChatCall`, which is awaited or streamed.
///
/// The second parameter is the conversation so far and is named `history`. The rules for the prompt and the
/// other parameters are those of [`macro@llm_function`].
///
/// # Options
///
/// `tools`, `rounds`, `temperature`, `top_p`, `max_tokens`, `seed`, `timeout` and `crate`, as for
/// [`macro@llm_function`].
#[proc_macro_attribute]
pub fn llm_chat(options: TokenStream, item: TokenStream) -> TokenStream {
    expansion::llm_chat(options.into(), item.into()).into()
}

/// Makes a function a tool that a model can call. It stays a function.
///
/// ```ignore
/// use llmpool::tool;
///
/// /// Returns the weather of a city.
/// #[tool(timeout = 10)]
/// async fn weather(
///     /// The name of the city, in English.
///     city: &str,
///     /// Days from today, from 0 to 7.
///     days: u8,
/// ) -> Result<Forecast, WeatherError> {
///     load(city, days).await
/// }
///
/// let tool = weather::tool();
/// let forecast = weather("Delft", 0).await?;
/// ```
///
/// The attribute adds a type of the same name, with the function `tool` that returns a
/// `llmpool::tool::CallableTool`. So no type
/// or module beside the function can have its name, and the added type hides a crate of this name: write `::weather`.
///
/// The model reads the doc comments of the function and of its parameters, so each must have one. Parameters
/// are values that implement `Deserialize` and `JsonSchema`, or shared references to such values, `&str` or
/// `&[T]`. Attributes of serde and schemars, such as `#[serde(default)]`, can stand on a parameter.
///
/// The result implements `Serialize`. A function that can fail returns a type named `Result`; the model then
/// reads the error.
///
/// # Options
///
/// | option | value | sets | default |
/// |---|---|---|---|
/// | `name` | text of 1 to 64 letters, digits, `_` and `-` | the name that the model uses | the name of the function |
/// | `timeout` | seconds from 0.001 up | the time for one call of the tool | that of `CallableTool` |
/// | `max_output` | bytes | the size from which the result is cut | that of `CallableTool` |
/// | `crate` | path | where the crate `llmpool` is | `::llmpool` |
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    tool::tool(options.into(), item.into()).into()
}

/// Makes methods of a value tools that a model can call. They stay methods.
///
/// ```ignore
/// use std::sync::Arc;
/// use llmpool::tools;
///
/// #[tools]
/// impl Library {
///     /// Searches the catalogue.
///     #[tool(name = "search", timeout = 5)]
///     async fn find(&self, /** Words of the title. */ words: &str) -> Result<Vec<Book>, SearchError> {
///         self.catalogue.find(words).await
///     }
/// }
///
/// let library = Arc::new(Library::open()?);
/// let tools = library.tools();
/// ```
///
/// The attribute adds the method `tools`, which takes `&Arc<Self>` and returns a
/// `Vec<llmpool::tool::CallableTool>`. The tools share the value, so it must be `Send + Sync + 'static`.
///
/// The methods with `#[tool(…)]` take `&self`. All else is as for [`macro@tool`], and the options are `name`,
/// `timeout` and `max_output`.
///
/// # Options
///
/// | option | value | sets | default |
/// |---|---|---|---|
/// | `method` | name | the name of the added method, which differs between the `#[tools]` blocks of one type | `tools` |
/// | `crate` | path | where the crate `llmpool` is | `::llmpool` |
#[proc_macro_attribute]
pub fn tools(options: TokenStream, item: TokenStream) -> TokenStream {
    tools::tools(options.into(), item.into()).into()
}
