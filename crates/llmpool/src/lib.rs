//! A client for the Chat Completions, Responses and embeddings APIs of OpenAI-compatible providers.
//!
//! The client spreads calls over several API keys, keeps within their rate limits, retries a failure only if
//! a retry can succeed, and reports the token usage of every call.
//!
//! ```no_run
//! use llmpool::chat::ChatRequest;
//! use llmpool::{LlmInterface, OpenAiCompatible};
//!
//! # async fn ask() -> Result<(), llmpool::Error> {
//! let model = OpenAiCompatible::load_from_json_file("provider.json")?.model("openai/gpt-4o-mini")?;
//! let answer = model.chat(&ChatRequest::user("Hello")).await?;
//! println!("{} ({:?})", answer.text(), answer.report.usage);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to start
//!
//! | task | start with |
//! |---|---|
//! | load providers and models from a file, the environment or code | [`Providers`], [`Providers::builder`] |
//! | create a model that uses a pool of keys | [`ApiKeyPool`], [`OpenAiCompatible::builder`] |
//! | send a chat request, for a complete or a streamed answer | [`LlmInterface::chat`], [`LlmInterface::chat_stream`], [`chat`] |
//! | use the Responses API | [`OpenAiResponsesCompatible`], [`responses`] |
//! | create embeddings | [`EmbeddingInterface`], [`embeddings`] |
//! | declare a function that a model answers, with a typed value | module `function` |
//! | let a model call Rust functions | module `tool` |
//! | test without a network | module `testing` |
//! | parse answers as a Rust type | module `structured` |
//! | set a timeout, a trace id or a caller for one call | [`CallOptions`] |
//! | handle errors, and find out when to retry | [`Error`], [`ErrorKind`] |
//! | see which keys are usable | [`KeyStatus`], [`KeyState`] |
//! | observe calls, attempts, waits and key states | [`observer`] |
//! | limit the rate of other work | [`TokenBucket`] |
//! | test keys and base URLs | [`check`] |
//! | simulate traffic against the configured limits | [`forecast`] |
//! | replace the network in tests | [`transport::Connect`] |
//!
//! # Runtime and cancellation
//!
//! Calls need a tokio runtime with time and IO enabled. Dropping a future or a stream of this crate closes
//! its connection and releases its key.
//!
//! # Features
//!
//! All features are on by default.
//!
//! | feature | effect |
//! |---|---|
//! | `codings` | answers in gzip, deflate, brotli or zstd, which no request asks for; without this feature, such answers are errors |
//! | `rustls` | connections to `https://` URLs, with rustls and the root certificates of the platform; without this feature, such connections fail |
//! | `macros` | the attributes `llm_function`, `llm_chat`, `tool` and `tools` |
//! | `structured` | the modules `function`, `tool`, `testing` and `structured`: JSON schemas for Rust types, made with schemars, and answers parsed as Rust types |
//! | `tracing` | log records through the crate `tracing`, with the target `llmpool`; without this feature, nothing is logged |

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod account_header;
mod accounts;
mod affinity;
mod base_url;
mod body_buffer;
mod call;
mod call_deadlines;
mod chat_chunks;
mod chat_encoder;
pub mod check;
mod cleaned_key;
mod clock;
mod document_buffer;
mod embed;
mod encoded_request;
mod endpoint;
mod error;
mod exchange;
pub mod forecast;
#[cfg(feature = "structured")]
pub mod function;
mod interface;
mod key_entry;
mod key_pool;
mod key_states;
mod key_status;
mod learned_capabilities;
mod limits;
mod list_models;
mod misdirected;
mod observe;
pub mod observer;
mod openai_compatible;
mod openai_compatible_builder;
mod openai_responses;
mod options;
mod plain_answer;
mod provider;
mod provider_entry;
pub mod provider_file;
mod providers;
mod providers_builder;
mod random;
mod raw;
mod raw_chat;
mod rejection;
mod report;
mod responses_encoder;
mod saved_status;
mod secrets;
mod stored_limits;
mod stored_state;
mod stream;
mod sync;
mod target;
mod target_handle;
mod target_settings;
#[cfg(feature = "structured")]
pub mod testing;
mod token_bucket;
mod tokens;
#[cfg(feature = "structured")]
pub mod tool;
pub mod transport;
mod unreadable;
mod unstreamed_answer;
mod watched_call;

pub use embed::{EmbeddingAnswer, EmbeddingInterface};
pub use error::{Error, ErrorKind};
pub use futures_core::future::BoxFuture;
pub use interface::{ChatResponse, ChatStream, LlmInterface};
pub use key_entry::KeyEntry;
pub use key_pool::{ApiKeyPool, KeyLease};
pub use key_status::{KeyState, KeyStatus};
pub use llmpool_core::answer_format::AnswerFormat;
pub use llmpool_core::api_format::ApiFormat;
pub use llmpool_core::chat;
pub use llmpool_core::embeddings;
pub use llmpool_core::failure::status_policy::{KeyAction, KeyScope, StatusPolicy};
pub use llmpool_core::failure::{Blame, FailureKind};
pub use llmpool_core::limits::KeyLimits;
pub use llmpool_core::limits::WaitReason;
pub use llmpool_core::limits::{LimitKind, LimitScope, Limits};
pub use llmpool_core::limits::{RateLimit, RateLimitError};
pub use llmpool_core::models;
pub use llmpool_core::responses;
pub use llmpool_core::sse::SseEvent;
pub use llmpool_core::stream_view::EventFlags;
#[cfg(feature = "structured")]
pub use llmpool_core::structured;
#[cfg(feature = "macros")]
pub use llmpool_macros::{llm_chat, llm_function, tool, tools};
pub use openai_compatible::OpenAiCompatible;
pub use openai_compatible_builder::OpenAiCompatibleBuilder;
pub use openai_responses::{EventStream, OpenAiResponsesCompatible, ResponseAnswer};
pub use options::{CallOptions, Caller, Timeouts};
pub use provider_entry::{ModelEntry, ProviderEntry};
pub use providers::Providers;
pub use providers_builder::ProvidersBuilder;
pub use raw::{RawResponse, RawStream};
pub use report::{AttemptReport, CallReport, Conversion, TraceId, UsageSource};
pub use saved_status::{SavedKey, SavedModel, SavedStatus};
pub use secrets::{KeyLabel, Secret};
pub use stream::RawEvent;
pub use target_settings::TargetSettings;
pub use token_bucket::{AcquireError, RateLimitStatus, TokenBucket};

#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
struct Readme;

#[doc = include_str!("../../../docs/library.md")]
#[cfg(doctest)]
struct Library;

#[doc = include_str!("../../../docs/from-simplellmfunc.md")]
#[cfg(all(doctest, feature = "macros"))]
struct FromSimpleLlmFunc;

#[doc = include_str!("../../../docs/troubleshooting.md")]
#[cfg(doctest)]
struct Troubleshooting;
