//! Reasons why a model stops generating a choice.

use std::fmt;

use super::string_enum::string_enum;

/// Reason why the model stopped generating a choice (one of the alternative answers).
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The model completed its answer or reached a stop sequence.
    Stop,
    /// The answer reached the maximum number of tokens.
    Length,
    /// The model stopped in order to call tools.
    ToolCalls,
    /// The provider's content filter removed content from the answer.
    ContentFilter,
    /// The model stopped in order to call a function. Deprecated by OpenAI in favour of `tool_calls`.
    FunctionCall,
    /// Any other reason. Holds the string that the provider sent.
    Other(Box<str>),
}

string_enum!(FinishReason {
    Stop => "stop",
    Length => "length",
    ToolCalls => "tool_calls",
    ContentFilter => "content_filter",
    FunctionCall => "function_call",
});

/// Meaning of a finish reason. Different providers use different strings for the same meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishClass {
    /// The finish reason is an empty string: the choice is not finished.
    Missing,
    /// The choice is complete. This is also the class of unknown finish reasons.
    Complete,
    /// The choice was cut off at the token limit or at the end of the context window.
    Truncated,
    /// The provider's content filter removed content from the answer.
    Filtered,
    /// The provider failed while generating the choice.
    Failed,
}

impl FinishReason {
    /// Returns whether the choice was cut off at the token limit or at the end of the context window.
    /// Recognises the finish reasons of several providers, such as `length` and `max_tokens`.
    pub fn is_truncated(&self) -> bool {
        self.class() == FinishClass::Truncated
    }

    /// Returns whether a content filter ended the choice. Recognises the finish reasons `content_filter` and
    /// `sensitive`.
    pub fn is_filtered(&self) -> bool {
        self.class() == FinishClass::Filtered
    }

    /// Returns whether the provider failed while generating the choice. Recognises the finish reasons of
    /// several providers, such as `error` and `network_error`.
    pub fn is_failure(&self) -> bool {
        self.class() == FinishClass::Failed
    }

    pub(crate) fn class(&self) -> FinishClass {
        match self.as_str() {
            "" => FinishClass::Missing,
            "length" | "model_length" | "max_tokens" | "model_context_window_exceeded" => {
                FinishClass::Truncated
            }
            "content_filter" | "sensitive" => FinishClass::Filtered,
            "error" | "insufficient_system_resource" | "network_error" => FinishClass::Failed,
            _ => FinishClass::Complete,
        }
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // L53
    #[test]
    fn finish_reasons_of_all_providers_are_classified() {
        for (reason, class) in [
            ("stop", FinishClass::Complete),
            ("tool_calls", FinishClass::Complete),
            ("end_turn", FinishClass::Complete),
            ("", FinishClass::Missing),
            ("length", FinishClass::Truncated),
            ("model_length", FinishClass::Truncated),
            ("max_tokens", FinishClass::Truncated),
            ("model_context_window_exceeded", FinishClass::Truncated),
            ("content_filter", FinishClass::Filtered),
            ("sensitive", FinishClass::Filtered),
            ("error", FinishClass::Failed),
            ("network_error", FinishClass::Failed),
            ("insufficient_system_resource", FinishClass::Failed),
        ] {
            assert_eq!(FinishReason::from(reason).class(), class, "{reason}");
        }
    }
}
