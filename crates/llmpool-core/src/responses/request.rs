//! Requests for responses.

use super::item::Item;
use crate::chat::wire_object::{opaque_debug, partial_debug, tagged_enum, wire_object};
use crate::chat::{Content, EmptyObject, Json, UnknownFields};

/// A request for a response. Absent fields are not sent; parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ResponsesRequest {
    /// Model. Targets replace it by their own.
    pub model: Option<String>,
    /// Text of the user, or input items.
    pub input: Option<Content<Item>>,
    /// Instructions that precede the input. Not carried over by `previous_response_id`.
    pub instructions: Option<String>,
    /// Limit on the tokens of the answer, including reasoning; at least 16.
    pub max_output_tokens: Option<u64>,
    /// Limit on calls of tools that the provider runs.
    pub max_tool_calls: Option<u64>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling: share of the probability mass, 0 to 1.
    pub top_p: Option<f64>,
    /// Number of most likely tokens to return for each position, 0 to 20.
    pub top_logprobs: Option<u32>,
    /// Format and verbosity of the answer.
    pub text: Option<TextOptions>,
    /// Tools that the model may call.
    pub tools: Vec<ResponsesTool>,
    /// Whether and which tools the model must call: `"none"`, `"auto"`, `"required"`, or a tool.
    pub tool_choice: Option<Json>,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: Option<bool>,
    /// Effort and summary of the reasoning.
    pub reasoning: Option<Reasoning>,
    /// Whether the provider stores the response. The default is `true`.
    pub store: Option<bool>,
    /// ID of the response that this request continues.
    pub previous_response_id: Option<String>,
    /// Conversation that the request belongs to: its ID, or an object with it.
    pub conversation: Option<Json>,
    /// Additional data to include in the response.
    pub include: Vec<String>,
    /// Whether to stream events.
    pub stream: Option<bool>,
    /// Options for streams.
    pub stream_options: Option<Json>,
    /// Whether to process the request in the background.
    pub background: Option<bool>,
    /// Handling of input beyond the context window: `auto` or `disabled`.
    pub truncation: Option<String>,
    /// Up to 16 pairs of strings that the provider stores with the response.
    pub metadata: Option<Json>,
    /// Service tier: `auto`, `default`, `flex`, `priority`, or another one of the provider.
    pub service_tier: Option<String>,
    /// Hashed ID of the end user, for abuse detection.
    pub safety_identifier: Option<String>,
    /// Key that routes requests with a common prefix to the same cache of the provider.
    pub prompt_cache_key: Option<String>,
    /// Retention of the provider's prompt cache: `in_memory`, `24h`.
    pub prompt_cache_retention: Option<String>,
    /// ID of the end user, for abuse detection, deprecated.
    pub user: Option<String>,
    /// Reference to a prompt template that the provider stores.
    pub prompt: Option<Json>,
    /// Options for compaction of the context.
    pub context_management: Option<Json>,
    /// Unknown fields.
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
    /// Creates a request with the text of a user message.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            input: Some(Content::Text(text.into())),
            ..Self::default()
        }
    }
}

/// Effort and summary of the reasoning.
#[derive(Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Effort: `none`, `minimal`, `low`, `medium`, `high`, or another value that the model supports.
    pub effort: Option<String>,
    /// Summary: `auto`, `concise`, `detailed`.
    pub summary: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Reasoning { effort, summary });

/// Format and verbosity of the answer.
#[derive(Clone, Default, PartialEq)]
pub struct TextOptions {
    /// Format of the answer.
    pub format: Option<TextFormat>,
    /// Length of the answer: `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(TextOptions { format, verbosity });

/// Format of the answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TextFormat {
    /// Plain text, the default.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a schema.
    JsonSchema(FlatSchema),
    /// An object of another type, unchanged.
    Other(Json),
}

tagged_enum!(TextFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

/// A JSON schema format, with schema and name beside the `type`.
#[derive(Clone, Default, PartialEq)]
pub struct FlatSchema {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// Purpose of the answer, for the model.
    pub description: Option<String>,
    /// A JSON Schema.
    pub schema: Option<Json>,
    /// Whether the answer must follow the schema exactly.
    pub strict: Option<bool>,
    /// Unknown fields.
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
    /// A function with JSON arguments.
    Function(FunctionResponsesTool),
    /// A tool whose input is text.
    Custom(CustomResponsesTool),
    /// A tool of another type, unchanged: those that the provider runs.
    Other(Json),
}

tagged_enum!(ResponsesTool { Function => "function", Custom => "custom" });

/// A function that the model may call.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionResponsesTool {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// Purpose, for the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly. The default is `true`.
    pub strict: Option<bool>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionResponsesTool {
    description,
    parameters,
    strict,
} always { name });

/// A tool whose input is text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomResponsesTool {
    /// Name of the tool.
    pub name: String,
    /// Purpose, for the model.
    pub description: Option<String>,
    /// `{"type": "text"}`, or a grammar.
    pub format: Option<Json>,
    /// Unknown fields.
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
