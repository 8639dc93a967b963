//! Text split into words. One word stands for one token.

/// A text that is split into words and is repeated or truncated to a number of words. Each word includes the space that
/// follows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AnswerText {
    source: Vec<String>,
    words: usize,
    words_per_piece: usize,
}

impl AnswerText {
    pub(crate) fn new(text: &str, words_per_piece: usize) -> Self {
        let source: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Self {
            words: source.len(),
            source,
            words_per_piece,
        }
    }

    /// Repeats or truncates the text to exactly `pieces` pieces. `None` leaves the text unchanged. A piece is the part
    /// of the text that one stream event carries.
    pub(crate) fn repeat_to(self, pieces: Option<usize>) -> Self {
        Self {
            words: pieces.map_or(self.words, |pieces| pieces * self.words_per_piece),
            ..self
        }
    }

    pub(crate) fn truncate(self, words: usize) -> Self {
        Self {
            words: self.words.min(words),
            ..self
        }
    }

    /// Returns the number of words.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Returns the number of pieces in which the text is streamed.
    pub(crate) fn pieces(&self) -> usize {
        self.words.div_ceil(self.words_per_piece)
    }

    pub(crate) fn piece(&self, index: usize) -> String {
        let start = index * self.words_per_piece;
        (start..self.words.min(start + self.words_per_piece))
            .map(|word| self.word(word))
            .collect()
    }

    pub(crate) fn full_text(&self) -> String {
        (0..self.pieces()).map(|index| self.piece(index)).collect()
    }

    /// Returns the word at the zero-based `index`. The last word of the source has no trailing space, so a space is
    /// added to it where the text repeats.
    fn word(&self, index: usize) -> String {
        let word = &self.source[index % self.source.len()];
        let space = if index + 1 < self.words && !word.ends_with(' ') {
            " "
        } else {
            ""
        };
        format!("{word}{space}")
    }
}
