//! Models for the tests of programs that use this library: without a network, and with exact answers.
//!
//! [`ScriptedModel`] answers from a script and keeps the requests:
//!
//! ```
//! use llmpool::LlmInterface;
//! use llmpool::function::{Call, Function, FunctionError, Piece};
//! use llmpool::testing::{ScriptedAnswer, ScriptedModel};
//!
//! fn capital<'llm>(llm: &'llm dyn LlmInterface, country: &str) -> Call<'llm, Result<String, FunctionError>> {
//!     static FUNCTION: Function<Result<String, FunctionError>> =
//!         Function::new("capital", &[Piece::Text("Name the capital of the country.")]);
//!     FUNCTION.call(llm).argument("country", country)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), FunctionError> {
//! let model = ScriptedModel::new([ScriptedAnswer::text("Paris")]);
//! assert_eq!(capital(&model, "France").await?, "Paris");
//! assert_eq!(model.requests()[0].messages[1].text(), "France");
//!
//! // What is sent, without a model: compare it with a snapshot.
//! let prompt = capital(&model, "France").prompt()?.to_string();
//! assert_eq!(prompt, "--- system ---\nName the capital of the country.\n--- user ---\nFrance\n");
//! # Ok(())
//! # }
//! ```
//!
//! [`RecordingModel`] writes the calls of a real model to a file, which [`ScriptedModel::replay`] reads. For tests with
//! a real socket, use the crate `llmpool-simulator`.

mod recording_model;
mod scripted_answer;
mod scripted_model;

pub use recording_model::RecordingModel;
pub use scripted_answer::ScriptedAnswer;
pub use scripted_model::ScriptedModel;
