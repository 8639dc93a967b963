//! Log probabilities of tokens.

use serde::Deserialize;

use super::wire_object::opaque_debug;

/// Log probabilities of the tokens of an answer, in OpenAI's format.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Logprobs {
    /// Tokens of the content.
    pub content: Option<Vec<TokenLogprob>>,
    /// Tokens of a refusal.
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// A token and its log probability.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// Text of the token.
    pub token: String,
    /// Natural logarithm of the probability; -9999 stands for a very unlikely token.
    pub logprob: f64,
    /// UTF-8 bytes of the token, for tokens that are part of a character.
    pub bytes: Option<Vec<u8>>,
    /// Most likely tokens at this position.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that was likely at a position.
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TopLogprob {
    /// Text of the token.
    pub token: String,
    /// Natural logarithm of the probability.
    pub logprob: f64,
    /// UTF-8 bytes of the token.
    pub bytes: Option<Vec<u8>>,
}

opaque_debug!(TokenLogprob, TopLogprob);
