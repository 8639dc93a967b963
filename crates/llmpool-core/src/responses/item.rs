//! Items, the elements of the input of a request and of the output of a response.

use super::lenient_item::read_leniently;
use super::part::ItemPart;
use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{Content, Json, Role, UnknownFields};
use crate::raw_object::RawObject;

/// One element of the input of a request or of the output of a response.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// A message with the `type` field `message`.
    Message(MessageItem),
    /// A message without a `type` field, a short form that requests may use.
    EasyMessage(MessageItem),
    /// A function call that the model makes.
    FunctionCall(FunctionCallItem),
    /// The result of a function call.
    FunctionCallOutput(ToolOutputItem),
    /// A custom tool call that the model makes.
    CustomToolCall(CustomToolCallItem),
    /// The result of a custom tool call.
    CustomToolCallOutput(ToolOutputItem),
    /// Reasoning of the model: its summary, its full text, or its encrypted form.
    Reasoning(ReasoningItem),
    /// A reference, by ID, to an item that the provider stores.
    Reference(ItemReference),
    /// A compacted (shortened) form of earlier parts of the conversation.
    Compaction(HostedItem),
    /// A web search that the provider runs.
    WebSearchCall(HostedItem),
    /// A file search that the provider runs.
    FileSearchCall(HostedItem),
    /// A call of the code interpreter that the provider runs.
    CodeInterpreterCall(HostedItem),
    /// An image that the provider generates.
    ImageGenerationCall(HostedItem),
    /// An action on a computer, such as a click, that the model requests.
    ComputerCall(HostedItem),
    /// The result of a computer action that the model requested.
    ComputerCallOutput(HostedItem),
    /// A command that the model wants to run in a shell on the client's machine (`local_shell_call`).
    LocalShellCall(HostedItem),
    /// The result of a command in a shell on the client's machine (`local_shell_call_output`).
    LocalShellCallOutput(HostedItem),
    /// Commands that the model wants to run in a shell (`shell_call`).
    ShellCall(HostedItem),
    /// The result of commands in a shell (`shell_call_output`).
    ShellCallOutput(HostedItem),
    /// A change to a file that the model requests as a patch (`apply_patch_call`).
    ApplyPatchCall(HostedItem),
    /// The result of applying a patch that the model requested (`apply_patch_call_output`).
    ApplyPatchCallOutput(HostedItem),
    /// A call of an MCP server's tool, made by the provider.
    McpCall(HostedItem),
    /// The tools that an MCP server offers, as listed by the provider.
    McpListTools(HostedItem),
    /// The provider's request to the client to approve a call of an MCP server's tool.
    McpApprovalRequest(HostedItem),
    /// The client's decision whether the provider may call an MCP server's tool.
    McpApprovalResponse(HostedItem),
    /// Tools that become available from this point of the conversation (`additional_tools`).
    AdditionalTools(HostedItem),
    /// The client's request to compact the conversation at this point (`compaction_trigger`).
    CompactionTrigger(HostedItem),
    /// A change of the request's options from this point of the conversation (`configuration_update`).
    ConfigurationUpdate(HostedItem),
    /// A program that the model wrote and the provider runs, which can call tools (`program`).
    Program(HostedItem),
    /// The result of a program that the provider ran (`program_output`).
    ProgramOutput(HostedItem),
    /// A search for tools that were not loaded with the request (`tool_search_call`).
    ToolSearchCall(HostedItem),
    /// The tools that a search found (`tool_search_output`).
    ToolSearchOutput(HostedItem),
    /// An item of another type, as raw JSON.
    Other(Json),
}

