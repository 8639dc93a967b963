//! Definitions of tools, and the choice among them.

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
    /// A function with JSON arguments.
    Function(FunctionTool),
    /// A tool whose input is text.
    Custom(CustomTool),
    /// An object of another type, unchanged.
    Other(Json),
}

tagged_enum!(Tool { Function => "function", Custom => "custom" });

impl Tool {
    /// Creates a function tool. `parameters` is the JSON Schema of its arguments.
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
    /// Definition of the function.
    pub function: FunctionDefinition,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionTool {} always { function });

/// Name, purpose and parameters of a function.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionDefinition {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// Purpose, for the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments. Absent for a function without arguments.
    pub parameters: Option<Json>,
    /// Whether the arguments must follow the schema exactly. The default is `false`.
    pub strict: Option<bool>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionDefinition {
    description,
    parameters,
    strict,
} always { name });

/// A tool whose input is text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomTool {
    /// Definition of the tool.
    pub custom: CustomDefinition,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(CustomTool {} always { custom });

/// Name, purpose and input format of a custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomDefinition {
    /// Name of the tool.
    pub name: String,
    /// Purpose, for the model.
    pub description: Option<String>,
    /// `{"type": "text"}`, or a grammar.
    pub format: Option<Json>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(CustomDefinition { description, format } always { name });

/// Whether and which tools the model must call.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ToolChoice {
    /// `none`, `auto` or `required`.
    Mode(ToolMode),
    /// A specific tool, or a set of allowed tools.
    Named(NamedTool),
}

/// Whether the model must call tools.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolMode {
    /// It must not.
    None,
    /// The model decides.
    Auto,
    /// It must call at least one.
    Required,
    /// A mode that has no variant.
    Other(Box<str>),
}

string_enum!(ToolMode { None => "none", Auto => "auto", Required => "required" });

/// A tool that the model must call, or a set of tools that it may call.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum NamedTool {
    /// A function.
    Function(NamedFunction),
    /// A custom tool.
    Custom(NamedCustom),
    /// A subset of the request's tools.
    Allowed(AllowedTools),
    /// An object of another type, unchanged.
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

/// Reference to a function.
#[derive(Clone, Default, PartialEq)]
pub struct NamedFunction {
    /// Name of the function.
    pub function: ToolName,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(NamedFunction {} always { function });

/// Reference to a custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct NamedCustom {
    /// Name of the tool.
    pub custom: ToolName,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(NamedCustom {} always { custom });

/// Name of a tool, in an object.
#[derive(Clone, Default, PartialEq)]
pub struct ToolName {
    /// The name.
    pub name: String,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ToolName {} always { name });

/// A subset of the request's tools.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedTools {
    /// The tools, and whether the model must call one of them.
    pub allowed_tools: AllowedSet,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(AllowedTools {} always { allowed_tools });

/// Allowed tools, and whether the model must call one of them.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedSet {
    /// `auto` or `required`.
    pub mode: String,
    /// References by type and name.
    pub tools: Vec<AllowedTool>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(AllowedSet {} always { mode, tools });

/// Reference to an allowed tool. Not a [`NamedTool`], which could contain further sets.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum AllowedTool {
    /// A function.
    Function(NamedFunction),
    /// A custom tool.
    Custom(NamedCustom),
    /// An object of another type, unchanged.
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
