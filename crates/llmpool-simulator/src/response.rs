//! A planned response: its status, headers, body and delays, and the point at which it stops.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::behaviour::{AfterResponse, ResponseDelays};
use crate::body::{BodyChunks, BodyEnd, PacedBody};
use crate::connection::{ConnectionBreak, ConnectionHandle};
use crate::errors::{self, ErrorResponse};
use crate::in_flight::InFlightRequest;
use crate::reply::{ErrorIn200, RecordedBody, ResponsePoint, SimulatedReply, StatusReply};
use crate::rules::ReplyPlan;

/// The last event of a complete stream.
pub(crate) const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A successful answer that can be sent as one body or as a stream.
pub(crate) trait AnswerEncoder: Sized {
    /// Returns the answer as one JSON body.
    fn plain_body(&self) -> Bytes;

    /// Returns the answer as stream events.
    fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static;

    /// Returns the first `count` stream events, or fewer events if the stream is shorter, followed by one or
    /// more events that report an error and end the stream.
    fn events_before_error(self, count: usize) -> impl Iterator<Item = Bytes> + Send + 'static;
}

/// The content type and the body of a response.
#[derive(Debug)]
pub(crate) struct ResponseContent {
    content_type: HeaderValue,
    chunks: BodyChunks,
    is_stream: bool,
}

/// A response that is ready to be sent.
#[derive(Debug)]
pub(crate) struct PlannedResponse {
    status: StatusCode,
    headers: HeaderMap,
    chunks: BodyChunks,
    end: BodyEnd,
    /// Whether the head (the status line and the headers) is sent. `false` if the response stops before the
    /// head.
    has_head: bool,
    delays: ResponseDelays,
    after_response: AfterResponse,
}

impl ResponseContent {
    /// Encodes an answer as a stream or as one body. If `error` is set, the content has an error at this
    /// position.
    pub(crate) fn answer(answer: impl AnswerEncoder, is_stream: bool, error: Option<ErrorIn200>) -> Self {
        match (error, is_stream) {
            (None, true) => Self::event_stream(answer.events()),
            (None, false) => Self::json(answer.plain_body()),
            (Some(ErrorIn200::FirstEvent), true) => Self::event_stream(answer.events_before_error(0)),
            (Some(ErrorIn200::AfterEvents(count)), true) => {
                Self::event_stream(answer.events_before_error(count))
            }
            (Some(_), _) => Self::error(),
        }
    }

    /// Creates the content of a response that is never streamed: the JSON document `json`, or an error object
    /// if `error` is set.
    pub(crate) fn document(json: Bytes, error: Option<ErrorIn200>) -> Self {
        error.map_or_else(|| Self::json(json), |_| Self::error())
    }

    fn json(bytes: Bytes) -> Self {
        Self {
            content_type: JSON,
            chunks: BodyChunks::whole(bytes),
            is_stream: false,
        }
    }

    fn event_stream(events: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            content_type: EVENT_STREAM,
            chunks: BodyChunks::stream(events),
            is_stream: true,
        }
    }

    fn error() -> Self {
        Self::json(errors::in_band().to_string().into())
    }
}

impl PlannedResponse {
    /// Creates the response that a plan describes. `date` is the provider's current date. The function
    /// `answer` creates the content of a response with status 200: the normal answer if called with `None`,
    /// and an answer with an error at the given position if called with a position.
    pub(crate) fn from_plan(
        plan: ReplyPlan,
        date: SystemTime,
        answer: impl FnOnce(Option<ErrorIn200>) -> ResponseContent,
    ) -> Self {
        let ok = |content| Self::with_content(StatusCode::OK, content);
        let mut response = match plan.reply {
            SimulatedReply::Ok => ok(answer(None)),
            SimulatedReply::Status(reply) => Self::status(&reply, date),
            SimulatedReply::Stall(point) => ok(answer(None)).stopped_at(point, BodyEnd::Stall),
            SimulatedReply::Cut { at, reset } => ok(answer(None)).stopped_at(
                at,
                BodyEnd::Break(if reset {
                    ConnectionBreak::Reset
                } else {
                    ConnectionBreak::End
                }),
            ),
            SimulatedReply::Raw(recorded) => Self::recorded(recorded),
            SimulatedReply::ErrorIn200(place) => ok(answer(Some(place))),
        };
        response.add_headers(&plan.headers);
        response.close_if(plan.after_response == AfterResponse::Close);
        Self {
            delays: plan.delays,
            after_response: plan.after_response,
            ..response
        }
    }

    /// Creates an error response with this JSON body, which is sent without delay.
    pub(crate) fn error(status: StatusCode, body: &Value) -> Self {
        Self::with_content(status, ResponseContent::json(body.to_string().into()))
    }

