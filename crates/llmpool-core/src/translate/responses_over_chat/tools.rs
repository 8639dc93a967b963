//! Translation of the fields `tools` and `tool_choice` of a Responses request to those of a chat request.

use serde_json::{Map, Value, json};

use super::capabilities::ChatCapabilities;
use crate::chat::{
    CustomDefinition, CustomTool, FunctionDefinition, FunctionTool, Json, Tool, ToolChoice, UnknownFields,
};
use crate::responses::ResponsesTool;
use crate::translate::UnsupportedField;
use crate::translate::dropped_fields::DroppedFields;
use crate::translate::tagged_object;
use crate::translate::unsupported_field::{HOSTED_TOOL, NO_CUSTOM_TOOLS, translate_each, unsupported};

const TOOL_CHOICE: &str = "tool_choice";

pub(super) fn translate_tool(
    tool: &ResponsesTool,
    path: &str,
    capabilities: ChatCapabilities,
    dropped: &mut DroppedFields,
) -> Result<Tool, UnsupportedField> {
    let unsupported_type = |reason| unsupported(format!("{path}.type"), reason);
    Ok(match tool {
        ResponsesTool::Function(tool) => Tool::Function(FunctionTool {
            function: FunctionDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: tool.strict,
                extra: chat_extra(&tool.extra, path, dropped)?,
            },
            ..FunctionTool::default()
        }),
        ResponsesTool::Custom(_) if !capabilities.openai_extensions => {
            return unsupported_type(NO_CUSTOM_TOOLS);
        }
        ResponsesTool::Custom(tool) => Tool::Custom(CustomTool {
            custom: CustomDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                format: tool.format.as_ref().map(custom_format),
                extra: chat_extra(&tool.extra, path, dropped)?,
            },
            ..CustomTool::default()
        }),
        ResponsesTool::Other(_) => return unsupported_type(HOSTED_TOOL),
    })
}

/// Returns the unknown fields of a tool without those that only the Responses API has, which it reports as
/// dropped.
///
/// Returns an error if only programs of the provider may call the tool, because in a chat the model would call
/// the tool itself.
fn chat_extra(
    extra: &UnknownFields,
    path: &str,
    dropped: &mut DroppedFields,
) -> Result<UnknownFields, UnsupportedField> {
    const CALLERS: &str = "allowed_callers";
    const RESPONSES_ONLY: [&str; 4] = [CALLERS, "async", "defer_loading", "output_schema"];
    let callers = extra.get(CALLERS).map(Json::value);
    let callers = callers.as_ref().and_then(Value::as_array);
    if callers.is_some_and(|callers| !callers.iter().any(|caller| caller == "direct")) {
        let reason = "a chat has no programs that call tools; allow the caller `direct`";
        return unsupported(format!("{path}.{CALLERS}"), reason);
    }
    Ok(dropped.keep_unknown(extra, &RESPONSES_ONLY, path))
}

/// Translates the input format of a custom tool. Chat Completions nests the fields of a grammar in a
/// `grammar` object. All other formats are the same in both APIs.
fn custom_format(format: &Json) -> Json {
    match format.value().get("type").and_then(Value::as_str) {
        Some("grammar") => tagged_object::nest(format),
        _ => format.clone(),
    }
}

/// The `tool_choice` of a chat request, and the tools to which the choice restricts the request.
#[derive(Default)]
pub(super) struct ChatToolChoice {
    pub(super) choice: Option<ToolChoice>,
    /// The only tools to send, if the client restricts the tools and the provider does not support
    /// `allowed_tools`. `None` if all tools are sent.
    pub(super) allowed: Option<AllowedNames>,
}

/// Names and types of the tools that the model may call, in the form that `allowed_tools` has in a chat
/// request.
pub(super) struct AllowedNames(Vec<Value>);

impl AllowedNames {
    pub(super) fn contains(&self, tool: &Tool) -> bool {
        let name = match tool {
            Tool::Function(tool) => nested_name("function", &tool.function.name.as_str().into()),
            Tool::Custom(tool) => nested_name("custom", &tool.custom.name.as_str().into()),
            Tool::Other(_) => return false,
        };
        self.0.contains(&name)
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
            _ => parse_choice(&named_tool(&members, TOOL_CHOICE, dropped)?),
        },
        _ => unsupported(TOOL_CHOICE, "expected a string or an object"),
    }
}

fn parse_choice(choice: &Value) -> Result<ChatToolChoice, UnsupportedField> {
    let json = Json::of(choice).ok();
    let choice = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let choice = choice.ok_or_else(|| UnsupportedField::new(TOOL_CHOICE, "the value cannot be parsed"))?;
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
    let tools = tools.map_or(&[][..], Vec::as_slice);
    let tools = translate_each(tools, "tool_choice.tools", |tool, path| match tool {
        Value::Object(members) => named_tool(members, &path, dropped),
        _ => unsupported(path, "expected an object"),
    })?;
    if capabilities.openai_extensions {
        return parse_choice(
            &json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}),
        );
    }
    Ok(ChatToolChoice {
        allowed: Some(AllowedNames(tools)),
        ..parse_choice(&mode)?
    })
}

fn named_tool(
    members: &Map<String, Value>,
    path: &str,
    dropped: &mut DroppedFields,
) -> Result<Value, UnsupportedField> {
    match members.get("type").and_then(Value::as_str) {
        Some(kind @ ("function" | "custom")) => {
            drop_others(members, &["type", "name"], path, dropped);
            Ok(nested_name(kind, members.get("name").unwrap_or(&Value::Null)))
        }
        _ => unsupported(format!("{path}.type"), HOSTED_TOOL),
    }
}

fn nested_name(kind: &str, name: &Value) -> Value {
    json!({"type": kind, kind: {"name": name}})
}

fn drop_others(members: &Map<String, Value>, kept: &[&str], path: &str, dropped: &mut DroppedFields) {
    let names = members.keys().map(String::as_str);
    dropped.push_members(names.filter(|name| !kept.contains(name)), path);
}
