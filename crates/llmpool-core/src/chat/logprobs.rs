//! How likely the tokens of an answer were.

use serde::Deserialize;

/// How likely the tokens of an answer were, as far as the provider says it in OpenAI's way.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Logprobs {
    /// Of the content.
    #[serde(default)]
    pub content: Option<Vec<TokenLogprob>>,
    /// Of a refusal.
    #[serde(default)]
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// A token, and how likely it was.
#[derive(Clone, PartialEq, Deserialize)]
pub struct TokenLogprob {
    /// Its text.
    pub token: String,
    /// The natural logarithm of its probability; -9999 stands for a very unlikely one.
    pub logprob: f64,
    /// Its bytes in UTF-8, where it is but a part of a character.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// What could have stood there instead.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogprob>,
}

/// What could have stood in a token's place.
#[derive(Clone, PartialEq, Deserialize)]
pub struct TopLogprob {
    /// Its text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Its bytes in UTF-8.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
}

super::wire_object::opaque_debug!(TokenLogprob, TopLogprob);
