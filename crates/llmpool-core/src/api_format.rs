//! The API formats that providers offer.

/// The API format that a target uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ApiFormat {
    /// Chat Completions: `POST …/chat/completions`.
    #[default]
    ChatCompletions,
    /// Responses: `POST …/responses`.
    Responses,
}

impl ApiFormat {
    /// Returns the path of the endpoint, relative to the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
        }
    }

    /// Returns the name of the format as used in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
        }
    }
}
