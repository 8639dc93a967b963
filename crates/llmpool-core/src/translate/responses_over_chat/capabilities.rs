//! The optional parts of the Chat Completions format that a provider accepts.

/// The optional parts of the Chat Completions format that a provider accepts. The default is the set that OpenAI accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Whether the provider accepts messages with the role `developer`. If not, these messages are sent with the role `system`.
    pub developer_role: bool,
    /// Whether the provider accepts `max_completion_tokens`. If not, the limit is sent as `max_tokens`.
    pub max_completion_tokens: bool,
    /// Whether the provider accepts OpenAI's extensions: `store`, `metadata`, `service_tier`, `safety_identifier`, `verbosity`, prompt
    /// caching, custom tools and `allowed_tools`. If not, a custom tool is an error, `allowed_tools` is replaced by a tool list that
    /// contains only the allowed tools, and the other fields are dropped.
    pub openai_extensions: bool,
    /// How the reasoning of earlier turns is returned to the provider.
    pub reasoning_echo: ReasoningEcho,
}

impl Default for ChatCapabilities {
    fn default() -> Self {
        Self {
            developer_role: true,
            max_completion_tokens: true,
            openai_extensions: true,
            reasoning_echo: ReasoningEcho::Dropped,
        }
    }
}

/// How the reasoning of earlier turns is returned to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningEcho {
    /// Reasoning is not returned. Its items are listed in [`TranslatedRequest::dropped`](crate::translate::TranslatedRequest::dropped).
    #[default]
    Dropped,
    /// Reasoning is returned as text in `reasoning_content`, which DeepSeek and Kimi require.
    Content,
    /// Reasoning is returned unchanged in `reasoning_details`.
    Details,
}
