//! Messages of a conversation.

use std::borrow::Cow;
use std::fmt;

use super::content::{Content, first_text};
use super::json::Json;
use super::string_enum::string_enum;
use super::tool::{FunctionCall, ToolCall};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Role of the author of a message.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// The `system` role: instructions to the model.
    System,
    /// The `developer` role: instructions to the model. Newer OpenAI models use this name instead of
    /// `system`.
    Developer,
    /// The `user` role: input from the end user.
    #[default]
    User,
    /// The `assistant` role: output of the model.
    Assistant,
    /// The `tool` role: the result of a tool call.
    Tool,
    /// The `function` role: the result of a function call. Deprecated by OpenAI in favour of `tool`.
    Function,
    /// Any other role. Holds the string from the JSON.
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

/// A message of a conversation. Which fields are used depends on the role.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// Role of the message's author.
    pub role: Option<Role>,
    /// Content of the message. Often `None` in a message with tool calls.
    pub content: Option<Content>,
    /// Name of the author. Distinguishes authors that have the same role.
    pub name: Option<String>,
    /// Text with which the model refuses to answer. Usually takes the place of `content`.
    pub refusal: Option<String>,
    /// Reasoning of the model, in the field that DeepSeek and many other providers use. Some providers
    /// require the client to send the reasoning back in later requests.
    pub reasoning_content: Option<String>,
    /// Reasoning of the model, in the field that OpenRouter, Groq and vLLM use.
    pub reasoning: Option<String>,
    /// Reasoning blocks in OpenRouter's format. The client must send these blocks back unchanged in later
    /// requests.
    pub reasoning_details: Option<Json>,
    /// Tool calls that the model makes in this message.
    pub tool_calls: Vec<ToolCall>,
    /// ID of the tool call whose result this message contains. Used only with the `tool` role.
    pub tool_call_id: Option<String>,
    /// Function call that the model makes. Deprecated by OpenAI in favour of `tool_calls`.
    pub function_call: Option<FunctionCall>,
    /// Audio output of the model: an object with `id`, `data`, `transcript` and `expires_at`. In a request,
    /// an object with only the `id` of an earlier audio output.
    pub audio: Option<Json>,
    /// Sources that the content cites, for example `{"type": "url_citation", …}`.
    pub annotations: Option<Vec<Json>>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// Creates a message with the given role and content.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role: Some(role),
            content: Some(content.into()),
            ..Self::default()
        }
    }

    /// Creates a `system` message, which gives instructions to the model.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Creates a `user` message, which contains input from the end user.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// Creates an `assistant` message, such as an earlier answer of the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Creates a `tool` message: the result of the tool call with the ID `call_id`.
    pub fn tool(call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: Some(call_id.into()),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Creates a `tool` message: the result of `call`.
    pub fn tool_result(call: &ToolCall, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: call.id.clone(),
            ..Self::new(Role::Tool, content)
        }
    }

    /// Returns the text of `content`, with all text parts joined. Empty if `content` has no text.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }

    /// Returns the reasoning in the message: the field `reasoning_content`, otherwise the field `reasoning`,
    /// otherwise the text of all reasoning parts in `content`. Empty if there is none.
    pub fn reasoning_text(&self) -> Cow<'_, str> {
        let fields = [&self.reasoning_content, &self.reasoning];
        first_text(fields, || self.content.as_ref().map(Content::reasoning_text))
    }

    /// Returns the text with which the model refuses to answer: the field `refusal`, otherwise the text of all
    /// refusal parts in `content`. Empty if there is none.
    pub fn refusal_text(&self) -> Cow<'_, str> {
        first_text([&self.refusal], || {
            self.content.as_ref().map(Content::refusal_text)
        })
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
