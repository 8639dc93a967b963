//! One item of an answer: a message, a call, or reasoning; whole, and as the events that build it.

use serde_json::{Value, json};

use crate::words::Words;

/// An item that has come to its end, or to the end of what was allowed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) words: Words,
    pub(super) complete: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Message,
    Refusal,
    Call { call_id: String, name: String },
    Reasoning { shown: Shown, encrypted: Option<String> },
}

/// How much of its reasoning a model lets be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shown {
    Raw,
    Summary,
    Nothing,
}

/// How the text of an item travels.
struct Channel {
    /// The events that open and close its part, if it stands in one.
    part: Option<&'static str>,
    /// The events of its pieces and of its end.
    text: &'static str,
    /// What counts the parts.
    index: &'static str,
    /// Where the whole text stands in the last of them.
    whole: &'static str,
}

const CONTENT_PART: Option<&str> = Some("response.content_part");

impl Item {
    /// How many events build it.
    pub(super) fn event_count(&self) -> usize {
        let channel = self.kind.channel();
        2 + channel.map_or(0, |channel| {
            let parts = if channel.part.is_some() { 2 } else { 0 };
            parts + self.words.pieces() + 1
        })
    }

    /// The events that build it, in their order.
    pub(super) fn events(self, output_index: usize) -> impl Iterator<Item = Value> + Send + 'static {
        let last = self.event_count() - 1;
        (0..=last).map(move |position| match position {
            0 => json!({"type": "response.output_item.added", "output_index": output_index, "item": self.opened()}),
            end if end == last => {
                json!({"type": "response.output_item.done", "output_index": output_index, "item": self.closed()})
            }
            inner => {
                let mut event = self.inner_event(inner - 1);
                event["item_id"] = json!(self.id);
                event["output_index"] = json!(output_index);
                event
            }
        })
    }

    /// The item as it stands in the output.
    pub(super) fn closed(&self) -> Value {
        let status = if self.complete { "completed" } else { "incomplete" };
        let text = self.words.whole();
        let mut item = self.frame(status);
        match &self.kind {
            Kind::Message | Kind::Refusal => item["content"] = json!([self.part(&text)]),
            Kind::Call { .. } => item["arguments"] = json!(text),
            Kind::Reasoning { shown, encrypted } => {
                match shown {
                    Shown::Raw => item["content"] = json!([self.part(&text)]),
                    Shown::Summary => item["summary"] = json!([self.part(&text)]),
                    Shown::Nothing => {}
                }
                if let Some(encrypted) = encrypted {
                    item["encrypted_content"] = json!(encrypted);
                }
            }
        }
        item
    }

    /// The item before anything is in it.
    fn opened(&self) -> Value {
        self.frame("in_progress")
    }

    fn frame(&self, status: &str) -> Value {
        let id = &self.id;
        match &self.kind {
            Kind::Message | Kind::Refusal => {
                json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": []})
            }
            Kind::Call { call_id, name } => json!({
                "id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name, "arguments": "",
            }),
            Kind::Reasoning { .. } => {
                json!({"id": id, "type": "reasoning", "status": status, "summary": []})
            }
        }
    }

    fn part(&self, text: &str) -> Value {
        match self.kind {
            Kind::Refusal => json!({"type": "refusal", "refusal": text}),
            Kind::Reasoning {
                shown: Shown::Summary,
                ..
            } => json!({"type": "summary_text", "text": text}),
            Kind::Reasoning { .. } => json!({"type": "reasoning_text", "text": text}),
            Kind::Message | Kind::Call { .. } => {
                json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
            }
        }
    }

    /// What happens between the item's opening and its closing.
    fn inner_event(&self, position: usize) -> Value {
        let Some(channel) = self.kind.channel() else {
            return Value::Null;
        };
        let Some(part) = channel.part else {
            return self.text_event(&channel, position);
        };
        let last = self.event_count() - 3;
        let mut event = match position {
            0 => json!({"type": format!("{part}.added"), "part": self.part("")}),
            end if end == last => {
                json!({"type": format!("{part}.done"), "part": self.part(&self.words.whole())})
            }
            inner => self.text_event(&channel, inner - 1),
        };
        event[channel.index] = json!(0);
        event
    }

    fn text_event(&self, channel: &Channel, position: usize) -> Value {
        let mut event = if position < self.words.pieces() {
            json!({"type": format!("{}.delta", channel.text), "delta": self.words.piece(position)})
        } else {
            json!({"type": format!("{}.done", channel.text), channel.whole: self.words.whole()})
        };
        match &self.kind {
            Kind::Message => event["logprobs"] = json!([]),
            Kind::Call { name, .. } if event.get("delta").is_none() => event["name"] = json!(name),
            Kind::Call { .. } | Kind::Refusal | Kind::Reasoning { .. } => {}
        }
        event
    }
}

impl Kind {
    fn channel(&self) -> Option<Channel> {
        let content = Channel {
            part: CONTENT_PART,
            text: "response.output_text",
            index: "content_index",
            whole: "text",
        };
        Some(match self {
            Self::Message => content,
            Self::Refusal => Channel {
                text: "response.refusal",
                whole: "refusal",
                ..content
            },
            Self::Call { .. } => Channel {
                part: None,
                text: "response.function_call_arguments",
                whole: "arguments",
                ..content
            },
            Self::Reasoning {
                shown: Shown::Raw, ..
            } => Channel {
                text: "response.reasoning_text",
                ..content
            },
            Self::Reasoning {
                shown: Shown::Summary,
                ..
            } => Channel {
                part: Some("response.reasoning_summary_part"),
                text: "response.reasoning_summary_text",
                index: "summary_index",
                ..content
            },
            Self::Reasoning {
                shown: Shown::Nothing,
                ..
            } => return None,
        })
    }
}
