//! Replies that are values: the schema a type asks for, and the value a reply holds.
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
//! Always true: one type gives one text, byte for byte, in every run, with properties in the order of the fields, so that
//! providers find the prompt in their caches; no error shows what the model wrote.

mod fence;
mod format;
mod mismatch;
mod reader;
mod reply;
mod schema_error;
mod strict;

pub use format::json_schema;
pub use mismatch::Mismatch;
pub use reply::{Refusal, ReplyError, parse_choice, parse_reply};
pub use schema_error::{SchemaError, Unsupported};
pub use schemars::{self, JsonSchema};
