//! Types for the Embeddings API: requests, and responses whose vectors are lists of numbers or base64
//! strings.
//!
//! A decoded vector is stored as JSON text. Its numbers are parsed only when they are requested, so that
//! forwarding a vector requires no parsing and preserves every digit.
//!
//! Invariant: if all values have the expected types, decoding JSON and encoding the result yields equal JSON.
//!
//! Invariant: `Debug` output shows types and sizes, never text that a user wrote.

mod input;
mod vector;

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields, Usage};

use crate::lenient_json::decode_cleaned;

pub use input::EmbeddingInput;
pub use vector::{Vector, VectorError};

/// A request for embeddings. Fields that are `None` are not sent. Put parameters that have no field into
/// `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// Name of the model. The `llmpool` crate replaces this name with the model of the target to which it
    /// sends the request.
    pub model: Option<String>,
    /// Texts to embed, as strings or as lists of token IDs.
    pub input: Option<EmbeddingInput>,
    /// Encoding of the vectors in the response. If absent, providers use [`EncodingFormat::Float`].
    pub encoding_format: Option<EncodingFormat>,
    /// Number of dimensions of each returned vector. Supported only by models that can shorten their vectors.
    pub dimensions: Option<u32>,
    /// Identifier of the end user, which helps the provider detect abuse.
    pub user: Option<String>,
    /// Request parameters that this struct does not define. Encoding adds these parameters to the request.
    pub extra: UnknownFields,
}

wire_object!(EmbeddingRequest {
    model,
    input,
    encoding_format,
    dimensions,
    user,
});

impl EmbeddingRequest {
    /// Creates a request to embed `input`. All other fields are absent.
    pub fn new(input: impl Into<EmbeddingInput>) -> Self {
        Self {
            input: Some(input.into()),
            ..Self::default()
        }
    }
}

/// Encoding of the vectors in a response.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodingFormat {
    /// Each vector is a JSON list of numbers.
    Float,
    /// Each vector is a base64 string of little-endian `f32` values. The string takes roughly a quarter of
    /// the bytes of a JSON list of numbers.
    Base64,
    /// Any other encoding. Holds the string from the JSON.
    Other(Box<str>),
}

string_enum!(EncodingFormat { Float => "float", Base64 => "base64" });

/// A response to a request for embeddings.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// Type of the JSON object: `list`.
    pub object: Option<String>,
    /// One embedding for each text in the request's input, usually ordered by index.
    pub data: Vec<Embedding>,
    /// Name of the model that computed the embeddings.
    pub model: Option<String>,
    /// Token usage of the request. `None` if the provider does not report usage.
    pub usage: Option<Usage>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(EmbeddingResponse {
    object,
    model,
    usage,
} always { data });

impl EmbeddingResponse {
    /// Decodes the body of a response. Does not validate the vectors: [`Embedding::floats`] does.
    ///
    /// # Errors
    /// Fails if the body cannot be decoded as a response with embeddings. The error message may quote the
    /// body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        decode_cleaned(json, |json| crate::chat::from_json(json))
    }

    /// Returns the numbers of all vectors in the order of the texts in the input, even if the response has a
    /// different order.
    ///
    /// # Errors
    /// Fails if an embedding has no vector, or if a vector is invalid.
    pub fn vectors(&self) -> Result<Vec<Vec<f32>>, VectorError> {
        let mut ordered: Vec<_> = self.data.iter().enumerate().collect();
        ordered.sort_by_key(|(place, embedding)| embedding.index().unwrap_or(*place as u64));
        ordered
            .into_iter()
            .map(|(_, embedding)| embedding.floats())
            .collect()
    }
}

/// The embedding of one text in the input.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// Type of the JSON object: `embedding`.
    pub object: Option<String>,
    index: LenientU64,
    /// The vector of the text. `None` if the provider sent no vector.
    pub embedding: Option<Vector>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(Embedding {
    object,
    index,
    embedding
});

lenient_getters!(Embedding {
    /// Returns the zero-based index of the embedded text in the request's input. `None` if the provider sent
    /// no index.
    index,
});

impl Embedding {
    /// Creates the embedding of the text at the zero-based `index` in the input.
    pub fn new(index: u64, vector: Vector) -> Self {
        Self {
            object: Some("embedding".to_owned()),
            index: index.into(),
            embedding: Some(vector),
            extra: UnknownFields::default(),
        }
    }

    /// Returns the numbers of the vector.
    ///
    /// # Errors
    /// Fails if the embedding has no vector, or if the vector is invalid.
    pub fn floats(&self) -> Result<Vec<f32>, VectorError> {
        self.embedding.as_ref().ok_or(VectorError::Absent)?.floats()
    }
}

partial_debug!(EmbeddingRequest { input, dimensions });

partial_debug!(EmbeddingResponse { data, usage });

partial_debug!(Embedding { index(), embedding });
