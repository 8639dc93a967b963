//! Estimates the number of tokens in a text without a tokenizer.
//!
//! Limits on tokens need an estimate before a request is sent, because the provider reports usage only
//! afterwards, and some providers never report usage. An estimate reads the bytes once, accepts invalid
//! UTF-8, and allocates no memory. For prose and code, estimates are typically within 25 % of the counts of
//! common tokenizers, and more often too high than too low.

/// The number of output tokens to expect from a request that sets no maximum, until 20 responses of the model
/// have been recorded.
pub const DEFAULT_OUTPUT_TOKENS: u32 = 1024;

/// The estimated number of tokens of one image or audio clip in a data URL. The length of the URL does not
/// matter, because providers count image tiles or seconds of audio rather than bytes.
const DATA_URL_TOKENS: u32 = 1000;

/// Returns the estimated number of tokens in a request body or any other text, which may be invalid UTF-8.
pub fn tokens(text: &[u8]) -> u32 {
    let mut quarter_tokens: u64 = 0;
    let mut rest = text;
    while let Some((&first, _)) = rest.split_first() {
        let run = match first {
            b'a'..=b'z' | b'A'..=b'Z' => {
                let run = run_length(rest, |byte| byte.is_ascii_alphabetic());
                if run == 4 && is_data_url(rest) {
                    quarter_tokens += u64::from(DATA_URL_TOKENS) * 4;
                    run_length(rest, |byte| !matches!(byte, b'"' | b' ' | b')' | b'\n'))
                } else {
                    // Words of up to six letters are usually one token; tokenizers split longer words.
                    quarter_tokens += 4 * (1 + (run as u64).saturating_sub(2) / 5);
                    run
                }
            }
            b'0'..=b'9' => {
                let run = run_length(rest, |byte| byte.is_ascii_digit());
                quarter_tokens += 4 * (run as u64).div_ceil(3);
                run
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                let run = run_length(rest, |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
                // A single space is part of the token of the following word.
                quarter_tokens += if run > 1 { 2 + run as u64 / 4 } else { 0 };
                run
            }
            0..0x80 => {
                let run = run_length(rest, |byte| byte.is_ascii_punctuation());
                quarter_tokens += 2 * (run as u64) + 1;
                run.max(1)
            }
            _ => {
                let run = run_length(rest, |byte| byte >= 0x80);
                quarter_tokens += non_ascii_quarter_tokens(&rest[..run]);
                run
            }
        };
        rest = &rest[run..];
    }
    u32::try_from(quarter_tokens.div_ceil(4)).unwrap_or(u32::MAX)
}

fn run_length(text: &[u8], is_in_run: impl Fn(u8) -> bool) -> usize {
    text.iter()
        .position(|byte| !is_in_run(*byte))
        .unwrap_or(text.len())
}

fn is_data_url(text: &[u8]) -> bool {
    let head = &text[..text.len().min(64)];
    let marker = b";base64,";
    head.starts_with(b"data:") && head.windows(marker.len()).any(|part| part == marker)
}

/// Returns the estimated number of tokens in a run of non-ASCII text, multiplied by 4. Each two-byte
/// character counts as half a token, each three-byte character (such as Chinese, Japanese or Korean) as one
/// token, and each four-byte character (such as an emoji) as two tokens.
fn non_ascii_quarter_tokens(text: &[u8]) -> u64 {
    let weight = |byte: &u8| match byte {
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 4,
        0xf0.. => 8,
        // A continuation byte of a character adds no tokens.
        _ => 0,
    };
    text.iter().map(weight).sum::<u64>().max(1)
}

/// A histogram of the lengths of recent responses, in output tokens. Used to estimate the length of the next
/// response.
#[derive(Clone, Debug)]
pub struct OutputLengths {
    /// The number of recorded responses in each bucket. The upper bound of bucket `n` is `2^(n/2)` tokens,
    /// inclusive. A response counts in the first bucket whose upper bound is at least the response's length.
    /// Responses that exceed all upper bounds count in the last bucket.
    counts: [u16; 48],
    total: u16,
}

impl Default for OutputLengths {
    fn default() -> Self {
        Self {
            counts: [0; 48],
            total: 0,
        }
    }
}

impl OutputLengths {
    /// Records the length of one response, in output tokens. When the histogram reaches 1000 responses,
    /// halves the counts of all buckets, so that recent responses have more weight.
    pub fn record(&mut self, tokens: u32) {
        let class = (f64::from(tokens.max(1)).log2() * 2.0).ceil() as usize;
        self.counts[class.min(47)] += 1;
        self.total += 1;
        if self.total >= 1000 {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// Returns the 95th percentile of the recorded response lengths in tokens, rounded up to the upper bound
    /// of a bucket. Returns `None` until 20 responses have been recorded.
    pub fn p95(&self) -> Option<u32> {
        if self.total < 20 {
            return None;
        }
        let threshold = u32::from(self.total) * 95;
        let mut sum = 0;
        for (class, count) in self.counts.iter().enumerate() {
            sum += u32::from(*count) * 100;
            if sum >= threshold {
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
    fn estimate_is_close_to_tokenizers() {
        // The lowest and highest counts of the tokenizers cl100k and o200k.
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
            let estimate = f64::from(tokens(text.as_bytes()));
            assert!(
                estimate >= low * 0.75 - 1.0 && estimate <= high * 1.35 + 1.0,
                "{text:?}: {estimate}"
            );
        }
    }

    #[test]
    fn data_url_has_a_fixed_estimate() {
        let image = format!(
            r#"{{"url":"data:image/png;base64,{}"}}"#,
            "iVBORw0KGgo".repeat(100_000)
        );
        assert!((1000..1020).contains(&tokens(image.as_bytes())));
    }

    // L87
    #[test]
    fn estimate_is_linear_in_the_length() {
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
    fn p95_follows_recent_output_lengths() {
        let mut lengths = OutputLengths::default();
        assert_eq!(lengths.p95(), None);
        for at in 0..2000_u32 {
            lengths.record(if at % 50 == 0 { 100_000 } else { 100 + at % 100 });
        }
        assert!(
            (190..300).contains(&lengths.p95().unwrap()),
            "{:?}",
            lengths.p95()
        );
        (0..3000).for_each(|_| lengths.record(3));
        assert_eq!(lengths.p95(), Some(4));
        lengths.record(0);
        lengths.record(u32::MAX);
    }

    proptest! {
        /// No panic, at most two tokens per byte, and appending text never lowers the estimate by more than three tokens.
        #[test]
        fn estimate_is_bounded_for_any_bytes(text in prop::collection::vec(any::<u8>(), 0..200), more in prop::collection::vec(any::<u8>(), 0..20)) {
            let estimate = tokens(&text);
            prop_assert!(estimate as usize <= 2 * text.len().max(1));
            let longer: Vec<u8> = text.iter().chain(&more).copied().collect();
            prop_assert!(tokens(&longer) + 3 >= estimate || text.windows(5).any(|part| part == b"data:"));
        }
    }
}
