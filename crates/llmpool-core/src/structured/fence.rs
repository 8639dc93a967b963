//! Strips the Markdown code fence that many models put around JSON.

const FENCE: &str = "```";

/// Returns the content of the code fence if the whole text is one fenced block. Returns all other texts unchanged.
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

/// Converts a position in `part` to the position in `whole`. `part` must be a slice of `whole`; lines and columns count from 1, columns in
/// bytes.
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
