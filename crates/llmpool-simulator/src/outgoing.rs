//! A response as decided, and how it goes out: delays, headers, and where it stops.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::{Response, StatusCode};
use serde_json::Value;

use crate::behaviour::{
    AfterResponse, ErrorIn200, Pace, Point, Raw, Reply, RetryAfter, RetryAfterForm, StatusReply,
};
use crate::body::{Ending, PacedBody, Pieces};
use crate::calendar;
use crate::chat::Refusal;
use crate::connection::{Break, Link};
use crate::errors;
use crate::exchange::Exchange;
use crate::rules::Verdict;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A proper answer to a call, in the words of its format.
pub(crate) trait Answer: Sized {
    /// The whole of it as one body.
    fn plain(&self) -> Bytes;

    /// The events of a stream, one after the other.
    fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static;

    /// At most so many of them, and then an error that ends the stream.
    fn events_before_error(self, count: usize) -> impl Iterator<Item = Bytes> + Send + 'static;
}

/// What a response carries.
#[derive(Debug)]
pub(crate) struct Content {
    kind: HeaderValue,
    pieces: Pieces,
    streams: bool,
}

/// A response, ready to go.
#[derive(Debug)]
pub(crate) struct Outgoing {
    status: StatusCode,
    headers: HeaderMap,
    pieces: Pieces,
    ending: Ending,
    /// False if it ends before its head.
    begins: bool,
    pace: Pace,
    after: AfterResponse,
}

impl Content {
    /// An answer as it was asked for, or with an error in it.
    pub(crate) fn answer(answer: impl Answer, streams: bool, error: Option<ErrorIn200>) -> Self {
        match (error, streams) {
            (None, true) => Self::event_stream(answer.events()),
            (None, false) => Self::json(answer.plain()),
            (Some(ErrorIn200::FirstEvent), true) => Self::event_stream(answer.events_before_error(0)),
            (Some(ErrorIn200::AfterEvents(count)), true) => {
                Self::event_stream(answer.events_before_error(count))
            }
            (Some(_), _) => Self::error(),
        }
    }

    /// What is no stream, or an error instead.
    pub(crate) fn document(json: Bytes, error: Option<ErrorIn200>) -> Self {
        error.map_or_else(|| Self::json(json), |_| Self::error())
    }

    fn json(bytes: Bytes) -> Self {
        Self {
            kind: JSON,
            pieces: Pieces::whole(bytes),
            streams: false,
        }
    }

    fn event_stream(events: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            kind: EVENT_STREAM,
            pieces: Pieces::stream(events),
            streams: true,
        }
    }

    fn error() -> Self {
        Self::json(errors::in_band().to_string().into())
    }
}

impl Outgoing {
    /// What a verdict makes of a request whose proper answer would be `proper`.
    /// `date` is what the provider takes for today; `proper` is told where an error has to stand in it.
    pub(crate) fn by(
        verdict: Verdict,
        date: SystemTime,
        proper: impl FnOnce(Option<ErrorIn200>) -> Content,
    ) -> Self {
        let ok = |content| Self::with_content(StatusCode::OK, content);
        let mut outgoing = match verdict.reply {
            Reply::Ok => ok(proper(None)),
            Reply::Status(reply) => Self::status(&reply, date),
            Reply::Stall(point) => ok(proper(None)).stopped(point, Ending::Stall),
            Reply::Cut { at, reset } => {
                ok(proper(None)).stopped(at, Ending::Break(if reset { Break::Reset } else { Break::End }))
            }
            Reply::Raw(raw) => Self::recorded(raw),
            Reply::ErrorIn200(place) => ok(proper(Some(place))),
        };
        outgoing.add_headers(&verdict.headers);
        outgoing.close_if(verdict.after_response == AfterResponse::Close);
        Self {
            pace: verdict.pace,
            after: verdict.after_response,
            ..outgoing
        }
    }

    /// A refusal with a JSON body, sent at once.
    pub(crate) fn refusal(status: StatusCode, body: &Value) -> Self {
        Self::with_content(status, Content::json(body.to_string().into()))
    }

    pub(crate) fn unknown_path() -> Self {
        let message = "Invalid URL: the simulator has /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/models and /stats.";
        Refusal::new(StatusCode::NOT_FOUND, message, None).into()
    }

