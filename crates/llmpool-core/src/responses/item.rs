//! Items: what is sent and what comes back, in the order in which it happened.

use super::part::ItemPart;
use crate::chat::wire_object::{opaque_debug, tagged_enum, wire_object};
use crate::chat::{Content, Json, Role, UnknownFields};

/// One item of an input or output.
#[derive(Clone, PartialEq)]
pub enum Item {
    /// What somebody says.
    Message(MessageItem),
    /// The same, without saying that it is a message.
    EasyMessage(MessageItem),
    /// The model calls a function.
    FunctionCall(FunctionCallItem),
    /// What became of it.
    FunctionCallOutput(ToolOutputItem),
    /// The model calls a custom tool.
    CustomToolCall(CustomToolCallItem),
    /// What became of it.
    CustomToolCallOutput(ToolOutputItem),
    /// The model thinks.
    Reasoning(ReasoningItem),
    /// An item that the provider knows.
    Reference(ItemReference),
    /// What came before, in short.
    Compaction(HostedItem),
    /// The provider searches the web.
    WebSearchCall(HostedItem),
    /// The provider searches files.
    FileSearchCall(HostedItem),
    /// The provider runs code.
    CodeInterpreterCall(HostedItem),
    /// The provider makes an image.
    ImageGenerationCall(HostedItem),
    /// The model uses a computer.
    ComputerCall(HostedItem),
    /// What became of it.
    ComputerCallOutput(HostedItem),
    /// The model uses a shell on this side.
    LocalShellCall(HostedItem),
    /// What became of it.
    LocalShellCallOutput(HostedItem),
    /// The model uses a shell.
    ShellCall(HostedItem),
    /// What became of it.
    ShellCallOutput(HostedItem),
    /// The model changes files.
    ApplyPatchCall(HostedItem),
    /// What became of it.
    ApplyPatchCallOutput(HostedItem),
    /// The provider calls a tool of an MCP server.
    McpCall(HostedItem),
    /// The tools of an MCP server.
    McpListTools(HostedItem),
    /// The provider asks whether it may.
    McpApprovalRequest(HostedItem),
    /// The answer to that.
    McpApprovalResponse(HostedItem),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(Item {
    Message(MessageItem) => "message",
    FunctionCall(FunctionCallItem) => "function_call",
    FunctionCallOutput(ToolOutputItem) => "function_call_output",
    CustomToolCall(CustomToolCallItem) => "custom_tool_call",
    CustomToolCallOutput(ToolOutputItem) => "custom_tool_call_output",
    Reasoning(ReasoningItem) => "reasoning",
    Reference(ItemReference) => "item_reference",
    Compaction(HostedItem) => "compaction",
    WebSearchCall(HostedItem) => "web_search_call",
    FileSearchCall(HostedItem) => "file_search_call",
    CodeInterpreterCall(HostedItem) => "code_interpreter_call",
    ImageGenerationCall(HostedItem) => "image_generation_call",
    ComputerCall(HostedItem) => "computer_call",
    ComputerCallOutput(HostedItem) => "computer_call_output",
    LocalShellCall(HostedItem) => "local_shell_call",
    LocalShellCallOutput(HostedItem) => "local_shell_call_output",
    ShellCall(HostedItem) => "shell_call",
    ShellCallOutput(HostedItem) => "shell_call_output",
    ApplyPatchCall(HostedItem) => "apply_patch_call",
    ApplyPatchCallOutput(HostedItem) => "apply_patch_call_output",
    McpCall(HostedItem) => "mcp_call",
    McpListTools(HostedItem) => "mcp_list_tools",
    McpApprovalRequest(HostedItem) => "mcp_approval_request",
    McpApprovalResponse(HostedItem) => "mcp_approval_response",
} untagged EasyMessage(MessageItem) => "role");

impl Item {
    /// Its id, where it says one.
    pub fn id(&self) -> Option<&str> {
        self.id_and_status().0
    }

    /// `in_progress`, `completed`, `incomplete`, where it says so.
    pub fn status(&self) -> Option<&str> {
        self.id_and_status().1
    }

