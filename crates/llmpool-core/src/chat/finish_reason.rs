//! Reasons why a model stops generating a choice.

use std::fmt;

use super::string_enum::string_enum;

/// Why the model stopped generating a choice.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FinishReason {
    /// The answer came to a natural end or reached a stop sequence.
    Stop,
    /// The answer reached the token limit.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// The provider's content filter removed content.
    ContentFilter,
    /// The model calls a function, in the deprecated form.
    FunctionCall,
    /// A reason that this enum does not define, as the provider sent it.
    Other(Box<str>),
}

string_enum!(FinishReason {
    Stop => "stop",
    Length => "length",
    ToolCalls => "tool_calls",
    ContentFilter => "content_filter",
    FunctionCall => "function_call",
});

/// Meaning of a finish reason, regardless of the provider's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinishClass {
    /// The reason is empty, so the choice is not finished.
    Missing,
    /// The choice is complete.
    Complete,
    /// The answer reached the token limit or the end of the context window.
    Truncated,
    /// The provider's content filter removed content.
    Filtered,
    /// The provider failed while it generated the choice.
    Failed,
}

impl FinishReason {
    /// Returns whether the choice was cut off at the token limit or at the end of the context window. Recognises the names of various providers for
    /// this.
    pub fn is_truncated(&self) -> bool {
        self.class() == FinishClass::Truncated
    }

    /// Returns whether a content filter ended the choice. Recognises the names of various providers for this.
    pub fn is_filtered(&self) -> bool {
        self.class() == FinishClass::Filtered
    }

    /// Returns whether the provider failed while it generated the choice. Recognises the names of various providers for this.
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
