//! Finds the models in a list that does not have OpenAI's format.

use serde_json::{Map, Value};

use super::model::Model;
use crate::lenient_json::cleaned_text;

/// The names of members that contain the list, in order of preference.
const LISTS: [&str; 7] = [
    "data",
    "models",
    "result",
    "results",
    "items",
    "list",
    "model_list",
];

/// The names of members that contain the ID of a model, in order of preference.
const IDS: [&str; 5] = ["id", "name", "model", "model_name", "slug"];

/// Returns the models in the body of a response. Returns `None` if the body contains no list, or a list in
/// which no entry has an ID.
pub(super) fn find(json: &[u8]) -> Option<Vec<Model>> {
    match serde_json::from_str(&cleaned_text(json)).ok()? {
        Value::Array(entries) => models(entries),
        Value::Object(object) => named_list(object, true),
        _ => None,
    }
}

/// Returns the models in the first member that contains a list. `is_outermost` allows the list to be one
/// object further down.
fn named_list(mut object: Map<String, Value>, is_outermost: bool) -> Option<Vec<Model>> {
    LISTS.iter().find_map(|name| match object.remove(*name)? {
        // Under another name than OpenAI's, an empty list can be about anything.
        Value::Array(entries) if *name == "data" || !entries.is_empty() => models(entries),
        Value::Object(inner) if is_outermost => {
            named_list(inner.clone(), false).or_else(|| models_by_id(inner))
        }
        _ => None,
    })
}

fn models(entries: Vec<Value>) -> Option<Vec<Model>> {
    let is_empty = entries.is_empty();
    let models: Vec<_> = entries.into_iter().filter_map(model).collect();
    (is_empty || !models.is_empty()).then_some(models)
}

fn model(entry: Value) -> Option<Model> {
    let id = match &entry {
        Value::String(id) => id.as_str(),
        Value::Object(object) => IDS.iter().find_map(|name| object.get(*name)?.as_str())?,
        _ => return None,
    };
    let id = (!id.is_empty()).then(|| id.to_owned())?;
    let model = entry.is_object().then(|| serde_json::from_value(entry));
    let model: Model = model.and_then(Result::ok).unwrap_or_default();
    Some(Model {
        id: Some(id),
        ..model
    })
}

/// Returns the models of an object whose member names are IDs and whose values are objects.
fn models_by_id(object: Map<String, Value>) -> Option<Vec<Model>> {
    let is_map = !object.is_empty() && object.values().all(Value::is_object) && !object.contains_key("error");
    let named = |(id, entry)| {
        let model: Model = serde_json::from_value(entry).unwrap_or_default();
        Model {
            id: Some(id),
            ..model
        }
    };
    is_map.then(|| object.into_iter().map(named).collect())
}
