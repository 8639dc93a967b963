//! Samples of the official SDKs' types: the smallest JSON objects that contain a given field.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value, json};

/// The fields of the official SDKs' types, as printed by `fields.py`.
pub(crate) struct SdkFields(BTreeMap<&'static str, Field>);

#[derive(Clone, Copy)]
pub(crate) struct Field {
    shape: &'static str,
    is_required: bool,
}

/// Which of two different values a field gets.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Choice {
    First,
    Second,
}

impl Choice {
    fn mark(self) -> &'static str {
        match self {
            Self::First => "canary-1",
            Self::Second => "canary-2",
        }
    }
}

impl SdkFields {
    pub(crate) fn parse(text: &'static str) -> Self {
        let lines = text.lines().map(|line| {
            let mut words = line.split(' ');
            let path = words.next().unwrap();
            let shape = words.next().unwrap();
            let is_required = words.next() == Some("required");
            (path, Field { shape, is_required })
        });
        Self(lines.collect())
    }

    /// Returns the paths of all fields without fields of their own that start with `root`, each with its segments after the root.
    pub(crate) fn leaves(&self, root: &str) -> Vec<(&'static str, Vec<&'static str>)> {
        let starts = |path: &&&str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.starts_with(['.', '(']))
        };
        let paths = self.0.keys().filter(starts).copied();
        // The objects of a field with the shape `object` but without fields have a root of their own.
        let is_object = |path: &&'static str| {
            let shape = self.0[path].shape;
            shape.starts_with("by:") || shape.ends_with("object")
        };
        let leaves = paths.filter(|path| !is_object(path) && !self.has_children(path));
        leaves.map(|path| (path, segments(path).split_off(2))).collect()
    }

    fn has_children(&self, path: &str) -> bool {
        ["(", "."]
            .iter()
            .any(|mark| self.first(&format!("{path}{mark}")).is_some())
    }

    fn from(&self, start: &str) -> impl Iterator<Item = (&&'static str, &Field)> {
        self.0.range::<str, _>((Bound::Included(start), Bound::Unbounded))
    }

    fn first(&self, start: &str) -> Option<&'static str> {
        let (path, _) = self.from(start).next()?;
        path.starts_with(start).then_some(*path)
    }

    /// Returns the object at `head` with its required fields and the field at `path`, which is relative to `head`. The field gets the value
    /// `choice`. Returns `None` if the field has only one possible value.
    pub(crate) fn sample(&self, head: &str, path: &[&str], choice: Choice) -> Option<Value> {
        let mut object = Map::new();
        if let Some((_, tag)) = tag(head) {
            let key = self
                .0
                .get(head)
                .map_or("type", |field| field.shape.trim_start_matches("by:"));
            object.insert(key.to_owned(), json!(tag));
        }
        for (child, field) in self.children(head) {
            let name = segments(child).pop().unwrap();
            let wanted = path.first().filter(|wanted| untagged(wanted) == name);
            let value = match wanted {
                // The SDKs do not say what an element of this list is.
                Some(_) if child.ends_with("(allowed_tools).allowed_tools.tools") => {
                    json!([{"type": "function", "function": {"name": choice.mark()}}])
                }
                Some(_) if child.ends_with("(allowed_tools).tools") => {
                    json!([{"type": "function", "name": choice.mark()}])
                }
                Some(_) if path.len() == 1 => field.value(choice)?,
                Some(wanted) => {
                    let inner = self.sample(&format!("{head}.{wanted}"), &path[1..], choice)?;
                    if field.shape.starts_with("list:") {
                        json!([inner])
                    } else {
                        inner
                    }
                }
                None if field.is_required => self.default(child, name, field),
                None => continue,
            };
            object.insert(name.to_owned(), value);
        }
        Some(Value::Object(object))
    }

    fn children(&self, head: &str) -> Vec<(&'static str, Field)> {
        let start = format!("{head}.");
        let below = self.from(&start).take_while(|(path, _)| path.starts_with(&start));
        let direct = below.filter(|(path, _)| {
            let rest = &path[start.len()..];
            !rest.contains(['.', '('])
        });
        direct.map(|(path, field)| (*path, *field)).collect()
    }

    /// Returns any value of a required field.
    fn default(&self, path: &str, name: &str, field: Field) -> Value {
        if let Some(value) = default_of_cut(path, name) {
            return value;
        }
        if !self.has_children(path) {
            return field
                .value(Choice::First)
                .unwrap_or_else(|| json!(field.first_text()));
        }
        let tagged = self.first(&format!("{path}("));
        let head = tagged.map_or(path, |tagged| {
            &tagged[..=path.len() + tagged[path.len()..].find(')').unwrap()]
        });
        let head = if head.ends_with(')') { head } else { path };
        let inner = self.sample(head, &[], Choice::First).unwrap();
        if field.shape.starts_with("list:") {
            json!([inner])
        } else {
            inner
        }
    }
}

impl Field {
    fn first_text(self) -> &'static str {
        self.shape
            .trim_start_matches("list:")
            .trim_start_matches('=')
            .split('|')
            .next()
            .unwrap()
    }

    fn value(self, choice: Choice) -> Option<Value> {
        let is_first = choice == Choice::First;
        let mark = choice.mark();
        let list = self.shape.strip_prefix("list:");
        let value = match list.unwrap_or(self.shape) {
            "text" => json!(mark),
            "number" => json!(if is_first { 900_001 } else { 900_002 }),
            "boolean" => json!(is_first),
            texts if texts.starts_with('=') => {
                // The other reasons of an end without this one can mean the same.
                let others = || texts[1..].split('|').skip(1);
                let filter = others().find(|text| *text == "content_filter");
                let second = filter.or_else(|| others().next())?;
                json!(if is_first { self.first_text() } else { second })
            }
            _ => json!({"canary": mark}),
        };
        Some(if list.is_some() { json!([value]) } else { value })
    }
}

/// Returns a value for a required field whose objects have a root of their own.
fn default_of_cut(path: &str, name: &str) -> Option<Value> {
    let text = |kind: &str| json!([{"type": kind, "text": "t"}]);
    let is_item = path.starts_with("responses.item(");
    Some(match name {
        "messages" => json!([{"role": "user", "content": "t"}]),
        "summary" if is_item => text("summary_text"),
        "content" if is_item && path.contains("(reasoning)") => text("reasoning_text"),
        "content" if is_item => text("input_text"),
        "output" if path.starts_with("responses.answer") => json!([]),
        "output" if path.contains("call_output)") => json!("t"),
        "content" if path.starts_with("chat.message") => json!("t"),
        "tools" => json!([]),
        "tool_choice" => json!("auto"),
        "logprobs" | "function_call" | "refusal" if path.starts_with("chat.") => Value::Null,
        "instructions" if path.starts_with("responses.answer") => Value::Null,
        "error" | "incomplete_details" if path.starts_with("responses.answer") => Value::Null,
        _ => return None,
    })
}

/// Splits a path at the dots outside of parentheses.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), 0, 0);
    for (index, byte) in path.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'.' if depth == 0 => {
                found.push(&path[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    found.push(&path[start..]);
    found
}

pub(crate) fn untagged(segment: &str) -> &str {
    segment.split('(').next().unwrap()
}

fn tag(head: &str) -> Option<(&str, &str)> {
    let last = segments(head).pop()?;
    last.strip_suffix(')')?.split_once('(')
}
