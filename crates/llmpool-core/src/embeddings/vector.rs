//! Vectors as they are written: numbers, or base64 of little-endian `f32`.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

use crate::chat::Json;

/// Some servers leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A vector. What was read is written again as it came.
#[derive(Clone, PartialEq, Serialize)]
pub struct Vector(Form);

#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Form {
    /// As it came.
    Read(Json),
    Numbers(Vec<f32>),
    Base64(String),
}

impl Vector {
    /// A vector written as a list of numbers.
    pub fn from_floats(floats: impl Into<Vec<f32>>) -> Self {
        Self(Form::Numbers(floats.into()))
    }

    /// A vector written as base64.
    pub fn base64_from_floats(floats: &[f32]) -> Self {
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        Self(Form::Base64(BASE64.encode(bytes)))
    }

    /// Whether it is written as base64.
    pub fn is_base64(&self) -> bool {
        match &self.0 {
            Form::Read(json) => json.get().starts_with('"'),
            Form::Numbers(_) => false,
            Form::Base64(_) => true,
        }
    }

    /// The numbers, whichever way they are written.
    pub fn floats(&self) -> Result<Vec<f32>, VectorError> {
        match &self.0 {
            Form::Read(json) if self.is_base64() => {
                let text: String = serde_json::from_str(json.get()).map_err(|_| VectorError::NotBase64)?;
                from_base64(&text)
            }
            Form::Read(json) => serde_json::from_str(json.get()).map_err(|_| VectorError::NotNumbers),
            Form::Numbers(floats) => Ok(floats.clone()),
            Form::Base64(text) => from_base64(text),
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

/// Why a vector has no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VectorError {
    /// There is none.
    Absent,
    /// It is a text, but not in base64.
    NotBase64,
    /// It is base64 of so many bytes, which are not a whole number of `f32`.
    NotWhole {
        /// How many bytes.
        bytes: usize,
    },
    /// It is neither a text nor a list of numbers.
    NotNumbers,
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the embedding has no vector"),
            Self::NotBase64 => f.write_str("the vector is a text but not base64"),
            Self::NotWhole { bytes } => {
                write!(f, "the vector has {bytes} bytes, not a whole number of f32")
            }
            Self::NotNumbers => f.write_str("the vector is neither a list of numbers nor base64"),
        }
    }
}

impl std::error::Error for VectorError {}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(|json| Self(Form::Read(json)))
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Read(json) => write!(f, "Vector({} bytes)", json.get().len()),
            Form::Numbers(floats) => write!(f, "Vector({} numbers)", floats.len()),
            Form::Base64(text) => write!(f, "Vector({} bytes)", text.len()),
        }
    }
}
