//! Events of a stream.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::item::Item;
use super::part::ItemPart;
use super::response::Response;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::decode_valid_fields;
use crate::chat::wire_object::wire_object;
use crate::chat::{Json, LenientU64, UnknownFields};

/// What an event tells.
#[derive(Clone, PartialEq, Eq, Hash)]
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
    /// Any other; new ones come often and are to be passed over.
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

/// One event of a stream. One type for all kinds: which members are there depends on the kind.
#[derive(Clone, Default, PartialEq)]
pub struct ResponseEvent {
    /// What it tells.
    pub kind: EventKind,
    pub(crate) sequence_number: Option<LenientU64>,
    /// The response as it is now.
    pub response: Option<Box<Response>>,
    /// The item that begins, or as it ended.
    pub item: Option<Item>,
    /// The part that begins, or as it ended.
    pub part: Option<ItemPart>,
    /// Of the item that this belongs to.
    pub item_id: Option<String>,
    pub(crate) output_index: Option<LenientU64>,
    pub(crate) content_index: Option<LenientU64>,
    pub(crate) summary_index: Option<LenientU64>,
    /// What is new.
    pub delta: Option<EventDelta>,
    /// A whole text.
    pub text: Option<String>,
    /// A whole refusal.
    pub refusal: Option<String>,
    /// The whole arguments of a call.
    pub arguments: Option<String>,
    /// The whole input of a custom tool.
    pub input: Option<String>,
    /// The name of the function that is called.
    pub name: Option<String>,
    /// Code that is run as a whole, or the code of an error.
    pub code: Option<String>,
    /// The words of an error.
    pub message: Option<String>,
    /// The member of the request that an error is about.
    pub param: Option<String>,
    /// How likely the tokens were.
    pub logprobs: Option<Vec<Json>>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ResponseEvent {
    sequence_number => "sequence_number",
    response => "response",
    item => "item",
    part => "part",
    item_id => "item_id",
    output_index => "output_index",
    content_index => "content_index",
    summary_index => "summary_index",
    delta => "delta",
    text => "text",
    refusal => "refusal",
    arguments => "arguments",
    input => "input",
    name => "name",
    code => "code",
    message => "message",
    param => "param",
    logprobs => "logprobs",
} always { kind => "type" });

impl ResponseEvent {
    /// Decodes the data of an event. Members that are not what they should be are kept as they are, in `extra`: one that is odd does not
    /// spoil the stream.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json).or_else(|error| decode_valid_fields(json).ok_or(error))
    }

    /// An event of a kind, with nothing in it yet.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Its place in the stream, from 0.
    pub fn sequence_number(&self) -> Option<u64> {
        self.sequence_number.map(|number| number.0)
    }

    /// Sets its place in the stream.
    #[must_use]
    pub fn at(mut self, sequence_number: u64) -> Self {
        self.sequence_number = Some(LenientU64(sequence_number));
        self
    }

    /// The place of its item in the output.
    pub fn output_index(&self) -> Option<u64> {
        self.output_index.map(|index| index.0)
    }

    /// The place of its part in the item's content.
    pub fn content_index(&self) -> Option<u64> {
        self.content_index.map(|index| index.0)
    }

    /// The place of its part in the item's summary.
    pub fn summary_index(&self) -> Option<u64> {
        self.summary_index.map(|index| index.0)
    }

    /// What is new, if it is a text.
    pub fn delta_text(&self) -> Option<&str> {
        match self.delta.as_ref()? {
            EventDelta::Text(text) => Some(text),
            EventDelta::Other(_) => None,
        }
    }
}

/// What is new: a text nearly always.
#[derive(Clone, PartialEq)]
pub enum EventDelta {
    /// A text.
    Text(String),
    /// Anything else.
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

impl Serialize for EventDelta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Other(json) => json.serialize(serializer),
        }
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
        f.debug_struct("Event")
            .field("kind", &kind)
            .field("sequence_number", &self.sequence_number())
            .field("output_index", &self.output_index())
            .finish_non_exhaustive()
    }
}
