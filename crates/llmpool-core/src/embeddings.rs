//! The vocabulary of embeddings: what is asked, and vectors as numbers or as base64.
//!
//! A vector stays the text it came as until somebody wants its numbers: who only passes it on spends nothing on it, and no
//! number changes its digits on the way.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows shapes and sizes, never a text somebody wrote.

mod input;
mod vector;

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields, Usage};

pub use input::EmbeddingInput;
pub use vector::{Vector, VectorError};

/// A request for embeddings. Absent fields are left out; anything without a field goes into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// The model.
    pub model: Option<String>,
    /// What is to be embedded.
    pub input: Option<EmbeddingInput>,
    /// How the vectors shall be written. Providers write numbers unless asked otherwise.
    pub encoding_format: Option<EncodingFormat>,
    /// How many numbers a vector shall have, where the model lets that be chosen.
    pub dimensions: Option<u32>,
    /// The end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// Anything else.
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
    /// A request for this input and nothing else.
    pub fn new(input: impl Into<EmbeddingInput>) -> Self {
        Self {
            input: Some(input.into()),
            ..Self::default()
        }
    }
}

/// How vectors are written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum EncodingFormat {
    /// A list of numbers.
    Float,
    /// Little-endian `f32` in base64: a quarter of the bytes.
    Base64,
    /// Anything else a provider knows.
    Other(Box<str>),
}

string_enum!(EncodingFormat { Float => "float", Base64 => "base64" });

/// An answer with embeddings.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingResponse {
    /// `list`.
    pub object: Option<String>,
    /// The embeddings, as a rule by index.
    pub data: Vec<Embedding>,
    /// The model that answered.
    pub model: Option<String>,
    /// What the call used.
    pub usage: Option<Usage>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(EmbeddingResponse {
    object,
    model,
    usage,
} always { data });

impl EmbeddingResponse {
    /// Decodes the body of an answer. Vectors are looked at when their numbers are asked for.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json)
    }

    /// The numbers of every vector, in the order of the inputs: by index, in which not every provider answers.
    pub fn vectors(&self) -> Result<Vec<Vec<f32>>, VectorError> {
        let mut ordered: Vec<_> = self.data.iter().enumerate().collect();
        ordered.sort_by_key(|(place, embedding)| embedding.index().unwrap_or(*place as u64));
        ordered
            .into_iter()
            .map(|(_, embedding)| embedding.floats())
            .collect()
    }
}

/// The vector of one input.
#[derive(Clone, Default, PartialEq)]
pub struct Embedding {
    /// `embedding`.
    pub object: Option<String>,
    index: Option<LenientU64>,
    /// The vector.
    pub embedding: Option<Vector>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Embedding {
    object,
    index,
    embedding
});

lenient_getters!(Embedding {
    /// Which input it belongs to, from 0.
    index,
});

impl Embedding {
    /// The vector of the input at this place.
    pub fn new(index: u64, vector: Vector) -> Self {
        Self {
            object: Some("embedding".to_owned()),
            index: Some(LenientU64(index)),
            embedding: Some(vector),
            extra: UnknownFields::default(),
        }
    }

    /// The numbers of the vector.
    pub fn floats(&self) -> Result<Vec<f32>, VectorError> {
        self.embedding.as_ref().ok_or(VectorError::Absent)?.floats()
    }
}

partial_debug!(EmbeddingRequest { input, dimensions });

partial_debug!(EmbeddingResponse { data, usage });

partial_debug!(Embedding { index(), embedding });
