//! Styles streamed Markdown for the terminal: headings and strong text are bold, code is coloured, quotes are
//! dim.
//!
//! Invariant: without its escape codes, the output equals the input. Markup is styled but never removed, so a
//! misinterpreted asterisk is still printed, and text copied from the terminal is valid Markdown.
//!
//! Invariant: the displayed output does not depend on how the input is split into pieces.

use std::fmt::Write;

use super::{Painter, Style};

/// Styles a Markdown text that arrives in pieces.
#[derive(Debug)]
pub(crate) struct MarkdownPainter {
    painter: Painter,
    /// Characters that are not written yet, because their meaning depends on the next character.
    held: String,
    line: LineKind,
    /// Inside a code block, the character of the opening fence: a backtick or a tilde. `None` outside code
    /// blocks.
    fence: Option<char>,
    strong: bool,
    code: bool,
    /// The style of the last escape codes that were written.
    style: Style,
    /// The last character that was written. A space at the start of a line.
    last: char,
}

/// The kind of a line, which its first characters determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    /// The characters so far do not determine the kind of the line.
    Undecided,
    Text,
    Heading,
    Quote,
    /// The line that opens or closes a code block.
    Fence,
}

impl MarkdownPainter {
    pub(crate) fn new(painter: Painter) -> Self {
        Self {
            painter,
            held: String::new(),
            line: LineKind::Undecided,
            fence: None,
            strong: false,
            code: false,
            style: Style::Plain,
            last: ' ',
        }
    }

