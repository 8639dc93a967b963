//! Embeddings: for each text a vector of length 1 that is the same every time.
//!
//! The vector depends on the text alone, whatever the model, key or seed. Fewer dimensions are the first of the many, as
//! with models that are trained for it.

mod base64;
mod vector;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::chat::{Refusal, invalid, unreadable};
use crate::random::hash;
use vector::unit_vector;

/// OpenAI's most inputs in a request.
const MAX_INPUTS: usize = 2048;
const DIMENSIONS: usize = 1536;
const MAX_DIMENSIONS: usize = 3072;

/// What a client asks for, checked.
#[derive(Debug)]
pub(crate) struct EmbeddingsRequest {
    pub(crate) model: String,
    inputs: Vec<Input>,
    dimensions: usize,
    encoding: Encoding,
}

/// One text, of which no more is known than this.
#[derive(Debug, PartialEq)]
struct Input {
    hash: u64,
    /// As usage tells them: words, or the tokens that were sent.
    tokens: usize,
    /// As limits count them before anybody has counted: a quarter of the characters, or the tokens that were sent.
    estimate: usize,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    Base64,
}

#[derive(Deserialize)]
struct Wire {
    model: Option<String>,
    #[serde(default)]
    input: Value,
    dimensions: Option<u64>,
    encoding_format: Option<Value>,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Entry>,
    model: &'a str,
    usage: Value,
}

#[derive(Serialize)]
struct Entry {
    object: &'static str,
    index: usize,
    embedding: Embedding,
}

enum Embedding {
    Floats(Vec<f32>),
    Base64(String),
}

impl EmbeddingsRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        let model = wire
            .model
            .ok_or_else(|| invalid("model", "you must provide a model parameter"))?;
        Ok(Self {
            model,
            inputs: inputs(&wire.input)?,
            dimensions: dimensions(wire.dimensions)?,
            encoding: encoding(wire.encoding_format)?,
        })
    }

    pub(crate) fn estimate(&self) -> usize {
        self.inputs.iter().map(|input| input.estimate).sum()
    }

    pub(crate) fn answer(&self) -> Bytes {
        let entries = self.inputs.iter().enumerate().map(|(index, input)| Entry {
            object: "embedding",
            index,
            embedding: self.embedding(input),
        });
        let tokens: usize = self.inputs.iter().map(|input| input.tokens).sum();
        let answer = Answer {
            object: "list",
            data: entries.collect(),
            model: &self.model,
            usage: json!({"prompt_tokens": tokens, "total_tokens": tokens}),
        };
        Bytes::from(serde_json::to_vec(&answer).unwrap_or_default())
    }

    fn embedding(&self, input: &Input) -> Embedding {
        let vector = unit_vector(input.hash, self.dimensions);
        match self.encoding {
            Encoding::Float => Embedding::Floats(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Embedding::Base64(base64::encode(&bytes))
            }
        }
    }
}

impl Input {
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

impl Serialize for Embedding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Floats(numbers) => numbers.serialize(serializer),
            Self::Base64(text) => text.serialize(serializer),
        }
    }
}

/// A text, several, one as tokens, or several as tokens; none may be empty.
fn inputs(input: &Value) -> Result<Vec<Input>, Refusal> {
    let wrong = || {
        invalid(
            "input",
            "'input' must be a string, strings, or arrays of tokens, none of them empty.",
        )
    };
    let inputs = match input {
        Value::Null => return Err(invalid("input", "you must provide an input parameter")),
        Value::String(_) => vec![one(input)],
        Value::Array(items) if items.len() > MAX_INPUTS && !items[0].is_u64() => {
            return Err(invalid("input", "'input' must have at most 2048 entries."));
        }
        Value::Array(items) if items.first().is_some_and(Value::is_u64) => vec![one(input)],
        Value::Array(items) if !items.is_empty() => items.iter().map(one).collect(),
        _ => return Err(wrong()),
    };
    inputs.into_iter().collect::<Option<_>>().ok_or_else(wrong)
}

fn one(input: &Value) -> Option<Input> {
    match input {
        Value::String(text) if !text.is_empty() => Some(Input::text(text)),
        Value::Array(tokens) if !tokens.is_empty() => {
            let tokens: Option<Vec<u64>> = tokens.iter().map(Value::as_u64).collect();
            tokens.map(|tokens| Input::tokens(&tokens))
        }
        _ => None,
    }
}

fn dimensions(asked: Option<u64>) -> Result<usize, Refusal> {
    let dimensions = asked.map_or(Some(DIMENSIONS), |asked| usize::try_from(asked).ok());
    dimensions
        .filter(|dimensions| (1..=MAX_DIMENSIONS).contains(dimensions))
        .ok_or_else(|| invalid("dimensions", "'dimensions' must be from 1 to 3072."))
}

fn encoding(asked: Option<Value>) -> Result<Encoding, Refusal> {
    asked.map_or(Ok(Encoding::default()), |asked| {
        let known = serde_json::from_value(asked);
        known.map_err(|_| invalid("encoding_format", "'encoding_format' must be float or base64."))
    })
}
