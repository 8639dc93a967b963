//! Tool calls: complete calls, and the pieces of calls in a stream.

use std::fmt;

use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, partial_debug, wire_object};

/// A tool call that the model makes.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCall {
    /// ID of the call. The message with the result of the call has the same ID in `tool_call_id`.
    pub id: Option<String>,
    /// Type of the called tool (`type` in the JSON): `function`, `custom`, or another type that the provider
    /// supports.
    pub kind: Option<String>,
    /// Name and arguments of the called function. `None` if the tool is not a function.
    pub function: Option<FunctionCall>,
    /// Name and input of the called custom tool. `None` if the tool is not a custom tool.
    pub custom: Option<CustomCall>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ToolCall { id, kind => "type", function, custom });

impl ToolCall {
    /// Creates a call to the function `name`. `arguments` is JSON text.
    pub fn function(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        let function = FunctionCall {
            name: Some(name.into()),
            arguments: Some(arguments.into()),
            ..Default::default()
        };
        let kind = Some("function".to_owned());
        Self {
            id: Some(id.into()),
            kind,
            function: Some(function),
            ..Self::default()
        }
    }

    /// Returns the name of the called function. Empty if the call has no function name.
    pub fn name(&self) -> &str {
        let function = self.function.as_ref();
        function
            .and_then(|function| function.name.as_deref())
            .unwrap_or_default()
    }

    /// Returns the arguments of the called function as JSON text, which may be invalid because the model
    /// wrote it. Empty if the call has no arguments.
    pub fn arguments(&self) -> &str {
        let function = self.function.as_ref();
        function
            .and_then(|function| function.arguments.as_deref())
            .unwrap_or_default()
    }
}

/// Name and arguments of a called function.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionCall {
    /// Name of the called function. In a stream, most providers send the name in the first piece only.
    pub name: Option<String>,
    /// Arguments of the function, kept as JSON text because models sometimes write invalid JSON.
    pub arguments: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionCall { name, arguments });

/// Name and input of a called custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomCall {
    /// Name of the called custom tool.
    pub name: Option<String>,
    /// Input of the custom tool, which can be any text.
    pub input: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(CustomCall { name, input });

opaque_debug!(CustomCall);

/// A piece of a tool call in a streamed answer.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCallDelta {
    pub(crate) index: LenientU64,
    /// ID of the call. Most providers send the ID in the first piece of the call only.
    pub id: Option<String>,
    /// Type of the called tool (`type` in the JSON). Most providers send the type in the first piece of the
    /// call only.
    pub kind: Option<String>,
    /// Next piece of the called function's name and arguments.
    pub function: Option<FunctionCallDelta>,
    /// Next piece of the called custom tool's name and input.
    pub custom: Option<CustomCall>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ToolCallDelta {
    index,
    id,
    kind => "type",
    function,
    custom,
});

lenient_getters!(ToolCallDelta {
    /// Returns the zero-based index of the call among the tool calls of the message. `None` if the provider
    /// sent no index.
    index,
});

/// A piece of a function call in a streamed answer. The `arguments` of all pieces must be concatenated.
pub type FunctionCallDelta = FunctionCall;

partial_debug!(ToolCall { function });

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.arguments.as_ref().map(String::len);
        f.debug_struct("FunctionCall")
            .field("arguments_bytes", &bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolCallDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCallDelta")
            .field("index", &self.index())
            .field("function", &self.function)
            .finish()
    }
}
