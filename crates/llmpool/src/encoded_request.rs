//! Encoded requests, and the trait of requests that can be encoded for any target.

use bytes::Bytes;
use serde::ser::{SerializeMap, Serializer};

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::target::Target;

/// A request that can be encoded for any target.
pub(crate) trait RequestEncoder: Sync {
    /// Encodes the request in the API format of `target`. Fails if that format cannot express the request.
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error>;
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
            dropped: Vec::new(),
        }
    }
}

/// Encoding an already encoded request returns the request unchanged, whatever the target.
impl RequestEncoder for EncodedRequest {
    fn encode(&self, _: &Target) -> Result<EncodedRequest, Error> {
        Ok(self.clone())
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