    /// Returns the styled output for the next piece of the text. Holds back characters whose meaning depends
    /// on the next character.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if !self.painter.colours {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            self.push_char(c, &mut out);
        }
        self.set_style(Style::Plain, &mut out);
        out
    }

    /// Ends the text. Returns the styled output for the characters that were held back.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        self.flush_held(None, &mut out);
        self.set_style(Style::Plain, &mut out);
        out
    }

    fn push_char(&mut self, c: char, out: &mut String) {
        if c == '\n' {
            self.flush_held(Some(c), out);
            return self.end_line(out);
        }
        if self.line == LineKind::Undecided && self.can_be_line_mark(c) {
            return self.held.push(c);
        }
        if self.is_in_run(c) {
            return self.held.push(c);
        }
        self.flush_held(Some(c), out);
        match self.is_in_run(c) {
            true => self.held.push(c),
            false => self.write(c, out),
        }
    }

    /// Returns whether the held characters, followed by `c`, can be the start of a heading, a quote or a code
    /// fence.
    fn can_be_line_mark(&self, c: char) -> bool {
        let mark = self.held.trim_start_matches(' ');
        match (mark.chars().next(), c) {
            (None, ' ') => self.held.len() < 3,
            (None, '#' | '`' | '~' | '>') => true,
            (Some(first @ ('#' | '`' | '~')), c) => c == first,
            _ => false,
        }
    }

    /// Returns whether `c` starts or continues a run of asterisks or backticks. A run is held back until it
    /// ends, because its length determines its meaning.
    fn is_in_run(&self, c: char) -> bool {
        let in_fence = self.fence.is_some() || self.line == LineKind::Fence;
        match self.held.chars().next() {
            _ if in_fence || self.line == LineKind::Undecided => false,
            None => c == '*' || c == '`',
            Some(first) => c == first,
        }
    }

    /// Writes the held characters. `next` is the character after them, on which their meaning depends, or
    /// `None` at the end of the text.
    fn flush_held(&mut self, next: Option<char>, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let mark = held.trim_start_matches(' ');
        if self.line == LineKind::Undecided {
            self.line = self.line_kind(mark, next);
            if self.line == LineKind::Fence {
                let opens = self.fence.is_none();
                self.fence = mark.chars().next().filter(|_| opens);
            }
        }
        let is_inline = self.line != LineKind::Fence && self.fence.is_none();
        match mark {
            "`" if is_inline => self.write_mark(&held, out, |painter| painter.code = !painter.code),
            "**" | "***" if is_inline && !self.code && self.is_flanking(next) => {
                self.write_mark(&held, out, |painter| painter.strong = !painter.strong);
            }
            _ => held.chars().for_each(|c| self.write(c, out)),
        }
    }

    /// Writes an opening or closing mark such as `**` in the style of the text that the marks enclose.
    /// `toggle` turns that style on or off.
    fn write_mark(&mut self, mark: &str, out: &mut String, toggle: fn(&mut Self)) {
        let was_on = self.strong || self.code;
        if !was_on {
            toggle(self);
        }
        mark.chars().for_each(|c| self.write(c, out));
        if was_on {
            toggle(self);
        }
    }

    /// Returns whether a run of asterisks at this position can open strong text, or close it if strong text
    /// is open. Opening asterisks precede a word, and closing asterisks follow a word.
    fn is_flanking(&self, next: Option<char>) -> bool {
        match self.strong {
            true => !self.last.is_whitespace(),
            false => next.is_some_and(|next| !next.is_whitespace()),
        }
    }

    fn line_kind(&self, mark: &str, next: Option<char>) -> LineKind {
        let count = mark.chars().count();
        let ends = |next: Option<char>| next.is_none_or(char::is_whitespace);
        match (self.fence, mark.chars().next()) {
            (Some(open), Some(first)) if first == open && count >= 3 => LineKind::Fence,
            (Some(_), _) => LineKind::Text,
            (None, Some('`' | '~')) if count >= 3 => LineKind::Fence,
            (None, Some('#')) if count <= 6 && ends(next) => LineKind::Heading,
            (None, Some('>')) => LineKind::Quote,
            (None, _) => LineKind::Text,
        }
    }

    fn write(&mut self, c: char, out: &mut String) {
        if self.line == LineKind::Undecided {
            self.line = LineKind::Text;
        }
        let style = match self.line {
            LineKind::Fence => Style::Dim,
            _ if self.fence.is_some() || self.code => Style::Code,
            LineKind::Heading => Style::Strong,
            _ if self.strong => Style::Strong,
            LineKind::Quote => Style::Dim,
            LineKind::Text | LineKind::Undecided => Style::Plain,
        };
        self.set_style(style, out);
        out.push(c);
        self.last = c;
    }

    fn end_line(&mut self, out: &mut String) {
        // Strong text and code do not span lines here: a lone mark must not colour the rest of the answer.
        (self.strong, self.code) = (false, false);
        self.set_style(Style::Plain, out);
        out.push('\n');
        (self.line, self.last) = (LineKind::Undecided, ' ');
    }

    fn set_style(&mut self, style: Style, out: &mut String) {
        if style == self.style {
            return;
        }
        if self.style != Style::Plain {
            let _ = write!(out, "{}", self.style.ansi().render_reset());
        }
        let _ = write!(out, "{}", style.ansi().render());
        self.style = style;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: Painter = Painter { colours: true };

    /// Returns the output with [] around bold, {} around code and () around dim text.
    fn painted(pieces: &[&str]) -> String {
        let mut markdown = MarkdownPainter::new(COLOURED);
        let mut text: String = pieces.iter().map(|piece| markdown.push(piece)).collect();
        text += &markdown.finish();
        let mut close = "";
        let mut visible = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            visible += &rest[..at];
            let end = at + rest[at..].find('m').unwrap() + 1;
            match &rest[at + 2..end - 1] {
                "0" => visible += std::mem::take(&mut close),
                "1" => (visible, close) = (visible + "[", "]"),
                "2" => (visible, close) = (visible + "(", ")"),
                "36" => (visible, close) = (visible + "{", "}"),
                other => panic!("{other}"),
            }
            rest = &rest[end..];
        }
        // The style is reset at the end of a piece and set again by the next one.
        (visible + rest)
            .replace("][", "")
            .replace("}{", "")
            .replace(")(", "")
    }

    #[test]
    fn markup_is_coloured() {
        for (text, expected) in [
            ("plain", "plain"),
            ("# Heading\ntext", "[# Heading]\ntext"),
            ("####### no heading", "####### no heading"),
            ("#tag", "#tag"),
            ("a **strong** word", "a [**strong**] word"),
            ("***both***", "[***both***]"),
            ("**open\nnext", "[**open]\nnext"),
            ("2 ** 3 ** 4", "2 ** 3 ** 4"),
            ("a * b", "a * b"),
            ("* item\n- item", "* item\n- item"),
            ("call `f(**x)` now", "call {`f(**x)`} now"),
            ("`open\nnext", "{`open}\nnext"),
            ("> quoted\nnot", "(> quoted)\nnot"),
            (
                "```rust\nlet a = **b;\n# no heading\n```\nafter",
                "(```rust)\n{let a = **b;}\n{# no heading}\n(```)\nafter",
            ),
            ("~~~\n```\n~~~\nx", "(~~~)\n{```}\n(~~~)\nx"),
            ("``two``", "``two``"),
            ("#", "[#]"),
            ("```", "(```)"),
        ] {
            assert_eq!(painted(&[text]), expected, "{text:?}");
        }
    }

    #[test]
    fn without_colours_text_is_unchanged() {
        let mut markdown = MarkdownPainter::new(Painter { colours: false });
        assert_eq!(markdown.push("# **a**"), "# **a**");
        assert_eq!(markdown.finish(), "");
    }

    proptest::proptest! {
        #[test]
        fn text_is_preserved_however_it_is_split(
            tokens in proptest::collection::vec(proptest::sample::select(vec!["#", "`", "~", "*", " ", "\n", "a", "ä", ">", "```", "**"]), 0..40),
            cut in 0_usize..40,
        ) {
            let text: String = tokens.concat();
            let cut = cut.min(tokens.len());
            let whole = painted(&[&text]);
            let pieces = painted(&[&tokens[..cut].concat(), &tokens[cut..].concat()]);
            let bare = |text: &str| text.replace(['[', ']', '{', '}', '(', ')'], "");
            proptest::prop_assert_eq!(bare(&whole), &text[..]);
            proptest::prop_assert_eq!(pieces, whole);
        }
    }
}
