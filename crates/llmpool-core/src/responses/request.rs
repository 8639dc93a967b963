//! Requests of the Responses API.

use super::item::Item;
use crate::chat::wire_object::{opaque_debug, partial_debug, tagged_enum, wire_object};
use crate::chat::{Content, EmptyObject, Json, UnknownFields};

/// A request to the Responses API. Fields that are `None` or empty are not sent. Parameters for which the
/// struct has no field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ResponsesRequest {
    /// Name of the model. The target that serves the request replaces this name with the name of its own
    /// model.
    pub model: Option<String>,
    /// The input of the model: a string with the user's text, or a list of items.
    pub input: Option<Content<Item>>,
    /// Instructions to the model, placed before the input. Instructions of the previous response
    /// (`previous_response_id`) are not carried over.
    pub instructions: Option<String>,
    /// Maximum number of tokens in the answer, including reasoning tokens. At least 16.
    pub max_output_tokens: Option<u64>,
    /// Maximum number of calls to tools that the provider runs, such as web search.
    pub max_tool_calls: Option<u64>,
    /// Sampling temperature, from 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling, from 0 to 1: the model samples from the most likely tokens whose probabilities add
    /// up to this value.
    pub top_p: Option<f64>,
    /// Number of most likely tokens, from 0 to 20, whose log probabilities are returned for each token of the
    /// answer.
    pub top_logprobs: Option<u32>,
    /// Format and level of detail of the answer.
    pub text: Option<TextOptions>,
    /// Tools that the model may call.
    pub tools: Vec<ResponsesTool>,
    /// Which tools the model may or must call: `"none"`, `"auto"`, `"required"` (at least one tool), or an
    /// object that names a tool.
    pub tool_choice: Option<Json>,
    /// Whether the model may call several tools in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Options for the model's reasoning: its effort, and whether to return a summary.
    pub reasoning: Option<Reasoning>,
    /// Whether the provider stores the response for later requests. If absent, the provider stores the
    /// response.
    pub store: Option<bool>,
    /// ID of the stored response that this request continues.
    pub previous_response_id: Option<String>,
    /// The stored conversation to which the request belongs, as an ID or as an object with an `id` field.
    pub conversation: Option<Json>,
    /// Names of optional data that the response shall include, such as `reasoning.encrypted_content`.
    pub include: Vec<String>,
    /// Whether the provider streams the response as events.
    pub stream: Option<bool>,
    /// Options for the event stream, as an object such as `{"include_obfuscation": false}`.
    pub stream_options: Option<Json>,
    /// Whether the provider processes the request in the background. The client fetches the finished response
    /// later.
    pub background: Option<bool>,
    /// Options for processing in the background, as an object such as `{"completion_window": "24h"}`.
    pub background_options: Option<Json>,
    /// What the provider does if the input exceeds the context window: `auto` drops items, `disabled` fails
    /// the request.
    pub truncation: Option<String>,
    /// Object with up to 16 pairs of strings, which the provider stores with the response.
    pub metadata: Option<Json>,
    /// Service tier in which the provider processes the request: `auto`, `default`, `flex`, `priority`, or
    /// another tier of the provider.
    pub service_tier: Option<String>,
    /// Hashed identifier of the end user, for abuse detection by the provider.
    pub safety_identifier: Option<String>,
    /// Key for prompt caching: the provider routes requests with the same key to the same cache.
    pub prompt_cache_key: Option<String>,
    /// How long the provider keeps the prompt cached: `in_memory` or `24h`.
    pub prompt_cache_retention: Option<String>,
    /// Options for prompt caching, as an object such as `{"mode": "explicit", "ttl": "30m"}`.
    pub prompt_cache_options: Option<Json>,
    /// Options for moderating the input and the output, as an object with the moderation model.
    pub moderation: Option<Json>,
    /// Identifier of the end user, for abuse detection by the provider. Deprecated in favour of
    /// `safety_identifier`.
    pub user: Option<String>,
    /// A prompt template that the provider stores, as an object with the template's ID.
    pub prompt: Option<Json>,
    /// Options for compacting (shortening) earlier parts of the conversation, as raw JSON.
    pub context_management: Option<Json>,
    /// Programs of the provider that give access to further abilities of the model, as an object.
    pub access_programs: Option<Json>,
    /// Options for the images in the input, as an object.
    pub image: Option<Json>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    background_options,
    truncation,
    metadata,
    service_tier,
    safety_identifier,
    prompt_cache_key,
    prompt_cache_retention,
    prompt_cache_options,
    moderation,
    user,
    prompt,
    context_management,
    access_programs,
    image,
});

impl ResponsesRequest {
    /// Creates a request whose input is one text of the user. All other fields are absent.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            input: Some(Content::Text(text.into())),
            ..Self::default()
        }
    }
}

/// Options for the model's reasoning: its effort, and whether to return a summary.
#[derive(Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Effort that the model spends on reasoning: `none`, `minimal`, `low`, `medium`, `high`, or another
    /// value that the model supports.
    pub effort: Option<String>,
    /// Level of detail of the reasoning summary: `auto`, `concise` or `detailed`. If absent, the provider
    /// returns no summary.
    pub summary: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(TextOptions { format, verbosity });

/// The format that the model's answer must have.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum TextFormat {
    /// The answer is plain text. This is the default.
    Text(EmptyObject),
    /// The answer is any JSON object.
    JsonObject(EmptyObject),
    /// The answer is JSON that follows the given schema.
    JsonSchema(FlatSchema),
    /// An answer format of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(TextFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

/// A JSON Schema for the answer. In JSON, these fields are next to `type`, whereas Chat Completions nests
/// them in a `json_schema` object.
#[derive(Clone, Default, PartialEq)]
pub struct FlatSchema {
    /// Name of the schema: at most 64 characters, each a letter, a digit, `_` or `-`.
    pub name: String,
    /// Description of the answer's purpose, as a hint for the model.
    pub description: Option<String>,
    /// The JSON Schema that the answer must follow.
    pub schema: Option<Json>,
    /// Whether the provider must make the answer follow the schema exactly.
    pub strict: Option<bool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// A function, which the model calls with JSON arguments.
    Function(FunctionResponsesTool),
    /// A custom tool, which the model calls with any text as input.
    Custom(CustomResponsesTool),
    /// A tool of another type, as raw JSON, such as a web search that the provider runs.
    Other(Json),
}

tagged_enum!(ResponsesTool { Function => "function", Custom => "custom" });

/// A function that the model may call with JSON arguments.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionResponsesTool {
    /// Name of the function: at most 64 characters, each a letter, a digit, `_` or `-`.
    pub name: String,
    /// Description of the function's purpose, as a hint for the model.
    pub description: Option<String>,
    /// JSON Schema of the function's arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly. An absent value means `true`.
    pub strict: Option<bool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionResponsesTool {
    description,
    parameters,
    strict,
} always { name });

/// A custom tool, which the model calls with any text as input.
#[derive(Clone, Default, PartialEq)]
pub struct CustomResponsesTool {
    /// Name of the custom tool.
    pub name: String,
    /// Description of the tool's purpose, as a hint for the model.
    pub description: Option<String>,
    /// Format of the input: `{"type": "text"}`, or an object with a grammar. If absent, the input can be any
    /// text.
    pub format: Option<Json>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
