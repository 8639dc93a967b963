//! Text that is split into words, where one word counts as one token.

/// The words of a text, repeated or truncated to a given number of words. Each word includes the space that
/// follows the word.
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

    /// Repeats or truncates the text so that it consists of exactly `pieces` pieces, where a piece is the
    /// text in one stream event. `None` leaves the text unchanged.
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

    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Returns the number of stream events that carry the text.
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

    /// Returns the word at the zero-based `index` of the repeated text. Adds a space after the last word of
    /// each repetition except the last, so that the repetitions are separated.
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
