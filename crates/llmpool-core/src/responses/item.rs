//! Items, of which the inputs and outputs of responses consist.

use super::part::ItemPart;
use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{Content, Json, Role, UnknownFields};

/// One item of an input or output.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// A message.
    Message(MessageItem),
    /// A message without a `type` field.
    EasyMessage(MessageItem),
    /// A function call that the model makes.
    FunctionCall(FunctionCallItem),
    /// The result of a function call.
    FunctionCallOutput(ToolOutputItem),
    /// A custom tool call that the model makes.
    CustomToolCall(CustomToolCallItem),
    /// The result of a custom tool call.
    CustomToolCallOutput(ToolOutputItem),
    /// Reasoning of the model.
    Reasoning(ReasoningItem),
    /// A reference to an item that the provider stores.
    Reference(ItemReference),
    /// Earlier context in compacted form.
    Compaction(HostedItem),
    /// A web search that the provider runs.
    WebSearchCall(HostedItem),
    /// A file search that the provider runs.
    FileSearchCall(HostedItem),
    /// Code that the provider runs.
    CodeInterpreterCall(HostedItem),
    /// An image that the provider generates.
    ImageGenerationCall(HostedItem),
    /// An action on a computer that the model requests.
    ComputerCall(HostedItem),
    /// The result of an action on a computer.
    ComputerCallOutput(HostedItem),
    /// A shell command for the client's machine (`local_shell_call`).
    LocalShellCall(HostedItem),
    /// The result of a shell command on the client's machine (`local_shell_call_output`).
    LocalShellCallOutput(HostedItem),
    /// A shell command (`shell_call`).
    ShellCall(HostedItem),
    /// The result of a shell command (`shell_call_output`).
    ShellCallOutput(HostedItem),
    /// A patch of files that the model requests.
    ApplyPatchCall(HostedItem),
    /// The result of applying a patch of files.
    ApplyPatchCallOutput(HostedItem),
    /// A call of an MCP server's tool, made by the provider.
    McpCall(HostedItem),
    /// The list of an MCP server's tools.
    McpListTools(HostedItem),
    /// A request to approve the call of an MCP server's tool.
    McpApprovalRequest(HostedItem),
    /// The answer to a request for approval.
    McpApprovalResponse(HostedItem),
    /// An item of another type, as raw JSON.
    Other(Json),
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
} untagged EasyMessage(MessageItem) => "role");

impl Item {
    /// Returns the ID of the item. `None` if the item has none.
    pub fn id(&self) -> Option<&str> {
        self.id_and_status().0
    }

    /// Returns the status of the item: `in_progress`, `completed` or `incomplete`. `None` if the item has none.
    pub fn status(&self) -> Option<&str> {
        self.id_and_status().1
    }

    /// Sets the status of a message, call or reasoning item. Leaves other items unchanged.
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
            | Self::McpApprovalResponse(item) => (&item.id, &item.status),
            Self::Other(_) => return (None, None),
        };
        (id.as_deref(), status.as_deref())
    }
}

/// A message.
#[derive(Clone, Default, PartialEq)]
pub struct MessageItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Role of the author of the message.
    pub role: Option<Role>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Content of the message.
    pub content: Option<Content<ItemPart>>,
    /// Whether the message comments on the work (`commentary`) or answers the request (`final_answer`).
    pub phase: Option<String>,
    /// Fields that this type does not define.
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
    /// ID of the item, which differs from `call_id`.
    pub id: Option<String>,
    /// ID of the call, to which the item with the result refers.
    pub call_id: String,
    /// Name of the function.
    pub name: String,
    /// Arguments as JSON text. The text is passed on unchanged, because models sometimes write invalid JSON.
    pub arguments: String,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FunctionCallItem { id, status } always {
    call_id,
    name,
    arguments,
});

/// The result of a function call or custom tool call.
#[derive(Clone, Default, PartialEq)]
pub struct ToolOutputItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// ID of the call whose result this item is.
    pub call_id: String,
    /// The result, as text or content parts.
    pub output: Option<Content<ItemPart>>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ToolOutputItem { id, output, status } always { call_id });

/// A custom tool call that the model makes.
#[derive(Clone, Default, PartialEq)]
pub struct CustomToolCallItem {
    /// ID of the item, which differs from `call_id`.
    pub id: Option<String>,
    /// ID of the call, to which the item with the result refers.
    pub call_id: String,
    /// Name of the tool.
    pub name: String,
    /// Input of the tool, which can be any text.
    pub input: String,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(CustomToolCallItem { id, status } always {
    call_id,
    name,
    input,
});

/// Reasoning of the model, to be sent back unchanged in the next request.
#[derive(Clone, Default, PartialEq)]
pub struct ReasoningItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Summary of the reasoning, in parts.
    pub summary: Vec<ItemPart>,
    /// The full reasoning, in parts. `None` if the provider does not return it.
    pub content: Option<Vec<ItemPart>>,
    /// The full reasoning in encrypted form. Only the account that created the encrypted text can use it.
    pub encrypted_content: Option<String>,
    /// Status of the item: `in_progress`, `completed` or `incomplete`.
    pub status: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ReasoningItem {
    id,
    content,
    encrypted_content,
    status,
} always { summary });

impl ReasoningItem {
    /// Returns the summary and the full reasoning, as far as the provider returns them. Parts are separated by an empty line.
    pub fn text(&self) -> String {
        let content = self.content.as_deref().unwrap_or_default();
        let texts = self.summary.iter().chain(content).filter_map(ItemPart::text);
        texts.collect::<Vec<_>>().join("\n\n")
    }
}

/// A reference to an item that the provider stores.
#[derive(Clone, Default, PartialEq)]
pub struct ItemReference {
    /// ID of the stored item.
    pub id: String,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ItemReference {} always { id });

/// An item that belongs to a tool which the provider runs. The fields of the specific tool are in `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct HostedItem {
    /// ID of the item, assigned by the provider.
    pub id: Option<String>,
    /// Status of the item: `in_progress`, `completed`, `incomplete`, or a status that is specific to the type of item.
    pub status: Option<String>,
    /// Fields that this type does not define.
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
