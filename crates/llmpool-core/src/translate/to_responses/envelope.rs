//! What a response says around its output.

use serde_json::json;

use super::answer::End;
use crate::chat::{EmptyObject, Json, Usage};
use crate::responses::{
    IncompleteDetails, Item, Reasoning, Response, ResponseStatus, ResponsesRequest, TextFormat, TextOptions,
};
use crate::translate::{Failed, usage};

/// What a response says of itself and its request, whatever the answer.
#[derive(Clone, Debug)]
pub struct ResponseEnvelope {
    blank: Response,
    seed: String,
}

impl ResponseEnvelope {
    /// For the answer to this request. `seed` makes its ids and must be unique; `created_at` is in seconds since 1970.
    pub fn new(request: &ResponsesRequest, seed: impl Into<String>, created_at: u64) -> Self {
        let seed = seed.into();
        let mut blank = Response {
            id: Some(format!("resp_{seed}")),
            object: Some("response".to_owned()),
            created_at: Json::of(&created_at).ok(),
            status: Some(ResponseStatus::InProgress),
            instructions: request.instructions.as_ref().and_then(|text| Json::of(text).ok()),
            model: request.model.clone(),
            max_output_tokens: request.max_output_tokens,
            max_tool_calls: request.max_tool_calls,
            parallel_tool_calls: Some(request.parallel_tool_calls.unwrap_or(true)),
            previous_response_id: request.previous_response_id.clone(),
            reasoning: Some(request.reasoning.clone().unwrap_or_else(no_reasoning)),
            temperature: Some(request.temperature.unwrap_or(1.0)),
            top_p: Some(request.top_p.unwrap_or(1.0)),
            text: Some(text_of(request)),
            tool_choice: request.tool_choice.clone().or_else(|| Json::of("auto").ok()),
            tools: request.tools.clone(),
            truncation: Some(
                request
                    .truncation
                    .clone()
                    .unwrap_or_else(|| "disabled".to_owned()),
            ),
            metadata: request.metadata.clone().or_else(|| Json::of(&json!({})).ok()),
            service_tier: request.service_tier.clone(),
            ..Response::default()
        };
        const MAY_BE_NULL: [&str; 9] = [
            "completed_at",
            "error",
            "incomplete_details",
            "instructions",
            "usage",
            "max_output_tokens",
            "max_tool_calls",
            "previous_response_id",
            "model",
        ];
        MAY_BE_NULL.iter().for_each(|name| blank.set_null(name));
        Self { blank, seed }
    }

    /// The response that has but begun.
    pub fn begun(&self) -> Response {
        self.blank.clone()
    }

    /// An id of an item.
    pub(super) fn id(&self, prefix: &str, number: usize) -> String {
        format!("{prefix}_{}_{number}", self.seed)
    }

    /// The response that failed.
    pub fn failed(&self, failed: &Failed) -> Response {
        let mut response = self.begun();
        response.status = Some(ResponseStatus::Failed);
        response.error = Some(crate::responses::ResponseError {
            code: Some(failed.code.clone().unwrap_or_else(|| "server_error".to_owned())),
            message: failed.message.clone(),
            ..Default::default()
        });
        response
    }

    /// The response that is over.
    pub(super) fn over(&self, output: Vec<Item>, end: End, usage: Option<&Usage>) -> Response {
        let mut response = self.begun();
        response.output = output;
        response.usage = usage.map(usage::as_response);
        let (status, reason) = match end {
            End::Whole => (ResponseStatus::Completed, None),
            End::Cut => (ResponseStatus::Incomplete, Some("max_output_tokens")),
            End::Filtered => (ResponseStatus::Incomplete, Some("content_filter")),
        };
        response.status = Some(status);
        response.incomplete_details = reason.map(|reason| IncompleteDetails {
            reason: Some(reason.to_owned()),
            ..IncompleteDetails::default()
        });
        response
    }
}

fn no_reasoning() -> Reasoning {
    let mut reasoning = Reasoning::default();
    reasoning.set_null("effort");
    reasoning.set_null("summary");
    reasoning
}

fn text_of(request: &ResponsesRequest) -> TextOptions {
    let said = request.text.clone().unwrap_or_default();
    TextOptions {
        format: said
            .format
            .or_else(|| Some(TextFormat::Text(EmptyObject::default()))),
        ..said
    }
}
