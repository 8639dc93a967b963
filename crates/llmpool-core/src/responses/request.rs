//! Requests of the Responses API.

use super::item::Item;
use crate::chat::wire_object::{opaque_debug, partial_debug, tagged_enum, wire_object};
use crate::chat::{Content, EmptyObject, Json, UnknownFields};

/// A request for a response. Fields that are `None` or empty are not sent. Parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ResponsesRequest {
    /// Name of the model. A target replaces it with the name of its own model.
    pub model: Option<String>,
    /// The input: a text of the user, or a list of items.
    pub input: Option<Content<Item>>,
    /// Instructions to the model that precede the input. Instructions of the response named by `previous_response_id` do not apply.
    pub instructions: Option<String>,
    /// Maximum number of tokens in the answer, including reasoning. At least 16.
    pub max_output_tokens: Option<u64>,
    /// Maximum number of calls of tools that the provider runs.
    pub max_tool_calls: Option<u64>,
    /// Sampling temperature, from 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling: the model samples only from the most likely tokens, whose probabilities sum to this share, from 0 to 1.
    pub top_p: Option<f64>,
    /// Number of most likely tokens to return for each position of the answer, from 0 to 20.
    pub top_logprobs: Option<u32>,
    /// Format and level of detail of the answer.
    pub text: Option<TextOptions>,
    /// Tools that the model may call.
    pub tools: Vec<ResponsesTool>,
    /// Whether the model must call tools, and which: `"none"`, `"auto"`, `"required"`, or an object that names a tool.
    pub tool_choice: Option<Json>,
    /// Whether the model may call several tools in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Effort of the reasoning, and whether to summarise it.
    pub reasoning: Option<Reasoning>,
    /// Whether the provider stores the response. If absent, it does.
    pub store: Option<bool>,
    /// ID of the response that this request continues.
    pub previous_response_id: Option<String>,
    /// Conversation to which the request belongs: its ID, or an object with its ID.
    pub conversation: Option<Json>,
    /// Names of additional data to include in the response, for example `reasoning.encrypted_content`.
    pub include: Vec<String>,
    /// Whether to stream the response as events.
    pub stream: Option<bool>,
    /// Options for streams, as an object.
    pub stream_options: Option<Json>,
    /// Whether the provider processes the request in the background, so that the response is fetched later.
    pub background: Option<bool>,
    /// What to do with input beyond the context window: drop items (`auto`) or fail (`disabled`).
    pub truncation: Option<String>,
    /// Object with up to 16 pairs of strings that the provider stores with the response.
    pub metadata: Option<Json>,
    /// Service tier: `auto`, `default`, `flex`, `priority`, or another tier of the provider.
    pub service_tier: Option<String>,
    /// Hashed identifier of the end user, for abuse detection by the provider.
    pub safety_identifier: Option<String>,
    /// Key by which the provider routes requests with a common prefix to the same prompt cache.
    pub prompt_cache_key: Option<String>,
    /// How long the provider keeps the prompt cached: `in_memory` or `24h`.
    pub prompt_cache_retention: Option<String>,
    /// Identifier of the end user, for abuse detection by the provider. Deprecated in favour of `safety_identifier`.
    pub user: Option<String>,
    /// Reference to a prompt template that the provider stores, as an object.
    pub prompt: Option<Json>,
    /// Options for the compaction of earlier context.
    pub context_management: Option<Json>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ResponsesRequest {
    model,
    input,
    instructions,
    max_output_tokens,
    max_tool_calls,
    temperature,
    top_p,
    top_logprobs,
    text,
    tools,
    tool_choice,
    parallel_tool_calls,
    reasoning,
    store,
    previous_response_id,
    conversation,
    include,
    stream,
    stream_options,
    background,
    truncation,
    metadata,
    service_tier,
    safety_identifier,
    prompt_cache_key,
    prompt_cache_retention,
    user,
    prompt,
    context_management,
});

impl ResponsesRequest {
    /// Creates a request with a single text of the user. All other fields are absent.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            input: Some(Content::Text(text.into())),
            ..Self::default()
        }
    }
}

/// Effort of the reasoning, and whether to summarise it.
#[derive(Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Effort that the model spends on reasoning: `none`, `minimal`, `low`, `medium`, `high`, or another value that the model supports.
    pub effort: Option<String>,
    /// Level of detail of the summary: `auto`, `concise` or `detailed`. If absent, there is no summary.
    pub summary: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(Reasoning { effort, summary });

/// Format and level of detail of the answer.
#[derive(Clone, Default, PartialEq)]
pub struct TextOptions {
    /// Format that the answer must have. If absent, the answer is plain text.
    pub format: Option<TextFormat>,
    /// Level of detail of the answer: `low`, `medium` or `high`.
    pub verbosity: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(TextOptions { format, verbosity });

/// The format that an answer must have.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TextFormat {
    /// Plain text, which is the default.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a given schema.
    JsonSchema(FlatSchema),
    /// A format of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(TextFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

/// The format for JSON that follows a given schema. In JSON, its fields are next to the `type`, not in an object of their own.
#[derive(Clone, Default, PartialEq)]
pub struct FlatSchema {
    /// Name of the schema: at most 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Purpose of the answer, as a hint for the model.
    pub description: Option<String>,
    /// The JSON Schema that the answer follows.
    pub schema: Option<Json>,
    /// Whether the answer must follow the schema exactly.
    pub strict: Option<bool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FlatSchema {
    description,
    schema,
    strict,
} always { name });

/// A tool that the model may call.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponsesTool {
    /// A function whose arguments are JSON.
    Function(FunctionResponsesTool),
    /// A custom tool, whose input is any text.
    Custom(CustomResponsesTool),
    /// A tool of another type, as raw JSON. Tools that the provider runs are of this kind.
    Other(Json),
}

tagged_enum!(ResponsesTool { Function => "function", Custom => "custom" });

/// A function that the model may call.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionResponsesTool {
    /// Name of the function: at most 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Purpose of the function, as a hint for the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly. If absent, they must.
    pub strict: Option<bool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FunctionResponsesTool {
    description,
    parameters,
    strict,
} always { name });

/// A custom tool, whose input is any text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomResponsesTool {
    /// Name of the tool.
    pub name: String,
    /// Purpose of the tool, as a hint for the model.
    pub description: Option<String>,
    /// Format of the input: `{"type": "text"}`, or an object with a grammar. If absent, any text.
    pub format: Option<Json>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(CustomResponsesTool { description, format } always { name });

opaque_debug!(
    Reasoning,
    TextOptions,
    FlatSchema,
    FunctionResponsesTool,
    CustomResponsesTool
);

partial_debug!(ResponsesRequest { input, tools.len(), stream });
