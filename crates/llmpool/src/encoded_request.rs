//! Encoded requests, and the trait of requests that can be encoded for any target.

use bytes::Bytes;
use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::failure::FailureKind;
use llmpool_core::responses::without_foreign_blocks;
use llmpool_core::time::Timestamp;
use serde::ser::{SerializeMap, Serializer};

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::learned_capabilities::LearnedCapabilities;
use crate::target::Target;

/// A request that can be encoded for any target.
pub(crate) trait RequestEncoder: Sync {
    /// Encodes the request in the API format of `target`. Fails if that format cannot express the request.
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error>;

    /// Returns the endpoint of the request, and whether it asks for a streamed answer.
    fn destination(&self) -> (Endpoint, bool);
}

/// A request in the form in which it is sent: the endpoint and the encoded body.
#[derive(Clone, Debug)]
pub(crate) struct EncodedRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Bytes,
    /// Whether the request asks for a streamed answer.
    pub(crate) stream: bool,
    /// Whether the library added `stream_options` because the caller's request sets none.
    pub(crate) added_stream_options: bool,
    /// The format in which the request asks for a structured answer, if the encoder can choose a weaker one. `None` if
    /// the caller or the configuration has chosen the format.
    pub(crate) answer_format: Option<AnswerFormat>,
    /// Whether the request has tools. Set only with [`answer_format`](Self::answer_format).
    pub(crate) has_tools: bool,
    /// Paths of the request fields that the encoder left out, because the target's API format has no
    /// equivalent.
    pub(crate) dropped: Vec<String>,
}

impl EncodedRequest {
    pub(crate) fn new(endpoint: Endpoint, body: impl Into<Bytes>, stream: bool) -> Self {
        Self {
            endpoint,
            body: body.into(),
            stream,
            added_stream_options: false,
            answer_format: None,
            has_tools: false,
            dropped: Vec::new(),
        }
    }

    /// Returns whether the encoder can ask for the same answer in a weaker format.
    pub(crate) fn can_adapt(&self) -> bool {
        self.answer_format.and_then(AnswerFormat::weaker).is_some()
    }

    /// Records in `capabilities` which feature of this request the target refused at the time `now` with a failure of
    /// the given kind. Returns whether the next attempt must encode the request anew, without that feature.
    pub(crate) fn learn_refusal(
        &self,
        kind: FailureKind,
        capabilities: &LearnedCapabilities,
        now: Timestamp,
    ) -> bool {
        match (kind, self.answer_format) {
            (FailureKind::StreamOptionsRefused, _) if self.added_stream_options => {
                capabilities.reject_stream_options();
                true
            }
            (FailureKind::ResponseFormatRefused, Some(format)) => {
                capabilities.reject_answer_format(format, self.has_tools, now);
                true
            }
            _ => false,
        }
    }

    /// Removes the reasoning of other formats from a Responses request, and notes what was removed.
    pub(crate) fn without_foreign_blocks(mut self) -> Self {
        if let Some((body, removed)) = without_foreign_blocks(&self.body) {
            self.body = body.into();
            self.dropped.extend(removed);
        }
        self
    }
}

/// Encoding an already encoded request returns the request unchanged, except for reasoning that llmpool itself has
/// written and that a provider with a Responses API cannot read.
impl RequestEncoder for EncodedRequest {
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error> {
        let is_responses = target.format == ApiFormat::Responses && self.endpoint == Endpoint::Generation;
        Ok(if is_responses {
            self.clone().without_foreign_blocks()
        } else {
            self.clone()
        })
    }

    fn destination(&self) -> (Endpoint, bool) {
        (self.endpoint, self.stream)
    }
}

type JsonMap<'a, 'b> = <&'a mut serde_json::Serializer<&'b mut Vec<u8>> as Serializer>::SerializeMap;

/// Encodes a request body as a JSON object: the name of the target's model, the fields that `write_fields`
/// writes, and the target's default fields (`api_params`). Omits each default field whose name is in
/// `reserved`, or for which `has_field` returns true because the request sets the field itself.
pub(crate) fn encode_body(
    target: &Target,
    reserved: &[&str],
    has_field: impl Fn(&str) -> bool,
    write_fields: impl FnOnce(&mut JsonMap<'_, '_>) -> Result<(), serde_json::Error>,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::with_capacity(512);
    let write = || {
        let mut json = serde_json::Serializer::new(&mut body);
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("model", &target.model)?;
        write_fields(&mut map)?;
        for (name, value) in &target.api_params {
            if !has_field(name) && !reserved.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    };
    write().map_err(|error| {
        Error::new(ErrorKind::Unsendable, "the request cannot be encoded as JSON").with_source(error)
    })?;
    Ok(body)
}
