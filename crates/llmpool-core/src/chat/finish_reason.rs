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
    /// The finish reason stands for none: the choice is not finished.
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

/// Finish reasons of an answer that reached a limit on tokens.
const TRUNCATED: &[&str] = &[
    "length",
    "max_output_tokens",
    "max_tokens",
    "model_context_window_exceeded",
    "model_length",
];

/// Finish reasons of an answer that a content filter ended, among them those of Gemini, Bedrock and Cohere.
const FILTERED: &[&str] = &[
    "blocklist",
    "content_filter",
    "content_filtered",
    "error_toxic",
    "guardrail_intervened",
    "image_prohibited_content",
    "image_recitation",
    "image_safety",
    "language",
    "prohibited_content",
    "recitation",
    "safety",
    "sensitive",
    "spii",
];

/// Finish reasons of an answer that the provider or the model failed to generate.
const FAILED: &[&str] = &[
    "error",
    "error_limit",
    "insufficient_system_resource",
    "malformed_function_call",
    "malformed_response",
    "network_error",
    "too_many_tool_calls",
    "unexpected_tool_call",
];

/// Returns whether a finish reason is one. Some providers send an empty string in each chunk of an unfinished choice,
/// and some the name of null in their language.
pub(crate) fn states_a_reason(text: &str) -> bool {
    !matches!(text, "" | "None" | "null")
}

impl FinishReason {
    /// Returns whether the finish reason is one, and not a word for none, such as an empty string or `None`.
    pub fn is_stated(&self) -> bool {
        self.class() != FinishClass::Missing
    }

    /// Returns whether the choice was cut off at the token limit or at the end of the context window.
    /// Recognises the finish reasons of several providers, such as `length` and `max_tokens`.
    pub fn is_truncated(&self) -> bool {
        self.class() == FinishClass::Truncated
    }

    /// Returns whether a content filter ended the choice. Recognises the finish reasons of several providers,
    /// such as `content_filter`, `sensitive` and `SAFETY`.
    pub fn is_filtered(&self) -> bool {
        self.class() == FinishClass::Filtered
    }

    /// Returns whether the provider failed while generating the choice. Recognises the finish reasons of
    /// several providers, such as `error`, `network_error` and `MALFORMED_FUNCTION_CALL`.
    pub fn is_failure(&self) -> bool {
        self.class() == FinishClass::Failed
    }

    pub(crate) fn class(&self) -> FinishClass {
        let text = match self {
            Self::Stop | Self::ToolCalls | Self::FunctionCall => return FinishClass::Complete,
            Self::Length => return FinishClass::Truncated,
            Self::ContentFilter => return FinishClass::Filtered,
            Self::Other(text) => text,
        };
        if !states_a_reason(text) {
            return FinishClass::Missing;
        }
        // The same reason can be `SAFETY` and `safety`, since gateways rename the reasons of others.
        let is_any_of = |reasons: &[&str]| reasons.iter().any(|reason| text.eq_ignore_ascii_case(reason));
        if is_any_of(TRUNCATED) {
            FinishClass::Truncated
        } else if is_any_of(FILTERED) {
            FinishClass::Filtered
        } else if is_any_of(FAILED) {
            FinishClass::Failed
        } else {
            FinishClass::Complete
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
            ("None", FinishClass::Missing),
            ("null", FinishClass::Missing),
            ("none", FinishClass::Complete),
            ("length", FinishClass::Truncated),
            ("model_length", FinishClass::Truncated),
            ("max_tokens", FinishClass::Truncated),
            ("model_context_window_exceeded", FinishClass::Truncated),
            ("content_filter", FinishClass::Filtered),
            ("sensitive", FinishClass::Filtered),
            ("error", FinishClass::Failed),
            ("network_error", FinishClass::Failed),
            ("insufficient_system_resource", FinishClass::Failed),
            ("STOP", FinishClass::Complete),
            ("max_output_tokens", FinishClass::Truncated),
            ("MAX_TOKENS", FinishClass::Truncated),
            ("SAFETY", FinishClass::Filtered),
            ("RECITATION", FinishClass::Filtered),
            ("LANGUAGE", FinishClass::Filtered),
            ("BLOCKLIST", FinishClass::Filtered),
            ("PROHIBITED_CONTENT", FinishClass::Filtered),
            ("SPII", FinishClass::Filtered),
            ("IMAGE_SAFETY", FinishClass::Filtered),
            ("IMAGE_PROHIBITED_CONTENT", FinishClass::Filtered),
            ("IMAGE_RECITATION", FinishClass::Filtered),
            ("guardrail_intervened", FinishClass::Filtered),
            ("content_filtered", FinishClass::Filtered),
            ("ERROR_TOXIC", FinishClass::Filtered),
            ("ERROR", FinishClass::Failed),
            ("ERROR_LIMIT", FinishClass::Failed),
            ("MALFORMED_FUNCTION_CALL", FinishClass::Failed),
            ("MALFORMED_RESPONSE", FinishClass::Failed),
            ("UNEXPECTED_TOOL_CALL", FinishClass::Failed),
            ("TOO_MANY_TOOL_CALLS", FinishClass::Failed),
        ] {
            assert_eq!(FinishReason::from(reason).class(), class, "{reason}");
        }
    }
}
