//! Tools that a chat offers, as they are offered there.

use serde_json::{Value, json};

use crate::chat::{AllowedTool, Json, NamedTool, Tool, ToolChoice, ToolName, UnknownFields};
use crate::responses::{CustomResponsesTool, FunctionResponsesTool, ResponsesTool};
use crate::translate::Untranslatable;
use crate::translate::unknown_fields::{carried, left_out};

const UNKNOWN: &str = "this type is not known, so it cannot be translated";

pub(super) fn tool(
    at: usize,
    tool: &Tool,
    dropped: &mut Vec<String>,
) -> Result<ResponsesTool, Untranslatable> {
    let path = format!("tools[{at}]");
    Ok(match tool {
        Tool::Function(tool) => {
            left_out(&tool.extra, &path, dropped);
            let function = &tool.function;
            let nothing = || Json::of(&json!({"type": "object", "properties": {}})).ok();
            let path = format!("{path}.function");
            ResponsesTool::Function(FunctionResponsesTool {
                name: function.name.clone(),
                description: function.description.clone(),
                parameters: function.parameters.clone().or_else(nothing),
                // Absent means false in one format and true in the other.
                strict: Some(function.strict.unwrap_or(false)),
                extra: carried(&function.extra, &["type"], &path, dropped),
            })
        }
        Tool::Custom(tool) => {
            left_out(&tool.extra, &path, dropped);
            let path = format!("{path}.custom");
            ResponsesTool::Custom(CustomResponsesTool {
                name: tool.custom.name.clone(),
                description: tool.custom.description.clone(),
                format: tool.custom.format.as_ref().map(flat_grammar),
                extra: carried(&tool.custom.extra, &["type"], &path, dropped),
            })
        }
        Tool::Other(_) => return Err(Untranslatable::new(format!("{path}.type"), UNKNOWN)),
    })
}

/// `{"type": "grammar", "grammar": {…}}` is flat in the other format.
fn flat_grammar(format: &Json) -> Json {
    let mut value = format.value();
    let members = value.as_object_mut();
    let flat = members.and_then(|members| match members.remove("grammar") {
        Some(Value::Object(grammar)) => {
            members.extend(grammar);
            Json::of(members).ok()
        }
        _ => None,
    });
    flat.unwrap_or_else(|| format.clone())
}

pub(super) fn tool_choice(choice: &ToolChoice, dropped: &mut Vec<String>) -> Result<Json, Untranslatable> {
    let json = match choice {
        ToolChoice::Mode(mode) => json!(mode.as_str()),
        ToolChoice::Named(tool) => named(tool, dropped)?,
    };
    Json::of(&json).map_err(|_| Untranslatable::new("tool_choice", "it cannot be written"))
}

fn named(tool: &NamedTool, dropped: &mut Vec<String>) -> Result<Value, Untranslatable> {
    const PATH: &str = "tool_choice";
    Ok(match tool {
        NamedTool::Function(named) => flat("function", &named.function, &named.extra, PATH, dropped),
        NamedTool::Custom(named) => flat("custom", &named.custom, &named.extra, PATH, dropped),
        NamedTool::Allowed(allowed) => {
            left_out(&allowed.extra, PATH, dropped);
            let set = &allowed.allowed_tools;
            left_out(&set.extra, "tool_choice.allowed_tools", dropped);
            let tools = set.tools.iter().enumerate();
            let tools = tools.map(|(at, tool)| {
                let path = format!("tool_choice.allowed_tools.tools[{at}]");
                Ok(match tool {
                    AllowedTool::Function(named) => {
                        flat("function", &named.function, &named.extra, &path, dropped)
                    }
                    AllowedTool::Custom(named) => flat("custom", &named.custom, &named.extra, &path, dropped),
                    AllowedTool::Other(_) => {
                        return Err(Untranslatable::new(format!("{path}.type"), UNKNOWN));
                    }
                })
            });
            json!({"type": "allowed_tools", "mode": set.mode, "tools": tools.collect::<Result<Vec<_>, _>>()?})
        }
        NamedTool::Other(_) => return Err(Untranslatable::new("tool_choice.type", UNKNOWN)),
    })
}

fn flat(kind: &str, tool: &ToolName, outer: &UnknownFields, path: &str, dropped: &mut Vec<String>) -> Value {
    left_out(outer, path, dropped);
    left_out(&tool.extra, &format!("{path}.{kind}"), dropped);
    json!({"type": kind, "name": tool.name})
}
