//! The prompt of a call, for snapshots in tests.

use std::fmt;

use llmpool_core::chat::{ChatRequest, Content, Json, Message, Part, ResponseFormat, Role, Tool};

/// What a call sends first: messages, the schema of the reply, and tools.
///
/// `Display` writes all of it as text that is equal in each run, so that a test can compare it with a snapshot.
/// `Debug` shows only sizes.
#[derive(Clone, PartialEq)]
pub struct Prompt {
    request: ChatRequest,
}

impl Prompt {
    pub(super) fn new(request: ChatRequest) -> Self {
        Self { request }
    }

    /// Returns the messages: the instructions, examples, the history of a chat, and the input.
    pub fn messages(&self) -> &[Message] {
        &self.request.messages
    }

    /// Returns the JSON schema of the reply. `None` if the reply is plain text.
    pub fn schema(&self) -> Option<&Json> {
        match &self.request.response_format {
            Some(ResponseFormat::JsonSchema(format)) => format.json_schema.schema.as_ref(),
            _ => None,
        }
    }

    /// Returns the chat request: messages, parameters, the format of the reply, and tools.
    pub fn request(&self) -> &ChatRequest {
        &self.request
    }
}

impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.request.messages {
            let role = message.role.as_ref().map_or("user", Role::as_str);
            writeln!(f, "--- {role} ---")?;
            write_content(f, message.content.as_ref())?;
            for call in &message.tool_calls {
                writeln!(f, "{}({})", call.name(), call.arguments())?;
            }
        }
        if let Some(schema) = self.schema() {
            writeln!(f, "--- schema ---\n{:#}", schema.value())?;
        }
        for tool in &self.request.tools {
            if let Tool::Function(tool) = tool {
                let function = &tool.function;
                let description = function.description.as_deref().unwrap_or_default();
                writeln!(f, "--- tool {} ---\n{description}", function.name)?;
                if let Some(parameters) = &function.parameters {
                    writeln!(f, "{:#}", parameters.value())?;
                }
            }
        }
        Ok(())
    }
}

fn write_content(f: &mut fmt::Formatter<'_>, content: Option<&Content>) -> fmt::Result {
    match content {
        None => Ok(()),
        Some(Content::Text(text)) => writeln!(f, "{text}"),
        Some(Content::Parts(parts)) => parts.iter().try_for_each(|part| match part {
            Part::Text(part) => writeln!(f, "{}", part.text),
            Part::Image(part) => writeln!(f, "(image: {})", shortened(&part.image_url.url)),
            Part::Audio(part) => {
                let audio = &part.input_audio;
                writeln!(
                    f,
                    "(audio: {} bytes of base64, {})",
                    audio.data.len(),
                    audio.format
                )
            }
            Part::File(part) => writeln!(f, "(file: {})", part.file.filename.as_deref().unwrap_or_default()),
            _ => writeln!(f, "(other part)"),
        }),
    }
}

/// Returns a URL as it is, but only the media type and the length of a `data:` URL.
fn shortened(url: &str) -> String {
    match url.split_once(";base64,") {
        Some((head, data)) if head.starts_with("data:") => format!("{head}, {} bytes of base64", data.len()),
        _ => url.to_owned(),
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt").field("request", &self.request).finish()
    }
}
