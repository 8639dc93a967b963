//! Parses Responses requests. Uses only the fields that change the simulated answer.

use std::collections::HashSet;

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::fields::{self, missing, text, wrong_type, wrong_value};
use super::input::InputSummary;
use super::store::StoredResponse;
use super::{ResponseOwner, ResponseStore};
use crate::answer_draft::{DraftRequest, RequestedOutput};
use crate::errors::ErrorResponse;

/// A validated Responses request.
#[derive(Debug)]
pub(crate) struct ParsedResponsesRequest {
    pub(crate) model: String,
    pub(super) input: InputSummary,
    /// All fields of the request except `input`.
    pub(super) fields: Map<String, Value>,
}

impl ParsedResponsesRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ErrorResponse> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| ErrorResponse::unparsable(&error))?;
        fields::validate(&fields)?;
        let input = InputSummary::parse(&fields.remove("input").unwrap_or_default())?;
        let request = Self {
            model: fields["model"].as_str().unwrap_or_default().to_owned(),
            input,
            fields,
        };
        request.validate_tools()?;
        request.validate_format()?;
        request.requested_output()?;
        Ok(request)
    }

    /// Returns a summary of the conversation up to the answer: the earlier turns and the input of this request.
    ///
    /// # Errors
    /// Returns an error if the request refers to a response, an item or encrypted content that does not
    /// belong to `owner`. Also returns an error if the input contains the output of a function call that is
    /// not part of the conversation.
    pub(crate) fn turn_context(
        &self,
        owner: ResponseOwner,
        seed: u64,
        store: &ResponseStore,
    ) -> Result<TurnContext, ErrorResponse> {
        let earlier = match self.field("previous_response_id").as_str() {
            None => StoredResponse::default(),
            Some(id) => {
                let response = store.get(owner, id).ok_or_else(unknown_response)?;
                StoredResponse::clone(&response)
            }
        };
        if self
            .input
            .encrypted
            .iter()
            .any(|encrypted| !owner.can_decrypt(seed, encrypted))
        {
            return Err(foreign_content());
        }
        let mut calls = earlier.open_calls.clone();
        calls.extend(self.input.calls.iter().cloned());
        for id in &self.input.references {
            calls.extend(store.find_item(owner, id).ok_or_else(unknown_item)?);
        }
        if !self.input.outputs.is_subset(&calls) {
            let message = "No tool call found for a function call output.";
            return Err(ErrorResponse::invalid("input", message));
        }
        Ok(TurnContext {
            open_calls: calls.difference(&self.input.outputs).cloned().collect(),
            ..self.with_input(earlier)
        })
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.field("stream") == true
    }

    pub(crate) fn has_stream_options(&self) -> bool {
        !self.field("stream_options").is_null()
    }

    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let limit = self.field("max_output_tokens").as_u64()?;
        Some(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Returns the number of words in the prompt, including earlier turns, which the response's `usage`
    /// reports as `input_tokens`.
    pub(super) fn prompt_words(&self, context: &TurnContext) -> usize {
        context.words + self.instructions().split_whitespace().count()
    }

    /// Returns the estimated number of tokens in the prompt, for token limits: a quarter of the number
    /// of characters in the prompt, including earlier turns, rounded up.
    pub(crate) fn prompt_estimate(&self, context: &TurnContext) -> usize {
        (context.chars + self.instructions().chars().count()).div_ceil(4)
    }

    fn instructions(&self) -> &str {
        self.field("instructions").as_str().unwrap_or_default()
    }

    pub(super) fn is_stored(&self) -> bool {
        self.field("store") != false
    }

    pub(super) fn includes(&self, what: &str) -> bool {
        let include = self.field("include").as_array();
        include.is_some_and(|include| include.iter().any(|included| included == what))
    }

    pub(super) fn draft_request(&self, context: &TurnContext) -> DraftRequest<'_> {
        let user_text = context.user_text.clone();
        DraftRequest {
            output: self.requested_output().unwrap_or(RequestedOutput::Text),
            user_text: user_text.filter(|text| !text.trim().is_empty()),
            max_tokens: self.max_tokens(),
        }
    }

    /// Returns the value of the field `name`, or `null` if the field is absent.
    pub(super) fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// Adds the input of this request to the earlier turns. Leaves out the instructions, because instructions
    /// apply only to the turn in which they are sent.
    fn with_input(&self, earlier: StoredResponse) -> TurnContext {
        TurnContext {
            words: earlier.words + self.input.words,
            chars: earlier.chars + self.input.chars,
            user_text: self.input.user_text.clone().or(earlier.user_text),
            ..TurnContext::default()
        }
    }

    fn validate_tools(&self) -> Result<(), ErrorResponse> {
        for (index, tool) in self.tools().enumerate() {
            let place = format!("tools[{index}]");
            if let "function" | "custom" = text(tool, &place, "type")? {
                text(tool, &place, "name")?;
            }
        }
        Ok(())
    }

    fn validate_format(&self) -> Result<(), ErrorResponse> {
        let place = "text.format";
        let format = &self.field("text")["format"];
        if format.is_null() {
            return Ok(());
        }
        match text(format, place, "type")? {
            "text" | "json_object" => Ok(()),
            "json_schema" if format["schema"].is_object() => text(format, place, "name").map(drop),
            "json_schema" => Err(missing("text.format.schema")),
            _ => Err(wrong_value(
                "text.format.type",
                "text, json_object or json_schema",
            )),
        }
    }

    /// Returns the kind of output that the request asks for.
    ///
    /// # Errors
    /// Returns an error if `tool_choice` is invalid, or requires a function call but `tools` does not list a
    /// matching function.
    fn requested_output(&self) -> Result<RequestedOutput<'_>, ErrorResponse> {
        let choice = self.field("tool_choice");
        let forced = match choice {
            Value::Null => return Ok(self.text_output()),
            Value::String(mode) => match mode.as_str() {
                "none" | "auto" => return Ok(self.text_output()),
                "required" => self.find_function(|_| true),
                _ => return Err(wrong_value("tool_choice", "none, auto, required or an object")),
            },
            choice => match text(choice, "tool_choice", "type")? {
                "function" => {
                    let forced_name = text(choice, "tool_choice", "name")?;
                    self.find_function(|name| name == forced_name)
                }
                "allowed_tools" => {
                    let allowed = choice["tools"].as_array();
                    let allowed = allowed.ok_or_else(|| wrong_type("tool_choice.tools", "an array"))?;
                    if choice["mode"] != "required" {
                        return Ok(self.text_output());
                    }
                    self.find_function(|name| allowed.iter().any(|tool| tool["name"] == name))
                }
                _ => return Ok(self.text_output()),
            },
        };
        forced.ok_or_else(|| {
            ErrorResponse::invalid("tool_choice", "'tool_choice' names no function of 'tools'.")
        })
    }

    fn text_output(&self) -> RequestedOutput<'_> {
        let format = &self.field("text")["format"];
        match format["type"].as_str() {
            Some("json_schema") => RequestedOutput::Json(&format["schema"]),
            Some("json_object") => RequestedOutput::Json(&Value::Null),
            _ => RequestedOutput::Text,
        }
    }

    fn find_function(&self, matches: impl Fn(&str) -> bool) -> Option<RequestedOutput<'_>> {
        let functions = self.tools().filter(|tool| tool["type"] == "function");
        let mut named = functions.filter_map(|tool| Some((tool["name"].as_str()?, &tool["parameters"])));
        let (name, parameters) = named.find(|(name, _)| matches(name))?;
        Some(RequestedOutput::ToolCall { name, parameters })
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = &Value> {
        self.field("tools").as_array().into_iter().flatten()
    }
}

/// A summary of the conversation before the answer.
#[derive(Debug, Default)]
pub(crate) struct TurnContext {
    pub(super) words: usize,
    pub(super) chars: usize,
    /// The text of the last user message. `None` if the input has no user message and the store keeps no
    /// earlier user text.
    pub(super) user_text: Option<String>,
    /// The `call_id` of each function call whose output the client has not sent yet.
    pub(super) open_calls: HashSet<String>,
}

fn unknown_response() -> ErrorResponse {
    let message = "Previous response with this id not found.";
    ErrorResponse::invalid("previous_response_id", message).with_code("previous_response_not_found")
}

fn unknown_item() -> ErrorResponse {
    let message = "An item that 'input' refers to is not found.";
    ErrorResponse::new(StatusCode::NOT_FOUND, message, Some("input"))
}

fn foreign_content() -> ErrorResponse {
    let message = "The encrypted content of a reasoning item could not be verified.";
    ErrorResponse::new(StatusCode::BAD_REQUEST, message, None).with_code("invalid_encrypted_content")
}
