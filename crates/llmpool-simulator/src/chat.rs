//! A chat completion request, as far as the simulator cares.
//!
//! Messages about a request never repeat what is in it, except the model's name.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::draft::Wanted;
use crate::errors::ErrorBody;

/// OpenAI's most choices.
const MAX_CHOICES: u32 = 128;

/// What a client asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct ChatRequest {
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

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl ChatRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let request: Self = serde_json::from_slice(body)
            .map_err(|error| absent(body, &error).unwrap_or_else(|| unreadable(&error)))?;
        if request.messages.is_empty() {
            return Err(invalid("messages", "'messages' must hold at least one message."));
        }
        if !(1..=MAX_CHOICES).contains(&request.choices()) {
            return Err(invalid("n", "'n' must be from 1 to 128."));
        }
        request.wanted()?;
        Ok(request)
    }

    pub(crate) fn streams(&self) -> bool {
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
        let most = self.max_completion_tokens.or(self.max_tokens)?;
        Some(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// What kind of answer is asked for; an error where a tool is forced that is not there.
    pub(crate) fn wanted(&self) -> Result<Wanted<'_>, Refusal> {
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
            return self
                .tool(name)
                .ok_or_else(|| invalid("tool_choice", "'tool_choice' names no tool of 'tools'."));
        }
        match &self.response_format {
            Some(format) if format["type"] == "json_schema" => {
                Ok(Wanted::Json(&format["json_schema"]["schema"]))
            }
            Some(format) if format["type"] == "json_object" => Ok(Wanted::Json(&Value::Null)),
            _ => Ok(Wanted::Text),
        }
    }

    /// The text of the last user message, if there is one.
    pub(crate) fn last_user_text(&self) -> Option<String> {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message["role"] == "user")?;
        let text = text_of(&last["content"]);
        (!text.trim().is_empty()).then_some(text)
    }

    /// Roughly the prompt's tokens: its words.
    pub(crate) fn prompt_words(&self) -> usize {
        self.messages
            .iter()
            .map(|message| text_of(&message["content"]).split_whitespace().count())
            .sum()
    }

    /// The prompt's tokens as most providers estimate them before they have counted: a quarter of its characters.
    pub(crate) fn prompt_estimate(&self) -> usize {
        let texts = self.messages.iter().map(|message| text_of(&message["content"]));
        texts.map(|text| text.chars().count()).sum::<usize>().div_ceil(4)
    }

    fn tool(&self, name: Option<&str>) -> Option<Wanted<'_>> {
        let functions = self.tools.iter().flatten().map(|tool| &tool["function"]);
        let function = functions
            .filter(|function| function["name"].is_string())
            .find(|function| name.is_none() || function["name"].as_str() == name)?;
        Some(Wanted::ToolCall {
            name: function["name"].as_str()?,
            parameters: &function["parameters"],
        })
    }
}

impl Refusal {
    pub(crate) fn unknown_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        let error = ErrorBody {
            message: &message,
            kind: "invalid_request_error",
            param: None,
            code: Some("model_not_found"),
        };
        Self {
            status: StatusCode::NOT_FOUND,
            body: error.to_json(),
        }
    }

    pub(crate) fn new(status: StatusCode, message: &str, param: Option<&str>) -> Self {
        let error = ErrorBody {
            message,
            kind: "invalid_request_error",
            param,
            code: None,
        };
        Self {
            status,
            body: error.to_json(),
        }
    }

    /// The same with a code that programs can tell it by.
    pub(crate) fn coded(mut self, code: &str) -> Self {
        self.body["error"]["code"] = code.into();
        self
    }
}

pub(crate) fn invalid(param: &str, message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message, Some(param))
}

/// The parameter that is not there, if that is what is wrong.
fn absent(body: &[u8], error: &serde_json::Error) -> Option<Refusal> {
    if !error.is_data() {
        return None;
    }
    let fields: Value = serde_json::from_slice(body).unwrap_or_default();
    let field = ["model", "messages"]
        .into_iter()
        .find(|field| fields.get(field).is_none())?;
    Some(invalid(field, &format!("you must provide a {field} parameter")))
}

/// serde's own message may quote the request, so only its position is used.
pub(crate) fn unreadable(error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    let message = if error.is_data() {
        format!("A field has the wrong type (line {line}, column {column}).")
    } else {
        format!("We could not parse the JSON body of your request (line {line}, column {column}).")
    };
    Refusal::new(StatusCode::BAD_REQUEST, &message, None)
}

/// Content is a string, or a list of parts of which some are text.
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

    fn parse(request: &Value) -> Result<ChatRequest, Refusal> {
        ChatRequest::parse(request.to_string().as_bytes())
    }

    #[test]
    fn a_refusal_names_the_field_and_never_quotes_the_request() {
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
            let refusal = parse(&request).unwrap_err();
            assert_eq!(
                (refusal.status.as_u16(), &refusal.body["error"]["param"]),
                (400, &param),
                "{request}"
            );
            assert!(!refusal.body.to_string().contains(canary));
        }
        let broken = ChatRequest::parse(b"{\"model\": \"my secret prompt").unwrap_err();
        assert!(
            broken.body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("line 1")
        );
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let request = parse(
            &json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": null,
            "stream_options": null, "n": null, "max_tokens": null, "tools": null, "tool_choice": null}),
        );
        let request = request.unwrap();
        assert!(!request.streams() && !request.has_stream_options());
        assert_eq!(request.wanted().unwrap(), Wanted::Text);
    }

    #[test]
    fn text_is_found_in_parts_too() {
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
