//! Encodes chat requests in the API format of the target: Chat Completions or Responses.

use llmpool_core::answer_format::{self, AnswerFormat};
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatRequest, Content, Part, ResponseFormat, Role, StreamOptions};
use llmpool_core::responses::ResponsesRequest;
use llmpool_core::schema_limits;
use llmpool_core::translate::{self, TranslatedRequest};
use serde::ser::SerializeMap;

use crate::clock;
use crate::encoded_request::{EncodedRequest, RequestEncoder, encode_body};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::responses_encoder::ResponsesEncoder;
use crate::target::Target;

/// A chat request that can be encoded for any target: as a Chat Completions request, or translated to a
/// Responses request.
pub(crate) struct ChatEncoder<'a> {
    pub(crate) request: &'a ChatRequest,
    pub(crate) stream: bool,
    /// Whether to replace a response format with a schema by a format that the target supports: see
    /// [`CallOptions::adapt_schema`](crate::CallOptions::adapt_schema).
    pub(crate) adapt_schema: bool,
}

impl RequestEncoder for ChatEncoder<'_> {
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error> {
        target.check_schemas(|| schema_limits::check_chat(self.request))?;
        if self.adapt_schema && matches!(self.request.response_format, Some(ResponseFormat::JsonSchema(_))) {
            self.encode_adapted(target)
        } else {
            self.encode_as_is(target)
        }
    }

    fn destination(&self) -> (Endpoint, bool) {
        (Endpoint::Generation, self.stream)
    }
}

impl ChatEncoder<'_> {
    fn encode_as_is(&self, target: &Target) -> Result<EncodedRequest, Error> {
        match target.format {
            ApiFormat::ChatCompletions => self.encode_chat(target),
            ApiFormat::Responses => self.encode_responses(target),
        }
    }

    /// Encodes the request in the format of structured answers that is configured or learned.
    fn encode_adapted(&self, target: &Target) -> Result<EncodedRequest, Error> {
        let has_tools = !(self.request.tools.is_empty() && self.request.functions.is_empty());
        let learned = || target.capabilities.answer_format(has_tools, clock::now());
        let format = target.structured_output.unwrap_or_else(learned);
        let mut adapted = answer_format::adapt(self.request, format);
        if let Some(request) = &mut adapted
            && target.format == ApiFormat::Responses
            && format == AnswerFormat::JsonObject
        {
            keep_in_input(request);
        }
        let encoder = ChatEncoder {
            request: adapted.as_ref().unwrap_or(self.request),
            ..*self
        };
        Ok(EncodedRequest {
            answer_format: target.structured_output.is_none().then_some(format),
            has_tools,
            ..encoder.encode_as_is(target)?
        })
    }

    fn encode_chat(&self, target: &Target) -> Result<EncodedRequest, Error> {
        const RESERVED: [&str; 3] = ["model", "stream", "stream_options"];
        let (options, added_stream_options) = self.stream_options(target);
        let cleaned = if target.is_openai {
            translate::without_echoed_fields(self.request)
        } else {
            None
        };
        let (request, dropped) = match &cleaned {
            Some((request, removed)) => (request, removed.clone()),
            None => (self.request, Vec::new()),
        };
        let body = encode_body(
            target,
            &RESERVED,
            |name| request.has(name),
            |map| {
                request.serialize_fields(map, &RESERVED)?;
                if self.stream {
                    map.serialize_entry("stream", &true)?;
                }
                options
                    .iter()
                    .try_for_each(|options| map.serialize_entry("stream_options", options))
            },
        )?;
        Ok(EncodedRequest {
            added_stream_options,
            dropped,
            ..EncodedRequest::new(Endpoint::Generation, body, self.stream)
        })
    }

    fn encode_responses(&self, target: &Target) -> Result<EncodedRequest, Error> {
        let cleaned = if target.is_openai {
            translate::without_extra_content(self.request)
        } else {
            None
        };
        let (chat, removed) = match &cleaned {
            Some((chat, removed)) => (chat, &removed[..]),
            None => (self.request, &[][..]),
        };
        let TranslatedRequest {
            mut request,
            mut dropped,
        } = translate::chat_request_to_responses(chat).map_err(|refused| {
            Error::new(ErrorKind::Unsendable, refused.to_string()).with_param(refused.param)
        })?;
        dropped.extend_from_slice(removed);
        merge_api_params(&mut request, self.request.store.is_some(), target);
        let encoder = ResponsesEncoder {
            request: &request,
            stream: self.stream,
        };
        let encoded = encoder.encode(target)?;
        dropped.extend_from_slice(&encoded.dropped);
        Ok(EncodedRequest { dropped, ..encoded })
    }

    /// Returns the `stream_options` to send, and whether the library adds them because the caller's request
    /// sets none.
    fn stream_options(&self, target: &Target) -> (Option<StreamOptions>, bool) {
        let mut options = match &self.request.stream_options {
            _ if !self.stream => return (None, false),
            Some(options) => options.clone(),
            None if target.capabilities.accepts_stream_options() => StreamOptions::default(),
            None => return (None, false),
        };
        options.include_usage = options.include_usage.or(Some(true));
        (Some(options), self.request.stream_options.is_none())
    }
}

/// Writes the content of system messages as parts, so that the translation makes them input items. OpenAI looks for the
/// word `JSON` in the input items, not in the instructions, and refuses `json_object` without it.
fn keep_in_input(request: &mut ChatRequest) {
    for message in &mut request.messages {
        if message.role == Some(Role::System)
            && let Some(Content::Text(text)) = &mut message.content
        {
            message.content = Some(vec![Part::text(std::mem::take(text))].into());
        }
    }
}

/// Merges `store` and `include` of `api_params`, the target's default fields, into a translated request.
///
/// `has_store` states whether the caller's request sets `store`. If `has_store` is false, a `store` in
/// `api_params` replaces the value that the translation has chosen.
fn merge_api_params(request: &mut ResponsesRequest, has_store: bool, target: &Target) {
    for (name, value) in &target.api_params {
        match name.as_str() {
            "store" if !has_store => request.store = None,
            "include" => {
                let mut more: Vec<String> = serde_json::from_str(value.get()).unwrap_or_default();
                more.retain(|name| !request.include.contains(name));
                request.include.extend(more);
            }
            _ => {}
        }
    }
}
