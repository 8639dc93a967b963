//! The replies that a behaviour can give to a request.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::Deserialize;

use crate::retry_after::RetryAfter;
use crate::scenario::ScenarioError;
use crate::seconds;

/// A reply to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum SimulatedReply {
    /// The normal answer.
    Ok,
    /// An error status.
    Status(StatusReply),
    /// The response stops at this point. The connection stays open until the client closes it.
    Stall(ResponsePoint),
    /// The connection is closed at this point.
    Cut {
        /// The part of the response that is sent first.
        at: ResponsePoint,
        /// Whether the connection is closed with a TCP reset instead of a FIN.
        reset: bool,
    },
    /// A recorded body.
    Raw(RecordedBody),
    /// Status 200 with an error in the body.
    ErrorIn200(ErrorIn200),
}

/// An error status, its body and its `Retry-After`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The `code` in the default body; `insufficient_quota` also sets its `type`. Default: the code that OpenAI
    /// sends.
    pub code: Option<String>,
    /// The wait that the response reports. Default: none.
    pub retry_after: Option<RetryAfter>,
    /// The body. A JSON string is sent as plain text, any other value as JSON. Default: the body that OpenAI sends.
    pub body: Option<serde_json::Value>,
}

/// A point in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponsePoint {
    /// Before the first byte.
    BeforeHead,
    /// After the status line and the headers.
    AfterHead,
    /// After this number of stream events, including role and finish events. For a plain answer: after half of the
    /// body, or before the body if the number is 0.
    AfterEvents(usize),
    /// After exactly this number of bytes of the body, transfer coding not counted.
    AfterBytes(usize),
}

/// The response of a server that does not support `stream_options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOptionsRefusal {
    /// 400 with an error object whose `param` is `stream_options`.
    Openai,
    /// 422 with a `detail` list whose `loc` ends in `stream_options`.
    Fastapi,
}

/// The position of the error in a response with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorIn200 {
    /// The error is the whole body, as plain JSON, even if the request asks for a stream.
    Plain,
    /// The error is the first event of the stream. For a request without streaming: as `Plain`.
    FirstEvent,
    /// The error is the last event of the stream, after this number of normal events. For a request without
    /// streaming: as `Plain`.
    AfterEvents(usize),
}

/// A recorded response body, sent byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedBody {
    /// The HTTP status, 200 to 599. Default 200.
    pub status: u16,
    /// The content type. Default `text/event-stream`. An event stream is sent chunked, any other body with its
    /// length.
    pub content_type: String,
    /// The bytes of the body.
    pub body: Bytes,
    /// Sizes of the writes in bytes, each flushed separately; the rest is one more write. Default: a single write.
    pub writes: Vec<usize>,
}

impl SimulatedReply {
    pub(crate) fn validate(&self, place: &str) -> Result<(), ScenarioError> {
        let status = match self {
            Self::Status(reply) => reply.status,
            Self::Raw(recorded) => recorded.status,
            Self::Ok | Self::Stall(_) | Self::Cut { .. } | Self::ErrorIn200(_) => return Ok(()),
        };
        if !(200..=599).contains(&status) {
            return Err(ScenarioError::new(format!(
                "{place}.status must be from 200 to 599"
            )));
        }
        match self {
            Self::Status(reply) => reply
                .retry_after
                .map_or(Ok(()), |retry_after| seconds::validate(place, retry_after.wait)),
            Self::Raw(recorded) if HeaderValue::from_str(&recorded.content_type).is_err() => Err(
                ScenarioError::new(format!("{place}.raw.content_type is not a valid header value")),
            ),
            _ => Ok(()),
        }
    }
}

impl StatusReply {
    /// Creates a reply with the default body and no `Retry-After`.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            code: None,
            retry_after: None,
            body: None,
        }
    }

    /// Creates a 429 that reports `retry_after`.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429)
        }
    }

    pub(crate) fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
