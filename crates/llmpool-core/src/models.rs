//! The vocabulary of listing models.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows ids of models and nothing else that was written.

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields};

/// The models of a provider.
#[derive(Clone, Default, PartialEq)]
pub struct ModelList {
    /// `list`.
    pub object: Option<String>,
    /// The models.
    pub data: Vec<Model>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ModelList { object } always { data });

impl ModelList {
    /// A list of these models.
    pub fn new(models: impl Into<Vec<Model>>) -> Self {
        Self {
            object: Some("list".to_owned()),
            data: models.into(),
            extra: UnknownFields::default(),
        }
    }

    /// Decodes the body of an answer.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json)
    }

    /// The models that an answer lists, also where the provider sends them with nothing around them; `None` where it is no list.
    pub fn read(json: &[u8]) -> Option<Self> {
        if json.trim_ascii_start().starts_with(b"[") {
            let models: Vec<Model> = serde_json::from_slice(json).ok()?;
            return Some(Self::new(models));
        }
        Self::decode(json).ok().filter(|list| list.has("data"))
    }
}

/// One model.
#[derive(Clone, Default, PartialEq)]
pub struct Model {
    /// The name to ask for it by.
    pub id: Option<String>,
    /// `model`.
    pub object: Option<String>,
    created: Option<LenientU64>,
    /// Who offers it.
    pub owned_by: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Model {
    id,
    object,
    created,
    owned_by
});

lenient_getters!(Model {
    /// Seconds since 1970 at which it was made, as the provider says.
    created,
});

impl Model {
    /// A model of this name, made so many seconds after 1970.
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
