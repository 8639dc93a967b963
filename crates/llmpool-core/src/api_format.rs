//! The API formats of providers.

/// API format of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ApiFormat {
    /// `POST …/chat/completions`.
    #[default]
    ChatCompletions,
    /// `POST …/responses`.
    Responses,
}

impl ApiFormat {
    /// Returns the path below the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
        }
    }

    /// Returns the name of the format in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
        }
    }
}
