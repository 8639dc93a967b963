//! Events of a streamed response, in the Responses API.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

use super::item::Item;
use super::part::ItemPart;
use super::repair::{decode_repaired, take};
use super::response::Response;
use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::wire_object;
use crate::chat::{EmptyObject, Json, LenientU64, UnknownFields};
use crate::lenient_json::decode_part;

/// Type of a streamed event.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// `response.queued`: the response waits to be processed.
    Queued,
    /// `response.created`: the provider created the response. First event of every stream.
    Created,
    /// `response.in_progress`: the provider started to process the response.
    InProgress,
    /// `response.completed`: the response is complete. Ends the stream.
    Completed,
    /// `response.incomplete`: the response ended early, for example at the token limit. Ends the stream.
    Incomplete,
    /// `response.failed`: the response failed. Ends the stream.
    Failed,
    /// `error`: the provider reports an error.
    Error,
    /// `response.audio.delta`: a piece of generated audio.
    AudioDelta,
    /// `response.audio.done`: the generated audio is complete.
    AudioDone,
    /// `response.audio.transcript.delta`: a piece of the transcript of generated audio.
    AudioTranscriptDelta,
    /// `response.audio.transcript.done`: the transcript of generated audio is complete.
    AudioTranscriptDone,
    /// `response.code_interpreter_call.completed`: the code interpreter has finished.
    CodeInterpreterCompleted,
    /// `response.code_interpreter_call.in_progress`: a call of the code interpreter has started.
    CodeInterpreterInProgress,
    /// `response.code_interpreter_call.interpreting`: the code interpreter is running the code.
    CodeInterpreterInterpreting,
    /// `response.code_interpreter_call_code.delta`: a piece of the code for the code interpreter.
    CodeDelta,
    /// `response.code_interpreter_call_code.done`: the code for the code interpreter is complete.
    CodeDone,
    /// `response.compaction.compacting`: the provider is compacting the conversation.
    CompactionCompacting,
    /// `response.content_part.added`: a content part of an item has started.
    ContentPartAdded,
    /// `response.content_part.done`: a content part of an item is complete.
    ContentPartDone,
    /// `response.custom_tool_call_input.delta`: a piece of the input of a custom tool call.
    CustomInputDelta,
    /// `response.custom_tool_call_input.done`: the input of a custom tool call is complete.
    CustomInputDone,
    /// `response.file_search_call.completed`: a file search has finished.
    FileSearchCompleted,
    /// `response.file_search_call.in_progress`: a file search has started.
    FileSearchInProgress,
    /// `response.file_search_call.searching`: the provider is searching files.
    FileSearchSearching,
    /// `response.function_call_arguments.delta`: a piece of the arguments of a function call.
    ArgumentsDelta,
    /// `response.function_call_arguments.done`: the arguments of a function call are complete.
    ArgumentsDone,
    /// `response.image_generation_call.completed`: an image is complete.
    ImageCompleted,
    /// `response.image_generation_call.generating`: the provider is generating an image.
    ImageGenerating,
    /// `response.image_generation_call.in_progress`: an image generation has started.
    ImageInProgress,
    /// `response.image_generation_call.partial_image`: a preview of an unfinished image.
    ImagePartial,
    /// `response.mcp_call.completed`: a call of an MCP server's tool has succeeded.
    McpCompleted,
    /// `response.mcp_call.failed`: a call of an MCP server's tool has failed.
    McpFailed,
    /// `response.mcp_call.in_progress`: a call of an MCP server's tool has started.
    McpInProgress,
    /// `response.mcp_call_arguments.delta`: a piece of the arguments of an MCP tool call.
    McpArgumentsDelta,
    /// `response.mcp_call_arguments.done`: the arguments of an MCP tool call are complete.
    McpArgumentsDone,
    /// `response.mcp_list_tools.completed`: the provider has listed the tools of an MCP server.
    McpToolsCompleted,
    /// `response.mcp_list_tools.failed`: the provider could not list the tools of an MCP server.
    McpToolsFailed,
    /// `response.mcp_list_tools.in_progress`: the provider is listing the tools of an MCP server.
    McpToolsInProgress,
    /// `response.output_item.added`: an output item has started.
    ItemAdded,
    /// `response.output_item.done`: an output item is complete.
    ItemDone,
    /// `response.output_text.annotation.added`: an annotation, such as a citation, was added to output text.
    AnnotationAdded,
    /// `response.output_text.delta`: a piece of output text.
    TextDelta,
    /// `response.output_text.done`: the output text of a content part is complete.
    TextDone,
    /// `response.reasoning_summary_part.added`: a part of the reasoning summary has started.
    SummaryPartAdded,
    /// `response.reasoning_summary_part.done`: a part of the reasoning summary is complete.
    SummaryPartDone,
    /// `response.reasoning_summary_text.delta`: a piece of the text of a reasoning summary.
    SummaryTextDelta,
    /// `response.reasoning_summary_text.done`: the text of a part of the reasoning summary is complete.
    SummaryTextDone,
    /// `response.reasoning_text.delta`: a piece of the full reasoning.
    ReasoningDelta,
    /// `response.reasoning_text.done`: the text of a part of the full reasoning is complete.
    ReasoningDone,
    /// `response.refusal.delta`: a piece of a refusal.
    RefusalDelta,
    /// `response.refusal.done`: a refusal is complete.
    RefusalDone,
    /// `response.shell_call_command.added`: a shell command has started to arrive.
    ShellCommandAdded,
    /// `response.shell_call_command.delta`: a piece of a shell command.
    ShellCommandDelta,
    /// `response.shell_call_command.done`: a shell command is complete.
    ShellCommandDone,
    /// `response.shell_call_output_content.delta`: a piece of the output of a shell command.
    ShellOutputDelta,
    /// `response.shell_call_output_content.done`: the output of a shell command is complete.
    ShellOutputDone,
    /// `response.web_search_call.completed`: a web search has finished.
    WebSearchCompleted,
    /// `response.web_search_call.in_progress`: a web search has started.
    WebSearchInProgress,
    /// `response.web_search_call.searching`: the provider is searching the web.
    WebSearchSearching,
    /// An event type that this enum does not define. Ignore such events, because providers often add new
    /// event types.
    Other(Box<str>),
}

