//! Definitions of tools, and which of them the model must call.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer};

use super::json::Json;
use super::string_enum::string_enum;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// A tool that the model may call.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Tool {
    /// A function whose arguments are JSON.
    Function(FunctionTool),
    /// A custom tool, whose input is any text.
    Custom(CustomTool),
    /// A tool of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(Tool { Function => "function", Custom => "custom" });

impl Tool {
    /// Creates a function tool. `parameters` is the JSON Schema of the function's arguments.
    pub fn function(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: impl Into<Json>,
    ) -> Self {
        let function = FunctionDefinition {
            name: name.into(),
            description: Some(description.into()),
            parameters: Some(parameters.into()),
            ..FunctionDefinition::default()
        };
        Self::Function(FunctionTool {
            function,
            ..FunctionTool::default()
        })
    }
}

/// A function that the model may call.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionTool {
    /// Name, purpose and parameters of the function.
    pub function: FunctionDefinition,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FunctionTool {} always { function });

/// Name, purpose and parameters of a function.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionDefinition {
    /// Name of the function: at most 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Purpose of the function, as a hint for the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments. `None` for a function without arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly. If absent, they need not.
    pub strict: Option<bool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(FunctionDefinition {
    description,
    parameters,
    strict,
} always { name });

/// A custom tool, whose input is any text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomTool {
    /// Name, purpose and input format of the tool.
    pub custom: CustomDefinition,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(CustomTool {} always { custom });

/// Name, purpose and input format of a custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomDefinition {
    /// Name of the tool.
    pub name: String,
    /// Purpose of the tool, as a hint for the model.
    pub description: Option<String>,
    /// Format of the input: `{"type": "text"}`, or an object with a grammar. If absent, any text.
    pub format: Option<Json>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(CustomDefinition { description, format } always { name });

/// Whether the model must call tools, and which.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ToolChoice {
    /// A general mode: `none`, `auto` or `required`.
    Mode(ToolMode),
    /// A specific tool, or a set of allowed tools.
    Named(NamedTool),
}

/// Whether the model must call tools.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolMode {
    /// The model must not call any tool.
    None,
    /// The model decides whether to call tools.
    Auto,
    /// The model must call at least one tool.
    Required,
    /// A mode that this enum does not define.
    Other(Box<str>),
}

string_enum!(ToolMode { None => "none", Auto => "auto", Required => "required" });

/// A tool that the model must call, or a set of tools that the model may call.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum NamedTool {
    /// The function that the model must call.
    Function(NamedFunction),
    /// The custom tool that the model must call.
    Custom(NamedCustom),
    /// The subset of the request's tools to which the model is restricted.
    Allowed(AllowedTools),
    /// An object of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(NamedTool {
    Function => "function",
    Custom => "custom",
    Allowed => "allowed_tools",
});

impl ToolChoice {
    /// Requires a call of the function with this name.
    pub fn function(name: impl Into<String>) -> Self {
        let function = ToolName {
            name: name.into(),
            ..ToolName::default()
        };
        Self::Named(NamedTool::Function(NamedFunction {
            function,
            ..NamedFunction::default()
        }))
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        Ok(match serde_json::from_str::<ToolMode>(json.get()) {
            Ok(mode) => Self::Mode(mode),
            Err(_) => Self::Named(json.into()),
        })
    }
}

impl std::fmt::Debug for ToolChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mode(ToolMode::Other(_)) => f.write_str("Mode"),
            Self::Mode(mode) => f.write_str(mode.as_str()),
            Self::Named(tool) => tool.fmt(f),
        }
    }
}

/// Reference to a function by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedFunction {
    /// Object that holds the name of the function.
    pub function: ToolName,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(NamedFunction {} always { function });

/// Reference to a custom tool by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedCustom {
    /// Object that holds the name of the tool.
    pub custom: ToolName,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(NamedCustom {} always { custom });

/// Object that holds the name of a tool.
#[derive(Clone, Default, PartialEq)]
pub struct ToolName {
    /// Name of the tool.
    pub name: String,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ToolName {} always { name });

/// A restriction to a subset of the request's tools.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedTools {
    /// The allowed tools, and whether the model must call one of them.
    pub allowed_tools: AllowedSet,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(AllowedTools {} always { allowed_tools });

/// The allowed tools, and whether the model must call one of them.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedSet {
    /// `auto` if the model may call one of the tools, `required` if it must.
    pub mode: String,
    /// References to the allowed tools by type and name.
    pub tools: Vec<AllowedTool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(AllowedSet {} always { mode, tools });

/// Reference to an allowed tool. Not a [`NamedTool`], because that could contain further sets of allowed tools.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum AllowedTool {
    /// A function.
    Function(NamedFunction),
    /// A custom tool.
    Custom(NamedCustom),
    /// A reference of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(AllowedTool { Function => "function", Custom => "custom" });

opaque_debug!(
    FunctionTool,
    FunctionDefinition,
    CustomTool,
    CustomDefinition,
    NamedFunction,
    NamedCustom,
    ToolName,
    AllowedTools,
    AllowedSet
);
