//! Text split into words. One word stands for one token.

/// A text as words, each with the space that follows it, repeated or truncated to a number of words.
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

    /// Repeats or truncates the text to exactly `pieces` pieces; `None` leaves it as it is.
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

    /// Returns the number of pieces that the text is streamed in.
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

    /// Returns one word. The last word of the source has no trailing space, so it gets one where the text repeats.
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
