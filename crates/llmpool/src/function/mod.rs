//! Functions that a model answers: the doc comment is the prompt, the parameters are the input, and the return type
//! is the contract.
//!
//! ```no_run
//! use llmpool::function::FunctionError;
//! use llmpool::function::schemars::{self, JsonSchema};
//! use llmpool::{LlmInterface, Providers, llm_function};
//!
//! #[derive(Debug, serde::Deserialize, JsonSchema)]
//! #[schemars(crate = "schemars")]
//! struct Ticket {
//!     /// What the customer wants, in one sentence.
//!     summary: String,
//!     is_urgent: bool,
//! }
//!
//! /// Sort this support mail. Urgent means money or safety.
//! #[llm_function]
//! async fn triage(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Providers::from_file("provider.json")?.model("openai/gpt-4o-mini")?;
//! let ticket = triage(&model, "Where is my refund?").await?;
//! println!("{}", ticket.summary);
//! # Ok(())
//! # }
//! ```
//!
//! [`llm_function`](crate::llm_function) turns the declaration into a function that returns a [`Call`]. Awaiting the
//! call sends the prompt, and parses the reply as the return type; nothing is sent before. The arguments are written
//! when the function is called, so a call borrows only the model.
//!
//! | method of [`Call`] | gives |
//! |---|---|
//! | `.await` | the `Result` that the function declares |
//! | [`report`](Call::report) | the value with usage, attempts and repairs |
//! | [`stream`](Call::stream) | the fields of the value as they become final, then the value |
//! | [`prompt`](Call::prompt) | the messages and the schema, without sending anything |
//!
//! [`llm_chat`](crate::llm_chat) declares a chat with a history in the same way: see [`ChatCall`]. Both can use
//! [tools](mod@crate::tool).

mod arguments;
mod attachment;
mod call;
mod cancellation;
mod chat;
mod chat_answer;
mod chat_events;
mod checked_reply;
mod conversation;
mod description;
mod error;
mod interruption;
mod prompt;
mod returned;
mod setup;
mod stream;
mod text_value;

pub(crate) use attachment::collect as collect_attachments;
pub use attachment::{Audio, File, Image};
pub use call::{Call, ReportedCall};
pub use cancellation::Cancellation;
pub use chat::{ChatCall, ChatFunction};
pub use chat_answer::ChatAnswer;
pub use chat_events::{ChatEvent, ChatEvents};
pub use description::{Function, Piece};
pub use error::{ArgumentError, FunctionError, Progress, UnusableReply};
pub use llmpool_core::structured::{FieldSegment, FinishedField, schemars};
pub use prompt::Prompt;
pub use returned::{CallError, ChatReturn, ModelValue, Reply, Returned, TypedReturn};
/// For the code that the macros generate.
#[doc(hidden)]
pub use serde;
pub use stream::{FunctionStream, StreamedPart};
pub(crate) use text_value::as_text;
