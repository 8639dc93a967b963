//! The content coding of a body: which one its head names, and why a body cannot be decoded.
//!
//! Requests ask for `identity`. Some servers and proxies compress all the same, some name a coding that they do not use,
//! and some name none. Therefore the first bytes decide whether a body is decoded: text is passed on as it is, and gzip and
//! zstd are recognised by their magic numbers, with which no JSON and no event stream begins.

#[cfg(feature = "codings")]
mod brotli;
#[cfg(feature = "codings")]
mod codec;
#[cfg(feature = "codings")]
mod decoder;
mod error;
#[cfg(feature = "codings")]
mod inflate;
#[cfg(not(feature = "codings"))]
mod no_decoder;
mod supported;
#[cfg(feature = "codings")]
mod zstd;

use bytes::Bytes;
use http::{HeaderMap, header};

#[cfg(feature = "codings")]
use decoder::Decoder;
pub(super) use error::CodingError;
#[cfg(not(feature = "codings"))]
use no_decoder::NoDecoder as Decoder;
use supported::Coding;

/// Returns the coding that the head of a response names. `None` if it names none, or only `identity`.
fn named(headers: &HeaderMap) -> Option<Result<Coding, CodingError>> {
    headers.get(header::CONTENT_ENCODING)?;
    let mut names: Vec<String> = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let more = value.split(',').map(str::trim);
        names.extend(
            more.filter(|name| !matches!(*name, "" | "identity"))
                .map(str::to_owned),
        );
    }
    match &names[..] {
        [] => None,
        [name] => Some(Coding::from_name(name).ok_or_else(|| CodingError::Unsupported(name.clone()))),
        _ => Some(Err(CodingError::Several(names))),
    }
}

/// Returns the coding of all `names`, if it is one whose magic number shows how often a body is encoded.
fn only_coding(names: &[String]) -> Option<Coding> {
    let coding = Coding::from_name(names.first()?)?;
    let is_only = names.iter().all(|name| Coding::from_name(name) == Some(coding));
    let has_magic = MAGIC_NUMBERS.iter().any(|(known, _)| *known == coding);
    (is_only && has_magic).then_some(coding)
}

/// The codings with a magic number, and this number.
const MAGIC_NUMBERS: [(Coding, &[u8]); 2] =
    [(Coding::Gzip, b"\x1f\x8b"), (Coding::Zstd, b"\x28\xb5\x2f\xfd")];

/// Returns whether a body with this first byte may have a coding that its head does not name.
pub(super) fn may_begin_coded(first: u8) -> bool {
    matches!(first, 0x1f | 0x28)
}

/// What the first bytes of a body show whose head names no coding.
pub(super) enum Recognised {
    Coded(BodyDecoder),
    Plain,
    /// More bytes are needed.
    Undecided,
}

/// Returns whether a body with this first byte is text, although its head names a coding.
fn is_text(named: &Result<Coding, CodingError>, first: u8) -> bool {
    match named {
        Ok(Coding::Gzip) => first != 0x1f,
        // The magic numbers of frames with and without content.
        Ok(Coding::Zstd) => first != 0x28 && first >> 4 != 5,
        // These have no magic number, but no encoder begins an answer with this byte. For brotli it is invalid, and
        // for deflate it is the start of a character outside ASCII.
        Ok(Coding::Deflate | Coding::Brotli) | Err(CodingError::Several(_)) => first == b'{',
        // Such as `utf-8`, which is no coding.
        Err(_) => first.is_ascii_graphic(),
    }
}

/// Undoes the content coding of one body.
pub(super) struct BodyDecoder {
    named: Result<Coding, CodingError>,
    /// The names, if the head names the same coding several times. Most such bodies are encoded once.
    repeated: Option<Vec<String>>,
    /// `None` before the first byte.
    decoder: Option<Decoder>,
}

impl BodyDecoder {
    /// Creates the decoder for the body of a response with these headers. Returns `None` if the body has no coding.
    pub(super) fn new(headers: &HeaderMap) -> Option<Self> {
        let mut named = named(headers)?;
        let mut repeated = None;
        if let Err(CodingError::Several(names)) = &named
            && let Some(coding) = only_coding(names)
        {
            repeated = Some(names.clone());
            named = Ok(coding);
        }
        Some(Self {
            named,
            repeated,
            decoder: None,
        })
    }

    /// Recognises the coding of a body whose head names none.
    pub(super) fn recognise(begun: &[u8]) -> Recognised {
        for (coding, magic) in MAGIC_NUMBERS {
            if begun.starts_with(magic) {
                return Recognised::Coded(Self {
                    named: Ok(coding),
                    repeated: None,
                    decoder: None,
                });
            }
            if magic.starts_with(begun) {
                return Recognised::Undecided;
            }
        }
        Recognised::Plain
    }

    /// Returns whether the body is text that needs no decoder. `piece` is the next piece of the body.
    pub(super) fn is_text(&self, piece: &[u8]) -> bool {
        let first = piece.first().filter(|_| self.decoder.is_none());
        first.is_some_and(|first| is_text(&self.named, *first))
    }

    /// Appends the next piece of the encoded body.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), CodingError> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.decoder.is_none() {
            self.decoder = Some(self.named.clone().and_then(Decoder::new)?);
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.push(piece);
        }
        Ok(())
    }

    /// Returns the next decoded piece. Returns `None` if more of the encoded body is needed for it.
    pub(super) fn next_piece(&mut self) -> Result<Option<Bytes>, CodingError> {
        let piece = self.decoder.as_mut().map_or(Ok(None), Decoder::next_piece)?;
        if let Some(piece) = &piece
            && let Some(names) = self.repeated.take()
            && MAGIC_NUMBERS.iter().any(|(_, magic)| piece.starts_with(magic))
        {
            return Err(CodingError::Several(names));
        }
        Ok(piece)
    }

    /// Checks that the encoded body may end here.
    pub(super) fn finish(&mut self) -> Result<(), CodingError> {
        self.decoder.as_mut().map_or(Ok(()), Decoder::finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_needs_no_decoder() {
        let several = Err(CodingError::Several(Vec::new()));
        let other = Err(CodingError::Unsupported("utf-8".to_owned()));
        for (named, encoded, text) in [
            (Ok(Coding::Gzip), &b"\x1f"[..], &b"{d\n\xef"[..]),
            (Ok(Coding::Zstd), b"\x28\x50\x5f", b"{d\n\xef"),
            (Ok(Coding::Deflate), b"\x78\x4bd\x03", b"{"),
            (Ok(Coding::Brotli), b"\x0bd\x1b", b"{"),
            (several, b"\x1fd", b"{"),
            (other, b"\x1f\xff", b"{d:"),
        ] {
            assert!(encoded.iter().all(|first| !is_text(&named, *first)), "{named:?}");
            assert!(text.iter().all(|first| is_text(&named, *first)), "{named:?}");
        }
    }

    #[cfg(not(feature = "codings"))]
    #[test]
    fn encoded_answer_without_decoders_names_the_feature() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        let mut decoder = BodyDecoder::new(&headers).unwrap();
        let failure = decoder.push(Bytes::from_static(b"\x1f")).unwrap_err().failure();
        assert_eq!(failure.kind, llmpool_core::failure::FailureKind::UnusableAnswer);
        assert!(failure.detail().unwrap().contains("feature `codings`"));
    }
}
