//! The text of a doc comment, with the span of each line.

use proc_macro2::Span;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta};

use crate::mistakes::Mistakes;

/// One line of a doc comment.
pub(crate) struct DocLine {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Returns the lines of all doc comments among `attributes`, without the space after `///` and without blank
/// lines at both ends. Text that the macro cannot see, such as `include_str!`, is a mistake.
pub(crate) fn doc_lines(attributes: &[Attribute], mistakes: &mut Mistakes) -> Vec<DocLine> {
    let mut lines = Vec::new();
    for attribute in attributes {
        let Meta::NameValue(doc) = &attribute.meta else {
            continue;
        };
        if !doc.path.is_ident("doc") {
            continue;
        }
        match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => lines.extend(lines_of(text)),
            other => mistakes.at(
                other,
                "the attribute reads the text of the doc comment at compile time; write the text itself instead of a macro",
            ),
        }
    }
    trim_blank_ends(&mut lines);
    lines
}

/// Joins lines to one text.
pub(crate) fn joined(lines: &[DocLine]) -> String {
    lines
        .iter()
        .map(|line| line.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns whether `attribute` is a doc comment or another form of `#[doc = …]`.
pub(crate) fn is_doc_comment(attribute: &Attribute) -> bool {
    matches!(&attribute.meta, Meta::NameValue(doc) if doc.path.is_ident("doc"))
}

fn lines_of(text: &LitStr) -> Vec<DocLine> {
    let span = text.span();
    let value = text.value();
    let block = value.contains('\n').then(|| block_margin(&value)).flatten();
    value
        .split('\n')
        .map(|line| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = block.map_or(line, |margin| without_margin(line, margin));
            DocLine {
                text: line.strip_prefix(' ').unwrap_or(line).to_owned(),
                span,
            }
        })
        .collect()
}

/// The left border of a block comment: spaces with or without an asterisk.
#[derive(Clone, Copy)]
enum Margin {
    Asterisk,
    Spaces(usize),
}

/// Returns the border that all lines after the first share.
fn block_margin(value: &str) -> Option<Margin> {
    let lines: Vec<&str> = value
        .split('\n')
        .skip(1)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let has_asterisk = |line: &&str| line.starts_with([' ', '\t']) && line.trim_start().starts_with('*');
    if !lines.is_empty() && lines.iter().all(has_asterisk) {
        return Some(Margin::Asterisk);
    }
    // One space stays: it is stripped as the space after `///` is.
    let indent = lines
        .iter()
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()?;
    Some(Margin::Spaces(indent.saturating_sub(1)))
}

fn without_margin(line: &str, margin: Margin) -> &str {
    match margin {
        Margin::Asterisk => line.trim_start().strip_prefix('*').unwrap_or(line),
        Margin::Spaces(count) => {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            &line[spaces.min(count)..]
        }
    }
}

fn trim_blank_ends(lines: &mut Vec<DocLine>) {
    let is_blank = |line: &DocLine| line.text.trim().is_empty();
    let first = lines
        .iter()
        .position(|line| !is_blank(line))
        .unwrap_or(lines.len());
    lines.drain(..first);
    while lines.last().is_some_and(is_blank) {
        lines.pop();
    }
    if let Some(last) = lines.last_mut() {
        last.text.truncate(last.text.trim_end().len());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use syn::parse::Parser;

    use super::{doc_lines, joined};
    use crate::mistakes::Mistakes;

    fn text_of(source: &str) -> String {
        let attributes = syn::Attribute::parse_outer.parse_str(source).unwrap();
        let mut mistakes = Mistakes::default();
        let lines = doc_lines(&attributes, &mut mistakes);
        assert!(mistakes.is_empty());
        joined(&lines)
    }

    #[test]
    fn doc_comment_keeps_paragraphs_and_indentation() {
        for (source, expected) in [
            ("/// one", "one"),
            ("///one", "one"),
            (
                "/// one\n///\n///   indented\n/// end  \n///\n",
                "one\n\n  indented\nend",
            ),
            ("///\n/// one", "one"),
            ("/** one */", "one"),
            ("/**\n * one\n *\n *  two\n */", "one\n\n two"),
            ("/** one\n    two\n\n      three */", "one\ntwo\n\n  three"),
            ("#[doc = \"* a\\n* b\"]", "* a\n* b"),
            ("/// a\n#[doc(hidden)]\n#[cfg(test)]\n/// b", "a\nb"),
            ("///", ""),
            ("#[inline]", ""),
        ] {
            assert_eq!(text_of(source), expected, "{source}");
        }
    }

    #[test]
    fn included_doc_comment_is_a_mistake() {
        let attributes = syn::Attribute::parse_outer
            .parse_str("#[doc = include_str!(\"a.md\")]")
            .unwrap();
        let mut mistakes = Mistakes::default();
        doc_lines(&attributes, &mut mistakes);
        assert!(
            mistakes
                .into_compile_errors()
                .to_string()
                .contains("write the text itself")
        );
    }
}
