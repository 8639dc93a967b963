//! Markdown that is shown as it comes, piece by piece: headings and strong words bold, code in its colour, quotes dim.
//!
//! Always true: no sign is taken away and none is added. What is shown is the text itself, only painted; so nothing is lost where a guess
//! about a star was wrong, and what is copied from the terminal is the markdown. How the text is cut into pieces makes no difference.

use std::fmt::Write;

use super::{Look, Paint};

/// What was shown so far, as far as it says how the rest looks.
#[derive(Debug)]
pub(crate) struct Markdown {
    paint: Paint,
    /// Signs of which it is not known yet what they mean.
    held: String,
    line: Line,
    /// Whether this is inside of a fence, and of which signs the fence is.
    fence: Option<char>,
    strong: bool,
    code: bool,
    /// How the last sign looked that was shown.
    shown: Look,
    /// The last sign that was shown, a blank at the beginning of a line.
    last: char,
}

/// What kind of line it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Not known yet.
    Begun,
    Text,
    Heading,
    Quote,
    /// The line of a fence itself.
    Fence,
}

impl Markdown {
    pub(crate) fn new(paint: Paint) -> Self {
        Self {
            paint,
            held: String::new(),
            line: Line::Begun,
            fence: None,
            strong: false,
            code: false,
            shown: Look::Plain,
            last: ' ',
        }
    }

