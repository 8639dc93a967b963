//! Structured output: generates a JSON schema from a Rust type, and parses the model's replies into values of
//! that type.
//!
//! ```
//! use llmpool_core::chat::ChatRequest;
//! use llmpool_core::structured::{JsonSchema, json_schema, schemars};
//!
//! /// A dish on the menu.
//! #[derive(serde::Deserialize, JsonSchema)]
//! #[schemars(crate = "schemars")]
//! struct Dish {
//!     name: String,
//!     /// In euros.
//!     price: f64,
//!     allergens: Option<Vec<String>>,
//! }
//!
//! let mut request = ChatRequest::user("What is there for lunch?");
//! request.response_format = Some(json_schema::<Dish>()?);
//! # Ok::<(), llmpool_core::structured::SchemaError>(())
//! ```
//!
//! [`ReplySchema`] does the same for types of any kind, also for texts, numbers, lists, enums and maps.
//! [`FinishedFields`] returns parts of a reply while the reply still arrives.
//!
//! Invariant: a type has the same schema, byte for byte, in every run, with properties in the order of the
//! fields. Providers can therefore cache prompts that contain the schema.
//!
//! Invariant: the `Display` and `Debug` output of errors contains no text that the model wrote.

mod definition_names;
mod fence;
mod finished_field;
mod finished_fields;
mod format;
mod json_in_text;
mod mismatch;
mod nullable;
mod reply;
mod reply_root;
mod reply_schema;
mod schema_check;
mod schema_error;
mod strict;
mod value_deserializer;

pub use finished_field::{FieldSegment, FinishedField};
pub use finished_fields::FinishedFields;
pub use format::json_schema;
pub use mismatch::Mismatch;
pub use reply::{Refusal, ReplyError, completion_text, parse_choice, parse_reply};
pub use reply_schema::ReplySchema;
pub use schema_error::{SchemaError, Unsupported};
pub use schemars::{self, JsonSchema};
