//! Parses chat completion requests. Reads only the fields that change the simulated answer.

use serde::Deserialize;
use serde_json::Value;

use crate::answer_draft::RequestedOutput;
use crate::errors::ErrorResponse;

/// Maximum value of `n`, the number of choices in a response. OpenAI has the same maximum.
const MAX_CHOICES: u32 = 128;

/// A validated chat completion request.
#[derive(Debug, Deserialize)]
pub(crate) struct ParsedChatRequest {
    pub(crate) model: String,
    messages: Vec<Value>,
    stream: Option<bool>,
    stream_options: Option<Value>,
    n: Option<u32>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    response_format: Option<Value>,
}

impl ParsedChatRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ErrorResponse> {
        let request: Self = serde_json::from_slice(body).map_err(|error| {
            missing_field(body, &error).unwrap_or_else(|| ErrorResponse::unparsable(&error))
        })?;
        if request.messages.is_empty() {
            return Err(ErrorResponse::invalid(
                "messages",
                "'messages' must hold at least one message.",
            ));
        }
        if !(1..=MAX_CHOICES).contains(&request.choices()) {
            return Err(ErrorResponse::invalid("n", "'n' must be from 1 to 128."));
        }
        request.requested_output()?;
        Ok(request)
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn has_stream_options(&self) -> bool {
        self.stream_options.is_some()
    }

    pub(crate) fn includes_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options["include_usage"] == true)
    }

    pub(crate) fn choices(&self) -> u32 {
        self.n.unwrap_or(1)
    }

    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let limit = self.max_completion_tokens.or(self.max_tokens)?;
        Some(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// Returns the kind of output that the request asks for.
    ///
    /// # Errors
    /// Returns an error if `tool_choice` requires a tool call but `tools` does not list a matching tool.
    pub(crate) fn requested_output(&self) -> Result<RequestedOutput<'_>, ErrorResponse> {
        let forced = match &self.tool_choice {
            Some(Value::String(choice)) if choice == "required" => Some(None),
            Some(Value::Object(choice)) => match choice.get("function") {
                Some(function) => Some(function["name"].as_str()),
                None => choice
                    .get("allowed_tools")
                    .filter(|allowed| allowed["mode"] == "required")
                    .map(|_| None),
            },
            _ => None,
        };
        if let Some(name) = forced {
            return self.tool(name).ok_or_else(|| {
                ErrorResponse::invalid("tool_choice", "'tool_choice' names no tool of 'tools'.")
            });
        }
        match &self.response_format {
            Some(format) if format["type"] == "json_schema" => {
                Ok(RequestedOutput::Json(&format["json_schema"]["schema"]))
            }
            Some(format) if format["type"] == "json_object" => Ok(RequestedOutput::Json(&Value::Null)),
            _ => Ok(RequestedOutput::Text),
        }
    }

    /// Returns the text of the last user message. Returns `None` if the request has no user message or if
    /// this text is blank.
    pub(crate) fn last_user_text(&self) -> Option<String> {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message["role"] == "user")?;
        let text = text_of(&last["content"]);
        (!text.trim().is_empty()).then_some(text)
    }

    /// Returns the number of words in the prompt, which the response's `usage` reports as `prompt_tokens`.
    pub(crate) fn prompt_words(&self) -> usize {
        self.messages
            .iter()
            .map(|message| text_of(&message["content"]).split_whitespace().count())
            .sum()
    }

    /// Returns the estimated number of tokens in the prompt, for token limits: a quarter of the number
    /// of characters in the prompt, rounded up.
    pub(crate) fn prompt_estimate(&self) -> usize {
        let texts = self.messages.iter().map(|message| text_of(&message["content"]));
        texts.map(|text| text.chars().count()).sum::<usize>().div_ceil(4)
    }

    fn tool(&self, name: Option<&str>) -> Option<RequestedOutput<'_>> {
        let functions = self.tools.iter().flatten().map(|tool| &tool["function"]);
        let function = functions
            .filter(|function| function["name"].is_string())
            .find(|function| name.is_none() || function["name"].as_str() == name)?;
        Some(RequestedOutput::ToolCall {
            name: function["name"].as_str()?,
            parameters: &function["parameters"],
        })
    }
}

/// Returns the error for the first required field that is missing. `None` if deserialization failed for another reason.
fn missing_field(body: &[u8], error: &serde_json::Error) -> Option<ErrorResponse> {
    if !error.is_data() {
        return None;
    }
    let fields: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = ["model", "messages"]
        .into_iter()
        .find(|field| fields.get(field).is_none())?;
    Some(ErrorResponse::invalid(
        field,
        &format!("you must provide a {field} parameter"),
    ))
}

/// Returns the text in the `content` of a message. `content` is either a string or a list of parts, whose
/// texts are joined by spaces.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(request: &Value) -> Result<ParsedChatRequest, ErrorResponse> {
        ParsedChatRequest::parse(request.to_string().as_bytes())
    }

    #[test]
    fn error_names_the_field_and_never_quotes_the_request() {
        let canary = "my secret prompt";
        for (request, param) in [
            (json!({"messages": [canary]}), json!("model")),
            (json!({"model": "m", "text": canary}), json!("messages")),
            (json!({"model": "m", "messages": []}), json!("messages")),
            (json!({"model": "m", "messages": canary}), Value::Null),
            (json!({"model": "m", "messages": [{}], "n": 0}), json!("n")),
            (
                json!({"model": "m", "messages": [{}], "tool_choice": "required"}),
                json!("tool_choice"),
            ),
        ] {
            let error = parse(&request).unwrap_err();
            assert_eq!(
                (error.status.as_u16(), &error.body["error"]["param"]),
                (400, &param),
                "{request}"
            );
            assert!(!error.body.to_string().contains(canary));
        }
        let broken = ParsedChatRequest::parse(b"{\"model\": \"my secret prompt").unwrap_err();
        assert!(
            broken.body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("line 1")
        );
    }

    #[test]
    fn null_equals_absent() {
        let request = parse(
            &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": null,
            "stream_options": null, "n": null, "max_tokens": null, "tools": null, "tool_choice": null}),
        );
        let request = request.unwrap();
        assert!(!request.is_streaming() && !request.has_stream_options());
        assert_eq!(request.requested_output().unwrap(), RequestedOutput::Text);
    }

    #[test]
    fn text_is_read_from_content_parts() {
        let request = parse(&json!({"model": "m", "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "one two"}, {"type": "image_url"}]},
            {"role": "assistant", "content": null},
        ]}))
        .unwrap();
        assert_eq!(request.last_user_text().unwrap(), "one two");
        assert_eq!(request.prompt_words(), 4);
        assert_eq!(request.prompt_estimate(), 4, "15 characters");
    }
}
