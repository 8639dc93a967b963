//! Tool definitions and `tool_choice` of a Responses request to those of a chat request.

use serde_json::{Map, Value, json};

use super::capabilities::ChatCapabilities;
use crate::chat::{CustomDefinition, CustomTool, FunctionDefinition, FunctionTool, Json, Tool, ToolChoice};
use crate::responses::ResponsesTool;
use crate::translate::UnsupportedField;
use crate::translate::dropped_fields::DroppedFields;
use crate::translate::tagged_object;
use crate::translate::unsupported_field::{HOSTED_TOOL, NO_CUSTOM_TOOLS};

const TOOL_CHOICE: &str = "tool_choice";

pub(super) fn translate_tool(
    index: usize,
    tool: &ResponsesTool,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) -> Result<Tool, UnsupportedField> {
    let path = format!("tools[{index}]");
    let unsupported = |reason| Err(UnsupportedField::new(format!("{path}.type"), reason));
    Ok(match tool {
        ResponsesTool::Function(tool) => Tool::Function(FunctionTool {
            function: FunctionDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: tool.strict,
                extra: dropped.keep_unknown(&tool.extra, &[], &path),
            },
            ..FunctionTool::default()
        }),
        ResponsesTool::Custom(_) if !capabilities.openai_extensions => return unsupported(NO_CUSTOM_TOOLS),
        ResponsesTool::Custom(tool) => Tool::Custom(CustomTool {
            custom: CustomDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                format: tool.format.as_ref().map(custom_format),
                extra: dropped.keep_unknown(&tool.extra, &[], &path),
            },
            ..CustomTool::default()
        }),
        ResponsesTool::Other(_) => return unsupported(HOSTED_TOOL),
    })
}

/// Nests a grammar. Other formats of a custom tool are the same in both formats.
fn custom_format(format: &Json) -> Json {
    match format.value().get("type").and_then(Value::as_str) {
        Some("grammar") => tagged_object::nest(format),
        _ => format.clone(),
    }
}

/// `tool_choice` of a chat request.
#[derive(Default)]
pub(super) struct ChatToolChoice {
    pub(super) choice: Option<ToolChoice>,
    /// The only tools to send, if the provider does not support `allowed_tools`.
    pub(super) allowed: Option<AllowedToolNames>,
}

/// Types and names of the tools that the model may call.
pub(super) struct AllowedToolNames(Vec<(String, String)>);

impl AllowedToolNames {
    pub(super) fn contains(&self, tool: &Tool) -> bool {
        let (kind, name) = match tool {
            Tool::Function(tool) => ("function", &tool.function.name),
            Tool::Custom(tool) => ("custom", &tool.custom.name),
            Tool::Other(_) => return false,
        };
        self.0
            .iter()
            .any(|allowed| allowed.0 == kind && allowed.1 == *name)
    }
}

pub(super) fn translate_tool_choice(
    choice: &Json,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) -> Result<ChatToolChoice, UnsupportedField> {
    match choice.value() {
        mode @ Value::String(_) => parse_choice(&mode),
        Value::Object(members) => match members.get("type").and_then(Value::as_str) {
            Some("allowed_tools") => allowed_tools(&members, capabilities, dropped),
            _ => parse_choice(&nested_name(&members, TOOL_CHOICE, dropped)?),
        },
        _ => Err(UnsupportedField::new(
            TOOL_CHOICE,
            "expected a string or an object",
        )),
    }
}

fn parse_choice(choice: &Value) -> Result<ChatToolChoice, UnsupportedField> {
    let json = Json::of(choice).ok();
    let choice = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let choice = choice.ok_or_else(|| UnsupportedField::new(TOOL_CHOICE, "it cannot be parsed"))?;
    Ok(ChatToolChoice {
        choice: Some(choice),
        allowed: None,
    })
}

fn allowed_tools(
    members: &Map<String, Value>,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) -> Result<ChatToolChoice, UnsupportedField> {
    drop_others(members, &["type", "mode", "tools"], TOOL_CHOICE, dropped);
    let mode = members.get("mode").cloned().unwrap_or_default();
    let tools = members.get("tools").and_then(Value::as_array);
    let tools = tools.into_iter().flatten().enumerate().map(|(index, tool)| {
        let path = format!("{TOOL_CHOICE}.tools[{index}]");
        match tool {
            Value::Object(members) => nested_name(members, &path, dropped),
            _ => Err(UnsupportedField::new(path, "expected an object")),
        }
    });
    let tools = tools.collect::<Result<Vec<_>, _>>()?;
    if capabilities.openai_extensions {
        return parse_choice(
            &json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}),
        );
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = tools.iter().map(|tool| {
        let kind = text(&tool["type"]);
        let name = text(&tool[kind.as_str()]["name"]);
        (kind, name)
    });
    Ok(ChatToolChoice {
        allowed: Some(AllowedToolNames(names.collect())),
        ..parse_choice(&mode)?
    })
}

/// Turns `{"type": kind, "name": …}` into `{"type": kind, kind: {"name": …}}`.
fn nested_name(
    members: &Map<String, Value>,
    path: &str,
    dropped: &mut DroppedFields,
) -> Result<Value, UnsupportedField> {
    match members.get("type").and_then(Value::as_str) {
        Some(kind @ ("function" | "custom")) => {
            drop_others(members, &["type", "name"], path, dropped);
            let name = members.get("name").cloned().unwrap_or_default();
            Ok(json!({"type": kind, kind: {"name": name}}))
        }
        _ => Err(UnsupportedField::new(format!("{path}.type"), HOSTED_TOOL)),
    }
}

fn drop_others(members: &Map<String, Value>, kept: &[&str], path: &str, dropped: &mut DroppedFields) {
    let names = members.keys().map(String::as_str);
    dropped.push_members(names.filter(|name| !kept.contains(name)), path);
}
