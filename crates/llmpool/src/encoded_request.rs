//! Encoded requests, and the trait for encoding a request once its target is known.

use bytes::Bytes;
use serde::ser::{SerializeMap, Serializer};

use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::target::Target;

/// A request that can be encoded for any target.
pub(crate) trait RequestEncoder: Sync {
    /// Encodes the request in the API format of `target`. Fails if the format cannot express the request.
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error>;
}

/// A request that is encoded for its target.
#[derive(Clone, Debug)]
pub(crate) struct EncodedRequest {
    pub(crate) endpoint: Endpoint,
    pub(crate) body: Bytes,
    /// Whether the request asks for a streamed answer.
    pub(crate) stream: bool,
    /// Whether this library has added `stream_options` to the caller's request.
    pub(crate) added_stream_options: bool,
    /// Paths of the request fields that were left out, because the target's API format has no equivalent.
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

/// An encoded request is sent unchanged to any target.
impl RequestEncoder for EncodedRequest {
    fn encode(&self, _: &Target) -> Result<EncodedRequest, Error> {
        Ok(self.clone())
    }
}

type JsonMap<'a, 'b> = <&'a mut serde_json::Serializer<&'b mut Vec<u8>> as Serializer>::SerializeMap;

/// Encodes a request body. The body contains the target's model, the fields that `write_fields` adds, and the target's `api_params` except
/// those that are `reserved` or that the request sets itself (`has_field`).
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
