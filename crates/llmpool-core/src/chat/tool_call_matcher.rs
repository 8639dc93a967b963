//! Assigns tool call deltas to the tool calls of a message.
//!
//! Providers identify tool calls in different ways. Some send the index or the ID only in the first delta of
//! a call, some use the same index or ID for several calls, and some send complete calls with neither index
//! nor ID.
//!
//! A delta belongs to the call with the same ID. If no call has the same ID, the delta belongs to the call
//! with the same index, unless that call has a different ID. A delta with neither ID nor index belongs to the
//! last call.
//!
//! A delta that belongs to no call by these rules starts a new call. A delta also starts a new call if its
//! name differs from the name of the call found by these rules, or if it repeats that name and begins a new
//! JSON object after the arguments of that call end with `}`.

use super::tool::ToolCallDelta;

/// The tool calls of one message that have arrived so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolCallMatcher {
    calls: Vec<TrackedCall>,
}

#[derive(Clone, Debug, Default)]
struct TrackedCall {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    /// Whether the arguments received so far end with `}`, as a complete JSON object does.
    ends_like_object: bool,
}

impl ToolCallMatcher {
    /// Returns the zero-based position of the tool call that `delta` belongs to. If `delta` starts a new
    /// call, the call is added at the end.
    pub(crate) fn position_of(&mut self, delta: &ToolCallDelta) -> usize {
        let id = delta.id.as_deref().filter(|id| !id.is_empty());
        let index = delta.index();
        let fragment = CallFragment::of(delta);
        let continues = |call: &TrackedCall| !fragment.starts_another(call);
        let by_id = || {
            let has_id = |call: &TrackedCall| id.is_some() && call.id.as_deref() == id;
            self.calls
                .iter()
                .rposition(|call| has_id(call) && continues(call))
        };
        let by_index = || {
            let position = self
                .calls
                .iter()
                .rposition(|call| index.is_some() && call.index == index)?;
            let call = &self.calls[position];
            ((id.is_none() || call.id.is_none()) && continues(call)).then_some(position)
        };
        let last = || {
            let position = self.calls.len().checked_sub(1)?;
            (index.is_none() && id.is_none() && continues(&self.calls[position])).then_some(position)
        };
        let position = by_id().or_else(by_index).or_else(last).unwrap_or_else(|| {
            self.calls.push(TrackedCall {
                index,
                ..TrackedCall::default()
            });
            self.calls.len() - 1
        });
        self.calls[position].update(id, &fragment);
        position
    }
}

impl TrackedCall {
    fn update(&mut self, id: Option<&str>, fragment: &CallFragment<'_>) {
        if self.id.is_none() {
            self.id = id.map(str::to_owned);
        }
        if self.name.is_none() {
            self.name = fragment.name.map(str::to_owned);
        }
        if let Some(last) = fragment.arguments.trim_end().bytes().last() {
            self.ends_like_object = last == b'}';
        }
    }
}

/// The name and the arguments in a tool call delta. For a custom tool, the input takes the place of the
/// arguments.
struct CallFragment<'a> {
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> CallFragment<'a> {
    fn of(delta: &'a ToolCallDelta) -> Self {
        let (name, arguments) = match (&delta.function, &delta.custom) {
            (Some(function), _) => (&function.name, &function.arguments),
            (None, Some(custom)) => (&custom.name, &custom.input),
            (None, None) => (&None, &None),
        };
        Self {
            name: name.as_deref().filter(|name| !name.is_empty()),
            arguments: arguments.as_deref().unwrap_or_default(),
        }
    }

    /// Returns whether the fragment starts a new call instead of continuing `call`. A repeated name alone
    /// does not start a new call, because some providers send the name in every delta of a call.
    fn starts_another(&self, call: &TrackedCall) -> bool {
        match (self.name, call.name.as_deref()) {
            (Some(name), Some(known)) if name != known => true,
            (Some(_), Some(_)) => call.ends_like_object && self.arguments.trim_start().starts_with('{'),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn positions(deltas: &[Value]) -> Vec<usize> {
        let mut calls = ToolCallMatcher::default();
        let decode = |delta: &Value| serde_json::from_value::<ToolCallDelta>(delta.clone()).unwrap();
        deltas
            .iter()
            .map(|delta| calls.position_of(&decode(delta)))
            .collect()
    }

    fn delta(index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
        json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
    }

    // L72, L73
    #[test]
    fn delta_is_assigned_to_its_call_with_any_use_of_ids_and_indexes() {
        for (case, deltas, expected) in [
            (
                "index on every delta, id on the first",
                vec![
                    delta(Some(0), Some("a"), Some("f"), ""),
                    delta(Some(1), Some("b"), Some("g"), ""),
                    delta(Some(0), None, None, "{"),
                    delta(Some(1), None, None, "{}"),
                    delta(Some(0), None, None, "}"),
                ],
                vec![0, 1, 0, 1, 0],
            ),
            (
                "index, id and name on every delta",
                vec![
                    delta(Some(0), Some("a"), Some("f"), "{"),
                    delta(Some(0), Some("a"), Some("f"), "\"x\":{}"),
                    delta(Some(0), Some("a"), Some("f"), "}"),
                ],
                vec![0, 0, 0],
            ),
            (
                "new id at a used index",
                vec![
                    delta(Some(0), Some("a"), Some("f"), "{}"),
                    delta(Some(0), Some("b"), Some("f"), "{}"),
                    delta(Some(0), Some("a"), None, " "),
                ],
                vec![0, 1, 0],
            ),
            (
                "ids without indexes",
                vec![
                    delta(None, Some("a"), Some("f"), "{"),
                    delta(None, Some("b"), Some("f"), "{"),
                    delta(None, Some("a"), None, "}"),
                    delta(None, None, None, "}"),
                ],
                vec![0, 1, 0, 1],
            ),
            (
                "one index and empty ids, complete calls",
                vec![
                    delta(Some(0), Some(""), Some("f"), "{\"a\":1}"),
                    delta(Some(0), Some(""), Some("g"), "{\"b\":2}"),
                    delta(Some(0), Some(""), Some("g"), "{\"c\":3}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "one id at several indexes",
                vec![
                    delta(Some(0), Some("call"), Some("f"), "{}"),
                    delta(Some(1), Some("call"), Some("g"), "{}"),
                    delta(Some(2), Some("call"), Some("g"), "{}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "neither index nor id, complete calls",
                vec![
                    delta(None, None, Some("f"), "{}"),
                    delta(None, None, Some("g"), "{}"),
                    delta(None, None, Some("g"), "{}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "neither index nor id, several deltas",
                vec![
                    delta(None, None, Some("f"), ""),
                    delta(None, None, None, "{"),
                    delta(None, None, Some(""), "}"),
                    delta(None, None, Some("g"), "{}"),
                ],
                vec![0, 0, 0, 1],
            ),
            (
                "id on a later delta",
                vec![
                    delta(Some(0), None, Some("f"), ""),
                    delta(Some(0), Some("a"), None, "{}"),
                ],
                vec![0, 0],
            ),
        ] {
            assert_eq!(positions(&deltas), expected, "{case}");
        }
    }
}
