//! Translation of the fields `tools` and `tool_choice` of a chat request to those of a Responses request.

use serde_json::{Value, json};

use crate::chat::{AllowedTool, AllowedTools, Json, NamedTool, Tool, ToolChoice, ToolName, UnknownFields};
use crate::responses::{CustomResponsesTool, FunctionResponsesTool, ResponsesTool};
use crate::translate::UnsupportedField;
use crate::translate::dropped_fields::DroppedFields;
use crate::translate::tagged_object;
use crate::translate::unsupported_field::{UNKNOWN_TYPE, translate_each, unsupported};

pub(super) fn translate_tool(
    tool: &Tool,
    path: &str,
    dropped: &mut DroppedFields,
) -> Result<ResponsesTool, UnsupportedField> {
    Ok(match tool {
        Tool::Function(tool) => {
            dropped.push_unknown(&tool.extra, path);
            let function = &tool.function;
            let no_parameters = || Json::of(&json!({"type": "object", "properties": {}})).ok();
            ResponsesTool::Function(FunctionResponsesTool {
                name: function.name.clone(),
                description: function.description.clone(),
                parameters: function.parameters.clone().or_else(no_parameters),
                // An absent `strict` means false in chats and true in responses.
                strict: Some(function.strict.unwrap_or(false)),
                extra: dropped.keep_unknown(&function.extra, &["type"], &format!("{path}.function")),
            })
        }
        Tool::Custom(tool) => {
            dropped.push_unknown(&tool.extra, path);
            let custom = &tool.custom;
            ResponsesTool::Custom(CustomResponsesTool {
                name: custom.name.clone(),
                description: custom.description.clone(),
                format: custom.format.as_ref().map(tagged_object::flatten),
                extra: dropped.keep_unknown(&custom.extra, &["type"], &format!("{path}.custom")),
            })
        }
        Tool::Other(_) => return unsupported(format!("{path}.type"), UNKNOWN_TYPE),
    })
}

pub(super) fn translate_tool_choice(
    choice: &ToolChoice,
    dropped: &mut DroppedFields,
) -> Result<Json, UnsupportedField> {
    const PATH: &str = "tool_choice";
    let choice = match choice {
        ToolChoice::Mode(mode) => json!(mode.as_str()),
        ToolChoice::Named(NamedTool::Function(named)) => {
            flat_name("function", &named.function, &named.extra, PATH, dropped)
        }
        ToolChoice::Named(NamedTool::Custom(named)) => {
            flat_name("custom", &named.custom, &named.extra, PATH, dropped)
        }
        ToolChoice::Named(NamedTool::Allowed(allowed)) => allowed_tools(allowed, dropped)?,
        ToolChoice::Named(NamedTool::Other(_)) => {
            return unsupported("tool_choice.type", UNKNOWN_TYPE);
        }
    };
    Json::of(&choice).map_err(|_| UnsupportedField::new(PATH, "the value cannot be encoded as JSON"))
}

fn allowed_tools(allowed: &AllowedTools, dropped: &mut DroppedFields) -> Result<Value, UnsupportedField> {
    dropped.push_unknown(&allowed.extra, "tool_choice");
    let set = &allowed.allowed_tools;
    dropped.push_unknown(&set.extra, "tool_choice.allowed_tools");
    let tools = translate_each(
        &set.tools,
        "tool_choice.allowed_tools.tools",
        |tool, path| match tool {
            AllowedTool::Function(named) => Ok(flat_name(
                "function",
                &named.function,
                &named.extra,
                &path,
                dropped,
            )),
            AllowedTool::Custom(named) => {
                Ok(flat_name("custom", &named.custom, &named.extra, &path, dropped))
            }
            AllowedTool::Other(_) => unsupported(format!("{path}.type"), UNKNOWN_TYPE),
        },
    )?;
    Ok(json!({"type": "allowed_tools", "mode": set.mode, "tools": tools}))
}

/// Returns `{"type": kind, "name": …}`, by which a Responses request refers to a tool. If the chat request's
/// reference to the tool has unknown fields, reports these fields as dropped.
fn flat_name(
    kind: &str,
    tool: &ToolName,
    extra: &UnknownFields,
    path: &str,
    dropped: &mut DroppedFields,
) -> Value {
    dropped.push_unknown(extra, path);
    dropped.push_unknown(&tool.extra, &format!("{path}.{kind}"));
    json!({"type": kind, "name": tool.name})
}
