//! The two formats that providers speak.

/// The format that a target speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ApiFormat {
    /// `POST …/chat/completions`.
    #[default]
    ChatCompletions,
    /// `POST …/responses`.
    Responses,
}

impl ApiFormat {
    /// The path behind the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
        }
    }

    /// As configuration names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Responses => "responses",
        }
    }
}
