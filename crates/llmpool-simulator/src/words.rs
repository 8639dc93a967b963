//! A text in words, which stand for tokens: cut, repeated, and told piece by piece.

/// A text as words, each with the space behind it; repeated or cut to a number of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Words {
    words: Vec<String>,
    total: usize,
    per_piece: usize,
}

impl Words {
    pub(crate) fn new(text: &str, per_piece: usize) -> Self {
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Self {
            total: words.len(),
            words,
            per_piece,
        }
    }

    pub(crate) fn repeated_to(self, pieces: Option<usize>) -> Self {
        Self {
            total: pieces.map_or(self.total, |pieces| pieces * self.per_piece),
            ..self
        }
    }

    pub(crate) fn at_most(self, total: usize) -> Self {
        Self {
            total: self.total.min(total),
            ..self
        }
    }

    /// How many words.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// How many pieces they are told in.
    pub(crate) fn pieces(&self) -> usize {
        self.total.div_ceil(self.per_piece)
    }

    pub(crate) fn piece(&self, index: usize) -> String {
        let start = index * self.per_piece;
        (start..self.total.min(start + self.per_piece))
            .map(|word| self.word(word))
            .collect()
    }

    pub(crate) fn whole(&self) -> String {
        (0..self.pieces()).map(|index| self.piece(index)).collect()
    }

    /// Where the text begins again, its last word needs a space.
    fn word(&self, index: usize) -> String {
        let word = &self.words[index % self.words.len()];
        let space = if index + 1 < self.total && !word.ends_with(' ') {
            " "
        } else {
            ""
        };
        format!("{word}{space}")
    }
}
