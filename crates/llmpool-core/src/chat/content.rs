//! Message content: a string or a list of parts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::part::Part;

/// Content of a message: a string, or a list of parts such as text and images.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content<P = Part> {
    /// The content is a string.
    Text(String),
    /// The content is a list of parts, such as text, images, audio and files.
    Parts(Vec<P>),
}

impl Content {
    /// Returns the text of the content, with all text parts joined. Omits reasoning and refusals. Allocates
    /// only if the content has several text parts.
    pub fn text(&self) -> Cow<'_, str> {
        let mut texts = self.texts();
        let first = texts.next().unwrap_or_default();
        match texts.next() {
            None => Cow::Borrowed(first),
            Some(second) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
        }
    }

    /// Returns the text if the content is a string, or a list that consists of one text part and any number
    /// of reasoning parts. Otherwise returns `None`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Parts(parts) => {
                let mut parts = parts.iter().filter(|part| !matches!(part, Part::Thinking(_)));
                let first = parts.next()?.as_text();
                first.filter(|_| parts.next().is_none())
            }
        }
    }

    /// Iterates over the texts of the content in order: the string, or each text part. Skips reasoning and
    /// refusals.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let (single, parts) = match self {
            Self::Text(text) => (Some(text.as_str()), &[][..]),
            Self::Parts(parts) => (None, &parts[..]),
        };
        single.into_iter().chain(parts.iter().filter_map(Part::as_text))
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

impl<'de, P: Deserialize<'de>> Deserialize<'de> for Content<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor(PhantomData))
    }
}

struct ContentVisitor<P>(PhantomData<P>);

impl<'de, P: Deserialize<'de>> Visitor<'de> for ContentVisitor<P> {
    type Value = Content<P>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of parts")
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
