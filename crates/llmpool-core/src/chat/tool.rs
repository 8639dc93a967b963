//! Tool calls, complete and as deltas.

use std::fmt;

use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, partial_debug, wire_object};

/// A tool call of the model.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCall {
    /// ID that the result of the call refers to.
    pub id: Option<String>,
    /// Type of the tool: `function`, `custom`, or another one that the provider supports.
    pub kind: Option<String>,
    /// The called function and its arguments.
    pub function: Option<FunctionCall>,
    /// The called custom tool and its input.
    pub custom: Option<CustomCall>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ToolCall { id, kind => "type", function, custom });

impl ToolCall {
    /// Creates a call of a function. `arguments` is JSON.
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

    /// Returns the name of the called function; empty if there is none.
    pub fn name(&self) -> &str {
        let function = self.function.as_ref();
        function
            .and_then(|function| function.name.as_deref())
            .unwrap_or_default()
    }

    /// Returns the arguments of the called function as JSON text, which models sometimes get wrong; empty if there are none.
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
    /// Name of the function.
    pub name: Option<String>,
    /// Arguments as JSON text. Models sometimes write invalid JSON; the text is passed on unchanged.
    pub arguments: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionCall { name, arguments });

/// Name and input of a called custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomCall {
    /// Name of the tool.
    pub name: Option<String>,
    /// Input, any text.
    pub input: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(CustomCall { name, input });

opaque_debug!(CustomCall);

/// A piece of a tool call in a stream.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCallDelta {
    pub(crate) index: Option<LenientU64>,
    /// ID of the call, as a rule in its first piece only.
    pub id: Option<String>,
    /// Type of the tool, as a rule in the first piece only.
    pub kind: Option<String>,
    /// The next piece of the function's name and arguments.
    pub function: Option<FunctionCallDelta>,
    /// The next piece of the custom tool's name and input.
    pub custom: Option<CustomCall>,
    /// Unknown fields.
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
    /// Returns the index of the call within the message. Some providers leave it out.
    index,
});

/// The next piece of a function's name and arguments.
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
