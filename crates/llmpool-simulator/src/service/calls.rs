//! What the provider is asked to do: calls of a model, and its models. Each passes the same rules and limits.

use std::sync::Arc;

use hyper::StatusCode;

use super::{Caller, Route, Service, unix_seconds};
use crate::answer::Completion;
use crate::behaviour::{Endpoint, ErrorIn200, Reply};
use crate::chat::{ChatRequest, Refusal};
use crate::embeddings::EmbeddingsRequest;
use crate::errors;
use crate::exchange::Exchange;
use crate::gate::Passage;
use crate::outgoing::{Content, Outgoing};
use crate::responses::{Owner, ResponseAnswer, ResponsesRequest};
use crate::rules::{Facts, Verdict};

/// A request as it came.
pub(super) struct Call<'a> {
    /// The index of its key in the scenario.
    key: Option<usize>,
    body: &'a [u8],
    /// How many came before it.
    number: u64,
    exchange: &'a mut Exchange,
}

impl Service {
    pub(super) fn respond(
        &self,
        route: Route,
        caller: Caller,
        body: &[u8],
        number: u64,
        exchange: &mut Exchange,
    ) -> Outgoing {
        let key = match caller {
            Caller::Refused => {
                return Outgoing::refusal(StatusCode::UNAUTHORIZED, &errors::for_status(401, None));
            }
            Caller::Key(index) => Some(index),
            Caller::Anyone => None,
        };
        let call = Call {
            key,
            body,
            number,
            exchange,
        };
        let outgoing = match route {
            Route::Chat => self.chat(call),
            Route::Responses => self.responses(call),
            Route::Embeddings => self.embeddings(call),
            Route::Models => self.models(key, Ok(self.model_list())),
            Route::Model(id) => self.models(key, self.model(&id)),
            Route::WrongMethod(allow) => Ok(Outgoing::wrong_method(allow)),
            Route::Stats | Route::ResetStats | Route::Unknown => Ok(Outgoing::unknown_path()),
        };
        outgoing.unwrap_or_else(Outgoing::from)
    }

    fn chat(&self, call: Call<'_>) -> Result<Outgoing, Refusal> {
        let request = ChatRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let facts = Facts {
            stream_options: request.has_stream_options(),
            ..Facts::new(Endpoint::ChatCompletions, call.key)
        };
        let created = unix_seconds(self.clock.date());
        let completion = Completion::new(&self.scenario, &request, call.number, created);
        let most = request
            .max_tokens()
            .map(|most| most.saturating_mul(request.choices() as usize));
        let tokens = tokens(request.prompt_estimate(), most, completion.tokens());
        Ok(self.play_call(facts, tokens, call.exchange, |error| {
            Content::answer(completion, request.streams(), error)
        }))
    }

    fn responses(&self, call: Call<'_>) -> Result<Outgoing, Refusal> {
        let request = ResponsesRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let owner = Owner::of(&self.scenario, call.key);
        let history = request.history(owner, self.scenario.seed, &self.store)?;
        let facts = Facts {
            stream_options: request.has_stream_options(),
            ..Facts::new(Endpoint::Responses, call.key)
        };
        let prompt = request.prompt_estimate(&history);
        let created = unix_seconds(self.clock.date());
        let answer = ResponseAnswer::new(
            &self.scenario,
            &request,
            history,
            (owner, Arc::clone(&self.store)),
            (call.number, created),
        );
        let tokens = tokens(prompt, request.max_tokens(), answer.tokens());
        Ok(self.play_call(facts, tokens, call.exchange, |error| {
            Content::answer(answer, request.streams(), error)
        }))
    }

    fn embeddings(&self, call: Call<'_>) -> Result<Outgoing, Refusal> {
        let request = EmbeddingsRequest::parse(call.body)?;
        self.check_model(&request.model)?;
        let facts = Facts::new(Endpoint::Embeddings, call.key);
        let tokens = tokens(request.estimate(), None, 0);
        Ok(self.play_call(facts, tokens, call.exchange, |error| {
            Content::document(request.answer(), error)
        }))
    }

    /// What becomes of a call that is valid.
    fn play_call(
        &self,
        facts: Facts,
        tokens: u32,
        exchange: &mut Exchange,
        proper: impl FnOnce(Option<ErrorIn200>) -> Content,
    ) -> Outgoing {
        let verdict = self
            .before_limits(facts)
            .unwrap_or_else(|| self.limited(facts, tokens, exchange));
        Outgoing::by(verdict, self.clock.date(), proper)
    }

    /// What the limits of the key say, and if they let the request pass, the rules; with the headers of the limits in
    /// any case.
    fn limited(&self, facts: Facts, tokens: u32, exchange: &mut Exchange) -> Verdict {
        let (dialect, date) = (self.scenario.dialect, self.clock.date());
        let Passage { result, standing } = self.gate.enter(facts.key, tokens);
        let headers = dialect.headers(&standing, result.as_ref().err(), date);
        let verdict = match result {
            Ok(permit) => {
                exchange.admitted(permit);
                self.decide(facts)
            }
            Err(denied) => {
                exchange.denied(denied.by);
                Verdict::of(Reply::Status(dialect.refusal(&denied, date)), &self.scenario)
            }
        };
        verdict.after(headers)
    }

    fn models(
        &self,
        key: Option<usize>,
        list: Result<serde_json::Value, Refusal>,
    ) -> Result<Outgoing, Refusal> {
        let list = list?;
        let facts = Facts::new(Endpoint::Models, key);
        let verdict = self.before_limits(facts).unwrap_or_else(|| self.decide(facts));
        let date = self.clock.date();
        let headers = self.scenario.dialect.headers(&self.gate.look(key), None, date);
        Ok(Outgoing::by(verdict.after(headers), date, |error| {
            Content::document(list.to_string().into(), error)
        }))
    }

    pub(super) fn check_model(&self, model: &str) -> Result<(), Refusal> {
        if self.has_model(model) {
            Ok(())
        } else {
            Err(Refusal::unknown_model(model))
        }
    }
}

/// What a request counts for a limit of tokens: its prompt, and the most it allows for the answer, or the answer itself
/// where it allows any.
fn tokens(prompt: usize, most: Option<usize>, answer: usize) -> u32 {
    u32::try_from(prompt.saturating_add(most.unwrap_or(answer))).unwrap_or(u32::MAX)
}
