//! The list of models that a provider offers, as returned by `GET /models`.
//!
//! Invariant: decoding a JSON body and encoding the result yields equal JSON.
//!
//! Invariant: `Debug` output contains the IDs of the models, and no other text from the provider.

mod listing;
mod model;

pub use model::Model;

use crate::chat::UnknownFields;
use crate::chat::wire_object::{partial_debug, wire_object};
use crate::lenient_json::decode_cleaned;

/// A list of the models that a provider offers.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelList {
    /// The object type, which is `list` in OpenAI's API. `None` if the provider does not send a type.
    pub object: Option<String>,
    /// The models, in the order in which the provider lists them.
    pub data: Vec<Model>,
    /// The fields of the JSON object that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ModelList { object } always { data });

impl ModelList {
    /// Creates a list that contains the given models in the given order.
    pub fn new(models: impl Into<Vec<Model>>) -> Self {
        Self {
            object: Some("list".to_owned()),
            data: models.into(),
            extra: UnknownFields::default(),
        }
    }

    /// Decodes a model list from the body of a response.
    ///
    /// # Errors
    /// Returns an error if the body is not a model list. The message of the error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        decode_cleaned(json, |json| crate::chat::from_json(json))
    }

    /// Decodes a model list from the body of a response, in OpenAI's format or in any format that servers are
    /// known to send:
    ///
    /// - a bare array, or a list that is called `models`, `result`, `results`, `items`, `list` or `model_list`,
    ///   also one object further down;
    /// - models that are texts, or whose ID is called `name`, `model`, `model_name` or `slug`;
    /// - an object that contains the models by their IDs.
    ///
    /// Every model of the result has an ID; entries without one are left out. Returns `None` if the body
    /// contains no list, or a list in which no entry has an ID.
    pub fn decode_lenient(json: &[u8]) -> Option<Self> {
        let has_ids = |list: &Self| list.data.iter().all(|model| model.id.is_some());
        let list = Self::decode(json).ok();
        let list = list.filter(|list| !list.data.is_empty() && has_ids(list));
        list.or_else(|| listing::find(json).map(Self::new))
    }
}

partial_debug!(ModelList { data });
