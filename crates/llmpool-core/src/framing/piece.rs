//! What a JSON value adds to an earlier version of itself.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::lenient_json::decode_part;
use crate::raw_object::{parse_members, quoted};

/// Maximum nesting of objects and lists that are compared member by member. The arguments of a tool call of a
/// choice are nested this deeply.
const MAX_DEPTH: usize = 6;

/// Members that a piece repeats, because they say what the piece belongs to.
const REPEATED: [&str; 2] = ["index", "type"];

/// Returns what `now` adds to `sent`, both JSON text: the rest of a string that continues the string sent, and
/// the members and items that differ. Returns a value that is not continued as a whole. Returns `None` if
/// nothing was added.
pub(super) fn added(sent: &str, now: &str) -> Option<String> {
    added_within(sent, now, MAX_DEPTH)
}

fn added_within(sent: &str, now: &str, depth: usize) -> Option<String> {
    if sent == now || now == "null" {
        return None;
    }
    match (sent.as_bytes().first(), now.as_bytes().first()) {
        (Some(b'"'), Some(b'"')) => added_text(sent, now),
        (Some(b'['), Some(b'[')) if depth > 0 => added_items(sent, now, depth - 1),
        (Some(b'{'), Some(b'{')) if depth > 0 => added_members(sent, now, depth - 1),
        _ => Some(now.to_owned()),
    }
}

fn added_text(sent: &str, now: &str) -> Option<String> {
    let texts: Option<(String, String)> = decode_part(sent).zip(decode_part(now));
    let Some((sent, now_text)) = texts else {
        return Some(now.to_owned());
    };
    match now_text.strip_prefix(&sent) {
        Some("") => None,
        Some(rest) => Some(quoted(rest)),
        None => Some(now.to_owned()),
    }
}

fn added_items(sent: &str, now: &str, depth: usize) -> Option<String> {
    let sent: Vec<&RawValue> = serde_json::from_str(sent).unwrap_or_default();
    let now: Vec<&RawValue> = serde_json::from_str(now).unwrap_or_default();
    let mut added = Vec::new();
    for (index, item) in now.into_iter().enumerate() {
        match sent.get(index) {
            Some(sent) => added.extend(added_within(sent.get(), item.get(), depth)),
            None => added.push(item.get().to_owned()),
        }
    }
    (!added.is_empty()).then(|| format!("[{}]", added.join(",")))
}

fn added_members(sent: &str, now: &str, depth: usize) -> Option<String> {
    let sent = parse_members(sent.as_bytes()).unwrap_or_default();
    let sent: HashMap<Cow<'_, str>, &RawValue> = sent.into_iter().collect();
    let (mut added, mut is_changed) = (Vec::new(), false);
    for (name, value) in parse_members(now.as_bytes()).unwrap_or_default() {
        let piece = match sent.get(&name) {
            _ if REPEATED.contains(&name.as_ref()) => {
                added.push(format!("{}:{}", quoted(&name), value.get()));
                continue;
            }
            Some(sent) => added_within(sent.get(), value.get(), depth),
            None => Some(value.get().to_owned()),
        };
        if let Some(piece) = piece {
            added.push(format!("{}:{piece}", quoted(&name)));
            is_changed = true;
        }
    }
    is_changed.then(|| format!("{{{}}}", added.join(",")))
}
