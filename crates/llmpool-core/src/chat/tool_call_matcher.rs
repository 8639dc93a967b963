//! Assigns tool call deltas to the tool calls of a message.
//!
//! Providers identify tool calls in different ways. Some send the index or the ID only in the first delta of
//! a call, some use the same index or ID for several calls, and some send complete calls with neither index
//! nor ID. Some split the name over several deltas, and some repeat it in each.
//!
//! A delta belongs to the last call with the same index and ID, otherwise to the last call with the same ID,
//! otherwise to the last call with the same index, unless that call has a different ID. A delta with neither
//! ID nor index belongs to the last call.
//!
//! Some providers send a new ID with each piece of a call. A delta without a name therefore belongs to the last call
//! with the same index, whatever its ID, as long as the arguments of that call are incomplete or the delta has none.
//! The call keeps its first ID.
//!
//! A delta that belongs to no call by these rules starts a new call. A delta with a name also starts a new
//! call if the call found by these rules
//!
//! - has complete arguments, and the delta has another name or begins another JSON object, unless the delta also
//!   has the ID and the index of the call, and repeats its arguments or replaces a placeholder for them;
//! - or a later call has begun its arguments, and the delta has another name. Before that, another name is the
//!   next piece of the name, or the longer name so far.
//!
//! Finding the call takes constant time, because the provider determines the number of calls.

use std::collections::HashMap;

use super::arguments::{ArgumentsChange, ArgumentsProgress};
use super::tool::ToolCallDelta;

/// The tool calls of one message that have arrived so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolCallMatcher {
    calls: Vec<TrackedCall>,
    /// Position of the last call with an ID.
    by_id: HashMap<String, usize>,
    /// Position of the last call with an index.
    by_index: HashMap<u64, usize>,
    /// Number of calls up to the last call that has begun its arguments. Their names are complete.
    complete_names: usize,
}

#[derive(Clone, Debug, Default)]
struct TrackedCall {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    arguments: ArgumentsProgress,
    is_custom: bool,
}

impl ToolCallMatcher {
    /// Returns the zero-based position of the tool call that `delta` belongs to, and how its arguments change.
    /// If `delta` starts a new call, the call is added at the end. `arguments` returns the arguments of the call
    /// at a position, as far as they have arrived.
    pub(crate) fn assign<'a>(
        &mut self,
        delta: &ToolCallDelta,
        arguments: impl Fn(usize) -> &'a str,
    ) -> (usize, ArgumentsChange) {
        let fragment = CallFragment::of(delta);
        let known = self.find(&fragment, &arguments);
        let position = known.unwrap_or_else(|| {
            self.calls.push(TrackedCall::default());
            self.calls.len() - 1
        });
        let call = &mut self.calls[position];
        if let (None, Some(index)) = (call.index, fragment.index) {
            call.index = Some(index);
            self.by_index.insert(index, position);
        }
        if let (None, Some(id)) = (&call.id, fragment.id) {
            call.id = Some(id.to_owned());
            self.by_id.insert(id.to_owned(), position);
        }
        let change = fragment.change(call, || arguments(position));
        call.update(&fragment, change, position < self.complete_names);
        if !call.arguments.is_empty() {
            self.complete_names = self.complete_names.max(position + 1);
        }
        (position, change)
    }

    /// Returns whether the arguments of the call at `position` are a placeholder so far.
    pub(crate) fn has_placeholder(&self, position: usize) -> bool {
        let call = self.calls.get(position);
        call.is_some_and(|call| call.arguments.is_placeholder() && !call.is_custom)
    }

    /// Returns the number of calls, from the first one, whose names no delta continues any more. A call without
    /// a name can still get one.
    pub(crate) fn complete_names(&self) -> usize {
        self.complete_names
    }

    /// Returns the name of the call at `position`, as far as it has arrived. `None` if no part of it has.
    pub(crate) fn name(&self, position: usize) -> Option<&str> {
        self.calls.get(position)?.name.as_deref()
    }

    /// Returns the position of the call that the fragment continues. `None` if it starts a new call.
    fn find<'a>(&self, fragment: &CallFragment<'_>, arguments: &impl Fn(usize) -> &'a str) -> Option<usize> {
        let (id, index) = (fragment.id, fragment.index);
        let at_index = index.and_then(|index| self.by_index.get(&index).copied());
        let id_of = |position: usize| self.calls[position].id.as_deref();
        let by_both = at_index.filter(|position| id.is_some() && id_of(*position) == id);
        let by_id = id.and_then(|id| self.by_id.get(id).copied());
        let by_index = at_index.filter(|position| id.is_none() || id_of(*position).is_none());
        let with_new_id = at_index.filter(|position| fragment.continues_with_new_id(&self.calls[*position]));
        let last = self.calls.len().checked_sub(1);
        let last = last.filter(|_| index.is_none() && id.is_none());
        let candidates = [by_both, by_id, by_index, with_new_id, last];
        let mut candidates = candidates.into_iter().flatten();
        candidates.find(|position| {
            let is_name_complete = *position < self.complete_names;
            fragment.continues(&self.calls[*position], is_name_complete, || arguments(*position))
        })
    }
}

