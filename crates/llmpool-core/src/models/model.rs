//! One model of a list.

use crate::chat::lenient_u64::lenient_getters;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::chat::{LenientU64, UnknownFields};

/// One model that a provider offers.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Model {
    /// The ID by which requests refer to the model, such as `gpt-4.1`.
    pub id: Option<String>,
    /// The object type, which is `model` in OpenAI's API. `None` if the provider does not send a type.
    pub object: Option<String>,
    pub(super) created: LenientU64,
    /// The name of the organisation that owns the model.
    pub owned_by: Option<String>,
    /// The fields of the JSON object that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(Model {
    id,
    object,
    created,
    owned_by
});

lenient_getters!(Model {
    /// Returns the creation time of the model in seconds since the Unix epoch. Returns `None` if the provider
    /// does not report a number.
    created,
});

impl Model {
    /// Creates a model. `id` is the ID by which requests refer to the model, and `created` is the creation
    /// time in seconds since the Unix epoch.
    pub fn new(id: impl Into<String>, created: u64, owned_by: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            object: Some("model".to_owned()),
            created: created.into(),
            owned_by: Some(owned_by.into()),
            extra: UnknownFields::default(),
        }
    }
}

partial_debug!(Model { id });
