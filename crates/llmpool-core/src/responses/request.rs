//! What is asked.

use std::fmt;

use super::item::Item;
use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{Content, EmptyObject, Json, UnknownFields};

/// A request for a response. Absent fields are left out; anything without a field goes into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ResponsesRequest {
    /// The model; a bound target puts its own in place.
    pub model: Option<String>,
    /// A text of the user, or items.
    pub input: Option<Content<Item>>,
    /// Goes before all input; not carried over by `previous_response_id`.
    pub instructions: Option<String>,
    /// Most tokens of the answer, reasoning included; at least 16.
    pub max_output_tokens: Option<u64>,
    /// Most calls of tools that the provider runs.
    pub max_tool_calls: Option<u64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// How many alternatives of each token, 0 to 20.
    pub top_logprobs: Option<u32>,
    /// The form of the answer, and how much is said.
    pub text: Option<TextOptions>,
    /// Tools the model may call.
    pub tools: Vec<ResponsesTool>,
    /// `"none"`, `"auto"`, `"required"`, or a tool.
    pub tool_choice: Option<Json>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// How much is thought, and what is shown of it.
    pub reasoning: Option<Reasoning>,
    /// Whether the provider keeps the answer. Absent means that it does.
    pub store: Option<bool>,
    /// The response that this one goes on from.
    pub previous_response_id: Option<String>,
    /// The conversation that this belongs to.
    pub conversation: Option<Json>,
    /// What else the answer shall carry.
    pub include: Vec<String>,
    /// Whether events come as they happen.
    pub stream: Option<bool>,
    /// What a stream shall carry.
    pub stream_options: Option<Json>,
    /// Whether it is made while nobody waits.
    pub background: Option<bool>,
    /// `auto` or `disabled`.
    pub truncation: Option<String>,
    /// Up to 16 pairs of texts that the provider keeps with the answer.
    pub metadata: Option<Json>,
    /// `auto`, `default`, `flex`, `priority` and what else there is.
    pub service_tier: Option<String>,
    /// The end user, hashed, for the provider's abuse detection.
    pub safety_identifier: Option<String>,
    /// Calls with the same key find what they have in common in the provider's cache.
    pub prompt_cache_key: Option<String>,
    /// How long the provider's cache keeps it.
    pub prompt_cache_retention: Option<String>,
    /// The end user, for the provider's abuse detection, in the old way.
    pub user: Option<String>,
    /// A template that the provider keeps.
    pub prompt: Option<Json>,
    /// How what came before is shortened.
    pub context_management: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ResponsesRequest {
    model => "model",
    input => "input",
    instructions => "instructions",
    max_output_tokens => "max_output_tokens",
    max_tool_calls => "max_tool_calls",
    temperature => "temperature",
    top_p => "top_p",
    top_logprobs => "top_logprobs",
    text => "text",
    tools => "tools",
    tool_choice => "tool_choice",
    parallel_tool_calls => "parallel_tool_calls",
    reasoning => "reasoning",
    store => "store",
    previous_response_id => "previous_response_id",
    conversation => "conversation",
    include => "include",
    stream => "stream",
    stream_options => "stream_options",
    background => "background",
    truncation => "truncation",
    metadata => "metadata",
    service_tier => "service_tier",
    safety_identifier => "safety_identifier",
    prompt_cache_key => "prompt_cache_key",
    prompt_cache_retention => "prompt_cache_retention",
    user => "user",
    prompt => "prompt",
    context_management => "context_management",
});

impl ResponsesRequest {
    /// A request with one text of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self {
            input: Some(Content::Text(text.into())),
            ..Self::default()
        }
    }
}

/// How much is thought, and what is shown of it.
#[derive(Clone, Default, PartialEq)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high` and what else a model knows.
    pub effort: Option<String>,
    /// `auto`, `concise`, `detailed`.
    pub summary: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Reasoning { effort => "effort", summary => "summary" });

/// The form of the answer, and how much is said.
#[derive(Clone, Default, PartialEq)]
pub struct TextOptions {
    /// The form.
    pub format: Option<TextFormat>,
    /// `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(TextOptions { format => "format", verbosity => "verbosity" });

/// The form of the answer.
#[derive(Clone, PartialEq)]
pub enum TextFormat {
    /// Text, as without this.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a schema.
    JsonSchema(FlatSchema),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(TextFormat {
    Text(EmptyObject) => "text",
    JsonObject(EmptyObject) => "json_object",
    JsonSchema(FlatSchema) => "json_schema",
});

/// A schema and its name, side by side with its type.
#[derive(Clone, Default, PartialEq)]
pub struct FlatSchema {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What the answer is for; the model reads it.
    pub description: Option<String>,
    /// A JSON Schema.
    pub schema: Option<Json>,
    /// Whether the answer has to follow it exactly.
    pub strict: Option<bool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FlatSchema {
    description => "description",
    schema => "schema",
    strict => "strict",
} always { name => "name" });

/// A tool that the model may call.
#[derive(Clone, PartialEq)]
pub enum ResponsesTool {
    /// A function with arguments in JSON.
    Function(FunctionResponsesTool),
    /// A tool whose input is a text.
    Custom(CustomResponsesTool),
    /// Any other, as it was given: those that the provider runs.
    Other(Json),
}

tagged_enum!(ResponsesTool { Function(FunctionResponsesTool) => "function", Custom(CustomResponsesTool) => "custom" });

/// A function that may be called.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionResponsesTool {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it is for; the model reads it.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub parameters: Option<Json>,
    /// Whether arguments have to follow the schema exactly. Absent means that they have to.
    pub strict: Option<bool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FunctionResponsesTool {
    description => "description",
    parameters => "parameters",
    strict => "strict",
} always { name => "name" });

/// A tool whose input is a text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomResponsesTool {
    /// Its name.
    pub name: String,
    /// What it is for; the model reads it.
    pub description: Option<String>,
    /// `{"type": "text"}`, or a grammar.
    pub format: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CustomResponsesTool { description => "description", format => "format" } always { name => "name" });

opaque_debug!(
    Reasoning,
    TextOptions,
    FlatSchema,
    FunctionResponsesTool,
    CustomResponsesTool
);

impl fmt::Debug for ResponsesRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesRequest")
            .field("input", &self.input)
            .field("tools", &self.tools.len())
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
