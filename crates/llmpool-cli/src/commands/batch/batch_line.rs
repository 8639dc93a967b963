//! Parses one line of a batch into a chat request.
//!
//! Invariant: errors never quote text from the line, because the line contains the user's prompt.

use llmpool::chat::{ChatRequest, Message, Role, UnknownFields};
use serde::Deserialize;
use serde_json::error::Category;

/// A parsed input line of a batch.
#[derive(Debug)]
pub(super) struct BatchLine {
    /// The one-based line number in the input.
    pub(super) number: u64,
    /// The field `id` or `custom_id` of the line. If the line has neither, its line number.
    pub(super) id: String,
    /// The `model` field of the line. If the line has none, the batch's default model is used.
    pub(super) model: Option<String>,
    pub(super) request: ChatRequest,
}

/// An error in an input line, with a hint on how to fix the line.
#[derive(Debug)]
pub(super) struct LineError {
    /// The one-based column of the error in the line. `None` if the column is unknown.
    pub(super) column: Option<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl LineError {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            column: None,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Parses a line that is not blank. `system` is the system prompt for a request without one.
pub(super) fn parse(text: &[u8], number: u64, system: Option<&str>) -> Result<BatchLine, LineError> {
    let (id, mut request) = match text.first() {
        Some(b'"') => (None, prompt(json(text)?, system)?),
        Some(b'{') => object(json(text)?, system)?,
        _ => {
            return Err(LineError::new(
                "expected a string or an object",
                "put the prompt in quotes, or write {\"prompt\": \"…\"}",
            ));
        }
    };
    if request.stream == Some(true) || request.stream_options.is_some() {
        return Err(LineError::new(
            "a batch cannot stream",
            "remove stream and stream_options",
        ));
    }
    Ok(BatchLine {
        number,
        id: id.unwrap_or_else(|| number.to_string()),
        model: request.model.take(),
        request,
    })
}

/// Converts a JSON object to a request, and returns it with the object's id, if any. The object can be a Chat
/// Completions request, an object with `prompt` instead of `messages`, or a line of an OpenAI batch file,
/// which contains the request in `body`.
fn object(
    mut request: ChatRequest,
    system: Option<&str>,
) -> Result<(Option<String>, ChatRequest), LineError> {
    let id = id(&mut request.extra)?;
    if request.has("body") {
        return Ok((id, with_system(body(request)?, system)?));
    }
    let (own_prompt, own_system) = (
        take_string(&mut request.extra, "prompt")?,
        take_string(&mut request.extra, "system")?,
    );
    match own_prompt {
        Some(_) if !request.messages.is_empty() => Err(LineError::new(
            "the line has both prompt and messages",
            "keep one of them",
        )),
        Some(own_prompt) => {
            request.messages = prompt(own_prompt, own_system.as_deref().or(system))?.messages;
            Ok((id, request))
        }
        None if own_system.is_some() => Err(LineError::new(
            "system requires prompt",
            "add it to messages as a system message",
        )),
        None => Ok((id, with_system(request, system)?)),
    }
}

fn prompt(prompt: String, system: Option<&str>) -> Result<ChatRequest, LineError> {
    if prompt.trim().is_empty() {
        return Err(LineError::new(
            "the prompt is empty",
            "write a prompt, or remove the line",
        ));
    }
    with_system(ChatRequest::user(prompt), system)
}

/// Inserts `system` as the first message, unless the request already has a system or developer message. Fails
/// if the request has no messages.
fn with_system(mut request: ChatRequest, system: Option<&str>) -> Result<ChatRequest, LineError> {
    if request.messages.is_empty() {
        return Err(LineError::new(
            "the line has neither prompt nor messages",
            "add one of them",
        ));
    }
    let is_system = |message: &Message| matches!(message.role, Some(Role::System | Role::Developer));
    if let Some(system) = system.filter(|_| !request.messages.iter().any(is_system)) {
        request.messages.insert(0, Message::system(system));
    }
    Ok(request)
}

/// Returns the request in the `body` field of a line of an OpenAI batch file.
fn body(mut line: ChatRequest) -> Result<ChatRequest, LineError> {
    let body = line.extra.remove("body");
    let method = take_string(&mut line.extra, "method")?;
    if method.is_some_and(|method| method != "POST") {
        return Err(LineError::new(
            "method is not POST",
            "write POST, or remove the field",
        ));
    }
    let url = take_string(&mut line.extra, "url")?;
    if url.is_some_and(|url| !url.ends_with("/chat/completions")) {
        return Err(LineError::new(
            "url does not end in /chat/completions; other endpoints are not supported",
            "write /v1/chat/completions, or remove the field",
        ));
    }
    if line != ChatRequest::default() {
        return Err(LineError::new(
            "unexpected field next to body; only custom_id, method and url are allowed",
            "move the other fields into body",
        ));
    }
    let body = body.as_ref().map_or("null", |body| body.get());
    json(body.as_bytes()).map_err(|error| LineError {
        // The column is relative to the body.
        column: None,
        message: format!("body: {}", error.message),
        hint: error.hint,
    })
}

fn id(fields: &mut UnknownFields) -> Result<Option<String>, LineError> {
    match (take_string(fields, "id")?, take_string(fields, "custom_id")?) {
        (Some(id), Some(custom_id)) if id != custom_id => {
            Err(LineError::new("id and custom_id differ", "keep one of them"))
        }
        (id, custom_id) => Ok(id.or(custom_id)),
    }
}

/// Removes the string field `name` and returns its value. Returns `None` if the field is missing or `null`.
fn take_string(fields: &mut UnknownFields, name: &str) -> Result<Option<String>, LineError> {
    let Some(json) = fields.remove(name) else {
        return Ok(None);
    };
    serde_json::from_str(json.get())
        .map_err(|_| LineError::new(format!("{name} is not a string"), "put the value in quotes"))
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, LineError> {
    serde_json::from_slice(text).map_err(|error| {
        let (message, hint) = match error.classify() {
            Category::Data => wrong_type(&error),
            Category::Syntax | Category::Eof | Category::Io => (
                format!("invalid JSON: {}", without_position(&error.to_string())),
                "write one complete JSON value on each line".to_owned(),
            ),
        };
        LineError {
            column: Some(error.column()).filter(|column| *column > 0),
            ..LineError::new(message, hint)
        }
    })
}

/// Returns the message and hint for a JSON value of the wrong type. The message contains only the expected
/// type, because the rest of serde's message can quote the user's prompt.
fn wrong_type(error: &serde_json::Error) -> (String, String) {
    match error.to_string().rsplit_once(", expected ") {
        Some((_, expected)) => {
            let expected = without_position(expected);
            (
                format!("invalid value: expected {expected}"),
                format!("replace the value with {expected}"),
            )
        }
        None => (
            "invalid value".to_owned(),
            "compare the line with the Chat Completions reference".to_owned(),
        ),
    }
}

fn without_position(message: &str) -> &str {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, system: Option<&str>) -> (String, Option<String>, String) {
        let line = parse(text.as_bytes(), 7, system).unwrap();
        (line.id, line.model, serde_json::to_string(&line.request).unwrap())
    }

    #[test]
    fn every_format_becomes_a_request() {
        let user = r#"{"role":"user","content":"hi"}"#;
        let system = r#"{"role":"system","content":"s"}"#;
        for (text, id, model, request) in [
            (r#""hi""#, "7", None, format!("[{user}]")),
            (r#"{"prompt":"hi","id":"a"}"#, "a", None, format!("[{user}]")),
            (
                r#"{"prompt":"hi","system":"s","custom_id":"b","model":"m"}"#,
                "b",
                Some("m"),
                format!("[{system},{user}]"),
            ),
            (
                r#"{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}}"#,
                "c",
                Some("m"),
                format!("[{user}]"),
            ),
        ] {
            let expected = (
                id.to_owned(),
                model.map(str::to_owned),
                format!(r#"{{"messages":{request}}}"#),
            );
            assert_eq!(parsed(text, None), expected, "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_kept_unchanged() {
        let text =
            r#"{"messages":[{"role":"user","content":"hi","x":1.50}],"temperature":0.5,"top_k":[1e2]}"#;
        let (.., request) = parsed(text, None);
        assert_eq!(request, text);
    }

    #[test]
    fn system_prompt_of_the_line_has_precedence() {
        let all = Some("all");
        for (text, expected) in [
            (r#""hi""#, "all"),
            (r#"{"prompt":"hi","system":"own"}"#, "own"),
            (r#"{"messages":[{"role":"user","content":"hi"}]}"#, "all"),
            (
                r#"{"messages":[{"role":"developer","content":"own"},{"role":"user","content":"hi"}]}"#,
                "own",
            ),
            (r#"{"body":{"messages":[{"role":"user","content":"hi"}]}}"#, "all"),
        ] {
            let line = parse(text.as_bytes(), 1, all).unwrap();
            assert_eq!(line.request.messages.len(), 2, "{text}");
            assert_eq!(line.request.messages[0].text(), expected, "{text}");
        }
    }

    #[test]
    fn errors_have_a_hint_and_never_quote_the_line() {
        for (text, message) in [
            ("canary", "expected a string or an object"),
            (r#"["canary"]"#, "expected a string or an object"),
            (r#"{"prompt":"canary"#, "invalid JSON: EOF while parsing a string"),
            (r#"{"prompt":"canary"} x"#, "invalid JSON: trailing characters"),
            (r#"" ""#, "the prompt is empty"),
            (r#"{"prompt":["canary"]}"#, "prompt is not a string"),
            (r#"{"id":1,"prompt":"canary"}"#, "id is not a string"),
            (
                r#"{"id":"a","custom_id":"b","prompt":"canary"}"#,
                "id and custom_id differ",
            ),
            (
                r#"{"messages":"canary, expected canary"}"#,
                "invalid value: expected a sequence",
            ),
            (
                r#"{"messages":[],"temperature":1}"#,
                "neither prompt nor messages",
            ),
            (
                r#"{"prompt":"canary","messages":[{"role":"user"}]}"#,
                "both prompt and messages",
            ),
            (
                r#"{"system":"canary","messages":[{"role":"user"}]}"#,
                "system requires prompt",
            ),
            (
                r#"{"prompt":"canary","temperature":"canary"}"#,
                "invalid value: expected f64",
            ),
            (r#"{"prompt":"canary","stream":true}"#, "cannot stream"),
            (r#"{"prompt":"canary","stream_options":{}}"#, "cannot stream"),
            (r#"{"body":"canary"}"#, "body: invalid value: expected an object"),
            (r#"{"body":null}"#, "body: invalid value: expected an object"),
            (r#"{"body":{"prompt":"canary"}}"#, "neither prompt nor messages"),
            (
                r#"{"url":"/v1/embeddings","body":{}}"#,
                "url does not end in /chat/completions",
            ),
            (r#"{"method":"GET","body":{}}"#, "method is not POST"),
            (r#"{"model":"canary","body":{}}"#, "unexpected field next to body"),
        ] {
            let error = parse(text.as_bytes(), 1, None).unwrap_err();
            assert!(error.message.contains(message), "{text}: {}", error.message);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
            assert!(!error.hint.is_empty());
        }
        assert!(parse(b"\"\xff\"", 1, None).is_err());
    }
}
