//! Embeddings: requests and responses, with vectors as numbers or as base64.
//!
//! A decoded vector keeps its JSON text until its numbers are requested, so that forwarding it costs nothing and changes no digit.
//!
//! Invariant: decoding and encoding gives equal JSON.
//!
//! Invariant: `Debug` shows types and sizes, never text of a user.

mod input;
mod vector;

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields, Usage};

pub use input::EmbeddingInput;
pub use vector::{Vector, VectorError};

/// A request for embeddings. Absent fields are not sent; parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// Model. Targets replace it by their own.
    pub model: Option<String>,
    /// Input to embed.
    pub input: Option<EmbeddingInput>,
    /// Encoding of the vectors. The default of providers is [`EncodingFormat::Float`].
    pub encoding_format: Option<EncodingFormat>,
    /// Number of dimensions of the vectors, for models that support a choice.
    pub dimensions: Option<u32>,
    /// ID of the end user, for abuse detection.
    pub user: Option<String>,
    /// Unknown fields.
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
    /// Creates a request for this input.
    pub fn new(input: impl Into<EmbeddingInput>) -> Self {
        Self {
            input: Some(input.into()),
            ..Self::default()
        }
    }
}

/// Encoding of vectors.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncodingFormat {
    /// A list of numbers.
    Float,
    /// Little-endian `f32` in base64: a quarter of the bytes.
    Base64,
    /// An encoding that has no variant.
    Other(Box<str>),
}

string_enum!(EncodingFormat { Float => "float", Base64 => "base64" });

/// A response with embeddings.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// `list`.
    pub object: Option<String>,
    /// Embeddings, as a rule ordered by index.
    pub data: Vec<Embedding>,
    /// Model that computed the embeddings.
    pub model: Option<String>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(EmbeddingResponse {
    object,
    model,
    usage,
} always { data });

impl EmbeddingResponse {
    /// Decodes the body of an answer. Vectors are validated when their numbers are requested.
    ///
    /// # Errors
    /// If the body is not a response with embeddings. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json)
    }

    /// Returns the numbers of all vectors in the order of the inputs, whatever the order in the response.
    ///
    /// # Errors
    /// If a vector is missing or invalid.
    pub fn vectors(&self) -> Result<Vec<Vec<f32>>, VectorError> {
        let mut ordered: Vec<_> = self.data.iter().enumerate().collect();
        ordered.sort_by_key(|(place, embedding)| embedding.index().unwrap_or(*place as u64));
        ordered
            .into_iter()
            .map(|(_, embedding)| embedding.floats())
            .collect()
    }
}

/// The embedding of one input.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// `embedding`.
    pub object: Option<String>,
    index: Option<LenientU64>,
    /// The vector.
    pub embedding: Option<Vector>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Embedding {
    object,
    index,
    embedding
});

lenient_getters!(Embedding {
    /// Returns the index of the input, from 0.
    index,
});

impl Embedding {
    /// Creates the embedding of the input at this index.
    pub fn new(index: u64, vector: Vector) -> Self {
        Self {
            object: Some("embedding".to_owned()),
            index: Some(LenientU64(index)),
            embedding: Some(vector),
            extra: UnknownFields::default(),
        }
    }

    /// Returns the numbers of the vector.
    ///
    /// # Errors
    /// If the vector is missing or invalid.
    pub fn floats(&self) -> Result<Vec<f32>, VectorError> {
        self.embedding.as_ref().ok_or(VectorError::Absent)?.floats()
    }
}

partial_debug!(EmbeddingRequest { input, dimensions });

partial_debug!(EmbeddingResponse { data, usage });

partial_debug!(Embedding { index(), embedding });
