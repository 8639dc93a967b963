//! The replies that a behaviour can give to a request.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde::Deserialize;

use crate::retry_after::RetryAfter;
use crate::scenario::ScenarioError;
use crate::seconds;

/// A reply that a behaviour gives to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum SimulatedReply {
    /// The normal answer, with status 200.
    Ok,
    /// A response with a given status and body, usually an error.
    Status(StatusReply),
    /// The normal answer up to this point in the response. After this point, the simulator sends nothing
    /// more, but keeps the connection open until the client closes it.
    Stall(ResponsePoint),
    /// The normal answer up to a given point in the response, at which the simulator closes the connection.
    Cut {
        /// The point in the response at which the simulator closes the connection.
        at: ResponsePoint,
        /// Whether the connection is closed with a TCP reset instead of a FIN.
        reset: bool,
    },
    /// A recorded response body, sent byte for byte.
    Raw(RecordedBody),
    /// A response with status 200 that contains an error in its body.
    ErrorIn200(ErrorIn200),
}

/// A reply with a given HTTP status (usually an error), an optional body and an optional `Retry-After`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The error's `code` in the default body; has no effect if `body` is set. The code `insufficient_quota`
    /// also sets the error's `type` and message. Default: the code that OpenAI sends with this status.
    pub code: Option<String>,
    /// How long the response asks the client to wait, and the header that reports this wait. Default: the
    /// response reports no wait.
    pub retry_after: Option<RetryAfter>,
    /// The body of the response. A JSON string is sent as plain text, any other value as JSON. Default: the body that
    /// OpenAI sends with the status.
    pub body: Option<serde_json::Value>,
}

/// A point in a response at which the simulator stops sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponsePoint {
    /// Before the first byte of the response.
    BeforeHead,
    /// After the head (the status line and the headers), before the body.
    AfterHead,
    /// After this number of stream events, including the events with the role and the finish reason. If the
    /// response is not a stream: after half of the body, or before the body if the number is 0.
    AfterEvents(usize),
    /// After exactly this number of bytes of the body. The framing of the chunked transfer coding does not
    /// count.
    AfterBytes(usize),
}

/// The error response of a server that does not support the request field `stream_options`.
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
    /// The error is the first event of the stream. If the request does not ask for a stream, this variant is
    /// the same as `Plain`.
    FirstEvent,
    /// The error is the last event of the stream, after this number of normal events. If the request does not
    /// ask for a stream, this variant is the same as `Plain`.
    AfterEvents(usize),
}

/// A recorded response body, sent byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedBody {
    /// The HTTP status, 200 to 599. Default in JSON: 200.
    pub status: u16,
    /// The value of the `content-type` header. An event stream is sent with the chunked transfer coding, a
    /// body of any other type with a `content-length`. Default in JSON: `text/event-stream`.
    pub content_type: String,
    /// The bytes of the body.
    pub body: Bytes,
    /// The sizes, in bytes, of the writes in which the body is sent. Each write is flushed separately, and
    /// any remaining bytes form one more write. Default: empty, which sends the whole body in a single write.
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
    /// Creates a reply with this status, the body that OpenAI sends with the status, and no `Retry-After`.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            code: None,
            retry_after: None,
            body: None,
        }
    }

    /// Creates a reply with status 429 that reports the wait `retry_after`.
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