    pub(crate) fn wrong_method(allow: &'static str) -> Self {
        let message = "Not allowed to use this method on this URL.";
        let mut outgoing = Self::from(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message, None));
        outgoing.headers.insert(ALLOW, HeaderValue::from_static(allow));
        outgoing
    }

    /// The rest of the request is not read, so the connection cannot go on.
    pub(crate) fn too_large() -> Self {
        let mut outgoing = Self::refusal(StatusCode::PAYLOAD_TOO_LARGE, &errors::for_status(413, None));
        outgoing.close_if(true);
        outgoing
    }

    /// Leaves the body out if `bodyless` or if the status has none.
    pub(crate) fn bodyless(self, bodyless: bool) -> Self {
        match self.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Self {
                pieces: Pieces::whole(Bytes::new()),
                ..self
            },
            _ if bodyless => Self {
                pieces: self.pieces.none(),
                ..self
            },
            _ => self,
        }
    }

    /// Waits, and gives the response to the server; never returns if there is none.
    pub(crate) async fn send(
        mut self,
        number: u64,
        mut exchange: Exchange,
        link: Arc<Link>,
    ) -> Response<PacedBody> {
        if !self.pace.head.is_zero() {
            tokio::time::sleep(self.pace.head).await;
        }
        if !self.begins {
            if let Ending::Break(how) = self.ending {
                exchange.finish();
                link.break_off(how);
            }
            // The exchange is kept until the connection ends and drops this future.
            return std::future::pending().await;
        }
        exchange.answered(self.status.as_u16());
        self.headers
            .entry(X_REQUEST_ID)
            .or_insert_with(|| request_id(number));
        let body = PacedBody::new(self.pieces, exchange, link)
            .paced(self.pace.first_chunk, self.pace.chunk)
            .ending(self.ending, self.after);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    fn with_content(status: StatusCode, content: Content) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content.kind);
        if content.streams {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        Self {
            status,
            headers,
            pieces: content.pieces,
            ending: Ending::Complete,
            begins: true,
            pace: Pace::default(),
            after: AfterResponse::KeepOpen,
        }
    }

    fn status(reply: &StatusReply, date: SystemTime) -> Self {
        let body = match &reply.body {
            None => Content::json(
                errors::for_status(reply.status, reply.code.as_deref())
                    .to_string()
                    .into(),
            ),
            Some(Value::String(text)) => Content {
                kind: TEXT,
                ..Content::json(text.clone().into())
            },
            Some(body) => Content::json(body.to_string().into()),
        };
        let mut outgoing = Self::with_content(reply.status_code(), body);
        if let Some((name, value)) = reply.retry_after.and_then(|told| told.header(date))
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            outgoing.headers.insert(name, value);
        }
        outgoing
    }

    fn recorded(raw: Raw) -> Self {
        let streams = raw.content_type.starts_with("text/event-stream");
        let content = Content {
            kind: HeaderValue::from_str(&raw.content_type).unwrap_or(EVENT_STREAM),
            pieces: Pieces::split(raw.body, raw.writes, !streams),
            streams,
        };
        Self::with_content(
            StatusCode::from_u16(raw.status).unwrap_or(StatusCode::OK),
            content,
        )
    }

    fn stopped(self, at: Point, ending: Ending) -> Self {
        let begins = at != Point::BeforeHead;
        let pieces = match at {
            Point::BeforeHead | Point::AfterHead => self.pieces.none(),
            Point::AfterEvents(count) => self.pieces.first_events(count),
            Point::AfterBytes(count) => self.pieces.first_bytes(count),
        };
        Self {
            pieces,
            ending,
            begins,
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

impl From<Refusal> for Outgoing {
    fn from(refusal: Refusal) -> Self {
        Self::refusal(refusal.status, &refusal.body)
    }
}

impl RetryAfter {
    /// The header that tells it, if any does; `date` is the provider's.
    pub(crate) fn header(self, date: SystemTime) -> Option<(HeaderName, String)> {
        Some(match self.form {
            RetryAfterForm::Seconds => (RETRY_AFTER, calendar::seconds_up(self.wait).to_string()),
            RetryAfterForm::Decimal => (RETRY_AFTER, format!("{:.3}", self.wait.as_secs_f64())),
            RetryAfterForm::Ms => (
                RETRY_AFTER_MS,
                self.wait.as_nanos().div_ceil(1_000_000).to_string(),
            ),
            RetryAfterForm::Date => (RETRY_AFTER, calendar::http_date(date + self.wait)),
            RetryAfterForm::None => return None,
        })
    }
}

fn request_id(number: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("req_sim_{number:08}")).unwrap_or(HeaderValue::from_static("req_sim"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_to_come_back_at_is_never_told_too_early() {
        let wait = Duration::from_micros(1_200_400);
        let told = |form| RetryAfter { wait, form }.header(SystemTime::now());
        assert_eq!(told(RetryAfterForm::Seconds), Some((RETRY_AFTER, "2".into())));
        assert_eq!(told(RetryAfterForm::Ms), Some((RETRY_AFTER_MS, "1201".into())));
        assert_eq!(told(RetryAfterForm::None), None);
        let (_, date) = told(RetryAfterForm::Date).unwrap();
        assert!(httpdate::parse_http_date(&date).unwrap() >= SystemTime::now() + Duration::from_secs(1));
    }
}
