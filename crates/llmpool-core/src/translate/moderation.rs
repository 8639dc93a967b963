//! Translation of the moderation results of an answer.
//!
//! A response has one result for its input and one for its output:
//! `{"input": {"type": "moderation_result", "model": …}}`. A chat completion has a list of results:
//! `{"input": {"type": "moderation_results", "model": …, "results": […]}}`. Errors are the same in both.

use crate::chat::wire_object::type_of;
use crate::chat::{EmptyObject, Json, UnknownFields};

/// Name of the field of an answer with its moderation results.
pub(super) const MODERATION: &str = "moderation";

/// Returns the moderation results of a response in the Chat Completions format. `extra` contains the unknown
/// fields of the response.
pub(super) fn to_chat(extra: &UnknownFields) -> Option<Json> {
    map_members(moderation_of(extra)?, result_to_list)
}

/// Returns the moderation results of a completion or chunk in the Responses format. `extra` contains the
/// unknown fields of the completion or chunk.
pub(super) fn to_responses(extra: &UnknownFields) -> Option<Json> {
    map_members(moderation_of(extra)?, first_of_list)
}

/// Returns the names of those members of a chat completion's moderation that have more than one result, of
/// which a response keeps only the first.
pub(super) fn shortened(extra: &UnknownFields) -> Vec<String> {
    let moderation = moderation_of(extra).and_then(object);
    let members = moderation.iter().flat_map(UnknownFields::iter);
    let is_long = |json: &Json| results(json).is_some_and(|results| results.len() > 1);
    let long = members.filter(|(_, json)| is_long(json));
    long.map(|(name, _)| name.to_owned()).collect()
}

/// Returns whether there is a moderation that is not an object, which no translation can carry.
pub(super) fn is_malformed(extra: &UnknownFields) -> bool {
    moderation_of(extra).is_some_and(|json| object(json).is_none())
}

fn moderation_of(extra: &UnknownFields) -> Option<&Json> {
    extra.get(MODERATION).filter(|json| json.get() != "null")
}

fn object(json: &Json) -> Option<UnknownFields> {
    let object: EmptyObject = serde_json::from_str(json.get()).ok()?;
    Some(object.extra)
}

/// Replaces each member of an object for which `map` returns a value.
fn map_members(moderation: &Json, map: impl Fn(&Json) -> Option<Json>) -> Option<Json> {
    let mut mapped = UnknownFields::default();
    for (name, json) in object(moderation)?.iter() {
        mapped.push(name.to_owned(), map(json).unwrap_or_else(|| json.clone()));
    }
    Json::of(&EmptyObject { extra: mapped }).ok()
}

fn result_to_list(result: &Json) -> Option<Json> {
    if type_of(result)? != "moderation_result" {
        return None;
    }
    let mut extra = UnknownFields::default();
    extra.insert("type", Json::of("moderation_results").ok()?);
    if let Some(model) = object(result)?.get("model") {
        extra.insert("model", model.clone());
    }
    extra.insert("results", Json::of(&[result]).ok()?);
    Json::of(&EmptyObject { extra }).ok()
}

fn first_of_list(list: &Json) -> Option<Json> {
    results(list)?.into_iter().next()
}

fn results(list: &Json) -> Option<Vec<Json>> {
    if type_of(list)? != "moderation_results" {
        return None;
    }
    serde_json::from_str(object(list)?.get("results")?.get()).ok()
}
