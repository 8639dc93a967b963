//! A tool call, independent of the format.

use crate::chat::wire_object::opaque_debug;
use crate::chat::{CustomCall, FunctionCall, ToolCall, ToolCallDelta};
use crate::responses::{CustomToolCallItem, FunctionCallItem, Item};

/// What both formats tell about a call of a function or of a custom tool.
#[derive(Clone, Default)]
pub(super) struct ToolCallParts {
    pub(super) is_custom: bool,
    pub(super) call_id: String,
    pub(super) name: String,
    /// The arguments of a function as JSON text, or the input of a custom tool.
    pub(super) arguments: String,
}

opaque_debug!(ToolCallParts);

impl ToolCallParts {
    /// Returns the parts of an item that is a tool call.
    pub(super) fn from_item(item: &Item) -> Option<Self> {
        let (is_custom, call_id, name, arguments) = match item {
            Item::FunctionCall(call) => (false, &call.call_id, &call.name, &call.arguments),
            Item::CustomToolCall(call) => (true, &call.call_id, &call.name, &call.input),
            _ => return None,
        };
        Some(Self {
            is_custom,
            call_id: call_id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
        })
    }

    /// Returns the parts of a chat tool call. Absent parts are empty. Returns `None` if the type of the call is unknown.
    pub(super) fn from_chat(call: &ToolCall) -> Option<Self> {
        let (is_custom, name, arguments) = match (&call.function, &call.custom) {
            (Some(function), _) => (false, &function.name, &function.arguments),
            (None, Some(custom)) => (true, &custom.name, &custom.input),
            (None, None) => return None,
        };
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        Some(Self {
            is_custom,
            call_id: or_empty(&call.id),
            name: or_empty(name),
            arguments: or_empty(arguments),
        })
    }

    /// Returns the call as an item.
    pub(super) fn into_item(self, id: Option<String>, status: Option<String>) -> Item {
        let Self {
            is_custom,
            call_id,
            name,
            arguments,
        } = self;
        if is_custom {
            return Item::CustomToolCall(CustomToolCallItem {
                id,
                call_id,
                name,
                input: arguments,
                status,
                ..CustomToolCallItem::default()
            });
        }
        Item::FunctionCall(FunctionCallItem {
            id,
            call_id,
            name,
            arguments,
            status,
            ..FunctionCallItem::default()
        })
    }

    /// Returns the call as a tool call of a chat message.
    pub(super) fn into_chat(self) -> ToolCall {
        let delta = self.into_delta();
        ToolCall {
            id: delta.id,
            kind: delta.kind,
            function: delta.function,
            custom: delta.custom,
            ..ToolCall::default()
        }
    }

    /// Returns the call as the first piece of a streamed tool call.
    pub(super) fn into_delta(self) -> ToolCallDelta {
        let kind = if self.is_custom { "custom" } else { "function" };
        ToolCallDelta {
            id: Some(self.call_id),
            kind: Some(kind.to_owned()),
            ..tool_call_delta(self.is_custom, Some(self.name), self.arguments)
        }
    }
}

/// Returns a piece of a streamed tool call with a part of its arguments or input.
pub(super) fn tool_call_delta(is_custom: bool, name: Option<String>, arguments: String) -> ToolCallDelta {
    let arguments = Some(arguments);
    let (function, custom) = if is_custom {
        let custom = CustomCall {
            name,
            input: arguments,
            ..CustomCall::default()
        };
        (None, Some(custom))
    } else {
        let function = FunctionCall {
            name,
            arguments,
            ..FunctionCall::default()
        };
        (Some(function), None)
    };
    ToolCallDelta {
        function,
        custom,
        ..ToolCallDelta::default()
    }
}