string_enum!(EventKind {
    Queued => "response.queued",
    Created => "response.created",
    InProgress => "response.in_progress",
    Completed => "response.completed",
    Incomplete => "response.incomplete",
    Failed => "response.failed",
    Error => "error",
    AudioDelta => "response.audio.delta",
    AudioDone => "response.audio.done",
    AudioTranscriptDelta => "response.audio.transcript.delta",
    AudioTranscriptDone => "response.audio.transcript.done",
    CodeInterpreterCompleted => "response.code_interpreter_call.completed",
    CodeInterpreterInProgress => "response.code_interpreter_call.in_progress",
    CodeInterpreterInterpreting => "response.code_interpreter_call.interpreting",
    CodeDelta => "response.code_interpreter_call_code.delta",
    CodeDone => "response.code_interpreter_call_code.done",
    CompactionCompacting => "response.compaction.compacting",
    ContentPartAdded => "response.content_part.added",
    ContentPartDone => "response.content_part.done",
    CustomInputDelta => "response.custom_tool_call_input.delta",
    CustomInputDone => "response.custom_tool_call_input.done",
    FileSearchCompleted => "response.file_search_call.completed",
    FileSearchInProgress => "response.file_search_call.in_progress",
    FileSearchSearching => "response.file_search_call.searching",
    ArgumentsDelta => "response.function_call_arguments.delta",
    ArgumentsDone => "response.function_call_arguments.done",
    ImageCompleted => "response.image_generation_call.completed",
    ImageGenerating => "response.image_generation_call.generating",
    ImageInProgress => "response.image_generation_call.in_progress",
    ImagePartial => "response.image_generation_call.partial_image",
    McpCompleted => "response.mcp_call.completed",
    McpFailed => "response.mcp_call.failed",
    McpInProgress => "response.mcp_call.in_progress",
    McpArgumentsDelta => "response.mcp_call_arguments.delta",
    McpArgumentsDone => "response.mcp_call_arguments.done",
    McpToolsCompleted => "response.mcp_list_tools.completed",
    McpToolsFailed => "response.mcp_list_tools.failed",
    McpToolsInProgress => "response.mcp_list_tools.in_progress",
    ItemAdded => "response.output_item.added",
    ItemDone => "response.output_item.done",
    AnnotationAdded => "response.output_text.annotation.added",
    TextDelta => "response.output_text.delta",
    TextDone => "response.output_text.done",
    SummaryPartAdded => "response.reasoning_summary_part.added",
    SummaryPartDone => "response.reasoning_summary_part.done",
    SummaryTextDelta => "response.reasoning_summary_text.delta",
    SummaryTextDone => "response.reasoning_summary_text.done",
    ReasoningDelta => "response.reasoning_text.delta",
    ReasoningDone => "response.reasoning_text.done",
    RefusalDelta => "response.refusal.delta",
    RefusalDone => "response.refusal.done",
    ShellCommandAdded => "response.shell_call_command.added",
    ShellCommandDelta => "response.shell_call_command.delta",
    ShellCommandDone => "response.shell_call_command.done",
    ShellOutputDelta => "response.shell_call_output_content.delta",
    ShellOutputDone => "response.shell_call_output_content.done",
    WebSearchCompleted => "response.web_search_call.completed",
    WebSearchInProgress => "response.web_search_call.in_progress",
    WebSearchSearching => "response.web_search_call.searching",
});

