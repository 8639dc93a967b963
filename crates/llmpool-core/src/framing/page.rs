//! Reads the title of an HTML page, which proxies and web servers send in place of an answer.

/// The maximum length of a title, in characters.
const MAX_CHARS: usize = 80;
/// The maximum number of bytes of a page that are searched for the title.
const MAX_SEARCHED: usize = 64 << 10;

/// Returns the title of an HTML page as one line without control characters. A long title is cut after a
/// word, so that no part of a word remains: a part of a secret would not be recognised as the secret.
/// Returns `None` if the page has no title, or only an empty one.
pub fn page_title(page: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&page[..page.len().min(MAX_SEARCHED)]);
    // Lowering only ASCII letters keeps the positions.
    let lower = text.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower[tag..].find('>')? + 1;
    let end = lower[start..].find('<').map_or(text.len(), |end| start + end);
    Some(shortened(&decode_entities(&text[start..end]))).filter(|title| !title.is_empty())
}

fn decode_entities(text: &str) -> String {
    // `&amp;` is last, because its result must not become a part of another entity.
    [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

/// Joins the words of `text` by single spaces, without control characters, up to [`MAX_CHARS`] characters.
pub(super) fn shortened(text: &str) -> String {
    let text = text.replace(|c: char| c.is_control() && !c.is_whitespace(), "");
    let mut line = String::new();
    let mut chars = 0;
    for word in text.split_whitespace() {
        let space = usize::from(!line.is_empty());
        chars += space + word.chars().count();
        if chars > MAX_CHARS {
            break;
        }
        line.extend(std::iter::repeat_n(' ', space));
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_one_short_line() {
        let title = |page: &str| page_title(page.as_bytes());
        let cases = [
            (
                "<title>\n  Wel&amp;come \x07 to\tnginx</title>",
                Some("Wel&come to nginx"),
            ),
            ("<TITLE lang=en>&lt;b&gt; &quot;&#39;</TITLE>", Some("<b> \"'")),
            ("<title>&amp;lt;</title>", Some("&lt;")),
            ("<title>open", Some("open")),
            ("<title> </title>", None),
            ("<title", None),
            ("<h1>no title</h1>", None),
        ];
        for (page, expected) in cases {
            assert_eq!(title(page).as_deref(), expected, "{page}");
        }
        let long = format!("<title>{} sk-{}</title>", "word ".repeat(14), "x".repeat(30));
        let shortened = title(&long).unwrap();
        assert!(
            shortened.ends_with("word") && !shortened.contains("sk-"),
            "{shortened}"
        );
        assert_eq!(title(&format!("<title>{}</title>", "x".repeat(81))), None);
        assert_eq!(
            page_title(b"<title>caf\xe9</title>").as_deref(),
            Some("caf\u{fffd}")
        );
    }
}
