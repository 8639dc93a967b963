//! A tool call in a form that is independent of the API format.

use super::echoed::echoed;
use crate::chat::wire_object::opaque_debug;
use crate::chat::{CustomCall, FunctionCall, ToolCall, ToolCallDelta, UnknownFields};
use crate::responses::{CustomToolCallItem, FunctionCallItem, Item};

/// The parts of a function call or custom tool call that exist in both API formats.
#[derive(Clone, Default)]
pub(super) struct ToolCallParts {
    pub(super) is_custom: bool,
    pub(super) call_id: String,
    pub(super) name: String,
    /// The arguments of a function call as JSON text, or the input of a custom tool call.
    pub(super) arguments: String,
    /// The unknown fields that the client must send back.
    pub(super) extra: UnknownFields,
}

opaque_debug!(ToolCallParts);

impl ToolCallParts {
    /// Returns the parts of a tool call item, or `None` if the item is not a function call or custom tool
    /// call.
    pub(super) fn from_item(item: &Item) -> Option<Self> {
        let (is_custom, call_id, name, arguments, extra) = match item {
            Item::FunctionCall(call) => (false, &call.call_id, &call.name, &call.arguments, &call.extra),
            Item::CustomToolCall(call) => (true, &call.call_id, &call.name, &call.input, &call.extra),
            _ => return None,
        };
        Some(Self {
            is_custom,
            call_id: call_id.clone(),
            name: name.clone(),
            arguments: arguments.clone(),
            extra: echoed(extra),
        })
    }

    /// Returns the parts of a chat tool call, or of one streamed piece of a chat tool call, whose unknown
    /// fields are `extra`. Absent parts become empty strings.
    pub(super) fn from_chat(
        id: Option<String>,
        function: Option<FunctionCall>,
        custom: Option<CustomCall>,
        extra: &UnknownFields,
    ) -> Self {
        let is_custom = function.is_none() && custom.is_some();
        let (name, arguments) = match (function, custom) {
            (Some(function), _) => (function.name, function.arguments),
            (None, Some(custom)) => (custom.name, custom.input),
            (None, None) => (None, None),
        };
        Self {
            is_custom,
            call_id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            arguments: arguments.unwrap_or_default(),
            extra: echoed(extra),
        }
    }

    /// Returns the prefix for the id of the call's item: `ctc` for a custom tool call, `fc` for a function
    /// call.
    pub(super) fn item_prefix(&self) -> &'static str {
        if self.is_custom { "ctc" } else { "fc" }
    }

    /// Converts the call to an item of a response, with the given item id and status.
    pub(super) fn into_item(self, id: Option<String>, status: Option<String>) -> Item {
        let Self {
            is_custom,
            call_id,
            name,
            arguments,
            extra,
        } = self;
        if is_custom {
            return Item::CustomToolCall(CustomToolCallItem {
                id,
                call_id,
                name,
                input: arguments,
                status,
                extra,
            });
        }
        Item::FunctionCall(FunctionCallItem {
            id,
            call_id,
            name,
            arguments,
            status,
            extra,
        })
    }

    /// Converts the call to a tool call of a chat message.
    pub(super) fn into_chat(self) -> ToolCall {
        let delta = self.into_delta();
        ToolCall {
            id: delta.id,
            kind: delta.kind,
            function: delta.function,
            custom: delta.custom,
            extra: delta.extra,
        }
    }

    /// Converts the call to the first piece of a streamed chat tool call, which contains the id, the type and
    /// the name.
    pub(super) fn into_delta(self) -> ToolCallDelta {
        let kind = if self.is_custom { "custom" } else { "function" };
        ToolCallDelta {
            id: Some(self.call_id),
            kind: Some(kind.to_owned()),
            extra: self.extra,
            ..tool_call_delta(self.is_custom, Some(self.name), self.arguments)
        }
    }
}

/// Returns a piece of a streamed chat tool call. `arguments` is a piece of the function's arguments or of the
/// custom tool's input.
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
