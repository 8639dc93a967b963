//! Says how an answer ended, unless it ended as usual.

use llmpool::chat::FinishReason;

/// Returns a warning about an answer that was cut short, or that has no text. `text`: the text that was printed.
pub(super) fn warning(text: &str, reason: Option<&FinishReason>) -> Option<&'static str> {
    let is_empty = text.trim().is_empty();
    cut(is_empty, reason).or_else(|| is_empty.then_some("the answer has no text; --json shows what it has"))
}

/// Returns a warning about an answer that the provider cut short. `is_empty`: whether the answer has no text.
pub(super) fn cut(is_empty: bool, reason: Option<&FinishReason>) -> Option<&'static str> {
    let reason = reason?;
    match is_empty {
        true if reason.is_filtered() => Some("the provider's content filter blocked the answer"),
        false if reason.is_filtered() => Some("the provider's content filter cut the answer short"),
        true if reason.is_truncated() => Some("the token limit was reached before the answer had any text"),
        false if reason.is_truncated() => Some("the answer is cut off at the token limit"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_is_cut_or_has_no_text_gets_a_warning() {
        for (text, reason, expected) in [
            ("a", Some("stop"), None),
            ("a", None, None),
            (
                "a",
                Some("length"),
                Some("the answer is cut off at the token limit"),
            ),
            (
                " \n",
                Some("MAX_TOKENS"),
                Some("the token limit was reached before the answer had any text"),
            ),
            (
                "",
                Some("content_filter"),
                Some("the provider's content filter blocked the answer"),
            ),
            (
                "a",
                Some("SAFETY"),
                Some("the provider's content filter cut the answer short"),
            ),
            (
                "",
                Some("tool_calls"),
                Some("the answer has no text; --json shows what it has"),
            ),
        ] {
            let reason = reason.map(FinishReason::from);
            assert_eq!(warning(text, reason.as_ref()), expected, "{text:?} {reason:?}");
        }
    }
}