    /// Says how far it is, where it is an answer of a model.
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
        match self {
            Self::Message(item) | Self::EasyMessage(item) => (item.id.as_deref(), item.status.as_deref()),
            Self::FunctionCall(item) => (item.id.as_deref(), item.status.as_deref()),
            Self::FunctionCallOutput(item) | Self::CustomToolCallOutput(item) => {
                (item.id.as_deref(), item.status.as_deref())
            }
            Self::CustomToolCall(item) => (item.id.as_deref(), item.status.as_deref()),
            Self::Reasoning(item) => (item.id.as_deref(), item.status.as_deref()),
            Self::Reference(item) => (Some(&item.id), None),
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
            | Self::McpApprovalResponse(item) => (item.id.as_deref(), item.status.as_deref()),
            Self::Other(_) => (None, None),
        }
    }
}

/// What somebody says.
#[derive(Clone, Default, PartialEq)]
pub struct MessageItem {
    /// The item's id; the provider's where it is an output.
    pub id: Option<String>,
    /// Who speaks.
    pub role: Option<Role>,
    /// `in_progress`, `completed`, `incomplete`.
    pub status: Option<String>,
    /// What is said.
    pub content: Option<Content<ItemPart>>,
    /// `commentary` or `final_answer`.
    pub phase: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(MessageItem {
    id => "id",
    role => "role",
    status => "status",
    content => "content",
    phase => "phase",
});

/// The model calls a function.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionCallItem {
    /// The item's id; not the one by which its output joins it.
    pub id: Option<String>,
    /// By which its output joins it.
    pub call_id: String,
    /// The function.
    pub name: String,
    /// A text that should be JSON; models get it wrong at times, so it is never parsed and written again on the way.
    pub arguments: String,
    /// `in_progress`, `completed`, `incomplete`.
    pub status: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FunctionCallItem { id => "id", status => "status" } always {
    call_id => "call_id",
    name => "name",
    arguments => "arguments",
});

/// What became of a call.
#[derive(Clone, Default, PartialEq)]
pub struct ToolOutputItem {
    /// The item's id.
    pub id: Option<String>,
    /// The id of the call that this is the output of.
    pub call_id: String,
    /// What came out.
    pub output: Option<Content<ItemPart>>,
    /// `in_progress`, `completed`, `incomplete`.
    pub status: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ToolOutputItem { id => "id", output => "output", status => "status" } always { call_id => "call_id" });

/// The model calls a custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomToolCallItem {
    /// The item's id; not the one by which its output joins it.
    pub id: Option<String>,
    /// By which its output joins it.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Any text.
    pub input: String,
    /// `in_progress`, `completed`, `incomplete`.
    pub status: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CustomToolCallItem { id => "id", status => "status" } always {
    call_id => "call_id",
    name => "name",
    input => "input",
});

/// The model thinks. To be sent back untouched in the next turn.
#[derive(Clone, Default, PartialEq)]
pub struct ReasoningItem {
    /// The item's id.
    pub id: Option<String>,
    /// What it thinks, in short.
    pub summary: Vec<ItemPart>,
    /// What it thinks, in full, where the provider shows it.
    pub content: Option<Vec<ItemPart>>,
    /// The same, for nobody but the account that made it.
    pub encrypted_content: Option<String>,
    /// `in_progress`, `completed`, `incomplete`.
    pub status: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ReasoningItem {
    id => "id",
    content => "content",
    encrypted_content => "encrypted_content",
    status => "status",
} always { summary => "summary" });

impl ReasoningItem {
    /// What it thinks, in short and in full, as far as either is shown.
    pub fn text(&self) -> String {
        let content = self.content.as_deref().unwrap_or_default();
        let texts = self.summary.iter().chain(content).filter_map(ItemPart::text);
        texts.collect::<Vec<_>>().join("\n\n")
    }
}

/// An item that the provider knows.
#[derive(Clone, Default, PartialEq)]
pub struct ItemReference {
    /// Its id.
    pub id: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ItemReference {} always { id => "id" });

/// A call of a tool that the provider runs, its output, or what else only a provider understands.
#[derive(Clone, Default, PartialEq)]
pub struct HostedItem {
    /// The item's id.
    pub id: Option<String>,
    /// `in_progress`, `completed`, `incomplete` and what each kind adds.
    pub status: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(HostedItem { id => "id", status => "status" });

opaque_debug!(
    MessageItem,
    FunctionCallItem,
    ToolOutputItem,
    CustomToolCallItem,
    ReasoningItem,
    ItemReference,
    HostedItem
);
