//! How many tokens a text has, without anybody's tokenizer.
//!
//! Used where a limit counts tokens before the provider has counted them, and where a provider never says. One pass over the bytes,
//! whatever they are; no table, no allocation. Within a quarter of the usual tokenizers for prose and code; a little high rather than low.

/// Tokens that an answer is expected to have where nobody knows better.
pub const USUAL_ANSWER: u32 = 1024;

/// A picture or sound given as data, whatever its size: providers count them by tiles and seconds, not by bytes.
const DATA_URL: u32 = 1000;

/// The tokens of a request body or any other text.
pub fn tokens(text: &[u8]) -> u32 {
    let mut quarters: u64 = 0;
    let mut rest = text;
    while let Some((&first, _)) = rest.split_first() {
        let run = match first {
            b'a'..=b'z' | b'A'..=b'Z' => {
                let run = length(rest, |byte| byte.is_ascii_alphabetic());
                if run == 4 && is_data_url(rest) {
                    quarters += u64::from(DATA_URL) * 4;
                    length(rest, |byte| !matches!(byte, b'"' | b' ' | b')' | b'\n'))
                } else {
                    // Words up to six letters are mostly one token; longer ones come in pieces.
                    quarters += 4 * (1 + (run as u64).saturating_sub(2) / 5);
                    run
                }
            }
            b'0'..=b'9' => {
                let run = length(rest, |byte| byte.is_ascii_digit());
                quarters += 4 * (run as u64).div_ceil(3);
                run
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                let run = length(rest, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
                // A single blank belongs to the word behind it.
                quarters += if run > 1 { 2 + run as u64 / 4 } else { 0 };
                run
            }
            0..0x80 => {
                let run = length(rest, |byte| byte.is_ascii_punctuation());
                quarters += 2 * (run as u64) + 1;
                run.max(1)
            }
            _ => {
                let run = length(rest, |byte| byte >= 0x80);
                quarters += beyond_ascii(&rest[..run]);
                run
            }
        };
        rest = &rest[run..];
    }
    u32::try_from(quarters.div_ceil(4)).unwrap_or(u32::MAX)
}

fn length(text: &[u8], part: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !part(*byte)).unwrap_or(text.len())
}

fn is_data_url(text: &[u8]) -> bool {
    let head = &text[..text.len().min(64)];
    let marker = b";base64,";
    head.starts_with(b"data:") && head.windows(marker.len()).any(|part| part == marker)
}

/// In quarters: letters of two bytes are half a token, those of three (Chinese, Japanese, Korean) a whole one, emoji two.
fn beyond_ascii(text: &[u8]) -> u64 {
    let of = |byte: &u8| match byte {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 4,
        0xf0.. => 8,
        // A byte within a letter.
        _ => 0,
    };
    text.iter().map(of).sum::<u64>().max(1)
}

/// How long answers have been lately, to tell how long the next one may be.
#[derive(Clone, Debug)]
pub struct AnswerLengths {
    /// How many answers had up to 2^(n/2) tokens.
    counts: [u16; 48],
    seen: u16,
}

impl Default for AnswerLengths {
    fn default() -> Self {
        Self {
            counts: [0; 48],
            seen: 0,
        }
    }
}

impl AnswerLengths {
    /// Remembers one answer; the memory of older ones fades.
    pub fn note(&mut self, tokens: u32) {
        let class = (f64::from(tokens.max(1)).log2() * 2.0).ceil() as usize;
        self.counts[class.min(47)] += 1;
        self.seen += 1;
        if self.seen >= 1000 {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.seen = self.counts.iter().sum();
        }
    }

    /// A length that 95 of 100 answers stay below; `None` before twenty are known.
    pub fn p95(&self) -> Option<u32> {
        if self.seen < 20 {
            return None;
        }
        let wanted = u32::from(self.seen) * 95;
        let mut sum = 0;
        for (class, count) in self.counts.iter().enumerate() {
            sum += u32::from(*count) * 100;
            if sum >= wanted {
                return Some(2_f64.powf(class as f64 / 2.0).ceil() as u32);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn near_what_tokenizers_say() {
        // Counted with cl100k and o200k; the wider of both.
        let table = [
            ("Hello, world!", 4, 4),
            ("The quick brown fox jumps over the lazy dog.", 10, 10),
            (
                "Explain what an operating system kernel does, in three sentences.",
                12,
                13,
            ),
            ("fn main() { println!(\"{}\", 1 + 2); }", 15, 16),
            ("今天天气怎么样？请用一句话回答。", 13, 20),
            (
                "Ein Satz auf Deutsch mit Umlauten: Äpfel, Öl und Übermut.",
                18,
                20,
            ),
            ("1234567890", 4, 4),
            ("", 0, 0),
        ];
        for (text, low, high) in table {
            let (low, high) = (f64::from(low), f64::from(high));
            let said = f64::from(tokens(text.as_bytes()));
            assert!(
                said >= low * 0.75 - 1.0 && said <= high * 1.35 + 1.0,
                "{text:?}: {said}"
            );
        }
    }

    #[test]
    fn a_picture_is_not_counted_by_its_bytes() {
        let picture = format!(
            r#"{{"url":"data:image/png;base64,{}"}}"#,
            "iVBORw0KGgo".repeat(100_000)
        );
        assert!((1000..1020).contains(&tokens(picture.as_bytes())));
    }

    // L87
    #[test]
    fn a_million_letters_are_one_pass() {
        for text in [
            "A".repeat(1_000_000),
            " ".repeat(1_000_000),
            "\u{1F600}".repeat(250_000),
            "data:".repeat(200_000),
        ] {
            assert!(tokens(text.as_bytes()) > 50_000);
        }
    }

    #[test]
    fn most_answers_are_shorter_than_expected() {
        let mut lengths = AnswerLengths::default();
        assert_eq!(lengths.p95(), None);
        for at in 0..2000_u32 {
            lengths.note(if at % 50 == 0 { 100_000 } else { 100 + at % 100 });
        }
        assert!(
            (190..300).contains(&lengths.p95().unwrap()),
            "{:?}",
            lengths.p95()
        );
        (0..3000).for_each(|_| lengths.note(3));
        assert_eq!(lengths.p95(), Some(4));
        lengths.note(0);
        lengths.note(u32::MAX);
    }

    proptest! {
        /// Any bytes at all: no panic, no more than two tokens a byte, and more text is never fewer tokens by more than a joint.
        #[test]
        fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..200), more in prop::collection::vec(any::<u8>(), 0..20)) {
            let said = tokens(&text);
            prop_assert!(said as usize <= 2 * text.len().max(1));
            let longer: Vec<u8> = text.iter().chain(&more).copied().collect();
            prop_assert!(tokens(&longer) + 3 >= said || text.windows(5).any(|part| part == b"data:"));
        }
    }
}
