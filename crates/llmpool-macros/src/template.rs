//! The system prompt: a doc comment with placeholders for parameters.
//!
//! Only `{identifier}` is a placeholder, and only `{{identifier}}` is an escape, which stands for
//! `{identifier}`. All other braces are text as they stand, so that JSON in a prompt needs no escapes: in
//! `{"a": {"b": 1}}` both closing braces count.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Path;

use crate::doc_comment::DocLine;
use crate::mistakes::Mistakes;
use crate::suggestion::closest;

/// The parameters that a placeholder can name, and those it cannot.
pub(crate) struct PlaceholderNames {
    /// Names of the arguments.
    pub(crate) arguments: Vec<String>,
    /// Names of other parameters, each with what it is.
    pub(crate) reserved: Vec<(String, &'static str)>,
}

/// A part of the prompt: text, or the value of an argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PromptPart {
    Text(String),
    Argument(String),
}

impl PromptPart {
    /// Returns the expression of type `llmpool::function::Piece`.
    pub(crate) fn to_piece(&self, krate: &Path) -> TokenStream {
        match self {
            Self::Text(text) => quote!(#krate::function::Piece::Text(#text)),
            Self::Argument(name) => quote!(#krate::function::Piece::Argument(#name)),
        }
    }
}

/// Splits the prompt into text and placeholders. A placeholder that names no argument is a mistake.
pub(crate) fn parse(lines: &[DocLine], names: &PlaceholderNames, mistakes: &mut Mistakes) -> Vec<PromptPart> {
    let mut parts = Vec::new();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        for token in scan(&line.text) {
            match token {
                Token::Text(plain) => text.push_str(plain),
                Token::Escaped(name) => text.push_str(&format!("{{{name}}}")),
                Token::Placeholder(name) => {
                    check(name, line.span, names, mistakes);
                    if !text.is_empty() {
                        parts.push(PromptPart::Text(std::mem::take(&mut text)));
                    }
                    parts.push(PromptPart::Argument(name.to_owned()));
                }
            }
        }
    }
    if !text.is_empty() {
        parts.push(PromptPart::Text(text));
    }
    parts
}

fn check(name: &str, span: Span, names: &PlaceholderNames, mistakes: &mut Mistakes) {
    if names.arguments.iter().any(|argument| argument == name) {
        return;
    }
    if let Some((_, role)) = names.reserved.iter().find(|(reserved, _)| reserved == name) {
        mistakes.at_span(
            span,
            format!("`{{{name}}}` is {role}, which is no part of the prompt; write `{{{{{name}}}}}` for literal braces"),
        );
        return;
    }
    let hint = match closest(name, names.arguments.iter().map(String::as_str)) {
        Some(similar) => format!("; did you mean `{{{similar}}}`?"),
        None => ".".to_owned(),
    };
    let known = if names.arguments.is_empty() {
        "none".to_owned()
    } else {
        names.arguments.join(", ")
    };
    mistakes.at_span(
        span,
        format!(
            "unknown placeholder `{{{name}}}`{hint} Parameters: {known}. Write `{{{{{name}}}}}` for literal braces"
        ),
    );
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Text(&'a str),
    Placeholder(&'a str),
    Escaped(&'a str),
}

fn scan(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut start, mut position) = (0, 0);
    while let Some(brace) = line[position..].find('{').map(|offset| position + offset) {
        let Some((token, length)) = brace_token(&line[brace..]) else {
            position = brace + 1;
            continue;
        };
        if start < brace {
            tokens.push(Token::Text(&line[start..brace]));
        }
        tokens.push(token);
        position = brace + length;
        start = position;
    }
    if start < line.len() {
        tokens.push(Token::Text(&line[start..]));
    }
    tokens
}

/// Returns the placeholder or escape at the start of `text`, with its length in bytes.
fn brace_token(text: &str) -> Option<(Token<'_>, usize)> {
    if let Some(name) = text.strip_prefix("{{").and_then(leading_identifier)
        && text[2 + name.len()..].starts_with("}}")
    {
        return Some((Token::Escaped(name), name.len() + 4));
    }
    let name = text.strip_prefix('{').and_then(leading_identifier)?;
    text[1 + name.len()..]
        .starts_with('}')
        .then_some((Token::Placeholder(name), name.len() + 2))
}

fn leading_identifier(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..end];
    let begins_well = name
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    (begins_well && name != "_").then_some(name)
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;

    use super::{PlaceholderNames, PromptPart, parse};
    use crate::doc_comment::DocLine;
    use crate::mistakes::Mistakes;

    fn parse_text(text: &str) -> (Vec<PromptPart>, String) {
        let lines: Vec<DocLine> = text
            .split('\n')
            .map(|text| DocLine {
                text: text.to_owned(),
                span: Span::call_site(),
            })
            .collect();
        let names = PlaceholderNames {
            arguments: vec!["name".to_owned(), "type".to_owned()],
            reserved: vec![("llm".to_owned(), "the model")],
        };
        let mut mistakes = Mistakes::default();
        let parts = parse(&lines, &names, &mut mistakes);
        (parts, mistakes.into_compile_errors().to_string())
    }

    fn text(text: &str) -> PromptPart {
        PromptPart::Text(text.to_owned())
    }

    fn argument(name: &str) -> PromptPart {
        PromptPart::Argument(name.to_owned())
    }

    #[test]
    fn only_identifiers_in_braces_are_placeholders() {
        for (source, expected) in [
            ("plain", vec![text("plain")]),
            ("{name}", vec![argument("name")]),
            (
                "a {name} b {name}{type}\nc",
                vec![
                    text("a "),
                    argument("name"),
                    text(" b "),
                    argument("name"),
                    argument("type"),
                    text("\nc"),
                ],
            ),
            ("{{name}} {{other}}", vec![text("{name} {other}")]),
            (
                "{ } {} {1} {_} { name } {a b} {name",
                vec![text("{ } {} {1} {_} { name } {a b} {name")],
            ),
            (r#"{"a": {"b": 1}}"#, vec![text(r#"{"a": {"b": 1}}"#)]),
            (
                r#"{"a": {name}}"#,
                vec![text(r#"{"a": "#), argument("name"), text("}")],
            ),
            ("{{{name}}}", vec![text("{{name}}")]),
            ("{{ }} {{}}", vec![text("{{ }} {{}}")]),
            ("{\nname}", vec![text("{\nname}")]),
            ("é{name}é", vec![text("é"), argument("name"), text("é")]),
        ] {
            assert_eq!(parse_text(source), (expected, String::new()), "{source}");
        }
    }

    #[test]
    fn unknown_placeholders_are_mistakes() {
        for (source, expected) in [
            (
                "{nmae}",
                "unknown placeholder `{nmae}`; did you mean `{name}`? Parameters: name, type. Write `{{nmae}}` for literal braces",
            ),
            (
                "{x}",
                "unknown placeholder `{x}`. Parameters: name, type. Write `{{x}}` for literal braces",
            ),
            (
                "{llm}",
                "`{llm}` is the model, which is no part of the prompt; write `{{llm}}` for literal braces",
            ),
        ] {
            let (_, errors) = parse_text(source);
            assert!(errors.contains(expected), "{source}: {errors}");
        }
    }
}
