//! What is to be embedded.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use crate::chat::Json;

/// What is to be embedded: one vector for each text or list of tokens.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EmbeddingInput {
    /// One text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// One text, as the ids of its tokens.
    Tokens(Vec<u32>),
    /// Several texts, as the ids of their tokens.
    TokenLists(Vec<Vec<u32>>),
    /// Anything else a provider takes, such as pictures.
    Other(Json),
}

impl EmbeddingInput {
    /// How many vectors are asked for; unknown where the input is of another kind.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Text(_) | Self::Tokens(_) => Some(1),
            Self::Texts(texts) => Some(texts.len()),
            Self::TokenLists(lists) => Some(lists.len()),
            Self::Other(_) => None,
        }
    }

    /// The kind is read from the beginning; what then does not keep to it is kept as it is.
    fn known(json: &Json) -> Option<Self> {
        let mut beginning = json.get().bytes().filter(|byte| !byte.is_ascii_whitespace());
        match (beginning.next()?, beginning.next()?) {
            (b'"', _) => read(json).map(Self::Text),
            (b'[', b'"' | b']') => read(json).map(Self::Texts),
            (b'[', b'0'..=b'9') => read(json).map(Self::Tokens),
            (b'[', b'[') => read(json).map(Self::TokenLists),
            _ => None,
        }
    }
}

fn read<T: DeserializeOwned>(json: &Json) -> Option<T> {
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
        Ok(Self::known(&json).unwrap_or(Self::Other(json)))
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
