//! Calls that send an encoded request unchanged and return the answer undecoded.

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::responses::Response;
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::StreamView;
use llmpool_core::translate;

use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw::{self, RawResponse, RawStream};
use crate::unreadable;

impl OpenAiCompatible {
    /// Sends an encoded request with default options: see [`raw_chat_with`](Self::raw_chat_with).
    pub async fn raw_chat(&self, body: Bytes) -> Result<RawResponse, Error> {
        self.raw_chat_with(body, &DEFAULT_OPTIONS).await
    }

    /// Sends an encoded streaming request with default options: see
    /// [`raw_chat_stream_with`](Self::raw_chat_stream_with).
    pub async fn raw_chat_stream(&self, body: Bytes) -> Result<RawStream, Error> {
        self.raw_chat_stream_with(body, &DEFAULT_OPTIONS).await
    }

    /// Sends an encoded chat request unchanged and returns the body of the answer unchanged, unless its
    /// framing is not the one asked for: see [`CallReport::converted`](crate::CallReport::converted).
    ///
    /// `body` must be a JSON object that contains `model` and does not contain `"stream": true`. The
    /// configured `api_params` are not added to `body`. Reasoning that an answer of another API format left in
    /// it is not sent to a model of the Responses API, which cannot read it:
    /// [`CallReport::dropped`](crate::CallReport::dropped) names it. Dropping the future closes the connection and
    /// releases the key.
    pub async fn raw_chat_with(&self, body: Bytes, options: &CallOptions) -> Result<RawResponse, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, false);
        let mut answer = raw::complete(self.handle(), &request, options).await?;
        let format = self.target().format;
        if !is_readable(format, &answer.body) {
            let failure = unreadable::failure(self.target(), &answer.body);
            return Err(answer.fail(failure));
        }
        answer.note_usage(translate::parse_usage(&answer.body));
        let body = answer.body.clone();
        let report = answer.finish();
        Ok(RawResponse { body, report })
    }

    /// Sends an encoded streaming chat request unchanged and returns the events of the answer unchanged,
    /// unless its framing is not the one asked for: see [`CallReport::converted`](crate::CallReport::converted).
    ///
    /// `body` must be a JSON object that contains `model` and `"stream": true`. Many providers report usage
    /// only if `body` also contains `stream_options`. The configured `api_params` are not added to `body`, and
    /// reasoning of another API format is left out as in [`raw_chat_with`](Self::raw_chat_with). The future resolves
    /// when the first content of the answer arrives. Dropping the future or the stream closes the connection and
    /// releases the key.
    pub async fn raw_chat_stream_with(&self, body: Bytes, options: &CallOptions) -> Result<RawStream, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, true);
        raw::stream(self.handle(), &request, options).await
    }
}

/// Returns whether `body` is an answer that has output, or says why it has none.
fn is_readable(format: ApiFormat, body: &Bytes) -> bool {
    match format {
        ApiFormat::ChatCompletions => {
            let event = SseEvent {
                data: body.clone(),
                name: None,
            };
            let flags = StreamView::new(format).observe(&event).flags;
            flags.content || flags.whole
        }
        ApiFormat::Responses => Response::decode(body).is_ok_and(|response| response.has_readable_output()),
    }
}
