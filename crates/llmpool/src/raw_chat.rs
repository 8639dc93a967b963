//! Calls with a request that is already encoded and an answer that is returned undecoded.

use bytes::Bytes;
use llmpool_core::translate;

use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw::{self, CompleteAnswer, RawResponse, RawStream};

impl OpenAiCompatible {
    /// Sends an encoded request with default options: see [`raw_chat_with`](Self::raw_chat_with).
    pub async fn raw_chat(&self, body: Bytes) -> Result<RawResponse, Error> {
        self.raw_chat_with(body, &DEFAULT_OPTIONS).await
    }

    /// Opens a stream for an encoded request with default options: see [`raw_chat_stream_with`](Self::raw_chat_stream_with).
    pub async fn raw_chat_stream(&self, body: Bytes) -> Result<RawStream, Error> {
        self.raw_chat_stream_with(body, &DEFAULT_OPTIONS).await
    }

    /// Sends an encoded chat request unchanged and returns the body of the answer unchanged.
    ///
    /// The body must contain `model` and must not contain `"stream": true`. The configured `api_params` are not added. Dropping the future
    /// closes the connection and releases the key.
    pub async fn raw_chat_with(&self, body: Bytes, options: &CallOptions) -> Result<RawResponse, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, false);
        let mut answer = raw::complete(self.target(), &request, options).await?;
        answer.note_usage(translate::parse_usage(&answer.body));
        let CompleteAnswer { body, report, .. } = answer;
        Ok(RawResponse { body, report })
    }

    /// Sends an encoded streaming chat request unchanged and returns the events of the answer unchanged.
    ///
    /// The body must contain `model` and `"stream": true`, and `stream_options` if the provider is to report usage. The configured
    /// `api_params` are not added. The future resolves when the first content arrives. Dropping the future or the stream closes the
    /// connection and releases the key.
    pub async fn raw_chat_stream_with(&self, body: Bytes, options: &CallOptions) -> Result<RawStream, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, true);
        raw::stream(self.target(), &request, options).await
    }
}
