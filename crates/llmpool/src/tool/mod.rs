//! Tools that a model can call: Rust functions with typed arguments.
//!
//! [`tool`](macro@crate::tool) makes a tool of an async function, and [`tools`](macro@crate::tools) of the methods of a
//! type. A [function](crate::function) gets tools in its declaration or for one call:
//!
//! ```no_run
//! use llmpool::function::FunctionError;
//! use llmpool::{LlmInterface, llm_function, tool};
//!
//! /// Returns the weather in a city.
//! #[tool]
//! async fn weather(
//!     /// Name of the city in English.
//!     city: String,
//! ) -> Result<String, std::io::Error> {
//!     Ok(format!("sunny in {city}"))
//! }
//!
//! /// Say what to wear, in one sentence.
//! #[llm_function(tools = [weather])]
//! async fn clothes(llm: &dyn LlmInterface, city: &str) -> Result<String, FunctionError>;
//! ```
//!
//! The model gets the result as text or JSON. It also gets errors: of the tool, of its arguments, timeouts and panics.
//! The call goes on with them.

mod callable_tool;
mod output;
mod running;

pub use callable_tool::CallableTool;
pub use output::ToolOutput;
pub use running::FinishedTool;
pub(crate) use running::RunningTools;