impl TrackedCall {
    fn update(&mut self, fragment: &CallFragment<'_>, change: ArgumentsChange, is_name_complete: bool) {
        match (&mut self.name, fragment.name) {
            (Some(name), Some(piece)) if !is_name_complete => extend_name(name, piece),
            (name @ None, Some(piece)) => *name = Some(piece.to_owned()),
            _ => {}
        }
        self.is_custom |= fragment.is_custom;
        self.arguments.push(fragment.arguments, change);
    }
}

/// Adds the next piece of a name. A piece that begins with the known name replaces it, because some providers
/// send the whole name so far in each piece.
pub(super) fn extend_name(name: &mut String, piece: &str) {
    match piece.strip_prefix(name.as_str()) {
        Some(rest) => name.push_str(rest),
        None => name.push_str(piece),
    }
}

/// The identity, the name and the arguments in a tool call delta. For a custom tool, the input takes the place
/// of the arguments.
struct CallFragment<'a> {
    index: Option<u64>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: &'a str,
    is_custom: bool,
}

impl<'a> CallFragment<'a> {
    fn of(delta: &'a ToolCallDelta) -> Self {
        let (name, arguments) = match (&delta.function, &delta.custom) {
            (Some(function), _) => (&function.name, &function.arguments),
            (None, Some(custom)) => (&custom.name, &custom.input),
            (None, None) => (&None, &None),
        };
        Self {
            index: delta.index(),
            id: delta.id.as_deref().filter(|id| !id.is_empty()),
            name: name.as_deref().filter(|name| !name.is_empty()),
            arguments: arguments.as_deref().unwrap_or_default(),
            is_custom: delta.function.is_none() && delta.custom.is_some(),
        }
    }

    /// Returns whether the fragment continues `call`, which has the same index, although its ID is another one.
    fn continues_with_new_id(&self, call: &TrackedCall) -> bool {
        let has_arguments = !self.arguments.trim_ascii().is_empty();
        let is_finished = call.arguments.is_complete() && !call.arguments.is_placeholder();
        self.name.is_none() && !(has_arguments && is_finished)
    }

