//! Calls that send an encoded request unchanged and return the answer undecoded.

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::ChatCompletion;
use llmpool_core::responses::Response;
use llmpool_core::{framing, translate};

use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::openai_compatible::{self, OpenAiCompatible};
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw::{self, CompleteAnswer, RawResponse, RawStream};

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
    /// configured `api_params` are not added to `body`. Dropping the future closes the connection and
    /// releases the key.
    pub async fn raw_chat_with(&self, body: Bytes, options: &CallOptions) -> Result<RawResponse, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, false);
        let mut answer = raw::complete(self.target(), &request, options).await?;
        let usage = translate::parse_usage(&answer.body);
        // Nearly all answers report their usage. An answer without it may be none.
        if usage.is_none()
            && let Err(reason) = check_readable(self.target().format, &answer.body)
        {
            return Err(raw::invalid_response(reason.into(), answer.report));
        }
        answer.note_usage(usage);
        let CompleteAnswer { body, report, .. } = answer;
        Ok(RawResponse { body, report })
    }

    /// Sends an encoded streaming chat request unchanged and returns the events of the answer unchanged,
    /// unless its framing is not the one asked for: see [`CallReport::converted`](crate::CallReport::converted).
    ///
    /// `body` must be a JSON object that contains `model` and `"stream": true`. Many providers report usage
    /// only if `body` also contains `stream_options`. The configured `api_params` are not added to `body`.
    /// The future resolves when the first content of the answer arrives. Dropping the future or the stream
    /// closes the connection and releases the key.
    pub async fn raw_chat_stream_with(&self, body: Bytes, options: &CallOptions) -> Result<RawStream, Error> {
        let request = EncodedRequest::new(Endpoint::Generation, body, true);
        raw::stream(self.target(), &request, options).await
    }
}

/// Fails with the reason if an answer has nothing that a caller could read.
#[cold]
fn check_readable(format: ApiFormat, body: &[u8]) -> Result<(), &'static str> {
    if framing::documents(body).len() != 1 {
        return Err("broken JSON");
    }
    match format {
        ApiFormat::ChatCompletions => {
            let completion = ChatCompletion::decode(body).map_err(|_| "the completion cannot be read")?;
            openai_compatible::check_choices(&completion)
        }
        ApiFormat::Responses => {
            let response = Response::decode(body).map_err(|_| "the response cannot be read")?;
            let is_readable = response.has_readable_output();
            is_readable.then_some(()).ok_or("a response without output")
        }
    }
}
