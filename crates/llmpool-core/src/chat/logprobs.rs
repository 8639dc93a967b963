//! Log probabilities of tokens.

use serde::Deserialize;

use super::wire_object::opaque_debug;

/// Log probabilities of the tokens of an answer, in OpenAI's format.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Logprobs {
    /// Tokens of the message content with their log probabilities. `None` if the provider does not report log
    /// probabilities.
    pub content: Option<Vec<TokenLogprob>>,
    /// Tokens of the refusal with their log probabilities. `None` if the provider does not report log
    /// probabilities.
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// A token of the answer and its log probability.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// Text of the token.
    pub token: String,
    /// Natural logarithm of the token's probability. OpenAI reports -9999 for a very unlikely token.
    pub logprob: f64,
    /// UTF-8 bytes of the token. To decode a character that spans several tokens, concatenate their bytes.
    /// `None` if the provider does not report bytes.
    pub bytes: Option<Vec<u8>>,
    /// The most likely tokens at this position of the answer, with their log probabilities. Empty if the
    /// provider does not report the most likely tokens.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogprob>,
}

/// One of the most likely tokens at a position of the answer.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TopLogprob {
    /// Text of the token.
    pub token: String,
    /// Natural logarithm of the token's probability.
    pub logprob: f64,
    /// UTF-8 bytes of the token. `None` if the provider does not report bytes.
    pub bytes: Option<Vec<u8>>,
}

opaque_debug!(TokenLogprob, TopLogprob);