    /// Returns how the fragment changes the arguments of `call`. The input of a custom tool can be any text.
    fn change<'b>(&self, call: &TrackedCall, known: impl FnOnce() -> &'b str) -> ArgumentsChange {
        if self.is_custom {
            return ArgumentsChange::Append;
        }
        call.arguments.change(self.arguments, known)
    }

    /// Returns whether the fragment continues `call` instead of starting a new call. A repeated name alone
    /// does not start a new call, because some providers send the name in every delta of a call.
    fn continues<'b>(
        &self,
        call: &TrackedCall,
        is_name_complete: bool,
        arguments: impl FnOnce() -> &'b str,
    ) -> bool {
        let (Some(name), Some(known)) = (self.name, call.name.as_deref()) else {
            return true;
        };
        if call.arguments.is_complete() {
            let is_same_id = self.id.is_some() && self.id == call.id.as_deref() && self.index == call.index;
            let is_object = self.arguments.trim_start().starts_with('{');
            return name == known
                && (!is_object || is_same_id && self.change(call, arguments) != ArgumentsChange::Append);
        }
        let has_other_index = self.index.is_some() && call.index.is_some() && self.index != call.index;
        name == known || (!is_name_complete && !has_other_index)
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
            .map(|delta| calls.assign(&decode(delta), |_| "").0)
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
            // A2
            (
                "name in pieces",
                vec![
                    delta(Some(0), Some("a"), Some("get_"), ""),
                    delta(Some(0), None, Some("weather"), ""),
                    delta(Some(0), None, None, "{}"),
                ],
                vec![0, 0, 0],
            ),
            (
                "name in pieces without index and id",
                vec![
                    delta(None, None, Some("get_"), ""),
                    delta(None, None, Some("weather"), ""),
                    delta(None, None, None, "{}"),
                    delta(None, None, Some("g"), ""),
                ],
                vec![0, 0, 0, 1],
            ),
            (
                "same name with every piece of nested arguments",
                vec![
                    delta(Some(0), None, Some("f"), "{\"c\":\"fn(){}"),
                    delta(Some(0), None, Some("f"), "{x\""),
                    delta(Some(0), None, Some("f"), "}"),
                    delta(Some(0), None, Some("f"), " "),
                    delta(Some(0), None, Some("f"), ""),
                    delta(Some(0), None, Some("f"), "{}"),
                ],
                vec![0, 0, 0, 0, 0, 1],
            ),
            (
                "one id at several indexes in pieces",
                vec![
                    delta(Some(0), Some("call"), Some("f"), ""),
                    delta(Some(1), Some("call"), Some("g"), ""),
                    delta(Some(0), Some("call"), None, "{}"),
                    delta(Some(1), Some("call"), None, "{}"),
                    delta(Some(0), Some("call"), None, " "),
                ],
                vec![0, 1, 0, 1, 0],
            ),
            (
                "names of two calls in pieces",
                vec![
                    delta(Some(0), None, Some("get_"), ""),
                    delta(Some(1), None, Some("get_"), ""),
                    delta(Some(0), None, Some("weather"), ""),
                    delta(Some(1), None, Some("time"), ""),
                    delta(Some(1), None, None, "{}"),
                    delta(Some(0), None, None, "{}"),
                ],
                vec![0, 1, 0, 1, 1, 0],
            ),
            (
                "another name after the arguments of a later call have begun",
                vec![
                    delta(Some(0), None, Some("f"), ""),
                    delta(Some(1), None, Some("g"), "{"),
                    delta(Some(0), None, Some("h"), ""),
                ],
                vec![0, 1, 2],
            ),
            (
                "another name after the arguments have begun",
                vec![
                    delta(Some(0), None, Some("f"), "{"),
                    delta(Some(0), None, Some("g"), "{}"),
                ],
                vec![0, 1],
            ),
            (
                "index on a later delta",
                vec![
                    delta(None, Some("a"), Some("f"), ""),
                    delta(Some(3), Some("a"), None, "{"),
                    delta(Some(3), None, None, "}"),
                ],
                vec![0, 0, 0],
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

    #[test]
    fn name_in_pieces_is_joined() {
        for pieces in [
            ["get_", "weather"],
            ["get", "get_weather"],
            ["get_weather", "get_weather"],
        ] {
            let mut calls = ToolCallMatcher::default();
            for piece in pieces {
                let delta = delta(Some(0), None, Some(piece), "");
                calls.assign(&serde_json::from_value(delta).unwrap(), |_| "");
            }
            assert_eq!(calls.name(0), Some("get_weather"), "{pieces:?}");
        }
    }
}
