//! What a Chat Completions provider accepts.

/// The optional parts of the Chat Completions format that a provider accepts. The default is what OpenAI accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Whether the provider accepts messages with the role `developer`. If not, these messages are sent with the role `system`.
    pub developer_role: bool,
    /// Whether the provider accepts `max_completion_tokens`. If not, the limit is sent as `max_tokens`.
    pub max_completion_tokens: bool,
    /// OpenAI's extensions: `store`, `metadata`, `service_tier`, `safety_identifier`, `verbosity`, prompt caching, custom tools and
    /// `allowed_tools`. Without them, custom tools are an error, of the tools only the allowed ones are sent, and the other fields are
    /// dropped.
    pub openai_extensions: bool,
    /// How reasoning of earlier turns is returned to the provider.
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

/// How reasoning of earlier turns is returned to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningEcho {
    /// Not at all; the reasoning items are reported as dropped.
    #[default]
    Dropped,
    /// As text in `reasoning_content`, which DeepSeek and Kimi require.
    Content,
    /// Unchanged, in `reasoning_details`.
    Details,
}
