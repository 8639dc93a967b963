//! Lists of models.
//!
//! Invariant: decoding and encoding gives equal JSON.
//!
//! Invariant: `Debug` shows IDs of models and no other text.

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields};

/// Models of a provider.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelList {
    /// `list`.
    pub object: Option<String>,
    /// The models.
    pub data: Vec<Model>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ModelList { object } always { data });

impl ModelList {
    /// Creates a list of models.
    pub fn new(models: impl Into<Vec<Model>>) -> Self {
        Self {
            object: Some("list".to_owned()),
            data: models.into(),
            extra: UnknownFields::default(),
        }
    }

    /// Decodes the body of an answer.
    ///
    /// # Errors
    /// If the body is not a list of models. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json)
    }

    /// Decodes the body of an answer, which is a list object or, with some providers, a bare array. Returns `None` if it is neither.
    pub fn decode_lenient(json: &[u8]) -> Option<Self> {
        if json.trim_ascii_start().starts_with(b"[") {
            let models: Vec<Model> = serde_json::from_slice(json).ok()?;
            return Some(Self::new(models));
        }
        Self::decode(json).ok().filter(|list| list.has("data"))
    }
}

/// One model.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// Name of the model in requests.
    pub id: Option<String>,
    /// `model`.
    pub object: Option<String>,
    created: Option<LenientU64>,
    /// Organisation that owns the model.
    pub owned_by: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Model {
    id,
    object,
    created,
    owned_by
});

lenient_getters!(Model {
    /// Returns the creation time in seconds since 1970, as reported by the provider.
    created,
});

impl Model {
    /// Creates a model. `created` is in seconds since 1970.
    pub fn new(id: impl Into<String>, created: u64, owned_by: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            object: Some("model".to_owned()),
            created: Some(LenientU64(created)),
            owned_by: Some(owned_by.into()),
            extra: UnknownFields::default(),
        }
    }
}

partial_debug!(ModelList { data });

partial_debug!(Model { id });
