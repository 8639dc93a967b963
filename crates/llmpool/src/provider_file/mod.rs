//! The provider file, `provider.json`: providers and models with their keys and limits.
//!
//! All errors in a file are reported together, each with its location and a fix. A file with an error is not
//! loaded. No message contains a value that could be a key. Members whose names begin with `//` are comments.
//! Comments may appear at the top level, in a model and in a key.
//!
//! The file format comes from another framework. A file that was written for that framework loads unchanged,
//! because all members that llmpool adds to the format are optional.

mod diagnostic;
mod field;
mod file;
mod keys;
mod limits;
mod model;
mod reader;
mod request_settings;
mod secret_ref;
mod source_map;
mod status_policy;

pub use diagnostic::{Diagnostic, ProviderFileError};
pub use file::{PROVIDER_SCHEMA, ProviderFile};
pub use secret_ref::Environment;
pub use source_map::{SourceLocation, SourceMap};
