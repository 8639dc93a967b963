//! A request of the Responses API, as far as the simulator cares.

use std::collections::HashSet;

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::fields::{self, missing, text, wrong_type, wrong_value};
use super::input::Input;
use super::store::Memory;
use super::{Owner, Store};
use crate::chat::{Refusal, invalid, unreadable};
use crate::draft::{Asked, Wanted};

/// What a client asks for, checked.
#[derive(Debug)]
pub(crate) struct ResponsesRequest {
    pub(crate) model: String,
    pub(super) input: Input,
    /// All but the input.
    pub(super) fields: Map<String, Value>,
}

impl ResponsesRequest {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        fields::check(&fields)?;
        let input = Input::read(&fields.remove("input").unwrap_or_default())?;
        let request = Self {
            model: fields["model"].as_str().unwrap_or_default().to_owned(),
            input,
            fields,
        };
        request.check_tools()?;
        request.check_format()?;
        request.wanted()?;
        Ok(request)
    }

    /// What the earlier turns were, as this owner knows them; a refusal where it does not.
    pub(crate) fn history(&self, owner: Owner, seed: u64, store: &Store) -> Result<History, Refusal> {
        let earlier = match self.field("previous_response_id").as_str() {
            None => Memory::default(),
            Some(id) => {
                let known = store.response(owner, id).ok_or_else(unknown_response)?;
                Memory::clone(&known)
            }
        };
        if self
            .input
            .encrypted
            .iter()
            .any(|sealed| !owner.opens(seed, sealed))
        {
            return Err(foreign_content());
        }
        let mut calls = earlier.open_calls.clone();
        calls.extend(self.input.calls.iter().cloned());
        for id in &self.input.references {
            calls.extend(store.item(owner, id).ok_or_else(unknown_item)?);
        }
        if !self.input.outputs.is_subset(&calls) {
            let message = "No tool call found for a function call output.";
            return Err(invalid("input", message));
        }
        Ok(History {
            open_calls: calls.difference(&self.input.outputs).cloned().collect(),
            ..self.with_input(earlier)
        })
    }

    pub(crate) fn streams(&self) -> bool {
        self.field("stream") == true
    }

    pub(crate) fn has_stream_options(&self) -> bool {
        !self.field("stream_options").is_null()
    }

    pub(crate) fn max_tokens(&self) -> Option<usize> {
        let most = self.field("max_output_tokens").as_u64()?;
        Some(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Roughly the prompt's tokens: its words, with those of the turns before.
    pub(super) fn prompt_words(&self, history: &History) -> usize {
        history.words + self.instructions().split_whitespace().count()
    }

    /// The prompt's tokens as most providers estimate them before they have counted: a quarter of its characters.
    pub(crate) fn prompt_estimate(&self, history: &History) -> usize {
        (history.chars + self.instructions().chars().count()).div_ceil(4)
    }

    fn instructions(&self) -> &str {
        self.field("instructions").as_str().unwrap_or_default()
    }

    pub(super) fn stores(&self) -> bool {
        self.field("store") != false
    }

    pub(super) fn includes(&self, what: &str) -> bool {
        let asked = self.field("include").as_array();
        asked.is_some_and(|asked| asked.iter().any(|included| included == what))
    }

    pub(super) fn asked(&self, history: &History) -> Asked<'_> {
        let said = history.user_text.clone();
        Asked {
            wanted: self.wanted().unwrap_or(Wanted::Text),
            user_text: said.filter(|text| !text.trim().is_empty()),
            max_tokens: self.max_tokens(),
        }
    }

    /// A field; `null` where it is absent.
    pub(super) fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    /// Instructions are of this turn alone; all else goes on to the next.
    fn with_input(&self, earlier: Memory) -> History {
        History {
            words: earlier.words + self.input.words,
            chars: earlier.chars + self.input.chars,
            user_text: self.input.user_text.clone().or(earlier.user_text),
            ..History::default()
        }
    }

    fn check_tools(&self) -> Result<(), Refusal> {
        for (index, tool) in self.tools().enumerate() {
            let place = format!("tools[{index}]");
            if let "function" | "custom" = text(tool, &place, "type")? {
                text(tool, &place, "name")?;
            }
        }
        Ok(())
    }

    fn check_format(&self) -> Result<(), Refusal> {
        let place = "text.format";
        let format = &self.field("text")["format"];
        if format.is_null() {
            return Ok(());
        }
        match text(format, place, "type")? {
            "text" | "json_object" => Ok(()),
            "json_schema" if format["schema"].is_object() => text(format, place, "name").map(drop),
            "json_schema" => Err(missing("text.format.schema")),
            _ => Err(wrong_value(
                "text.format.type",
                "text, json_object or json_schema",
            )),
        }
    }

    /// What kind of answer is asked for; an error where a tool is forced that is not there.
    fn wanted(&self) -> Result<Wanted<'_>, Refusal> {
        let choice = self.field("tool_choice");
        let forced = match choice {
            Value::Null => return Ok(self.wanted_text()),
            Value::String(word) => match word.as_str() {
                "none" | "auto" => return Ok(self.wanted_text()),
                "required" => self.function(|_| true),
                _ => return Err(wrong_value("tool_choice", "none, auto, required or an object")),
            },
            choice => match text(choice, "tool_choice", "type")? {
                "function" => {
                    let wanted = text(choice, "tool_choice", "name")?;
                    self.function(|name| name == wanted)
                }
                "allowed_tools" => {
                    let allowed = choice["tools"].as_array();
                    let allowed = allowed.ok_or_else(|| wrong_type("tool_choice.tools", "an array"))?;
                    if choice["mode"] != "required" {
                        return Ok(self.wanted_text());
                    }
                    self.function(|name| allowed.iter().any(|tool| tool["name"] == name))
                }
                _ => return Ok(self.wanted_text()),
            },
        };
        forced.ok_or_else(|| invalid("tool_choice", "'tool_choice' names no function of 'tools'."))
    }

    fn wanted_text(&self) -> Wanted<'_> {
        let format = &self.field("text")["format"];
        match format["type"].as_str() {
            Some("json_schema") => Wanted::Json(&format["schema"]),
            Some("json_object") => Wanted::Json(&Value::Null),
            _ => Wanted::Text,
        }
    }

    fn function(&self, is_wanted: impl Fn(&str) -> bool) -> Option<Wanted<'_>> {
        let functions = self.tools().filter(|tool| tool["type"] == "function");
        let mut named = functions.filter_map(|tool| Some((tool["name"].as_str()?, &tool["parameters"])));
        let (name, parameters) = named.find(|(name, _)| is_wanted(name))?;
        Some(Wanted::ToolCall { name, parameters })
    }

    pub(super) fn tools(&self) -> impl Iterator<Item = &Value> {
        self.field("tools").as_array().into_iter().flatten()
    }
}

/// A conversation up to the answer that is now due.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(super) words: usize,
    pub(super) chars: usize,
    pub(super) user_text: Option<String>,
    pub(super) open_calls: HashSet<String>,
}

fn unknown_response() -> Refusal {
    let message = "Previous response with this id not found.";
    invalid("previous_response_id", message).coded("previous_response_not_found")
}

fn unknown_item() -> Refusal {
    let message = "An item that 'input' refers to is not found.";
    Refusal::new(StatusCode::NOT_FOUND, message, Some("input"))
}

fn foreign_content() -> Refusal {
    let message = "The encrypted content of a reasoning item could not be verified.";
    Refusal::new(StatusCode::BAD_REQUEST, message, None).coded("invalid_encrypted_content")
}
