//! Embedding vectors, encoded as lists of numbers or as base64 strings of little-endian `f32` values.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

use crate::chat::Json;

/// Standard base64. Decoding accepts strings without padding, because some servers omit the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An embedding vector. Encoding a decoded vector yields its original JSON text.
#[derive(Clone, PartialEq, Serialize)]
pub struct Vector(VectorEncoding);

#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum VectorEncoding {
    /// Original JSON text of a decoded vector, not yet parsed.
    Json(Json),
    Numbers(Vec<f32>),
    Base64(String),
}

impl Vector {
    /// Creates a vector that is encoded as a JSON list of numbers.
    pub fn from_floats(floats: impl Into<Vec<f32>>) -> Self {
        Self(VectorEncoding::Numbers(floats.into()))
    }

    /// Creates a vector that is encoded as a base64 string of little-endian `f32` values.
    pub fn base64_from_floats(floats: &[f32]) -> Self {
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        Self(VectorEncoding::Base64(BASE64.encode(bytes)))
    }

    /// Returns whether the vector is encoded as a base64 string.
    pub fn is_base64(&self) -> bool {
        match &self.0 {
            VectorEncoding::Json(json) => json.get().starts_with('"'),
            VectorEncoding::Numbers(_) => false,
            VectorEncoding::Base64(_) => true,
        }
    }

    /// Returns the numbers of the vector.
    ///
    /// # Errors
    /// Fails if the vector is neither a list of numbers nor a base64 string of `f32` values.
    pub fn floats(&self) -> Result<Vec<f32>, VectorError> {
        match &self.0 {
            VectorEncoding::Json(json) if self.is_base64() => {
                let text: String = serde_json::from_str(json.get()).map_err(|_| VectorError::NotBase64)?;
                from_base64(&text)
            }
            VectorEncoding::Json(json) => {
                serde_json::from_str(json.get()).map_err(|_| VectorError::NotNumbers)
            }
            VectorEncoding::Numbers(floats) => Ok(floats.clone()),
            VectorEncoding::Base64(text) => from_base64(text),
        }
    }
}

fn from_base64(text: &str) -> Result<Vec<f32>, VectorError> {
    let bytes = BASE64.decode(text).map_err(|_| VectorError::NotBase64)?;
    let (floats, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(VectorError::NotWhole { bytes: bytes.len() });
    }
    Ok(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// The reason why the numbers of a vector cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VectorError {
    /// The provider sent an embedding without a vector.
    Absent,
    /// The vector is a string that is not valid base64.
    NotBase64,
    /// The decoded base64 string does not consist of whole `f32` values, because its length is not a multiple
    /// of 4 bytes.
    NotWhole {
        /// Length of the decoded base64 string in bytes.
        bytes: usize,
    },
    /// The vector is neither a string nor a list of numbers.
    NotNumbers,
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the embedding has no vector"),
            Self::NotBase64 => f.write_str("the vector is a string but not valid base64"),
            Self::NotWhole { bytes } => {
                write!(
                    f,
                    "the base64 string decodes to {bytes} bytes, which is not a multiple of 4"
                )
            }
            Self::NotNumbers => f.write_str("the vector is neither a list of numbers nor a base64 string"),
        }
    }
}

impl std::error::Error for VectorError {}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|json| Self(VectorEncoding::Json(json)))
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            VectorEncoding::Json(json) => write!(f, "Vector({} bytes)", json.get().len()),
            VectorEncoding::Numbers(floats) => write!(f, "Vector({} numbers)", floats.len()),
            VectorEncoding::Base64(text) => write!(f, "Vector({} bytes)", text.len()),
        }
    }
}