impl EventKind {
    /// Returns whether events of this type are about the whole response, and contain it.
    fn has_response(&self) -> bool {
        use EventKind::{Completed, Created, Failed, InProgress, Incomplete, Queued};
        matches!(
            self,
            Created | InProgress | Queued | Completed | Incomplete | Failed
        )
    }
}

impl Default for EventKind {
    fn default() -> Self {
        Self::Other("".into())
    }
}

/// One event of a streamed response. Its `kind` decides which of the other fields are set.
#[derive(Clone, Default, PartialEq)]
pub struct ResponseEvent {
    /// Type of the event, the field `type` in JSON.
    pub kind: EventKind,
    pub(crate) sequence_number: LenientU64,
    /// Current state of the response, in events about the whole response such as `response.completed`.
    pub response: Option<Box<Response>>,
    /// The output item that was added or completed, in `response.output_item.*` events.
    pub item: Option<Item>,
    /// The content or summary part that was added or completed, in events such as
    /// `response.content_part.done`.
    pub part: Option<ItemPart>,
    /// ID of the output item to which the event belongs.
    pub item_id: Option<String>,
    pub(crate) output_index: LenientU64,
    pub(crate) content_index: LenientU64,
    pub(crate) summary_index: LenientU64,
    /// The piece of text or data that a `*.delta` event adds.
    pub delta: Option<EventDelta>,
    /// The complete text, in an event that ends a text, such as `response.output_text.done`.
    pub text: Option<String>,
    /// The complete refusal, in a `response.refusal.done` event.
    pub refusal: Option<String>,
    /// The complete arguments of a function call or MCP tool call, in an `*_arguments.done` event.
    pub arguments: Option<String>,
    /// The complete input of a custom tool call, in a `response.custom_tool_call_input.done` event.
    pub input: Option<String>,
    /// Name of the called function, in a `response.function_call_arguments.done` event.
    pub name: Option<String>,
    /// Error code of an `error` event, or the complete code for the code interpreter in a
    /// `response.code_interpreter_call_code.done` event.
    pub code: Option<String>,
    /// Error message of an `error` event.
    pub message: Option<String>,
    /// Name of the request parameter that caused the error, in an `error` event.
    pub param: Option<String>,
    /// Log probabilities of the tokens in `delta` or `text`.
    pub logprobs: Option<Vec<Json>>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ResponseEvent {
    sequence_number,
    response,
    item,
    part,
    item_id,
    output_index,
    content_index,
    summary_index,
    delta,
    text,
    refusal,
    arguments,
    input,
    name,
    code,
    message,
    param,
    logprobs,
} always { kind => "type" });

