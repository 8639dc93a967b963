//! The response object, with every member of the schema in every state of it.

use serde_json::{Value, json};

use super::request::ResponsesRequest;

/// How a response stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// What stays the same from the first event to the last.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    members: Value,
    created: u64,
}

impl Frame {
    pub(super) fn new(request: &ResponsesRequest, id: &str, created: u64) -> Self {
        let given = |name| request.field(name).clone();
        let or = |name, default| match request.field(name) {
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
            "instructions": given("instructions"),
            "max_output_tokens": given("max_output_tokens"),
            "max_tool_calls": given("max_tool_calls"),
            "metadata": or("metadata", json!({})),
            "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
            "presence_penalty": 0.0,
            "previous_response_id": given("previous_response_id"),
            "prompt_cache_key": given("prompt_cache_key"),
            "reasoning": {"effort": reasoning["effort"], "summary": reasoning["summary"]},
            "safety_identifier": given("safety_identifier"),
            "service_tier": "default",
            "store": request.stores(),
            "temperature": or("temperature", json!(1.0)),
            "text": {
                "format": format.cloned().unwrap_or_else(|| json!({"type": "text"})),
                "verbosity": text["verbosity"].as_str().unwrap_or("medium"),
            },
            "tool_choice": or("tool_choice", json!("auto")),
            "tools": request.tools().map(tool).collect::<Vec<Value>>(),
            "top_logprobs": or("top_logprobs", json!(0)),
            "top_p": or("top_p", json!(1.0)),
            "truncation": or("truncation", json!("disabled")),
            "user": given("user"),
        });
        Self { members, created }
    }

    /// The response in this state.
    pub(super) fn response(&self, status: Status, output: Vec<Value>, usage: &Value) -> Value {
        let (word, error, details) = match status {
            Status::InProgress => ("in_progress", Value::Null, Value::Null),
            Status::Completed => ("completed", Value::Null, Value::Null),
            Status::Incomplete => ("incomplete", Value::Null, json!({"reason": "max_output_tokens"})),
            Status::Failed => ("failed", failure(), Value::Null),
        };
        let mut response = self.members.clone();
        response["status"] = json!(word);
        response["error"] = error;
        response["incomplete_details"] = details;
        response["completed_at"] = json!((status == Status::Completed).then_some(self.created));
        response["output"] = Value::Array(output);
        response["usage"] = usage.clone();
        response
    }
}

/// What went wrong, as a failed response tells it.
pub(super) fn failure() -> Value {
    let message = "The server had an error while processing your request.";
    json!({"code": "server_error", "message": message})
}

/// A function is told with all its members; what was left out of it stands for what OpenAI takes it for.
fn tool(tool: &Value) -> Value {
    let mut told = tool.clone();
    if tool["type"] == "function" {
        for (member, default) in [
            ("description", json!(null)),
            ("parameters", json!(null)),
            ("strict", json!(true)),
        ] {
            if told.get(member).is_none() {
                told[member] = default;
            }
        }
    }
    told
}
