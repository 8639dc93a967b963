//! Types that define tools and choose which tools the model must call.

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
    /// A function, whose arguments are JSON.
    Function(FunctionTool),
    /// A custom tool, whose input is text instead of JSON.
    Custom(CustomTool),
    /// A tool of any other type, or a tool that could not be decoded, as raw JSON.
    Other(Json),
}

tagged_enum!(Tool { Function => "function", Custom => "custom" });

impl Tool {
    /// Creates a function tool. `description` tells the model what the function does, and `parameters` is the
    /// JSON Schema of the function's arguments.
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
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionTool {} always { function });

/// Name, purpose and parameters of a function.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionDefinition {
    /// Name of the function: at most 64 characters, each an ASCII letter, a digit, `_` or `-`.
    pub name: String,
    /// What the function does. Helps the model decide when to call the function.
    pub description: Option<String>,
    /// JSON Schema of the function's arguments. `None` for a function without arguments.
    pub parameters: Option<Json>,
    /// Whether the provider enforces that the arguments match the schema. If absent, the arguments may
    /// deviate from the schema.
    pub strict: Option<bool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(FunctionDefinition {
    description,
    parameters,
    strict,
} always { name });

/// A custom tool, whose input is text instead of JSON.
#[derive(Clone, Default, PartialEq)]
pub struct CustomTool {
    /// Name, purpose and input format of the tool.
    pub custom: CustomDefinition,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(CustomTool {} always { custom });

/// Name, purpose and input format of a custom tool.
#[derive(Clone, Default, PartialEq)]
pub struct CustomDefinition {
    /// Name of the custom tool.
    pub name: String,
    /// What the tool does. Helps the model decide when to call the tool.
    pub description: Option<String>,
    /// Format of the input: `{"type": "text"}` for any text (the default), or an object with a grammar.
    pub format: Option<Json>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(CustomDefinition { description, format } always { name });

/// Whether the model must call a tool, and which tools the model may call.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ToolChoice {
    /// A mode that applies to all tools of the request: `none`, `auto` or `required`.
    Mode(ToolMode),
    /// A specific tool that the model must call, or a set of allowed tools.
    Named(NamedTool),
}

/// Whether the model may or must call tools.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ToolMode {
    /// The model must not call any tool.
    None,
    /// The model decides whether to call tools.
    Auto,
    /// The model must call at least one tool.
    Required,
    /// Any other mode. Holds the string from the JSON.
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
    /// The only tools of the request that the model may call.
    Allowed(AllowedTools),
    /// A choice of any other type, or a choice that could not be decoded, as raw JSON.
    Other(Json),
}

tagged_enum!(NamedTool {
    Function => "function",
    Custom => "custom",
    Allowed => "allowed_tools",
});

impl ToolChoice {
    /// Creates a choice that requires the model to call the function `name`.
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

/// A reference to a function by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedFunction {
    /// JSON object with the name of the function.
    pub function: ToolName,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(NamedFunction {} always { function });

/// A reference to a custom tool by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedCustom {
    /// JSON object with the name of the custom tool.
    pub custom: ToolName,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(NamedCustom {} always { custom });

/// The name of a tool, wrapped in a JSON object: `{"name": …}`.
#[derive(Clone, Default, PartialEq)]
pub struct ToolName {
    /// Name of the function or custom tool.
    pub name: String,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ToolName {} always { name });

/// A tool choice that restricts the model to some of the request's tools.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedTools {
    /// The allowed tools, and whether the model must call one of them.
    pub allowed_tools: AllowedSet,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(AllowedTools {} always { allowed_tools });

/// The allowed tools, and whether the model must call one of them.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedSet {
    /// `auto` if the model may call the allowed tools, or `required` if the model must call at least one of
    /// them.
    pub mode: String,
    /// The allowed tools, each identified by its type and name.
    pub tools: Vec<AllowedTool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(AllowedSet {} always { mode, tools });

/// A reference to an allowed tool. This type is separate from [`NamedTool`], so that a set of allowed tools
/// cannot contain further sets.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum AllowedTool {
    /// A reference to a function.
    Function(NamedFunction),
    /// A reference to a custom tool.
    Custom(NamedCustom),
    /// A reference of any other type, or a reference that could not be decoded, as raw JSON.
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
