//! Strips the Markdown code fence that many models put around JSON.

pub(super) const FENCE: &str = "```";

/// Removes the Markdown code fence if the text consists of a single fenced block. Returns any other text
/// unchanged.
pub(super) fn strip_fence(text: &str) -> &str {
    fence_content(text.trim()).unwrap_or(text)
}

fn fence_content(text: &str) -> Option<&str> {
    let block = text.strip_prefix(FENCE)?.strip_suffix(FENCE)?;
    let language = block
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    Some(&block[language..])
}

/// Converts a line and column in `part` to the line and column in `whole`. `part` must be a slice of `whole`.
/// Lines and columns start at 1; columns are counted in bytes.
pub(super) fn position_in_whole(whole: &str, part: &str, line: usize, column: usize) -> (usize, usize) {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    let before = whole.get(..start).unwrap_or_default();
    let lines = before.matches('\n').count();
    let indent = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    (line + lines, if line == 1 { column + indent } else { column })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_fence_is_stripped() {
        for text in [
            "{}",
            "```json\n{}\n```",
            "```\n{}\n```",
            " \n```JSON {}``` ",
            "```{}```",
        ] {
            assert_eq!(strip_fence(text).trim(), "{}", "{text}");
        }
        for text in [
            "```json\n{}",
            "{}\n```",
            "Here:\n```\n{}\n```",
            "```",
            "``````json",
        ] {
            assert_eq!(strip_fence(text), text);
        }
        assert_eq!(
            strip_fence("```\n{}\n```\n```\n{}\n```").trim(),
            "{}\n```\n```\n{}"
        );
    }

    #[test]
    fn positions_refer_to_the_whole_text() {
        let whole = "\n ```json\n{\n x}\n```";
        assert_eq!(position_in_whole(whole, strip_fence(whole), 3, 2), (4, 2));
        let whole = "```json {x}```";
        assert_eq!(position_in_whole(whole, strip_fence(whole), 1, 3), (1, 10));
        assert_eq!(position_in_whole("{x}", "{x}", 1, 2), (1, 2));
    }
}
