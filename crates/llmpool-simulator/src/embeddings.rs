//! `POST /v1/embeddings`: returns a deterministic unit vector for each input.
//!
//! The vector depends on the input and the number of dimensions, but not on the model, the key or the seed.
//! Truncating a vector to its first `n` components and scaling the result to length 1 gives the vector that
//! the same input has with `n` dimensions. Real models whose embeddings can be shortened have this property
//! too.

mod base64;
mod vector;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::errors::ErrorResponse;
use crate::random::hash;
use vector::unit_vector;

/// Maximum number of inputs in one request. OpenAI has the same maximum.
const MAX_INPUTS: usize = 2048;
const DEFAULT_DIMENSIONS: usize = 1536;
const MAX_DIMENSIONS: usize = 3072;

/// A validated embeddings request.
#[derive(Debug)]
pub(crate) struct EmbeddingsRequest {
    pub(crate) model: String,
    inputs: Vec<EmbeddedText>,
    dimensions: usize,
    encoding: RequestedEncoding,
}

/// The hash of one input, which determines the input's vector, and the input's token counts.
#[derive(Debug, PartialEq)]
struct EmbeddedText {
    hash: u64,
    /// The number of tokens that the response's `usage` reports: the number of words in a text, or the length
    /// of a token array.
    tokens: usize,
    /// The number of tokens charged to the token limits: a quarter of the number of characters in a text,
    /// rounded up, or the length of a token array.
    estimate: usize,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RequestedEncoding {
    #[default]
    Float,
    Base64,
}

#[derive(Deserialize)]
struct EmbeddingsJson {
    model: Option<String>,
    #[serde(default)]
    input: Value,
    dimensions: Option<u64>,
    encoding_format: Option<Value>,
}

#[derive(Serialize)]
struct EmbeddingsBody<'a> {
    object: &'static str,
    data: Vec<EmbeddingEntry>,
    model: &'a str,
    usage: Value,
}

#[derive(Serialize)]
struct EmbeddingEntry {
    object: &'static str,
    index: usize,
    embedding: EncodedVector,
}

enum EncodedVector {
    Floats(Vec<f32>),
    Base64(String),
}

impl EmbeddingsRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ErrorResponse> {
        let fields: EmbeddingsJson =
            serde_json::from_slice(body).map_err(|error| ErrorResponse::unparsable(&error))?;
        let model = fields
            .model
            .ok_or_else(|| ErrorResponse::invalid("model", "you must provide a model parameter"))?;
        Ok(Self {
            model,
            inputs: inputs(&fields.input)?,
            dimensions: dimensions(fields.dimensions)?,
            encoding: encoding(fields.encoding_format)?,
        })
    }

    /// Returns the number of tokens charged to the token limits for the request.
    pub(crate) fn estimated_tokens(&self) -> usize {
        self.inputs.iter().map(|input| input.estimate).sum()
    }

    pub(crate) fn answer_body(&self) -> Bytes {
        let entries = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| EmbeddingEntry {
                object: "embedding",
                index,
                embedding: self.embedding(input),
            });
        let tokens: usize = self.inputs.iter().map(|input| input.tokens).sum();
        let answer = EmbeddingsBody {
            object: "list",
            data: entries.collect(),
            model: &self.model,
            usage: json!({"prompt_tokens": tokens, "total_tokens": tokens}),
        };
        Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())
    }

    fn embedding(&self, input: &EmbeddedText) -> EncodedVector {
        let vector = unit_vector(input.hash, self.dimensions);
        match self.encoding {
            RequestedEncoding::Float => EncodedVector::Floats(vector),
            RequestedEncoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                EncodedVector::Base64(base64::encode(&bytes))
            }
        }
    }
}

impl EmbeddedText {
    fn text(text: &str) -> Self {
        Self {
            hash: hash(text.as_bytes()),
            tokens: text.split_whitespace().count(),
            estimate: text.chars().count().div_ceil(4),
        }
    }

    fn tokens(tokens: &[u64]) -> Self {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        Self {
            hash: hash(&bytes),
            tokens: tokens.len(),
            estimate: tokens.len(),
        }
    }
}

impl Serialize for EncodedVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Floats(numbers) => numbers.serialize(serializer),
            Self::Base64(text) => text.serialize(serializer),
        }
    }
}

/// Parses the `input` field, which is a text, a token array, or a list of texts and token arrays. Returns an
/// error if the list, a text or a token array is empty.
fn inputs(input: &Value) -> Result<Vec<EmbeddedText>, ErrorResponse> {
    let wrong_input = || {
        ErrorResponse::invalid(
            "input",
            "'input' must be a string, strings, or arrays of tokens, none of them empty.",
        )
    };
    let inputs = match input {
        Value::Null => {
            return Err(ErrorResponse::invalid(
                "input",
                "you must provide an input parameter",
            ));
        }
        Value::String(_) => vec![parse_input(input)],
        Value::Array(items) if items.len() > MAX_INPUTS && !items[0].is_u64() => {
            return Err(ErrorResponse::invalid(
                "input",
                "'input' must have at most 2048 entries.",
            ));
        }
        Value::Array(items) if items.first().is_some_and(Value::is_u64) => vec![parse_input(input)],
        Value::Array(items) if !items.is_empty() => items.iter().map(parse_input).collect(),
        _ => return Err(wrong_input()),
    };
    inputs.into_iter().collect::<Option<_>>().ok_or_else(wrong_input)
}

fn parse_input(input: &Value) -> Option<EmbeddedText> {
    match input {
        Value::String(text) if !text.is_empty() => Some(EmbeddedText::text(text)),
        Value::Array(tokens) if !tokens.is_empty() => {
            let tokens: Option<Vec<u64>> = tokens.iter().map(Value::as_u64).collect();
            tokens.map(|tokens| EmbeddedText::tokens(&tokens))
        }
        _ => None,
    }
}

fn dimensions(requested: Option<u64>) -> Result<usize, ErrorResponse> {
    let dimensions = requested.map_or(Some(DEFAULT_DIMENSIONS), |requested| {
        usize::try_from(requested).ok()
    });
    dimensions
        .filter(|dimensions| (1..=MAX_DIMENSIONS).contains(dimensions))
        .ok_or_else(|| ErrorResponse::invalid("dimensions", "'dimensions' must be from 1 to 3072."))
}

fn encoding(requested: Option<Value>) -> Result<RequestedEncoding, ErrorResponse> {
    requested.map_or(Ok(RequestedEncoding::default()), |requested| {
        let encoding = serde_json::from_value(requested);
        encoding.map_err(|_| {
            ErrorResponse::invalid("encoding_format", "'encoding_format' must be float or base64.")
        })
    })
}
