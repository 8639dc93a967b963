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

/// What an end means, whatever a provider calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing is said: there is more to come.
    Unsaid,
    /// All was said.
    Whole,
    /// The limit of tokens, or the window of the model.
    Cut,
    /// Moderation.
    Filtered,
    /// The provider broke.
    Broken,
}

impl FinishReason {
    /// Whether it was the limit of tokens or the end of the model's window that ended it, whatever the provider calls that.
    pub fn is_cut(&self) -> bool {
        self.ending() == Ending::Cut
    }

    /// Whether it was moderation that ended it, whatever the provider calls that.
    pub fn is_filtered(&self) -> bool {
        self.ending() == Ending::Filtered
    }

    /// Whether it says that the provider broke: the answer is none.
    pub fn is_failure(&self) -> bool {
        self.ending() == Ending::Broken
    }

    pub(crate) fn ending(&self) -> Ending {
        match self.as_str() {
            "" => Ending::Unsaid,
            "length" | "model_length" | "max_tokens" | "model_context_window_exceeded" => Ending::Cut,
            "content_filter" | "sensitive" => Ending::Filtered,
            "error" | "insufficient_system_resource" | "network_error" => Ending::Broken,
            _ => Ending::Whole,
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
    fn ends_are_told_apart_whatever_they_are_called() {
        for (reason, ending) in [
            ("stop", Ending::Whole),
            ("tool_calls", Ending::Whole),
            ("end_turn", Ending::Whole),
            ("", Ending::Unsaid),
            ("length", Ending::Cut),
            ("model_length", Ending::Cut),
            ("max_tokens", Ending::Cut),
            ("model_context_window_exceeded", Ending::Cut),
            ("content_filter", Ending::Filtered),
            ("sensitive", Ending::Filtered),
            ("error", Ending::Broken),
            ("network_error", Ending::Broken),
            ("insufficient_system_resource", Ending::Broken),
        ] {
            assert_eq!(FinishReason::from(reason).ending(), ending, "{reason}");
        }
    }
}
