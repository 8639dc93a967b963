//! Handles model calls and model lists: applies the rules and limits to a valid request, and creates the
//! response.

use std::sync::Arc;

use hyper::StatusCode;

use super::{RequestAuth, Route, Service, unix_seconds};
use crate::chat::{Completion, ParsedChatRequest};
use crate::embeddings::EmbeddingsRequest;
use crate::errors::{self, ErrorResponse};
use crate::in_flight::InFlightRequest;
use crate::key_limiters::LimitDecision;
use crate::reply::{ErrorIn200, SimulatedReply};
use crate::response::{PlannedResponse, ResponseContent};
use crate::responses::{ParsedResponsesRequest, ResponseOwner, SimulatedResponse};
use crate::rules::{ReplyPlan, RequestInfo};
use crate::stats::RequestKind;

/// A request whose key is accepted.
pub(super) struct ModelCall<'a> {
    /// Zero-based index of the key in the scenario. `None` if the scenario has no keys.
    key: Option<usize>,
    body: &'a [u8],
    /// The number of requests that the simulator received before this request.
    number: u64,
    in_flight: &'a mut InFlightRequest,
}

impl Service {
    pub(super) fn respond(
        &self,
        route: Route,
        auth: RequestAuth,
        body: &[u8],
        number: u64,
        in_flight: &mut InFlightRequest,
    ) -> PlannedResponse {
        let key = match auth {
            RequestAuth::Rejected => {
                return PlannedResponse::error(StatusCode::UNAUTHORIZED, &errors::for_status(401, None));
            }
            RequestAuth::Key(index) => Some(index),
            RequestAuth::Anonymous => None,
        };
        let call = ModelCall {
            key,
            body,
            number,
            in_flight,
        };
        let response = match route {
            Route::Chat => self.chat(call),
            Route::Responses => self.responses(call),
            Route::Embeddings => self.embeddings(call),
            Route::Models => self.models(key, Ok(self.model_list())),
            Route::Model(id) => self.models(key, self.model(&id)),
            Route::WrongMethod(allow) => Ok(PlannedResponse::wrong_method(allow)),
            Route::Stats | Route::ResetStats | Route::Unknown => Ok(PlannedResponse::unknown_path()),
        };
        response.unwrap_or_else(PlannedResponse::from)
    }

    fn chat(&self, call: ModelCall<'_>) -> Result<PlannedResponse, ErrorResponse> {
        let request = ParsedChatRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let info = RequestInfo {
            stream_options: request.has_stream_options(),
            ..RequestInfo::new(RequestKind::Chat, call.key)
        };
        let created = unix_seconds(self.clock.date());
        let completion = Completion::new(&self.scenario, &request, call.number, created);
        let max_tokens = request
            .max_tokens()
            .map(|max| max.saturating_mul(request.choices() as usize));
        let tokens = limited_tokens(request.prompt_estimate(), max_tokens, completion.tokens());
        Ok(self.respond_to_call(info, tokens, call.in_flight, |error| {
            ResponseContent::answer(completion, request.is_streaming(), error)
        }))
    }

    fn responses(&self, call: ModelCall<'_>) -> Result<PlannedResponse, ErrorResponse> {
        let request = ParsedResponsesRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let owner = ResponseOwner::new(&self.scenario, call.key);
        let context = request.turn_context(owner, self.scenario.seed, &self.store)?;
        let info = RequestInfo {
            stream_options: request.has_stream_options(),
            ..RequestInfo::new(RequestKind::Responses, call.key)
        };
        let prompt = request.prompt_estimate(&context);
        let created = unix_seconds(self.clock.date());
        let answer = SimulatedResponse::new(
            &self.scenario,
            &request,
            context,
            (owner, Arc::clone(&self.store)),
            (call.number, created),
        );
        let tokens = limited_tokens(prompt, request.max_tokens(), answer.tokens());
        Ok(self.respond_to_call(info, tokens, call.in_flight, |error| {
            ResponseContent::answer(answer, request.is_streaming(), error)
        }))
    }

    fn embeddings(&self, call: ModelCall<'_>) -> Result<PlannedResponse, ErrorResponse> {
        let request = EmbeddingsRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let info = RequestInfo::new(RequestKind::Embeddings, call.key);
        let tokens = limited_tokens(request.estimated_tokens(), None, 0);
        Ok(self.respond_to_call(info, tokens, call.in_flight, |error| {
            ResponseContent::document(request.answer_body(), error)
        }))
    }

    /// Creates the response to a valid call by applying the rules and limits. `tokens` is the number of
    /// tokens charged to the token limits for the call. The function `answer` creates the content of a
    /// response with status 200: the normal answer if called with `None`, and an answer with an error at the
    /// given position if called with a position.
    fn respond_to_call(
        &self,
        info: RequestInfo,
        tokens: u32,
        in_flight: &mut InFlightRequest,
        answer: impl FnOnce(Option<ErrorIn200>) -> ResponseContent,
    ) -> PlannedResponse {
        let plan = self
            .decide_before_limits(info)
            .unwrap_or_else(|| self.decide_with_limits(info, tokens, in_flight));
        PlannedResponse::from_plan(plan, self.clock.date(), answer)
    }

    /// Checks the limits of the key and, if the request passes, applies the rules. The returned plan contains
    /// the rate limit headers in both cases.
    fn decide_with_limits(
        &self,
        info: RequestInfo,
        tokens: u32,
        in_flight: &mut InFlightRequest,
    ) -> ReplyPlan {
        let (dialect, date) = (self.scenario.dialect, self.clock.date());
        let LimitDecision { result, report } = self.limiters.try_acquire(info.key, tokens);
        let headers = dialect.headers(&report, result.as_ref().err(), date);
        let plan = match result {
            Ok(slot) => {
                in_flight.limits_passed(slot);
                self.decide(info)
            }
            Err(exceeded) => {
                in_flight.denied(exceeded.limit);
                ReplyPlan::new(
                    SimulatedReply::Status(dialect.refusal(&exceeded, date)),
                    &self.scenario,
                )
            }
        };
        plan.with_headers_first(headers)
    }

    fn models(
        &self,
        key: Option<usize>,
        list: Result<serde_json::Value, ErrorResponse>,
    ) -> Result<PlannedResponse, ErrorResponse> {
        let list = list?;
        let info = RequestInfo::new(RequestKind::Models, key);
        let plan = self
            .decide_before_limits(info)
            .unwrap_or_else(|| self.decide(info));
        let date = self.clock.date();
        let headers = self
            .scenario
            .dialect
            .headers(&self.limiters.organization_report(key), None, date);
        Ok(PlannedResponse::from_plan(
            plan.with_headers_first(headers),
            date,
            |error| ResponseContent::document(list.to_string().into(), error),
        ))
    }

    pub(super) fn check_model(&self, model: &str) -> Result<(), ErrorResponse> {
        if self.has_model(model) {
            Ok(())
        } else {
            Err(ErrorResponse::unknown_model(model))
        }
    }
}

/// Returns the number of tokens charged to the token limits for a request: the tokens of the prompt, plus
/// `max_tokens`. If the request sets no `max_tokens`, the tokens of the answer are added instead.
fn limited_tokens(prompt: usize, max_tokens: Option<usize>, answer: usize) -> u32 {
    u32::try_from(prompt.saturating_add(max_tokens.unwrap_or(answer))).unwrap_or(u32::MAX)
}
