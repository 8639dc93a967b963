//! What a line of a batch asks.
//!
//! Always true: no defect repeats what the line says, since that is somebody's prompt.

use llmpool::chat::{ChatRequest, Message, Role, UnknownFields};
use serde::Deserialize;
use serde_json::error::Category;

/// A question with its name.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    /// Its `id` or `custom_id`, else its number.
    pub(super) name: String,
    /// The model it names, if it does.
    pub(super) model: Option<String>,
    pub(super) request: ChatRequest,
}

/// What is wrong with a line, and what to do.
#[derive(Debug)]
pub(super) struct Defect {
    /// Where in the line it is, as far as that is known.
    pub(super) column: Option<usize>,
    pub(super) problem: String,
    pub(super) cure: String,
}

impl Defect {
    pub(super) fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            column: None,
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}

/// Reads a line that is not empty. `system` goes before conversations that bring no instructions of their own.
pub(super) fn read(text: &[u8], number: u64, system: Option<&str>) -> Result<Line, Defect> {
    let (name, mut request) = match text.first() {
        Some(b'"') => (None, prompt(json(text)?, system)?),
        Some(b'{') => object(json(text)?, system)?,
        _ => {
            return Err(Defect::new(
                "this is neither a text nor an object",
                "write the prompt in quotes, or as {\"prompt\": \"…\"}",
            ));
        }
    };
    if request.stream == Some(true) || request.stream_options.is_some() {
        return Err(Defect::new(
            "a batch takes whole answers and cannot stream",
            "remove stream and stream_options",
        ));
    }
    Ok(Line {
        number,
        name: name.unwrap_or_else(|| number.to_string()),
        model: request.model.take(),
        request,
    })
}

/// A request that may also have a name, a prompt instead of messages, or another request inside it.
fn object(mut request: ChatRequest, system: Option<&str>) -> Result<(Option<String>, ChatRequest), Defect> {
    let name = name(&mut request.extra)?;
    if request.has("body") {
        return Ok((name, conversation(body(request)?, system)?));
    }
    let (own_prompt, own_system) = (
        text(&mut request.extra, "prompt")?,
        text(&mut request.extra, "system")?,
    );
    match own_prompt {
        Some(_) if !request.messages.is_empty() => Err(Defect::new(
            "there are both a prompt and messages",
            "keep one of them",
        )),
        Some(own_prompt) => {
            request.messages = prompt(own_prompt, own_system.as_deref().or(system))?.messages;
            Ok((name, request))
        }
        None if own_system.is_some() => Err(Defect::new(
            "system goes with a prompt only",
            "make it the first of the messages",
        )),
        None => Ok((name, conversation(request, system)?)),
    }
}

fn prompt(prompt: String, system: Option<&str>) -> Result<ChatRequest, Defect> {
    if prompt.trim().is_empty() {
        return Err(Defect::new(
            "the prompt is empty",
            "fill it in, or remove the line",
        ));
    }
    conversation(ChatRequest::user(prompt), system)
}

fn conversation(mut request: ChatRequest, system: Option<&str>) -> Result<ChatRequest, Defect> {
    if request.messages.is_empty() {
        return Err(Defect::new(
            "there is neither a prompt nor messages",
            "add one of them",
        ));
    }
    let instructs = |message: &Message| matches!(message.role, Some(Role::System | Role::Developer));
    if let Some(system) = system.filter(|_| !request.messages.iter().any(instructs)) {
        request.messages.insert(0, Message::system(system));
    }
    Ok(request)
}

/// The request inside a line of OpenAI's batches.
fn body(mut outside: ChatRequest) -> Result<ChatRequest, Defect> {
    let body = outside.extra.remove("body");
    let method = text(&mut outside.extra, "method")?;
    if method.is_some_and(|method| method != "POST") {
        return Err(Defect::new("the method is not POST", "write POST, or remove it"));
    }
    let url = text(&mut outside.extra, "url")?;
    if url.is_some_and(|url| !url.ends_with("/chat/completions")) {
        return Err(Defect::new(
            "the url is not that of chat completions, and nothing else can be asked",
            "write /v1/chat/completions, or remove it",
        ));
    }
    if outside != ChatRequest::default() {
        return Err(Defect::new(
            "beside body only custom_id, method and url may stand",
            "put everything else into it",
        ));
    }
    let body = body.as_ref().map_or("null", |body| body.get());
    json(body.as_bytes()).map_err(|defect| Defect {
        // It counts from the beginning of the body.
        column: None,
        problem: format!("body: {}", defect.problem),
        cure: defect.cure,
    })
}

fn name(members: &mut UnknownFields) -> Result<Option<String>, Defect> {
    match (text(members, "id")?, text(members, "custom_id")?) {
        (Some(id), Some(custom_id)) if id != custom_id => {
            Err(Defect::new("id and custom_id differ", "keep one of them"))
        }
        (id, custom_id) => Ok(id.or(custom_id)),
    }
}

