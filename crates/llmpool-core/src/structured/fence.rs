//! JSON in a fence of Markdown, as models like to write it.

const FENCE: &str = "```";

/// The inside of a text that is one fenced block, or the text itself.
pub(super) fn unfenced(text: &str) -> &str {
    inside(text.trim()).unwrap_or(text)
}

fn inside(text: &str) -> Option<&str> {
    let block = text.strip_prefix(FENCE)?.strip_suffix(FENCE)?;
    let language = block
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    Some(&block[language..])
}

/// Line and column, from 1, of a place in `part`, counted in the `whole` text that it is a slice of.
pub(super) fn place(whole: &str, part: &str, line: usize, column: usize) -> (usize, usize) {
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
    fn one_fence_around_everything_is_taken_off() {
        for text in [
            "{}",
            "```json\n{}\n```",
            "```\n{}\n```",
            " \n```JSON {}``` ",
            "```{}```",
        ] {
            assert_eq!(unfenced(text).trim(), "{}", "{text}");
        }
        for text in [
            "```json\n{}",
            "{}\n```",
            "Here:\n```\n{}\n```",
            "```",
            "``````json",
        ] {
            assert_eq!(unfenced(text), text);
        }
        assert_eq!(unfenced("```\n{}\n```\n```\n{}\n```").trim(), "{}\n```\n```\n{}");
    }

    #[test]
    fn places_are_those_of_the_whole_text() {
        let whole = "\n ```json\n{\n x}\n```";
        assert_eq!(place(whole, unfenced(whole), 3, 2), (4, 2));
        let whole = "```json {x}```";
        assert_eq!(place(whole, unfenced(whole), 1, 3), (1, 10));
        assert_eq!(place("{x}", "{x}", 1, 2), (1, 2));
    }
}
