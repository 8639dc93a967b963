//! Tools that are offered to the model, and which of them it shall use.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::string_enum::string_enum;
use super::unknown_fields::{Json, UnknownFields};
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// A tool that the model may call.
#[derive(Clone, PartialEq)]
pub enum Tool {
    /// A function with arguments in JSON.
    Function(FunctionTool),
    /// A tool whose input is a text.
    Custom(CustomTool),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(Tool { Function(FunctionTool) => "function", Custom(CustomTool) => "custom" });

impl Tool {
    /// A function; `parameters` is the JSON Schema of its arguments.
    pub fn function(name: impl Into<String>, description: impl Into<String>, parameters: Json) -> Self {
        let function = FunctionDefinition {
            name: name.into(),
            description: Some(description.into()),
            parameters: Some(parameters),
            ..FunctionDefinition::default()
        };
        Self::Function(FunctionTool {
            function,
            ..FunctionTool::default()
        })
    }
}

/// A function that may be called.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionTool {
    /// What it is.
    pub function: FunctionDefinition,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FunctionTool {} always { function => "function" });

/// A function's name, purpose and parameters.
#[derive(Clone, Default, PartialEq)]
pub struct FunctionDefinition {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it is for; the model reads it.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; absent: it has none.
    pub parameters: Option<Json>,
    /// Whether arguments have to follow the schema exactly. Absent means that they need not.
    pub strict: Option<bool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(FunctionDefinition {
    description => "description",
    parameters => "parameters",
    strict => "strict",
} always { name => "name" });

/// A tool whose input is a text.
#[derive(Clone, Default, PartialEq)]
pub struct CustomTool {
    /// What it is.
    pub custom: CustomDefinition,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CustomTool {} always { custom => "custom" });

/// A custom tool's name, purpose and form of input.
#[derive(Clone, Default, PartialEq)]
pub struct CustomDefinition {
    /// Its name.
    pub name: String,
    /// What it is for; the model reads it.
    pub description: Option<String>,
    /// `{"type": "text"}`, or a grammar.
    pub format: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CustomDefinition { description => "description", format => "format" } always { name => "name" });

/// Whether the model calls tools, and which.
#[derive(Clone, PartialEq)]
pub enum ToolChoice {
    /// `none`, `auto` or `required`.
    Mode(ToolMode),
    /// This, by its name.
    Named(NamedTool),
}

/// Whether the model calls tools.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ToolMode {
    /// It calls none.
    None,
    /// It decides.
    Auto,
    /// It calls at least one.
    Required,
    /// Anything else.
    Other(Box<str>),
}

string_enum!(ToolMode { None => "none", Auto => "auto", Required => "required" });

/// A tool that the model shall call, or several of which it may call some.
#[derive(Clone, PartialEq)]
pub enum NamedTool {
    /// This function.
    Function(NamedFunction),
    /// This custom tool.
    Custom(NamedCustom),
    /// Only these, though others are offered.
    Allowed(AllowedTools),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(NamedTool {
    Function(NamedFunction) => "function",
    Custom(NamedCustom) => "custom",
    Allowed(AllowedTools) => "allowed_tools",
});

impl ToolChoice {
    /// This function.
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

impl Serialize for ToolChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Mode(mode) => mode.serialize(serializer),
            Self::Named(tool) => tool.serialize(serializer),
        }
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

/// A function by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedFunction {
    /// Its name.
    pub function: ToolName,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(NamedFunction {} always { function => "function" });

/// A custom tool by its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedCustom {
    /// Its name.
    pub custom: ToolName,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(NamedCustom {} always { custom => "custom" });

/// A name.
#[derive(Clone, Default, PartialEq)]
pub struct ToolName {
    /// It.
    pub name: String,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ToolName {} always { name => "name" });

/// Some of the tools that are offered.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedTools {
    /// Which, and whether one of them has to be called.
    pub allowed_tools: AllowedSet,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(AllowedTools {} always { allowed_tools => "allowed_tools" });

/// Which tools, and whether one of them has to be called.
#[derive(Clone, Default, PartialEq)]
pub struct AllowedSet {
    /// `auto` or `required`.
    pub mode: String,
    /// Each by type and name.
    pub tools: Vec<AllowedTool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(AllowedSet {} always { mode => "mode", tools => "tools" });

/// One of the tools that may be called. Not any [`NamedTool`]: then one set could be within the other without end.
#[derive(Clone, PartialEq)]
pub enum AllowedTool {
    /// This function.
    Function(NamedFunction),
    /// This custom tool.
    Custom(NamedCustom),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(AllowedTool { Function(NamedFunction) => "function", Custom(NamedCustom) => "custom" });

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
