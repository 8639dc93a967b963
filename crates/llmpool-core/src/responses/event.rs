//! Events of a streamed response.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

use super::item::Item;
use super::part::ItemPart;
use super::response::Response;
use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::valid_fields::decode_valid_fields;
use crate::chat::wire_object::wire_object;
use crate::chat::{Json, LenientU64, UnknownFields};

/// Type of an event.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// `response.queued`.
    Queued,
    /// `response.created`.
    Created,
    /// `response.in_progress`.
    InProgress,
    /// `response.completed`.
    Completed,
    /// `response.incomplete`.
    Incomplete,
    /// `response.failed`.
    Failed,
    /// `error`.
    Error,
    /// `response.audio.delta`.
    AudioDelta,
    /// `response.audio.done`.
    AudioDone,
    /// `response.audio.transcript.delta`.
    AudioTranscriptDelta,
    /// `response.audio.transcript.done`.
    AudioTranscriptDone,
    /// `response.code_interpreter_call.completed`.
    CodeInterpreterCompleted,
    /// `response.code_interpreter_call.in_progress`.
    CodeInterpreterInProgress,
    /// `response.code_interpreter_call.interpreting`.
    CodeInterpreterInterpreting,
    /// `response.code_interpreter_call_code.delta`.
    CodeDelta,
    /// `response.code_interpreter_call_code.done`.
    CodeDone,
    /// `response.content_part.added`.
    ContentPartAdded,
    /// `response.content_part.done`.
    ContentPartDone,
    /// `response.custom_tool_call_input.delta`.
    CustomInputDelta,
    /// `response.custom_tool_call_input.done`.
    CustomInputDone,
    /// `response.file_search_call.completed`.
    FileSearchCompleted,
    /// `response.file_search_call.in_progress`.
    FileSearchInProgress,
    /// `response.file_search_call.searching`.
    FileSearchSearching,
    /// `response.function_call_arguments.delta`.
    ArgumentsDelta,
    /// `response.function_call_arguments.done`.
    ArgumentsDone,
    /// `response.image_generation_call.completed`.
    ImageCompleted,
    /// `response.image_generation_call.generating`.
    ImageGenerating,
    /// `response.image_generation_call.in_progress`.
    ImageInProgress,
    /// `response.image_generation_call.partial_image`.
    ImagePartial,
    /// `response.mcp_call.completed`.
    McpCompleted,
    /// `response.mcp_call.failed`.
    McpFailed,
    /// `response.mcp_call.in_progress`.
    McpInProgress,
    /// `response.mcp_call_arguments.delta`.
    McpArgumentsDelta,
    /// `response.mcp_call_arguments.done`.
    McpArgumentsDone,
    /// `response.mcp_list_tools.completed`.
    McpToolsCompleted,
    /// `response.mcp_list_tools.failed`.
    McpToolsFailed,
    /// `response.mcp_list_tools.in_progress`.
    McpToolsInProgress,
    /// `response.output_item.added`.
    ItemAdded,
    /// `response.output_item.done`.
    ItemDone,
    /// `response.output_text.annotation.added`.
    AnnotationAdded,
    /// `response.output_text.delta`.
    TextDelta,
    /// `response.output_text.done`.
    TextDone,
    /// `response.reasoning_summary_part.added`.
    SummaryPartAdded,
    /// `response.reasoning_summary_part.done`.
    SummaryPartDone,
    /// `response.reasoning_summary_text.delta`.
    SummaryTextDelta,
    /// `response.reasoning_summary_text.done`.
    SummaryTextDone,
    /// `response.reasoning_text.delta`.
    ReasoningDelta,
    /// `response.reasoning_text.done`.
    ReasoningDone,
    /// `response.refusal.delta`.
    RefusalDelta,
    /// `response.refusal.done`.
    RefusalDone,
    /// `response.shell_call_command.added`.
    ShellCommandAdded,
    /// `response.shell_call_command.delta`.
    ShellCommandDelta,
    /// `response.shell_call_command.done`.
    ShellCommandDone,
    /// `response.shell_call_output_content.delta`.
    ShellOutputDelta,
    /// `response.shell_call_output_content.done`.
    ShellOutputDone,
    /// `response.web_search_call.completed`.
    WebSearchCompleted,
    /// `response.web_search_call.in_progress`.
    WebSearchInProgress,
    /// `response.web_search_call.searching`.
    WebSearchSearching,
    /// A type that has no variant. New ones are added often; ignore those you do not know.
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

impl Default for EventKind {
    fn default() -> Self {
        Self::Other("".into())
    }
}

/// One event of a stream. One struct for all types of events: the type decides which fields are set.
#[derive(Clone, Default, PartialEq)]
pub struct ResponseEvent {
    /// Type of the event, `type` in JSON.
    pub kind: EventKind,
    pub(crate) sequence_number: Option<LenientU64>,
    /// State of the response.
    pub response: Option<Box<Response>>,
    /// An item that was added or is done.
    pub item: Option<Item>,
    /// A part that was added or is done.
    pub part: Option<ItemPart>,
    /// ID of the item that the event belongs to.
    pub item_id: Option<String>,
    pub(crate) output_index: Option<LenientU64>,
    pub(crate) content_index: Option<LenientU64>,
    pub(crate) summary_index: Option<LenientU64>,
    /// Added text or data.
    pub delta: Option<EventDelta>,
    /// Complete text.
    pub text: Option<String>,
    /// Complete refusal.
    pub refusal: Option<String>,
    /// Complete arguments of a call.
    pub arguments: Option<String>,
    /// Complete input of a custom tool.
    pub input: Option<String>,
    /// Name of the called function.
    pub name: Option<String>,
    /// Complete code of the code interpreter, or the code of an error.
    pub code: Option<String>,
    /// Message of an error.
    pub message: Option<String>,
    /// Parameter of the request that an error refers to.
    pub param: Option<String>,
    /// Log probabilities of the tokens.
    pub logprobs: Option<Vec<Json>>,
    /// Unknown fields.
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
    /// Returns the position of the event in the stream, from 0.
    sequence_number,
    /// Returns the position of the item in the output.
    output_index,
    /// Returns the position of the part in the content of the item.
    content_index,
    /// Returns the position of the part in the summary of the item.
    summary_index,
});

impl ResponseEvent {
    /// Decodes the data of an event. Fields with values of an unexpected type are kept in `extra`, so that they do not end the stream.
    ///
    /// # Errors
    /// If the data is not an object. The error may quote the data.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json).or_else(|error| decode_valid_fields(json).ok_or(error))
    }

    /// Creates an event without fields.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Sets the position of the event in the stream.
    #[must_use]
    pub fn with_sequence_number(mut self, sequence_number: u64) -> Self {
        self.sequence_number = Some(LenientU64(sequence_number));
        self
    }

    /// Returns the delta if it is a string.
    pub fn delta_text(&self) -> Option<&str> {
        match self.delta.as_ref()? {
            EventDelta::Text(text) => Some(text),
            EventDelta::Other(_) => None,
        }
    }
}

/// What an event adds, nearly always a string.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EventDelta {
    /// A string.
    Text(String),
    /// Any other value.
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
        Ok(match serde_json::from_str(json.get()) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Other(json),
        })
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
