//! Embeddings: requests and responses, with vectors as numbers or as base64.
//!
//! A decoded vector keeps its JSON text until its numbers are requested. Forwarding a vector therefore costs nothing and preserves every digit.
//!
//! Invariant: decoding JSON and encoding the result gives equal JSON.
//!
//! Invariant: `Debug` output shows types and sizes, never a user's text.

mod input;
mod vector;

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields, Usage};

pub use input::EmbeddingInput;
pub use vector::{Vector, VectorError};

/// A request for embeddings. Fields that are `None` are not sent. Parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// Name of the model. A target replaces it with the name of its own model.
    pub model: Option<String>,
    /// Texts or tokens to embed.
    pub input: Option<EmbeddingInput>,
    /// Encoding of the vectors in the response. If absent, providers use [`EncodingFormat::Float`].
    pub encoding_format: Option<EncodingFormat>,
    /// Number of dimensions of the vectors, for models that can shorten them.
    pub dimensions: Option<u32>,
    /// Identifier of the end user, for abuse detection by the provider.
    pub user: Option<String>,
    /// Fields that this type does not define.
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
    /// A vector is a JSON list of numbers.
    Float,
    /// A vector is a base64 string of little-endian `f32` values, with roughly a quarter of the bytes of a list of numbers.
    Base64,
    /// An encoding that this enum does not define.
    Other(Box<str>),
}

string_enum!(EncodingFormat { Float => "float", Base64 => "base64" });

/// A response to a request for embeddings.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingResponse {
    /// Object type: `list`.
    pub object: Option<String>,
    /// One embedding per text or list of tokens in the input, usually ordered by index.
    pub data: Vec<Embedding>,
    /// Name of the model that computed the embeddings.
    pub model: Option<String>,
    /// Tokens used by the request. `None` if not reported.
    pub usage: Option<Usage>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(EmbeddingResponse {
    object,
    model,
    usage,
} always { data });

impl EmbeddingResponse {
    /// Decodes the body of a response. Vectors are validated when their numbers are requested.
    ///
    /// # Errors
    /// If the body is not a response with embeddings. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json)
    }

    /// Returns the numbers of all vectors in the order of the inputs, regardless of the order in the response.
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

/// The embedding of one text or list of tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// Object type: `embedding`.
    pub object: Option<String>,
    index: Option<LenientU64>,
    /// The vector. `None` if the provider sent none.
    pub embedding: Option<Vector>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(Embedding {
    object,
    index,
    embedding
});

lenient_getters!(Embedding {
    /// Returns the zero-based index of the embedded text or list of tokens in the input.
    index,
});

impl Embedding {
    /// Creates the embedding of the text or list of tokens at the zero-based `index` of the input.
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
