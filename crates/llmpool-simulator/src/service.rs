//! The HTTP service: routes a request, checks its key, reads its body, and decides on the response.

mod calls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use crate::behaviour::AfterResponse;
use crate::body::PacedBody;
use crate::clock::Clock;
use crate::connection::{ConnectionBreak, ConnectionHandle};
use crate::errors::ErrorResponse;
use crate::in_flight::InFlightRequest;
use crate::key_limiters::KeyLimiters;
use crate::response::PlannedResponse;
use crate::responses::ResponseStore;
use crate::rules::{ReplyPlan, RequestInfo, Rules};
use crate::scenario::Scenario;
use crate::stats::{Recorder, RequestKind, RequestOrigin};

/// Maximum size of a request body in bytes. A request with a larger body gets 413.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// The model that `GET /v1/models` lists if the scenario accepts any model.
const DEFAULT_MODEL: &str = "simulator";

pub(crate) type ResponseBody = Either<Full<Bytes>, PacedBody>;

/// The HTTP service that answers requests. All connections share one service.
#[derive(Debug)]
pub(crate) struct Service {
    scenario: Scenario,
    clock: Clock,
    rules: Mutex<Rules>,
    limiters: Arc<KeyLimiters>,
    recorder: Arc<Recorder>,
    store: Arc<ResponseStore>,
    /// The number of requests received so far. The ids in a response derive from the number of requests
    /// before the request that is answered.
    requests: AtomicU64,
}

/// The endpoint that the path and method of a request select.
#[derive(Debug, PartialEq)]
enum Route {
    Chat,
    Responses,
    Embeddings,
    Models,
    Model(String),
    Stats,
    ResetStats,
    /// The path exists, but does not accept the method of the request. Holds the method that the path
    /// accepts.
    WrongMethod(&'static str),
    Unknown,
}

/// The result of checking the `Authorization` header.
#[derive(Clone, Copy, Debug)]
enum RequestAuth {
    /// The request has the key with this zero-based index in the scenario.
    Key(usize),
    /// The scenario has no keys and accepts every request.
    Anonymous,
    /// The request's key is missing or is not one of the scenario's keys.
    Rejected,
}

impl Service {
    pub(crate) fn new(scenario: Scenario, clock: Clock, recorder: Arc<Recorder>) -> Self {
        let rules = Mutex::new(Rules::new(&scenario));
        Self {
            limiters: Arc::new(KeyLimiters::new(&scenario, clock)),
            scenario,
            clock,
            rules,
            recorder,
            store: Arc::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) async fn answer(
        &self,
        connection: Arc<ConnectionHandle>,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        connection.head_read();
        let mut response = self.route(connection, request).await;
        let date = httpdate::fmt_http_date(self.clock.date());
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(DATE, date);
        }
        response
    }

    async fn route(
        &self,
        connection: Arc<ConnectionHandle>,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        match Route::new(request.method(), request.uri().path()) {
            Route::Stats => {
                self.control_response(&connection, request, || json!(self.recorder.snapshot()))
                    .await
            }
            Route::ResetStats => {
                let reset = || {
                    self.recorder.reset();
                    json!({"reset": true})
                };
                self.control_response(&connection, request, reset).await
            }
            route => self.simulate(route, connection, request).await.map(Either::Right),
        }
    }

