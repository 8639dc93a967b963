//! A text or a list: the wire has this choice in many places.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::part::Part;

/// A text, or parts of several kinds.
#[derive(Clone, PartialEq)]
pub enum Content<P = Part> {
    /// A text.
    Text(String),
    /// Parts: text, images, audio, files.
    Parts(Vec<P>),
}

impl Content {
    /// The text, if it is one or has one as its only part that is no reasoning.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Parts(parts) => {
                let mut said = parts.iter().filter(|part| !matches!(part, Part::Thinking(_)));
                let first = said.next()?.as_text();
                first.filter(|_| said.next().is_none())
            }
        }
    }
}

impl Content {
    /// All its texts in order, reasoning and refusals left out.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let (one, parts) = match self {
            Self::Text(text) => (Some(text.as_str()), &[][..]),
            Self::Parts(parts) => (None, &parts[..]),
        };
        one.into_iter().chain(parts.iter().filter_map(Part::as_text))
    }
}

impl<P> From<&str> for Content<P> {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<P> From<String> for Content<P> {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<P> From<Vec<P>> for Content<P> {
    fn from(parts: Vec<P>) -> Self {
        Self::Parts(parts)
    }
}

impl<P: Serialize> Serialize for Content<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => parts.serialize(serializer),
        }
    }
}

impl<'de, P: Deserialize<'de>> Deserialize<'de> for Content<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrParts(PhantomData))
    }
}

struct TextOrParts<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> Visitor<'de> for TextOrParts<P> {
    type Value = Content<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content<P>, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content<P>, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content<P>, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = items.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }
}

impl<P> fmt::Debug for Content<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Parts(parts) => write!(f, "Parts({})", parts.len()),
        }
    }
}
