//! The two API formats in which providers serve models: Chat Completions and Responses.

/// The API format in which a target (one model at one base URL) is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ApiFormat {
    /// The Chat Completions API: requests go to `POST {base URL}/chat/completions`.
    #[default]
    ChatCompletions,
    /// The Responses API: requests go to `POST {base URL}/responses`.
    Responses,
}

impl ApiFormat {
    /// Returns the path of the format's endpoint, relative to the base URL, such as `chat/completions`.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
        }
    }

    /// Returns the name of the format in configuration files, such as `chat_completions`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
        }
    }
}