/// Takes a text out; `null` is none.
fn text(members: &mut UnknownFields, member: &str) -> Result<Option<String>, Defect> {
    let Some(json) = members.remove(member) else {
        return Ok(None);
    };
    serde_json::from_str(json.get())
        .map_err(|_| Defect::new(format!("{member} is not a text"), "write it in quotes"))
}

fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Defect> {
    serde_json::from_slice(text).map_err(|error| {
        let (problem, cure) = match error.classify() {
            Category::Data => (wrong_type(&error), "change the value"),
            Category::Syntax | Category::Eof | Category::Io => (
                format!("this is not JSON: {}", before_position(&error.to_string())),
                "mend the syntax; a line has to hold one whole value",
            ),
        };
        Defect {
            column: Some(error.column()).filter(|column| *column > 0),
            ..Defect::new(problem, cure)
        }
    })
}

/// What serde expected; what it found instead is quoted before that, and is not for everybody's eyes.
fn wrong_type(error: &serde_json::Error) -> String {
    match error.to_string().rsplit_once(", expected ") {
        Some((_, expected)) => format!("a value is not {}", before_position(expected)),
        None => "a value is not what it has to be".to_owned(),
    }
}

fn before_position(words: &str) -> &str {
    words.rsplit_once(" at line ").map_or(words, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str, system: Option<&str>) -> (String, Option<String>, String) {
        let line = read(text.as_bytes(), 7, system).unwrap();
        (
            line.name,
            line.model,
            serde_json::to_string(&line.request).unwrap(),
        )
    }

    #[test]
    fn every_form_becomes_a_request() {
        let user = r#"{"role":"user","content":"hi"}"#;
        let system = r#"{"role":"system","content":"s"}"#;
        for (text, name, model, request) in [
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
                name.to_owned(),
                model.map(str::to_owned),
                format!(r#"{{"messages":{request}}}"#),
            );
            assert_eq!(sent(text, None), expected, "{text}");
        }
    }

    #[test]
    fn members_that_nobody_knows_go_up_as_they_are() {
        let text =
            r#"{"messages":[{"role":"user","content":"hi","x":1.50}],"temperature":0.5,"top_k":[1e2]}"#;
        let (.., request) = sent(text, None);
        assert_eq!(request, text);
    }

    #[test]
    fn instructions_for_all_yield_to_those_of_the_line() {
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
            let line = read(text.as_bytes(), 1, all).unwrap();
            assert_eq!(line.request.messages.len(), 2, "{text}");
            assert_eq!(line.request.messages[0].text(), expected, "{text}");
        }
    }

    #[test]
    fn defects_say_what_and_cure_and_never_what_was_written() {
        for (text, problem) in [
            ("canary", "neither a text nor an object"),
            (r#"["canary"]"#, "neither a text nor an object"),
            (
                r#"{"prompt":"canary"#,
                "this is not JSON: EOF while parsing a string",
            ),
            (
                r#"{"prompt":"canary"} x"#,
                "this is not JSON: trailing characters",
            ),
            (r#"" ""#, "the prompt is empty"),
            (r#"{"prompt":["canary"]}"#, "prompt is not a text"),
            (r#"{"id":1,"prompt":"canary"}"#, "id is not a text"),
            (
                r#"{"id":"a","custom_id":"b","prompt":"canary"}"#,
                "id and custom_id differ",
            ),
            (
                r#"{"messages":"canary, expected canary"}"#,
                "a value is not a sequence",
            ),
            (
                r#"{"messages":[],"temperature":1}"#,
                "neither a prompt nor messages",
            ),
            (
                r#"{"prompt":"canary","messages":[{"role":"user"}]}"#,
                "both a prompt and messages",
            ),
            (
                r#"{"system":"canary","messages":[{"role":"user"}]}"#,
                "system goes with a prompt",
            ),
            (
                r#"{"prompt":"canary","temperature":"canary"}"#,
                "a value is not f64",
            ),
            (r#"{"prompt":"canary","stream":true}"#, "cannot stream"),
            (r#"{"prompt":"canary","stream_options":{}}"#, "cannot stream"),
            (r#"{"body":"canary"}"#, "body: a value is not an object"),
            (r#"{"body":null}"#, "body: a value is not an object"),
            (r#"{"body":{"prompt":"canary"}}"#, "neither a prompt nor messages"),
            (
                r#"{"url":"/v1/embeddings","body":{}}"#,
                "not that of chat completions",
            ),
            (r#"{"method":"GET","body":{}}"#, "the method is not POST"),
            (r#"{"model":"canary","body":{}}"#, "beside body only"),
        ] {
            let defect = read(text.as_bytes(), 1, None).unwrap_err();
            assert!(defect.problem.contains(problem), "{text}: {}", defect.problem);
            assert!(!format!("{defect:?}").contains("canary"), "{defect:?}");
            assert!(!defect.cure.is_empty());
        }
        assert!(read(b"\"\xff\"", 1, None).is_err());
    }
}
