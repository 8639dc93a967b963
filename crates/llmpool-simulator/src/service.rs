//! A request from its head to a response: understand, check the key, read, ask the rules, answer.

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
use crate::chat::Refusal;
use crate::clock::Clock;
use crate::connection::{Break, Link};
use crate::exchange::Exchange;
use crate::gate::Gate;
use crate::outgoing::Outgoing;
use crate::responses::Store;
use crate::rules::{Facts, Rules, Verdict};
use crate::scenario::Scenario;
use crate::stats::{Arrival, Recorder, RequestKind};

/// The largest request body taken; a larger one is answered with 413.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// What `GET /v1/models` lists when the scenario accepts any model.
const DEFAULT_MODEL: &str = "simulator";

pub(crate) type ResponseBody = Either<Full<Bytes>, PacedBody>;

/// What answers requests, shared by all connections.
#[derive(Debug)]
pub(crate) struct Service {
    scenario: Scenario,
    clock: Clock,
    rules: Mutex<Rules>,
    gate: Arc<Gate>,
    recorder: Arc<Recorder>,
    store: Arc<Store>,
    requests: AtomicU64,
}

/// What a path and method ask for.
#[derive(Debug, PartialEq)]
enum Route {
    Chat,
    Responses,
    Embeddings,
    Models,
    Model(String),
    Stats,
    ResetStats,
    WrongMethod(&'static str),
    Unknown,
}

/// What the `Authorization` header says.
#[derive(Clone, Copy, Debug)]
enum Caller {
    /// A key of the scenario.
    Key(usize),
    /// Any caller, because the scenario has no keys.
    Anyone,
    Refused,
}

impl Service {
    pub(crate) fn new(scenario: Scenario, clock: Clock, recorder: Arc<Recorder>) -> Self {
        let rules = Mutex::new(Rules::new(&scenario));
        Self {
            gate: Arc::new(Gate::new(&scenario, clock)),
            scenario,
            clock,
            rules,
            recorder,
            store: Arc::default(),
            requests: AtomicU64::new(0),
        }
    }

    pub(crate) async fn answer(&self, link: Arc<Link>, request: Request<Incoming>) -> Response<ResponseBody> {
        link.head_read();
        let mut response = self.route(link, request).await;
        let date = httpdate::fmt_http_date(self.clock.date());
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(DATE, date);
        }
        response
    }

    async fn route(&self, link: Arc<Link>, request: Request<Incoming>) -> Response<ResponseBody> {
        match Route::of(request.method(), request.uri().path()) {
            Route::Stats => {
                self.about_itself(&link, request, || json!(self.recorder.snapshot()))
                    .await
            }
            Route::ResetStats => {
                let reset = || {
                    self.recorder.reset();
                    json!({"reset": true})
                };
                self.about_itself(&link, request, reset).await
            }
            route => self.play(route, link, request).await.map(Either::Right),
        }
    }

    /// Answers a request that is not for the provider, and does not count as one.
    async fn about_itself(
        &self,
        link: &Link,
        request: Request<Incoming>,
        answer: impl FnOnce() -> Value,
    ) -> Response<ResponseBody> {
        self.recorder.not_a_request();
        // Whatever a client sends with it is of no interest, but must be out of the way of its next request.
        let _ = Limited::new(request.into_body(), MAX_BODY).collect().await;
        link.response_done(AfterResponse::KeepOpen);
        let mut response = Response::new(Either::Left(Full::from(answer().to_string())));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn play(&self, route: Route, link: Arc<Link>, request: Request<Incoming>) -> Response<PacedBody> {
        let caller = self.caller(request.headers());
        let key = match caller {
            Caller::Key(index) => Some(index),
            Caller::Anyone | Caller::Refused => None,
        };
        let arrival = Arrival {
            connection: link.id(),
            key,
            kind: route.kind(),
        };
        let mut exchange = Exchange::begin(Arc::clone(&self.recorder), arrival);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let bodyless = request.method() == Method::HEAD;

        let outgoing = match read(request.into_body()).await {
            Ok(body) => {
                exchange.request_read();
                self.respond(route, caller, &body, number, &mut exchange)
            }
            Err(Unread::TooLarge) => Outgoing::too_large(),
            Err(Unread::ClientLeft) => {
                // Nobody is there to read an answer; dropping the exchange notes the abort.
                drop(exchange);
                link.break_off(Break::End);
                return std::future::pending().await;
            }
        };
        outgoing.bodyless(bodyless).send(number, exchange, link).await
    }

    fn before_limits(&self, facts: Facts) -> Option<Verdict> {
        self.rules().before_limits(facts, self.clock.elapsed())
    }

    fn decide(&self, facts: Facts) -> Verdict {
        self.rules().decide(facts, self.clock.elapsed())
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caller(&self, headers: &HeaderMap) -> Caller {
        if self.scenario.keys.is_empty() {
            return Caller::Anyone;
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
        index.map_or(Caller::Refused, Caller::Key)
    }

    fn has_model(&self, model: &str) -> bool {
        self.scenario.models.is_empty() || self.scenario.models.iter().any(|known| known == model)
    }

    fn model_list(&self) -> Value {
        let named: Vec<Value> = match self.scenario.models.as_slice() {
            [] => vec![model_entry(DEFAULT_MODEL)],
            models => models.iter().map(|model| model_entry(model)).collect(),
        };
        json!({"object": "list", "data": named})
    }

    fn model(&self, id: &str) -> Result<Value, Refusal> {
        self.check_model(id).map(|()| model_entry(id))
    }
}

impl Route {
    fn of(method: &Method, path: &str) -> Self {
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

enum Unread {
    TooLarge,
    ClientLeft,
}

async fn read(body: Incoming) -> Result<Bytes, Unread> {
    // An announced length is refused before it is sent.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Unread::TooLarge);
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Err(_) => Err(Unread::ClientLeft),
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
    fn paths_are_known_with_and_without_the_version() {
        for (path, route) in [
            ("/chat/completions", Route::Chat),
            ("/responses", Route::Responses),
            ("/embeddings", Route::Embeddings),
        ] {
            let versioned = format!("/v1{path}");
            assert_eq!(Route::of(&Method::GET, &versioned), Route::WrongMethod("POST"));
            assert_eq!(Route::of(&Method::POST, &versioned), route);
            assert_eq!(Route::of(&Method::POST, path), route);
        }
        assert_eq!(
            Route::of(&Method::GET, "/v1/models/a/b"),
            Route::Model("a/b".into())
        );
        assert_eq!(Route::of(&Method::GET, "/v1/models/"), Route::Unknown);
        assert_eq!(Route::of(&Method::GET, "/v1/stats"), Route::Unknown);
    }
}
