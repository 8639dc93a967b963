//! An output item of a response: a message, a function call, or reasoning. An item is encoded as a JSON object and as
//! the stream events that build the object.

use serde_json::{Value, json};

use crate::answer_text::AnswerText;

/// An output item of a response.
#[derive(Clone, Debug)]
pub(super) struct SimulatedItem {
    pub(super) id: String,
    pub(super) kind: OutputItemKind,
    pub(super) text: AnswerText,
    /// Whether the text is complete; `false` if the text was truncated.
    pub(super) complete: bool,
}

#[derive(Clone, Debug)]
pub(super) enum OutputItemKind {
    Message,
    Refusal,
    FunctionCall {
        call_id: String,
        name: String,
    },
    Reasoning {
        visibility: ReasoningVisibility,
        encrypted: Option<String>,
    },
}

/// How a response shows the reasoning: as raw text, as a summary, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReasoningVisibility {
    Raw,
    Summary,
    Hidden,
}

/// The names of the events and JSON members that carry the text of an item.
struct EventNames {
    /// Prefix of the types of the two events that open and close the content part, such as
    /// `response.content_part`. `None` if the text of the item is not in a content part.
    part: Option<&'static str>,
    /// Prefix of the types of the events that carry the text, such as `response.output_text`.
    text: &'static str,
    /// The name of the JSON member that holds the zero-based index of the content part.
    part_index: &'static str,
    /// The name of the JSON member that holds the full text in the event that ends the text.
    full_text: &'static str,
}

const CONTENT_PART: Option<&str> = Some("response.content_part");

impl SimulatedItem {
    /// Returns the number of stream events that build the item.
    pub(super) fn event_count(&self) -> usize {
        let names = self.kind.event_names();
        2 + names.map_or(0, |names| {
            let parts = if names.part.is_some() { 2 } else { 0 };
            parts + self.text.pieces() + 1
        })
    }

    /// Returns the stream events that build the item, without sequence numbers. `output_index` is the zero-based index
    /// of the item in the response.
    pub(super) fn events(self, output_index: usize) -> impl Iterator<Item = Value> + Send + 'static {
        let last = self.event_count() - 1;
        (0..=last).map(move |position| match position {
            0 => json!({"type": "response.output_item.added", "output_index": output_index, "item": self.open_object()}),
            end if end == last => {
                json!({"type": "response.output_item.done", "output_index": output_index, "item": self.closed_object()})
            }
            inner => {
                let mut event = self.inner_event(inner - 1);
                event["item_id"] = json!(self.id);
                event["output_index"] = json!(output_index);
                event
            }
        })
    }

    /// Returns the JSON object of the finished item.
    pub(super) fn closed_object(&self) -> Value {
        let status = if self.complete { "completed" } else { "incomplete" };
        let text = self.text.full_text();
        let mut item = self.empty_object(status);
        match &self.kind {
            OutputItemKind::Message | OutputItemKind::Refusal => item["content"] = json!([self.part(&text)]),
            OutputItemKind::FunctionCall { .. } => item["arguments"] = json!(text),
            OutputItemKind::Reasoning {
                visibility,
                encrypted,
            } => {
                match visibility {
                    ReasoningVisibility::Raw => item["content"] = json!([self.part(&text)]),
                    ReasoningVisibility::Summary => item["summary"] = json!([self.part(&text)]),
                    ReasoningVisibility::Hidden => {}
                }
                if let Some(encrypted) = encrypted {
                    item["encrypted_content"] = json!(encrypted);
                }
            }
        }
        item
    }

    /// Returns the JSON object of the item before any content is streamed.
    fn open_object(&self) -> Value {
        self.empty_object("in_progress")
    }

    fn empty_object(&self, status: &str) -> Value {
        let id = &self.id;
        match &self.kind {
            OutputItemKind::Message | OutputItemKind::Refusal => {
                json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": []})
            }
            OutputItemKind::FunctionCall { call_id, name } => json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": "",
            }),
            OutputItemKind::Reasoning { .. } => {
                json!({"id": id, "type": "reasoning", "status": status, "summary": []})
            }
        }
    }

    fn part(&self, text: &str) -> Value {
        match self.kind {
            OutputItemKind::Refusal => json!({"type": "refusal", "refusal": text}),
            OutputItemKind::Reasoning {
                visibility: ReasoningVisibility::Summary,
                ..
            } => json!({"type": "summary_text", "text": text}),
            OutputItemKind::Reasoning { .. } => json!({"type": "reasoning_text", "text": text}),
            OutputItemKind::Message | OutputItemKind::FunctionCall { .. } => {
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
            }
        }
    }

    /// Returns one of the events between the event that opens the item and the event that closes the item.
    /// `position` is the zero-based index among the events in between.
    fn inner_event(&self, position: usize) -> Value {
        let Some(names) = self.kind.event_names() else {
            return Value::Null;
        };
        let Some(part) = names.part else {
            return self.text_event(&names, position);
        };
        let last = self.event_count() - 3;
        let mut event = match position {
            0 => json!({"type": format!("{part}.added"), "part": self.part("")}),
            end if end == last => {
                json!({"type": format!("{part}.done"), "part": self.part(&self.text.full_text())})
            }
            inner => self.text_event(&names, inner - 1),
        };
        event[names.part_index] = json!(0);
        event
    }

    fn text_event(&self, names: &EventNames, position: usize) -> Value {
        let mut event = if position < self.text.pieces() {
            json!({"type": format!("{}.delta", names.text), "delta": self.text.piece(position)})
        } else {
            json!({"type": format!("{}.done", names.text), names.full_text: self.text.full_text()})
        };
        match &self.kind {
            OutputItemKind::Message => event["logprobs"] = json!([]),
            OutputItemKind::FunctionCall { name, .. } if event.get("delta").is_none() => {
                event["name"] = json!(name);
            }
            OutputItemKind::FunctionCall { .. }
            | OutputItemKind::Refusal
            | OutputItemKind::Reasoning { .. } => {}
        }
        event
    }
}

impl OutputItemKind {
    fn event_names(&self) -> Option<EventNames> {
        let content = EventNames {
            part: CONTENT_PART,
            text: "response.output_text",
            part_index: "content_index",
            full_text: "text",
        };
        Some(match self {
            Self::Message => content,
            Self::Refusal => EventNames {
                text: "response.refusal",
                full_text: "refusal",
                ..content
            },
            Self::FunctionCall { .. } => EventNames {
                part: None,
                text: "response.function_call_arguments",
                full_text: "arguments",
                ..content
            },
            Self::Reasoning {
                visibility: ReasoningVisibility::Raw,
                ..
            } => EventNames {
                text: "response.reasoning_text",
                ..content
            },
            Self::Reasoning {
                visibility: ReasoningVisibility::Summary,
                ..
            } => EventNames {
                part: Some("response.reasoning_summary_part"),
                text: "response.reasoning_summary_text",
                part_index: "summary_index",
                ..content
            },
            Self::Reasoning {
                visibility: ReasoningVisibility::Hidden,
                ..
            } => return None,
        })
    }
}
