//! Encodes Responses requests.

use llmpool_core::chat::UnknownFields;
use llmpool_core::responses::{Reasoning, ResponsesRequest, TextOptions};
use llmpool_core::schema_limits;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;

use crate::encoded_request::{EncodedRequest, RequestEncoder, encode_body};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::target::Target;

const REASONING: &str = "reasoning";
const TEXT: &str = "text";

/// A Responses request, and whether to stream its answer. The request is encoded when its target is known.
pub(crate) struct ResponsesEncoder<'a> {
    pub(crate) request: &'a ResponsesRequest,
    pub(crate) stream: bool,
}

impl RequestEncoder for ResponsesEncoder<'_> {
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error> {
        target.check_schemas(|| schema_limits::check_responses(self.request))?;
        // `stream_options` is reserved because providers refuse it without `stream`.
        const RESERVED: [&str; 3] = ["model", "stream", "stream_options"];
        let reserved = if self.stream { &RESERVED[..2] } else { &RESERVED };
        let reasoning = self.request.reasoning.as_ref();
        let reasoning = reasoning.and_then(|own| with_defaults(own, target, REASONING, fill_reasoning));
        let text = self.request.text.as_ref();
        let text = text.and_then(|own| with_defaults(own, target, TEXT, fill_text));
        let mut skipped = reserved.to_vec();
        skipped.extend(reasoning.is_some().then_some(REASONING));
        skipped.extend(text.is_some().then_some(TEXT));
        let body = encode_body(
            target,
            reserved,
            |name| self.request.has(name),
            |map| {
                self.request.serialize_fields(map, &skipped)?;
                if let Some(reasoning) = &reasoning {
                    map.serialize_entry(REASONING, reasoning)?;
                }
                if let Some(text) = &text {
                    map.serialize_entry(TEXT, text)?;
                }
                if self.stream {
                    map.serialize_entry("stream", &true)?;
                }
                Ok(())
            },
        )?;
        Ok(EncodedRequest::new(Endpoint::Generation, body, self.stream).without_foreign_blocks())
    }

    fn destination(&self) -> (Endpoint, bool) {
        (Endpoint::Generation, self.stream)
    }
}

/// Returns the request's options named `name` with the members that only the target's default options
/// (`api_params`) have. Returns `None` if the target has no such default.
///
/// Without this step, options that the request sets in part would hide the whole default: `reasoning` without an
/// `effort` would hide the default `effort`.
fn with_defaults<T: Clone + DeserializeOwned>(
    own: &T,
    target: &Target,
    name: &str,
    fill: fn(&mut T, T),
) -> Option<T> {
    let mut params = target.api_params.iter();
    let (_, default) = params.find(|(param, _)| param == name)?;
    let default: T = serde_json::from_str(default.get()).ok()?;
    let mut merged = own.clone();
    fill(&mut merged, default);
    Some(merged)
}

fn fill_reasoning(own: &mut Reasoning, default: Reasoning) {
    own.effort = own.effort.take().or(default.effort);
    own.summary = own.summary.take().or(default.summary);
    fill_unknown(&mut own.extra, &default.extra);
}

fn fill_text(own: &mut TextOptions, default: TextOptions) {
    own.format = own.format.take().or(default.format);
    own.verbosity = own.verbosity.take().or(default.verbosity);
    fill_unknown(&mut own.extra, &default.extra);
}

fn fill_unknown(own: &mut UnknownFields, default: &UnknownFields) {
    for (name, value) in default.iter() {
        if own.get(name).is_none() {
            own.insert(name.to_owned(), value.clone());
        }
    }
}