impl Item {
    /// Returns false for an item of a known type that could not be decoded.
    pub(super) fn is_readable(&self) -> bool {
        let Self::Other(json) = self else { return true };
        let kind = RawObject::parse(json.get()).and_then(|object| object.get("type").map(str::to_owned));
        !matches!(
            kind.as_deref(),
            Some(r#""message""# | r#""reasoning""# | r#""function_call""#)
        )
    }
}

tagged_enum!(Item {
    Message => "message",
    FunctionCall => "function_call",
    FunctionCallOutput => "function_call_output",
    CustomToolCall => "custom_tool_call",
    CustomToolCallOutput => "custom_tool_call_output",
    Reasoning => "reasoning",
    Reference => "item_reference",
    Compaction => "compaction",
    WebSearchCall => "web_search_call",
    FileSearchCall => "file_search_call",
    CodeInterpreterCall => "code_interpreter_call",
    ImageGenerationCall => "image_generation_call",
    ComputerCall => "computer_call",
    ComputerCallOutput => "computer_call_output",
    LocalShellCall => "local_shell_call",
    LocalShellCallOutput => "local_shell_call_output",
    ShellCall => "shell_call",
    ShellCallOutput => "shell_call_output",
    ApplyPatchCall => "apply_patch_call",
    ApplyPatchCallOutput => "apply_patch_call_output",
    McpCall => "mcp_call",
    McpListTools => "mcp_list_tools",
    McpApprovalRequest => "mcp_approval_request",
    McpApprovalResponse => "mcp_approval_response",
    AdditionalTools => "additional_tools",
    CompactionTrigger => "compaction_trigger",
    ConfigurationUpdate => "configuration_update",
    Program => "program",
    ProgramOutput => "program_output",
    ToolSearchCall => "tool_search_call",
    ToolSearchOutput => "tool_search_output",
} untagged EasyMessage(MessageItem) => "role" otherwise lenient_item);

impl Item {
    /// Returns the ID of the item, or `None` if the item has no ID.
    pub fn id(&self) -> Option<&str> {
        self.id_and_status().0
    }

    /// Returns the status of the item, usually `in_progress`, `completed` or `incomplete`. Returns `None` if
    /// the item has no status.
    pub fn status(&self) -> Option<&str> {
        self.id_and_status().1
    }

    /// Sets the status of a typed message, function call, custom tool call or reasoning item. Leaves all
    /// other items unchanged.
    pub(crate) fn set_status(&mut self, status: String) {
        match self {
            Self::Message(item) => item.status = Some(status),
            Self::FunctionCall(item) => item.status = Some(status),
            Self::CustomToolCall(item) => item.status = Some(status),
            Self::Reasoning(item) => item.status = Some(status),
            _ => {}
        }
    }

    fn id_and_status(&self) -> (Option<&str>, Option<&str>) {
        let (id, status) = match self {
            Self::Message(item) | Self::EasyMessage(item) => (&item.id, &item.status),
            Self::FunctionCall(item) => (&item.id, &item.status),
            Self::FunctionCallOutput(item) | Self::CustomToolCallOutput(item) => (&item.id, &item.status),
            Self::CustomToolCall(item) => (&item.id, &item.status),
            Self::Reasoning(item) => (&item.id, &item.status),
            Self::Reference(item) => return (Some(&item.id), None),
            Self::Compaction(item)
            | Self::WebSearchCall(item)
            | Self::FileSearchCall(item)
            | Self::CodeInterpreterCall(item)
            | Self::ImageGenerationCall(item)
            | Self::ComputerCall(item)
            | Self::ComputerCallOutput(item)
            | Self::LocalShellCall(item)
            | Self::LocalShellCallOutput(item)
            | Self::ShellCall(item)
            | Self::ShellCallOutput(item)
            | Self::ApplyPatchCall(item)
            | Self::ApplyPatchCallOutput(item)
            | Self::McpCall(item)
            | Self::McpListTools(item)
            | Self::McpApprovalRequest(item)
            | Self::McpApprovalResponse(item)
            | Self::AdditionalTools(item)
            | Self::CompactionTrigger(item)
            | Self::ConfigurationUpdate(item)
            | Self::Program(item)
            | Self::ProgramOutput(item)
            | Self::ToolSearchCall(item)
            | Self::ToolSearchOutput(item) => (&item.id, &item.status),
            Self::Other(_) => return (None, None),
        };
        (id.as_deref(), status.as_deref())
    }
}

/// A message of the system, the developer, the user or the model.
#[derive(Clone, Default, PartialEq)]
pub struct MessageItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Role of the message's author.
    pub role: Option<Role>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Content of the message: a string, or a list of content parts.
    pub content: Option<Content<ItemPart>>,
    /// Purpose of an assistant message: `commentary` on the ongoing work, or the `final_answer`.
    pub phase: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(MessageItem {
    id,
    role,
    status,
    content,
    phase,
});

/// A function call that the model makes.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionCallItem {
    /// ID of the item. Differs from `call_id`, the ID of the call.
    pub id: Option<String>,
    /// ID of the call. The item with the result of the call has the same `call_id`.
    pub call_id: String,
    /// Name of the called function.
    pub name: String,
    /// Arguments of the function, as JSON text. The text is kept unchanged, because models sometimes write
    /// invalid JSON.
    pub arguments: String,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionCallItem { id, status } always {
    call_id,
    name,
    arguments,
});

