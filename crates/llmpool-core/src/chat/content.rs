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
        joined(self.texts())
    }

    /// Returns the text of the reasoning parts, joined. Empty if there are none.
    pub(crate) fn reasoning_text(&self) -> Cow<'_, str> {
        joined(self.parts().iter().flat_map(Part::thoughts))
    }

    /// Returns the text of the refusal parts, joined. Empty if there are none.
    pub(crate) fn refusal_text(&self) -> Cow<'_, str> {
        joined(self.parts().iter().filter_map(|part| match part {
            Part::Refusal(part) => Some(part.refusal.as_str()),
            _ => None,
        }))
    }

    fn parts(&self) -> &[Part] {
        match self {
            Self::Text(_) => &[],
            Self::Parts(parts) => parts,
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
        let single = match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Parts(_) => None,
        };
        single
            .into_iter()
            .chain(self.parts().iter().filter_map(Part::as_text))
    }
}

/// Joins texts. Allocates only if there are several.
fn joined<'a>(mut texts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let first = texts.next().unwrap_or_default();
    match texts.next() {
        None => Cow::Borrowed(first),
        Some(second) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
    }
}

impl<P> Default for Content<P> {
    /// Returns an empty list of parts.
    fn default() -> Self {
        Self::Parts(Vec::new())
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

/// Returns the first of `fields` that is not empty, otherwise the text of `content`.
pub(super) fn first_text<'a, const N: usize>(
    fields: [&'a Option<String>; N],
    content: impl FnOnce() -> Option<Cow<'a, str>>,
) -> Cow<'a, str> {
    let mut texts = fields.into_iter().filter_map(|field| field.as_deref());
    match texts.find(|text| !text.is_empty()) {
        Some(text) => Cow::Borrowed(text),
        None => content().unwrap_or_default(),
    }
}
