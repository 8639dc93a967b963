//! Tools that a request for a response offers, as a chat offers them.

use serde_json::{Map, Value, json};

use super::request::ChatCapabilities;
use crate::chat::{CustomDefinition, CustomTool, FunctionDefinition, FunctionTool, Json, Tool, ToolChoice};
use crate::responses::ResponsesTool;
use crate::translate::Untranslatable;
use crate::translate::unknown_fields::carried;

const HOSTED: &str = "only the Responses API's own providers run this tool";
const NO_CUSTOM: &str = "this model has no custom tools; offer a function";

pub(super) fn tool(
    at: usize,
    tool: &ResponsesTool,
    accent: ChatCapabilities,
    dropped: &mut Vec<String>,
) -> Result<Tool, Untranslatable> {
    let path = format!("tools[{at}]");
    Ok(match tool {
        ResponsesTool::Function(tool) => Tool::Function(FunctionTool {
            function: FunctionDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: tool.strict,
                extra: carried(&tool.extra, &[], &path, dropped),
            },
            ..FunctionTool::default()
        }),
        ResponsesTool::Custom(_) if !accent.openai_only => {
            return Err(Untranslatable::new(format!("{path}.type"), NO_CUSTOM));
        }
        ResponsesTool::Custom(tool) => Tool::Custom(CustomTool {
            custom: CustomDefinition {
                name: tool.name.clone(),
                description: tool.description.clone(),
                format: tool.format.as_ref().map(nested_grammar),
                extra: carried(&tool.extra, &[], &path, dropped),
            },
            ..CustomTool::default()
        }),
        ResponsesTool::Other(_) => return Err(Untranslatable::new(format!("{path}.type"), HOSTED)),
    })
}

/// `{"type": "grammar", "syntax": …}` is nested in a chat.
fn nested_grammar(format: &Json) -> Json {
    let value = format.value();
    let Value::Object(mut members) = value else {
        return format.clone();
    };
    if members.get("type").and_then(Value::as_str) != Some("grammar") || members.contains_key("grammar") {
        return format.clone();
    }
    members.remove("type");
    Json::of(&json!({"type": "grammar", "grammar": members})).unwrap_or_else(|_| format.clone())
}

/// What is chosen, and where the provider cannot be told that it has only these: to which tools the offer has to shrink.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) choice: Option<ToolChoice>,
    pub(super) only: Option<Only>,
}

/// Some tools, by type and name.
pub(super) struct Only(Vec<(String, String)>);

impl Only {
    pub(super) fn allows(&self, tool: &Tool) -> bool {
        let is = |kind: &str, name: &str| self.0.iter().any(|known| known.0 == kind && known.1 == name);
        match tool {
            Tool::Function(tool) => is("function", &tool.function.name),
            Tool::Custom(tool) => is("custom", &tool.custom.name),
            Tool::Other(_) => false,
        }
    }
}

pub(super) fn tool_choice(
    choice: &Json,
    accent: ChatCapabilities,
    dropped: &mut Vec<String>,
) -> Result<Choice, Untranslatable> {
    const PATH: &str = "tool_choice";
    match choice.value() {
        mode @ Value::String(_) => chosen(&mode),
        Value::Object(members) => match members.get("type").and_then(Value::as_str) {
            Some("allowed_tools") => allowed(&members, accent, dropped),
            _ => chosen(&nested(&members, PATH, dropped)?),
        },
        _ => Err(Untranslatable::new(PATH, "it has to be a text or an object")),
    }
}

fn chosen(choice: &Value) -> Result<Choice, Untranslatable> {
    let json = Json::of(choice).ok();
    let choice = json.and_then(|json| serde_json::from_str(json.get()).ok());
    let choice = choice.ok_or_else(|| Untranslatable::new("tool_choice", "it cannot be read"))?;
    Ok(Choice {
        choice: Some(choice),
        only: None,
    })
}

fn allowed(
    members: &Map<String, Value>,
    accent: ChatCapabilities,
    dropped: &mut Vec<String>,
) -> Result<Choice, Untranslatable> {
    report(members, &["type", "mode", "tools"], "tool_choice", dropped);
    let mode = members.get("mode").cloned().unwrap_or_default();
    let tools = members.get("tools").and_then(Value::as_array);
    let tools = tools.into_iter().flatten().enumerate().map(|(at, tool)| {
        let path = format!("tool_choice.tools[{at}]");
        match tool {
            Value::Object(members) => nested(members, &path, dropped),
            _ => Err(Untranslatable::new(path, "it has to be an object")),
        }
    });
    let tools = tools.collect::<Result<Vec<_>, _>>()?;
    if accent.openai_only {
        return chosen(&json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = tools.iter().map(|tool| {
        let kind = text(&tool["type"]);
        let name = text(&tool[kind.as_str()]["name"]);
        (kind, name)
    });
    Ok(Choice {
        only: Some(Only(names.collect())),
        ..chosen(&mode)?
    })
}

fn nested(
    members: &Map<String, Value>,
    path: &str,
    dropped: &mut Vec<String>,
) -> Result<Value, Untranslatable> {
    match members.get("type").and_then(Value::as_str) {
        Some(kind @ ("function" | "custom")) => {
            report(members, &["type", "name"], path, dropped);
            let name = members.get("name").cloned().unwrap_or_default();
            Ok(json!({"type": kind, kind: {"name": name}}))
        }
        _ => Err(Untranslatable::new(format!("{path}.type"), HOSTED)),
    }
}

fn report(members: &Map<String, Value>, placed: &[&str], path: &str, dropped: &mut Vec<String>) {
    let others = members.keys().filter(|name| !placed.contains(&name.as_str()));
    dropped.extend(others.map(|name| format!("{path}.{name}")));
}