    /// Answers a request to `/stats` or `/stats/reset`. The statistics do not count this request, because the
    /// request is for the simulator itself and not for the simulated provider.
    async fn control_response(
        &self,
        connection: &ConnectionHandle,
        request: Request<Incoming>,
        answer: impl FnOnce() -> Value,
    ) -> Response<ResponseBody> {
        self.recorder.uncount_request_bytes();
        // Read and discard the request body, so that the connection can serve the next request.
        let _ = Limited::new(request.into_body(), MAX_BODY).collect().await;
        connection.response_done(AfterResponse::KeepOpen);
        let mut response = Response::new(Either::Left(Full::from(answer().to_string())));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn simulate(
        &self,
        route: Route,
        connection: Arc<ConnectionHandle>,
        request: Request<Incoming>,
    ) -> Response<PacedBody> {
        let auth = self.authenticate(request.headers());
        let key = match auth {
            RequestAuth::Key(index) => Some(index),
            RequestAuth::Anonymous | RequestAuth::Rejected => None,
        };
        let origin = RequestOrigin {
            connection: connection.id(),
            key,
            kind: route.kind(),
        };
        let mut in_flight = InFlightRequest::begin(Arc::clone(&self.recorder), origin);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let omit_body = request.method() == Method::HEAD;

        let response = match read_body(request.into_body()).await {
            Ok(body) => {
                in_flight.request_read();
                self.respond(route, auth, &body, number, &mut in_flight)
            }
            Err(ReadBodyError::TooLarge) => PlannedResponse::too_large(),
            Err(ReadBodyError::Disconnected) => {
                // The client has disconnected: dropping `in_flight` records the abort.
                drop(in_flight);
                connection.request_break(ConnectionBreak::End);
                return std::future::pending().await;
            }
        };
        response
            .without_body(omit_body)
            .send(number, in_flight, connection)
            .await
    }

    fn decide_before_limits(&self, request: RequestInfo) -> Option<ReplyPlan> {
        self.rules().decide_before_limits(request, self.clock.elapsed())
    }

    fn decide(&self, request: RequestInfo) -> ReplyPlan {
        self.rules().decide(request, self.clock.elapsed())
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn authenticate(&self, headers: &HeaderMap) -> RequestAuth {
        if self.scenario.keys.is_empty() {
            return RequestAuth::Anonymous;
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = given
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let index = key.and_then(|(_, key)| {
            self.scenario
                .keys
                .iter()
                .position(|known| known.key == key.trim())
        });
        index.map_or(RequestAuth::Rejected, RequestAuth::Key)
    }

    fn has_model(&self, model: &str) -> bool {
        self.scenario.models.is_empty() || self.scenario.models.iter().any(|known| known == model)
    }

    fn model_list(&self) -> Value {
        let models: Vec<Value> = match self.scenario.models.as_slice() {
            [] => vec![model_entry(DEFAULT_MODEL)],
            names => names.iter().map(|model| model_entry(model)).collect(),
        };
        json!({"object": "list", "data": models})
    }

    fn model(&self, id: &str) -> Result<Value, ErrorResponse> {
        self.check_model(id).map(|()| model_entry(id))
    }
}

impl Route {
    fn new(method: &Method, path: &str) -> Self {
        match path {
            "/stats" => return Self::only(method, "GET", Self::Stats),
            "/stats/reset" => return Self::only(method, "POST", Self::ResetStats),
            _ => {}
        }
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => Self::only(method, "POST", Self::Chat),
            "/responses" => Self::only(method, "POST", Self::Responses),
            "/embeddings" => Self::only(method, "POST", Self::Embeddings),
            "/models" => Self::only(method, "GET", Self::Models),
            other => match other.strip_prefix("/models/") {
                Some(id) if !id.is_empty() => Self::only(method, "GET", Self::Model(id.to_owned())),
                _ => Self::Unknown,
            },
        }
    }

    fn only(method: &Method, allow: &'static str, route: Self) -> Self {
        if method == allow {
            route
        } else {
            Self::WrongMethod(allow)
        }
    }

    fn kind(&self) -> RequestKind {
        match self {
            Self::Chat => RequestKind::Chat,
            Self::Responses => RequestKind::Responses,
            Self::Embeddings => RequestKind::Embeddings,
            Self::Models | Self::Model(_) => RequestKind::Models,
            Self::Stats | Self::ResetStats | Self::WrongMethod(_) | Self::Unknown => RequestKind::Unknown,
        }
    }
}

enum ReadBodyError {
    TooLarge,
    Disconnected,
}

async fn read_body(body: Incoming) -> Result<Bytes, ReadBodyError> {
    // Reject a body by its announced length, before the client sends the body.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(ReadBodyError::TooLarge);
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadBodyError::TooLarge),
        Err(_) => Err(ReadBodyError::Disconnected),
    }
}

fn model_entry(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "llmpool-simulator"})
}

fn unix_seconds(date: SystemTime) -> u64 {
    date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_work_with_and_without_version() {
        for (path, route) in [
            ("/chat/completions", Route::Chat),
            ("/responses", Route::Responses),
            ("/embeddings", Route::Embeddings),
        ] {
            let versioned = format!("/v1{path}");
            assert_eq!(Route::new(&Method::GET, &versioned), Route::WrongMethod("POST"));
            assert_eq!(Route::new(&Method::POST, &versioned), route);
            assert_eq!(Route::new(&Method::POST, path), route);
        }
        assert_eq!(
            Route::new(&Method::GET, "/v1/models/a/b"),
            Route::Model("a/b".into())
        );
        assert_eq!(Route::new(&Method::GET, "/v1/models/"), Route::Unknown);
        assert_eq!(Route::new(&Method::GET, "/v1/stats"), Route::Unknown);
    }
}
