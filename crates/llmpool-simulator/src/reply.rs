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
    /// The response has this error status and body.
    Status(StatusReply),
    /// The response stops at this point, but the connection stays open until the client closes it.
    Stall(ResponsePoint),
    /// The response stops at this point, and the connection is closed.
    Cut {
        /// The part of the response that is sent first.
        at: ResponsePoint,
        /// Whether the connection is closed with a TCP reset instead of a FIN.
        reset: bool,
    },
    /// The response has this recorded body.
    Raw(RecordedBody),
    /// The response has status 200 and an error in its body.
    ErrorIn200(ErrorIn200),
}

/// An error status, its body and its `Retry-After`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The `code` in the default body; `insufficient_quota` also sets the error's `type`. Default: the code that OpenAI
    /// sends with the status.
    pub code: Option<String>,
    /// The wait that the response reports, and the header that reports it. Default: no wait is reported.
    pub retry_after: Option<RetryAfter>,
    /// The body of the response. A JSON string is sent as plain text, any other value as JSON. Default: the body that
    /// OpenAI sends with the status.
    pub body: Option<serde_json::Value>,
}

/// A point in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponsePoint {
    /// Before the first byte of the response.
    BeforeHead,
    /// After the head (the status line and the headers), before the body.
    AfterHead,
    /// After this number of stream events, including the events with the role and the finish reason. In a response that
    /// is not a stream: after half of the body, or before the body if the number is 0.
    AfterEvents(usize),
    /// After exactly this number of bytes of the body. Bytes of the transfer coding are not counted.
    AfterBytes(usize),
}

/// The response of a server that does not support `stream_options`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOptionsRefusal {
    /// Status 400 with an error object whose `param` is `stream_options`, as from OpenAI.
    Openai,
    /// Status 422 with a `detail` list whose `loc` ends in `stream_options`, as from FastAPI.
    Fastapi,
}

/// The position of the error in a response with status 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorIn200 {
    /// The error is the whole body, as plain JSON, even if the request asks for a stream.
    Plain,
    /// The error is the first event of the stream. If the request does not ask for a stream, this is the same as
    /// `Plain`.
    FirstEvent,
    /// The error is the last event of the stream, after this number of normal events. If the request does not ask for a
    /// stream, this is the same as `Plain`.
    AfterEvents(usize),
}

/// A recorded response body, sent byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedBody {
    /// The HTTP status, 200 to 599. Default 200.
    pub status: u16,
    /// The content type. Default `text/event-stream`. An event stream is sent with chunked transfer coding, any other
    /// body with its length.
    pub content_type: String,
    /// The bytes of the body.
    pub body: Bytes,
    /// The size of each write in bytes. Each write is flushed separately, and the remaining bytes are one more write.
    /// Default: empty, which sends the whole body in a single write.
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
    /// Creates a reply with this status, the default body and no wait.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            code: None,
            retry_after: None,
            body: None,
        }
    }

    /// Creates a reply with status 429 that reports `retry_after`.
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
