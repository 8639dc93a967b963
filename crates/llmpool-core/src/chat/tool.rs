//! Calls of tools, whole and in pieces.

use std::fmt;

use super::lenient_u64::LenientU64;
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// A call that the model makes.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCall {
    /// Links the tool's answer to the call.
    pub id: Option<String>,
    /// `function`, or what else a provider offers.
    pub kind: Option<String>,
    /// The function that is called.
    pub function: Option<FunctionCall>,
    /// The custom tool that is called.
    pub custom: Option<CustomCall>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ToolCall { id => "id", kind => "type", function => "function", custom => "custom" });

impl ToolCall {
    /// A call of a function.
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
}

/// A function's name and what it is called with.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionCall {
    /// The function.
    pub name: Option<String>,
    /// A text that should be JSON; models get it wrong at times, so it is never parsed and written again on the way.
    pub arguments: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FunctionCall { name => "name", arguments => "arguments" });

/// A custom tool's name and its input.
#[derive(Clone, Default, PartialEq)]
pub struct CustomCall {
    /// The tool.
    pub name: Option<String>,
    /// Any text.
    pub input: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CustomCall { name => "name", input => "input" });

super::wire_object::opaque_debug!(CustomCall);

/// A piece of a call in a stream.
#[derive(Clone, Default, PartialEq)]
pub struct ToolCallDelta {
    pub(crate) index: Option<LenientU64>,
    /// Comes once, as a rule with the first piece.
    pub id: Option<String>,
    /// Comes once.
    pub kind: Option<String>,
    /// The next piece of name and arguments.
    pub function: Option<FunctionCallDelta>,
    /// The next piece of a custom tool's name and input.
    pub custom: Option<CustomCall>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ToolCallDelta {
    index => "index",
    id => "id",
    kind => "type",
    function => "function",
    custom => "custom",
});

impl ToolCallDelta {
    /// Which call of the message this is a piece of; some providers leave it out.
    pub fn index(&self) -> Option<u64> {
        self.index.map(|index| index.0)
    }
}

/// The next piece of name and arguments.
pub type FunctionCallDelta = FunctionCall;

impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolCall")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

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