    /// Creates a response with status 404 for a path that the simulator does not serve.
    pub(crate) fn unknown_path() -> Self {
        let message = "Invalid URL: the simulator has /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models and /stats.";
        ErrorResponse::new(StatusCode::NOT_FOUND, message, None).into()
    }

    /// Creates a response with status 405, whose `allow` header names the method that the path accepts.
    pub(crate) fn wrong_method(allow: &'static str) -> Self {
        let message = "Not allowed to use this method on this URL.";
        let mut response = Self::from(ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, message, None));
        response.headers.insert(ALLOW, HeaderValue::from_static(allow));
        response
    }

    /// Creates a response with status 413 that closes the connection, because the rest of the request is not read.
    pub(crate) fn too_large() -> Self {
        let mut response = Self::error(StatusCode::PAYLOAD_TOO_LARGE, &errors::for_status(413, None));
        response.close_if(true);
        response
    }

    /// Removes the body if `omit_body` is `true` or the response's status does not allow a body.
    pub(crate) fn without_body(self, omit_body: bool) -> Self {
        match self.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Self {
                chunks: BodyChunks::whole(Bytes::new()),
                ..self
            },
            _ if omit_body => Self {
                chunks: self.chunks.none(),
                ..self
            },
            _ => self,
        }
    }

    /// Waits for the delay before the head, and returns the response to the HTTP server. If the response
    /// stops before its head, the returned future never completes, and the server drops the future when the
    /// connection ends. `number` is the number of requests before this request, from which the default
    /// `x-request-id` is derived.
    pub(crate) async fn send(
        mut self,
        number: u64,
        mut request: InFlightRequest,
        connection: Arc<ConnectionHandle>,
    ) -> Response<PacedBody> {
        if !self.delays.head.is_zero() {
            tokio::time::sleep(self.delays.head).await;
        }
        if !self.has_head {
            if let BodyEnd::Break(how) = self.end {
                request.finish();
                connection.request_break(how);
            }
            return std::future::pending().await;
        }
        request.response_started(self.status.as_u16());
        self.headers
            .entry(X_REQUEST_ID)
            .or_insert_with(|| request_id(number));
        let body = PacedBody::new(self.chunks, request, connection)
            .with_delays(self.delays.first_chunk, self.delays.chunk)
            .with_end(self.end, self.after_response);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn with_content(status: StatusCode, content: ResponseContent) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content.content_type);
        if content.is_stream {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Self {
            status,
            headers,
            chunks: content.chunks,
            end: BodyEnd::Complete,
            has_head: true,
            delays: ResponseDelays::default(),
            after_response: AfterResponse::KeepOpen,
        }
    }

    fn status(reply: &StatusReply, date: SystemTime) -> Self {
        let body = match &reply.body {
            None => ResponseContent::json(
                errors::for_status(reply.status, reply.code.as_deref())
                    .to_string()
                    .into(),
            ),
            Some(Value::String(text)) => ResponseContent {
                content_type: TEXT,
                ..ResponseContent::json(text.clone().into())
            },
            Some(body) => ResponseContent::json(body.to_string().into()),
        };
        let mut response = Self::with_content(reply.status_code(), body);
        if let Some((name, value)) = reply.retry_after.and_then(|retry_after| retry_after.header(date))
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            response.headers.insert(name, value);
        }
        response
    }

    fn recorded(recorded: RecordedBody) -> Self {
        let is_stream = recorded.content_type.starts_with("text/event-stream");
        let content = ResponseContent {
            content_type: HeaderValue::from_str(&recorded.content_type).unwrap_or(EVENT_STREAM),
            chunks: BodyChunks::split(recorded.body, recorded.writes, !is_stream),
            is_stream,
        };
        Self::with_content(
            StatusCode::from_u16(recorded.status).unwrap_or(StatusCode::OK),
            content,
        )
    }

    /// Truncates the response at the point `at`. `end` is what happens at this point.
    fn stopped_at(self, at: ResponsePoint, end: BodyEnd) -> Self {
        let has_head = at != ResponsePoint::BeforeHead;
        let chunks = match at {
            ResponsePoint::BeforeHead | ResponsePoint::AfterHead => self.chunks.none(),
            ResponsePoint::AfterEvents(count) => self.chunks.first_events(count),
            ResponsePoint::AfterBytes(count) => self.chunks.first_bytes(count),
        };
        Self {
            chunks,
            end,
            has_head,
            ..self
        }
    }

    fn add_headers(&mut self, headers: &[(String, String)]) {
        for (name, value) in headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                self.headers.insert(name, value);
            }
        }
    }

    fn close_if(&mut self, close: bool) {
        if close {
            self.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl From<ErrorResponse> for PlannedResponse {
    fn from(refusal: ErrorResponse) -> Self {
        Self::error(refusal.status, &refusal.body)
    }
}

fn request_id(number: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("req_sim_{number:08}")).unwrap_or(HeaderValue::from_static("req_sim"))
}
