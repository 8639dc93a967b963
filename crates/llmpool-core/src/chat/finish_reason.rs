//! Why a choice ended.

use std::fmt;

use super::text_enum::text_enum;

/// Why a choice ended, in the provider's words where they are not the usual ones.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// A natural end or a stop sequence.
    Stop,
    /// The token limit.
    Length,
    /// The model calls tools.
    ToolCalls,
    /// Left out by moderation.
    ContentFilter,
    /// The old form of a tool call.
    FunctionCall,
    /// Anything else a provider says.
    Other(Box<str>),
}

text_enum!(FinishReason {
    Stop => "stop",
    Length => "length",
    ToolCalls => "tool_calls",
    ContentFilter => "content_filter",
    FunctionCall => "function_call",
});

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