/// The result of a function call or custom tool call, sent by the client.
#[derive(Clone, Default, PartialEq)]
pub struct ToolOutputItem {
    /// ID of the item, set by the provider when it returns the item.
    pub id: Option<String>,
    /// ID of the call that produced this result.
    pub call_id: String,
    /// The result, as a string or as a list of content parts.
    pub output: Option<Content<ItemPart>>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ToolOutputItem { id, output, status } always { call_id });

/// A custom tool call that the model makes.
#[derive(Clone, Default, PartialEq)]
pub struct CustomToolCallItem {
    /// ID of the item. Differs from `call_id`, the ID of the call.
    pub id: Option<String>,
    /// ID of the call. The item with the result of the call has the same `call_id`.
    pub call_id: String,
    /// Name of the called tool.
    pub name: String,
    /// Input of the tool. Can be any text.
    pub input: String,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(CustomToolCallItem { id, status } always {
    call_id,
    name,
    input,
});

/// Reasoning of the model. The client sends the item back unchanged in the next request.
#[derive(Clone, Default, PartialEq)]
pub struct ReasoningItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Parts of the reasoning summary, in order. Empty if the provider returns no summary.
    pub summary: Vec<ItemPart>,
    /// Parts of the full reasoning, in order. `None` if the provider does not return the full reasoning.
    pub content: Option<Vec<ItemPart>>,
    /// The full reasoning in encrypted form. Only the account that received the encrypted reasoning can send
    /// it back.
    pub encrypted_content: Option<String>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ReasoningItem {
    id,
    content,
    encrypted_content,
    status,
} always { summary });

impl ReasoningItem {
    /// Returns the text of the summary, followed by the text of the full reasoning. Consecutive parts are
    /// separated by an empty line.
    pub fn text(&self) -> String {
        let content = self.content.as_deref().unwrap_or_default();
        let texts = self.summary.iter().chain(content).filter_map(ItemPart::text);
        texts.collect::<Vec<_>>().join("\n\n")
    }
}

/// A reference, by ID, to an item that the provider stores.
#[derive(Clone, Default, PartialEq)]
pub struct ItemReference {
    /// ID of the item that the provider stores.
    pub id: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ItemReference {} always { id });

/// An item of a built-in tool, such as a web search or a shell command, or an item with compacted context.
/// Fields that are specific to one type of item are in `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct HostedItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Status of the item: `in_progress`, `completed`, `incomplete`, or a status that is specific to the type
    /// of item.
    pub status: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(HostedItem { id, status });

opaque_debug!(
    MessageItem,
    FunctionCallItem,
    ToolOutputItem,
    CustomToolCallItem,
    ReasoningItem,
    ItemReference,
    HostedItem
);

fn lenient_item(json: &Json) -> Option<Item> {
    let item: Option<Item> = serde_json::from_str(&read_leniently(json)?).ok();
    item.filter(|item| !matches!(item, Item::Other(_) | Item::EasyMessage(_)))
}
