//! Encodes Responses requests.

use llmpool_core::responses::ResponsesRequest;
use llmpool_core::schema_limits;
use serde::ser::SerializeMap;

use crate::encoded_request::{EncodedRequest, RequestEncoder, encode_body};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::target::Target;

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
        let body = encode_body(
            target,
            reserved,
            |name| self.request.has(name),
            |map| {
                self.request.serialize_fields(map, reserved)?;
                if self.stream {
                    map.serialize_entry("stream", &true)?;
                }
                Ok(())
            },
        )?;
        Ok(EncodedRequest::new(Endpoint::Generation, body, self.stream))
    }
}
