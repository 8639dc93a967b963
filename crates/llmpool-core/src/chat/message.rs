//! Messages of a conversation.

use std::fmt;

use super::content::Content;
use super::string_enum::string_enum;
use super::tool::{FunctionCall, ToolCall};
use super::unknown_fields::{Json, UnknownFields};
use super::wire_object::wire_object;

/// Who speaks.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the platform.
    System,
    /// Instructions of the developer.
    Developer,
    /// The person.
    #[default]
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
    /// The old form of a tool's result.
    Function,
    /// Anything else.
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

/// What somebody says. One type for all roles: which members make sense depends on the role, and providers add their own.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Option<Role>,
    /// What is said. Absent or null beside tool calls.
    pub content: Option<Content>,
    /// Tells speakers of one role apart.
    pub name: Option<String>,
    /// The model's refusal, in place of content.
    pub refusal: Option<String>,
    /// Reasoning, as DeepSeek and many others name it; wanted back in later turns by some.
    pub reasoning_content: Option<String>,
    /// Reasoning, as OpenRouter, Groq and vLLM name it.
    pub reasoning: Option<String>,
    /// Reasoning in OpenRouter's blocks, to be sent back untouched.
    pub reasoning_details: Option<Json>,
    /// Calls that the model makes.
    pub tool_calls: Vec<ToolCall>,
    /// Which call this is the result of.
    pub tool_call_id: Option<String>,
    /// The old form of a tool call.
    pub function_call: Option<FunctionCall>,
    /// What was spoken: `{"id", "data", "transcript", "expires_at"}`; of an earlier turn its id.
    pub audio: Option<Json>,
    /// Where the content comes from: `[{"type": "url_citation", …}]`.
    pub annotations: Option<Vec<Json>>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Message {
    role => "role",
    content => "content",
    name => "name",
    refusal => "refusal",
    reasoning_content => "reasoning_content",
    reasoning => "reasoning",
    reasoning_details => "reasoning_details",
    tool_calls => "tool_calls",
    tool_call_id => "tool_call_id",
    function_call => "function_call",
    audio => "audio",
    annotations => "annotations",
});

impl Message {
    /// A message of any role.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role: Some(role),
            content: Some(content.into()),
            ..Self::default()
        }
    }

    /// Instructions.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// What the person says.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// What the model said.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The result of a tool call.
    pub fn tool(call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: Some(call_id.into()),
            ..Self::new(Role::Tool, content)
        }
    }

    /// The text, if the content is one or has one as its only part that is no reasoning.
    pub fn text(&self) -> Option<&str> {
        self.content.as_ref()?.as_text()
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
