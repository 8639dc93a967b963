//! Messages of a conversation.

use std::borrow::Cow;
use std::fmt;

use super::content::Content;
use super::json::Json;
use super::string_enum::string_enum;
use super::tool::{FunctionCall, ToolCall};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Role of the author of a message.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Instructions to the model.
    System,
    /// Instructions to the model, the name that newer OpenAI models use.
    Developer,
    /// The end user.
    #[default]
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The result of a function call, in the deprecated form.
    Function,
    /// A role that has no variant.
    Other(Box<str>),
}

string_enum!(Role {
    System => "system",
    Developer => "developer",
    User => "user",
    Assistant => "assistant",
    Tool => "tool",
    Function => "function",
});

/// A message of a conversation. One type for all roles: the role decides which fields are meaningful.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// Role of the author.
    pub role: Option<Role>,
    /// Content. Absent or null beside tool calls.
    pub content: Option<Content>,
    /// Name that distinguishes authors of the same role.
    pub name: Option<String>,
    /// Refusal of the model, in place of content.
    pub refusal: Option<String>,
    /// Reasoning, under the name that DeepSeek and many others use. Some providers require it in later requests.
    pub reasoning_content: Option<String>,
    /// Reasoning, under the name that OpenRouter, Groq and vLLM use.
    pub reasoning: Option<String>,
    /// Reasoning blocks of OpenRouter, to be sent back unchanged.
    pub reasoning_details: Option<Json>,
    /// Tool calls of the model.
    pub tool_calls: Vec<ToolCall>,
    /// ID of the tool call that this message is the result of.
    pub tool_call_id: Option<String>,
    /// Function call of the model, in the deprecated form.
    pub function_call: Option<FunctionCall>,
    /// Audio output: `{"id", "data", "transcript", "expires_at"}`. In a request, the ID of an earlier one.
    pub audio: Option<Json>,
    /// Sources of the content: `[{"type": "url_citation", …}]`.
    pub annotations: Option<Vec<Json>>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Message {
    role,
    content,
    name,
    refusal,
    reasoning_content,
    reasoning,
    reasoning_details,
    tool_calls,
    tool_call_id,
    function_call,
    audio,
    annotations,
});

impl Message {
    /// Creates a message with any role.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role: Some(role),
            content: Some(content.into()),
            ..Self::default()
        }
    }

    /// Creates a message with instructions to the model.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Creates a message of the end user.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// Creates a message of the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Creates the result of the tool call with this ID.
    pub fn tool(call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: Some(call_id.into()),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Creates the result of a tool call.
    pub fn tool_result(call: &ToolCall, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: call.id.clone(),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Returns the text of the content: all text parts, joined. Empty if there are none.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role.as_ref().map(known_role))
            .field("content", &self.content)
            .field("tool_calls", &self.tool_calls.len())
            .finish_non_exhaustive()
    }
}

fn known_role(role: &Role) -> &str {
    match role {
        Role::Other(_) => "other",
        known => known.as_str(),
    }
}