    /// What to show of this piece.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if !self.paint.colours {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len() + 16);
        for sign in text.chars() {
            self.sign(sign, &mut out);
        }
        self.look(Look::Plain, &mut out);
        out
    }

    /// What was held back.
    pub(crate) fn finish(&mut self) -> String {
        let mut out = String::new();
        self.let_go(None, &mut out);
        self.look(Look::Plain, &mut out);
        out
    }

    fn sign(&mut self, sign: char, out: &mut String) {
        if sign == '\n' {
            self.let_go(Some(sign), out);
            return self.end_line(out);
        }
        if self.line == Line::Begun && self.may_begin_a_line_with(sign) {
            return self.held.push(sign);
        }
        if self.is_of_a_run(sign) {
            return self.held.push(sign);
        }
        self.let_go(Some(sign), out);
        match self.is_of_a_run(sign) {
            true => self.held.push(sign),
            false => self.show(sign, out),
        }
    }

    /// Whether what is held and this sign may still turn out to be the mark at the beginning of a line.
    fn may_begin_a_line_with(&self, sign: char) -> bool {
        let mark = self.held.trim_start_matches(' ');
        match (mark.chars().next(), sign) {
            (None, ' ') => self.held.len() < 3,
            (None, '#' | '`' | '~' | '>') => true,
            (Some(first @ ('#' | '`' | '~')), sign) => sign == first,
            _ => false,
        }
    }

    /// Whether this sign continues what is held, or begins something that has to be held: stars and backticks come in runs.
    fn is_of_a_run(&self, sign: char) -> bool {
        let in_fence = self.fence.is_some() || self.line == Line::Fence;
        match self.held.chars().next() {
            _ if in_fence || self.line == Line::Begun => false,
            None => sign == '*' || sign == '`',
            Some(first) => sign == first,
        }
    }

    /// What is held means something now that the next sign is known.
    fn let_go(&mut self, next: Option<char>, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let mark = held.trim_start_matches(' ');
        if self.line == Line::Begun {
            self.line = self.kind(mark, next);
            if self.line == Line::Fence {
                let opens = self.fence.is_none();
                self.fence = mark.chars().next().filter(|_| opens);
            }
        }
        let is_inline = self.line != Line::Fence && self.fence.is_none();
        match mark {
            "`" if is_inline => self.around(&held, out, |line| line.code = !line.code),
            "**" | "***" if is_inline && !self.code && self.is_flank(next) => {
                self.around(&held, out, |line| line.strong = !line.strong);
            }
            _ => held.chars().for_each(|sign| self.show(sign, out)),
        }
    }

    /// A mark looks like what it is around.
    fn around(&mut self, mark: &str, out: &mut String, turn: fn(&mut Self)) {
        let was_on = self.strong || self.code;
        if !was_on {
            turn(self);
        }
        mark.chars().for_each(|sign| self.show(sign, out));
        if was_on {
            turn(self);
        }
    }

    /// Stars begin something before a word, and end it behind one.
    fn is_flank(&self, next: Option<char>) -> bool {
        match self.strong {
            true => !self.last.is_whitespace(),
            false => next.is_some_and(|next| !next.is_whitespace()),
        }
    }

    fn kind(&self, mark: &str, next: Option<char>) -> Line {
        let count = mark.chars().count();
        let ends = |next: Option<char>| next.is_none_or(char::is_whitespace);
        match (self.fence, mark.chars().next()) {
            (Some(open), Some(first)) if first == open && count >= 3 => Line::Fence,
            (Some(_), _) => Line::Text,
            (None, Some('`' | '~')) if count >= 3 => Line::Fence,
            (None, Some('#')) if count <= 6 && ends(next) => Line::Heading,
            (None, Some('>')) => Line::Quote,
            (None, _) => Line::Text,
        }
    }

    fn show(&mut self, sign: char, out: &mut String) {
        if self.line == Line::Begun {
            self.line = Line::Text;
        }
        let look = match self.line {
            Line::Fence => Look::Dim,
            _ if self.fence.is_some() || self.code => Look::Code,
            Line::Heading => Look::Strong,
            _ if self.strong => Look::Strong,
            Line::Quote => Look::Dim,
            Line::Text | Line::Begun => Look::Plain,
        };
        self.look(look, out);
        out.push(sign);
        self.last = sign;
    }

    fn end_line(&mut self, out: &mut String) {
        // What is open at the end of a line was meant otherwise, or will not be missed.
        (self.strong, self.code) = (false, false);
        self.look(Look::Plain, out);
        out.push('\n');
        (self.line, self.last) = (Line::Begun, ' ');
    }

    fn look(&mut self, look: Look, out: &mut String) {
        if look == self.shown {
            return;
        }
        if self.shown != Look::Plain {
            let _ = write!(out, "{}", self.shown.style().render_reset());
        }
        let _ = write!(out, "{}", look.style().render());
        self.shown = look;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURED: Paint = Paint { colours: true };

    /// With what is bold in [], code in {}, and what is dim in ().
    fn shown(pieces: &[&str]) -> String {
        let mut markdown = Markdown::new(COLOURED);
        let mut text: String = pieces.iter().map(|piece| markdown.push(piece)).collect();
        text += &markdown.finish();
        let mut close = "";
        let mut told = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            told += &rest[..at];
            let end = at + rest[at..].find('m').unwrap() + 1;
            match &rest[at + 2..end - 1] {
                "0" => told += std::mem::take(&mut close),
                "1" => (told, close) = (told + "[", "]"),
                "2" => (told, close) = (told + "(", ")"),
                "36" => (told, close) = (told + "{", "}"),
                other => panic!("{other}"),
            }
            rest = &rest[end..];
        }
        // Where a piece ends the paint is put away, and taken up again.
        (told + rest)
            .replace("][", "")
            .replace("}{", "")
            .replace(")(", "")
    }

    #[test]
    fn what_is_meant_is_painted() {
        for (text, painted) in [
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
            assert_eq!(shown(&[text]), painted, "{text:?}");
        }
    }

    #[test]
    fn without_colours_it_is_the_text() {
        let mut markdown = Markdown::new(Paint { colours: false });
        assert_eq!(markdown.push("# **a**"), "# **a**");
        assert_eq!(markdown.finish(), "");
    }

    proptest::proptest! {
        #[test]
        fn no_sign_is_lost_or_added_and_pieces_make_no_difference(
            signs in proptest::collection::vec(proptest::sample::select(vec!["#", "`", "~", "*", " ", "\n", "a", "ä", ">", "```", "**"]), 0..40),
            cut in 0_usize..40,
        ) {
            let text: String = signs.concat();
            let cut = cut.min(signs.len());
            let whole = shown(&[&text]);
            let pieces = shown(&[&signs[..cut].concat(), &signs[cut..].concat()]);
            let bare = |text: &str| text.replace(['[', ']', '{', '}', '(', ')'], "");
            proptest::prop_assert_eq!(bare(&whole), &text[..]);
            proptest::prop_assert_eq!(pieces, whole);
        }
    }
}
