//! The input of an embedding request.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use crate::chat::Json;

/// The input of an embedding request: one or several texts. Each text yields one vector.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EmbeddingInput {
    /// A single text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// A single text, as a list of token IDs.
    Tokens(Vec<u32>),
    /// Several texts, each as a list of token IDs.
    TokenLists(Vec<Vec<u32>>),
    /// Any other input, such as images, as raw JSON.
    Other(Json),
}

impl EmbeddingInput {
    /// Returns the number of vectors that the provider computes for the input. `None` for
    /// [`EmbeddingInput::Other`].
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Text(_) | Self::Tokens(_) => Some(1),
            Self::Texts(texts) => Some(texts.len()),
            Self::TokenLists(lists) => Some(lists.len()),
            Self::Other(_) => None,
        }
    }

    /// Selects the variant by the first characters of the JSON, and parses the JSON as this variant. `None`
    /// if no variant matches or the JSON does not fit the variant.
    fn parse(json: &Json) -> Option<Self> {
        let mut start = json.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
        match (start.next()?, start.next()?) {
            (b'"', _) => parse(json).map(Self::Text),
            (b'[', b'"' | b']') => parse(json).map(Self::Texts),
            (b'[', b'0'..=b'9') => parse(json).map(Self::Tokens),
            (b'[', b'[') => parse(json).map(Self::TokenLists),
            _ => None,
        }
    }
}

fn parse<T: DeserializeOwned>(json: &Json) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

impl From<&str> for EmbeddingInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for EmbeddingInput {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for EmbeddingInput {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<&[&str]> for EmbeddingInput {
    fn from(texts: &[&str]) -> Self {
        Self::Texts(texts.iter().map(|&text| text.to_owned()).collect())
    }
}

impl<const N: usize> From<[&str; N]> for EmbeddingInput {
    fn from(texts: [&str; N]) -> Self {
        Self::from(texts.as_slice())
    }
}

impl<'de> Deserialize<'de> for EmbeddingInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Ok(Self::parse(&json).unwrap_or(Self::Other(json)))
    }
}

impl fmt::Debug for EmbeddingInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Texts(texts) => write!(f, "Texts({})", texts.len()),
            Self::Tokens(tokens) => write!(f, "Tokens({})", tokens.len()),
            Self::TokenLists(lists) => write!(f, "TokenLists({})", lists.len()),
            Self::Other(json) => write!(f, "Other({} bytes)", json.get().len()),
        }
    }
}
