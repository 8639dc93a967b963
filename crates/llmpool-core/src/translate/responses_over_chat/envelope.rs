//! The fields of a response other than its output.

use serde_json::json;

use crate::chat::{EmptyObject, Json, Usage};
use crate::responses::{
    IncompleteDetails, Item, Reasoning, Response, ResponseError, ResponseStatus, ResponsesRequest, TextFormat,
};
use crate::translate::{FailedResponse, usage};

/// The fields of a response that are known before the model answers: the response id, the creation time, and
/// the values repeated from the request. Also creates the ids of the output items.
#[derive(Clone, Debug)]
pub struct ResponseEnvelope {
    started: Response,
    id_suffix: String,
}

impl ResponseEnvelope {
    /// Creates the envelope of the response to `request`.
    ///
    /// `id_suffix` becomes part of the response id and of all item ids, so it must be different for each
    /// response. `created_at` is in seconds since 1970.
    pub fn new(request: &ResponsesRequest, id_suffix: impl Into<String>, created_at: u64) -> Self {
        const NULLABLE: [&str; 9] = [
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
        let id_suffix = id_suffix.into();
        let mut text = request.text.clone().unwrap_or_default();
        let plain_text = || TextFormat::Text(EmptyObject::default());
        text.format.get_or_insert_with(plain_text);
        let truncation = request.truncation.clone();
        let mut started = Response {
            id: Some(format!("resp_{id_suffix}")),
            object: Some("response".to_owned()),
            created_at: Json::of(&created_at).ok(),
            status: Some(ResponseStatus::InProgress),
            instructions: request.instructions.as_ref().and_then(|text| Json::of(text).ok()),
            model: request.model.clone(),
            max_output_tokens: request.max_output_tokens,
            max_tool_calls: request.max_tool_calls,
            parallel_tool_calls: Some(request.parallel_tool_calls.unwrap_or(true)),
            previous_response_id: request.previous_response_id.clone(),
            reasoning: Some(request.reasoning.clone().unwrap_or_else(null_reasoning)),
            temperature: Some(request.temperature.unwrap_or(1.0)),
            top_p: Some(request.top_p.unwrap_or(1.0)),
            text: Some(text),
            tool_choice: request.tool_choice.clone().or_else(|| Json::of("auto").ok()),
            tools: request.tools.clone(),
            truncation: truncation.or_else(|| Some("disabled".to_owned())),
            metadata: request.metadata.clone().or_else(|| Json::of(&json!({})).ok()),
            service_tier: request.service_tier.clone(),
            ..Response::default()
        };
        NULLABLE.iter().for_each(|name| started.set_null(name));
        Self { started, id_suffix }
    }

    /// Returns a response with the status `in_progress` and no output.
    pub fn started(&self) -> Response {
        self.started.clone()
    }

    /// Returns a response with the status `failed`, the given failure, and no output. The error code is
    /// `server_error` if the failure has no code.
    pub fn failed(&self, failure: &FailedResponse) -> Response {
        let code = failure.code.clone();
        Response {
            status: Some(ResponseStatus::Failed),
            error: Some(ResponseError {
                code: code.or_else(|| Some("server_error".to_owned())),
                message: failure.message.clone(),
                ..ResponseError::default()
            }),
            ..self.started()
        }
    }

    /// Returns the finished response. The status is `incomplete` if there is an `incomplete_reason`,
    /// otherwise `completed`. If `model` or `service_tier` is `None`, the value of the request is used.
    pub(super) fn finished(
        &self,
        output: Vec<Item>,
        incomplete_reason: Option<&str>,
        usage: Option<&Usage>,
        model: Option<String>,
        service_tier: Option<String>,
    ) -> Response {
        let started = self.started();
        Response {
            output,
            usage: usage.filter(|usage| !usage.is_empty()).map(usage::to_responses),
            model: model.or(started.model),
            service_tier: service_tier.or(started.service_tier),
            status: Some(match incomplete_reason {
                Some(_) => ResponseStatus::Incomplete,
                None => ResponseStatus::Completed,
            }),
            incomplete_details: incomplete_reason.map(|reason| IncompleteDetails {
                reason: Some(reason.to_owned()),
                ..IncompleteDetails::default()
            }),
            ..started
        }
    }

    /// Returns an id for an output item, such as `msg_SUFFIX_0` for the prefix `msg` and the index 0. Two
    /// items of one response must differ in prefix or index.
    pub(super) fn item_id(&self, prefix: &str, index: usize) -> String {
        format!("{prefix}_{}_{index}", self.id_suffix)
    }
}

fn null_reasoning() -> Reasoning {
    let mut reasoning = Reasoning::default();
    reasoning.set_null("effort");
    reasoning.set_null("summary");
    reasoning
}