lenient_getters!(ResponseEvent {
    /// Returns the zero-based position of the event in the stream. `None` if the event has no sequence
    /// number.
    sequence_number,
    /// Returns the zero-based index of the event's item in the output of the response. `None` if the event
    /// has no index.
    output_index,
    /// Returns the zero-based index of the event's part in the content of the item. `None` if the event has
    /// no index.
    content_index,
    /// Returns the zero-based index of the event's part in the summary of the reasoning item. `None` if the
    /// event has no index.
    summary_index,
});

impl ResponseEvent {
    /// Decodes the JSON data of an event. A field whose value has an unexpected type is read if its meaning is
    /// clear. Otherwise it is kept in `extra` and causes no error. In text that JSON does not allow, U+FFFD
    /// replaces what is invalid.
    ///
    /// # Errors
    /// Returns an error if `json` is not a JSON object. The error message may quote the data.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut event = decode_repaired(json, repair_event)?;
        if event.response.is_none() && event.kind.has_response() {
            event.read_bare_response();
        }
        Ok(event)
    }

    /// Moves the fields of the response into [`response`](Self::response), because some providers put them
    /// directly into the event. Does nothing if the event has neither a status nor an output.
    #[cold]
    pub(crate) fn read_bare_response(&mut self) {
        let extra = self.extra.clone();
        let response = Json::of(&EmptyObject { extra }).ok();
        let response = response.and_then(|json| Response::decode(json.get().as_bytes()).ok());
        let is_response = |response: &Response| response.status.is_some() || response.has("output");
        if let Some(response) = response.filter(is_response) {
            self.response = Some(Box::new(response));
            self.extra = UnknownFields::default();
        }
    }

    /// Creates an event of the given type with no other fields.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Sets the zero-based position of the event in the stream.
    #[must_use]
    pub fn with_sequence_number(mut self, sequence_number: u64) -> Self {
        self.sequence_number = sequence_number.into();
        self
    }

    /// Returns the `delta` of the event if that delta is a string, otherwise `None`.
    pub fn delta_text(&self) -> Option<&str> {
        match self.delta.as_ref()? {
            EventDelta::Text(text) => Some(text),
            EventDelta::Other(_) => None,
        }
    }
}

/// The piece of text or data that a `*.delta` event adds. Nearly always a string.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventDelta {
    /// A delta that is a JSON string.
    Text(String),
    /// A delta that is not a JSON string, as raw JSON.
    Other(Json),
}

impl From<&str> for EventDelta {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for EventDelta {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<'de> Deserialize<'de> for EventDelta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        let text: Option<String> = decode_part(json.get());
        Ok(text.map_or(Self::Other(json), Self::Text))
    }
}

impl fmt::Debug for EventDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Other(json) => json.fmt(f),
        }
    }
}

impl fmt::Debug for ResponseEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            EventKind::Other(_) => "other",
            known => known.as_str(),
        };
        f.debug_struct("ResponseEvent")
            .field("kind", &kind)
            .field("sequence_number", &self.sequence_number())
            .field("output_index", &self.output_index())
            .finish_non_exhaustive()
    }
}

/// Reads the response in an event even if some of its fields have unexpected types, and arguments that are an
/// object in place of its JSON text.
fn repair_event(event: &mut ResponseEvent) {
    let extra = &mut event.extra;
    if event.response.is_none() {
        event.response = take(extra, "response", |json| {
            Response::decode(json.as_bytes()).ok().map(Box::new)
        });
    }
    for (field, name) in [(&mut event.arguments, "arguments"), (&mut event.input, "input")] {
        if field.is_none() {
            *field = take(extra, name, |json| Some(json.to_owned()));
        }
    }
}
