//! Optional features of the Chat Completions API that a provider supports.

/// Optional features of the Chat Completions API that a provider supports. The default describes OpenAI's own
/// API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatCapabilities {
    /// Whether the provider accepts messages with the role `developer`. If `false`, these messages are sent
    /// with the role `system`.
    pub developer_role: bool,
    /// Whether the provider accepts `max_completion_tokens`. If `false`, the token limit is sent as
    /// `max_tokens`.
    pub max_completion_tokens: bool,
    /// Whether the provider accepts OpenAI's extensions: `store`, `metadata`, `service_tier`,
    /// `safety_identifier`, `verbosity`, `prompt_cache_key`, `prompt_cache_retention`,
    /// `prompt_cache_options`, `moderation`, `allowed_tools` and custom tools.
    ///
    /// If `false`, a custom tool causes an error. `allowed_tools` is left out, and the request's list of
    /// tools contains only the allowed tools. The other fields are dropped.
    ///
    /// If `true`, `extra_content` of tool calls and messages, an extension of Gemini, is dropped, because OpenAI
    /// refuses unknown fields.
    pub openai_extensions: bool,
    /// How a chat request passes the model's reasoning from earlier turns back to the provider.
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

/// How a chat request passes the model's reasoning from earlier turns back to the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReasoningEcho {
    /// The request leaves out the reasoning of earlier turns. The reasoning items are listed in
    /// [`TranslatedRequest::dropped`](crate::translate::TranslatedRequest::dropped).
    #[default]
    Dropped,
    /// Messages contain the reasoning of earlier turns as text in `reasoning_content`. DeepSeek and Kimi
    /// require this text.
    Content,
    /// Messages contain the reasoning of earlier turns in `reasoning_details`, including encrypted content.
    Details,
}
