//! The response object. The object has every member of OpenAI's schema in every phase of the response.

use serde_json::{Value, json};

use super::request::ParsedResponsesRequest;

/// The phase of a response, which determines the `status` in the response object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ResponsePhase {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// The members of a response object that are the same in all events of a stream.
#[derive(Clone, Debug)]
pub(super) struct ResponseTemplate {
    members: Value,
    created: u64,
}

impl ResponseTemplate {
    pub(super) fn new(request: &ParsedResponsesRequest, id: &str, created: u64) -> Self {
        let requested = |name| request.field(name).clone();
        let requested_or = |name, default| match request.field(name) {
            Value::Null => default,
            value => value.clone(),
        };
        let (reasoning, text) = (request.field("reasoning"), request.field("text"));
        let format = Some(&text["format"]).filter(|format| !format.is_null());
        let members = json!({
            "id": id,
            "object": "response",
            "created_at": created,
            "model": request.model,
            "background": false,
            "frequency_penalty": 0.0,
            "instructions": requested("instructions"),
            "max_output_tokens": requested("max_output_tokens"),
            "max_tool_calls": requested("max_tool_calls"),
            "metadata": requested_or("metadata", json!({})),
            "parallel_tool_calls": requested_or("parallel_tool_calls", json!(true)),
            "presence_penalty": 0.0,
            "previous_response_id": requested("previous_response_id"),
            "prompt_cache_key": requested("prompt_cache_key"),
            "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
            "safety_identifier": requested("safety_identifier"),
            "service_tier": "default",
            "store": request.is_stored(),
            "temperature": requested_or("temperature", json!(1.0)),
            "text": {
                "format": format.cloned().unwrap_or_else(|| json!({"type": "text"})),
                "verbosity": text["verbosity"].as_str().unwrap_or("medium"),
            },
            "tool_choice": requested_or("tool_choice", json!("auto")),
            "tools": request.tools().map(tool).collect::<Vec<Value>>(),
            "top_logprobs": requested_or("top_logprobs", json!(0)),
            "top_p": requested_or("top_p", json!(1.0)),
            "truncation": requested_or("truncation", json!("disabled")),
            "user": requested("user"),
        });
        Self { members, created }
    }

    /// Returns the response object in this phase, with this output and usage.
    pub(super) fn response(&self, phase: ResponsePhase, output: Vec<Value>, usage: &Value) -> Value {
        let (status, error, details) = match phase {
            ResponsePhase::InProgress => ("in_progress", Value::Null, Value::Null),
            ResponsePhase::Completed => ("completed", Value::Null, Value::Null),
            ResponsePhase::Incomplete => ("incomplete", Value::Null, json!({"reason": "max_output_tokens"})),
            ResponsePhase::Failed => ("failed", failure(), Value::Null),
        };
        let mut response = self.members.clone();
        response["status"] = json!(status);
        response["error"] = error;
        response["incomplete_details"] = details;
        response["completed_at"] = json!((phase == ResponsePhase::Completed).then_some(self.created));
        response["output"] = Value::Array(output);
        response["usage"] = usage.clone();
        response
    }
}

/// Returns the error object of a failed response.
pub(super) fn failure() -> Value {
    let message = "The server had an error while processing your request.";
    json!({"code": "server_error", "message": message})
}

/// Returns a tool of the request in the form in which the response repeats it. Members that the request omits
/// are set to OpenAI's defaults.
fn tool(tool: &Value) -> Value {
    let mut complete = tool.clone();
    if tool["type"] == "function" {
        for (member, default) in [
            ("description", json!(null)),
            ("parameters", json!(null)),
            ("strict", json!(true)),
        ] {
            if complete.get(member).is_none() {
                complete[member] = default;
            }
        }
    }
    complete
}
