//! Which call of a message a piece of a stream belongs to.
//!
//! Providers leave out indexes and ids, say them with every piece or only once, give several calls one index or one id, or send whole calls
//! with neither. A known id decides, then the index unless a new id claims it, then the place; and whatever they say, another name or
//! arguments that begin again where others had ended are of another call.

use super::tool::ToolCallDelta;

/// The calls of a message so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToolCallMatcher {
    known: Vec<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    /// Whether its arguments so far end like an object.
    ended: bool,
}

impl ToolCallMatcher {
    /// The number of the call that the next piece is of; as many as there were where it begins one.
    pub(crate) fn position_of(&mut self, piece: &ToolCallDelta) -> usize {
        let id = piece.id.as_deref().filter(|id| !id.is_empty());
        let index = piece.index();
        let said = Said::by(piece);
        let goes_on = |known: &Known| !said.begins_another(known);
        let by_id = || {
            let is = |known: &Known| id.is_some() && known.id.as_deref() == id;
            self.known.iter().rposition(|known| is(known) && goes_on(known))
        };
        let by_index = || {
            let at = self
                .known
                .iter()
                .rposition(|known| index.is_some() && known.index == index)?;
            let known = &self.known[at];
            ((id.is_none() || known.id.is_none()) && goes_on(known)).then_some(at)
        };
        let by_place = || {
            let at = self.known.len().checked_sub(1)?;
            (index.is_none() && id.is_none() && goes_on(&self.known[at])).then_some(at)
        };
        let number = by_id().or_else(by_index).or_else(by_place);
        let number = number.unwrap_or_else(|| {
            self.known.push(Known {
                index,
                ..Known::default()
            });
            self.known.len() - 1
        });
        let known = &mut self.known[number];
        if known.id.is_none() {
            known.id = id.map(str::to_owned);
        }
        if known.name.is_none() {
            known.name = said.name.map(str::to_owned);
        }
        if let Some(last) = said.text.trim_end().bytes().last() {
            known.ended = last == b'}';
        }
        number
    }
}

/// What a piece says.
struct Said<'a> {
    name: Option<&'a str>,
    text: &'a str,
}

impl<'a> Said<'a> {
    fn by(piece: &'a ToolCallDelta) -> Self {
        let (name, text) = match (&piece.function, &piece.custom) {
            (Some(function), _) => (&function.name, &function.arguments),
            (None, Some(custom)) => (&custom.name, &custom.input),
            (None, None) => (&None, &None),
        };
        Self {
            name: name.as_deref().filter(|name| !name.is_empty()),
            text: text.as_deref().unwrap_or_default(),
        }
    }

    /// A name comes once, or again and again with the pieces of one call.
    fn begins_another(&self, known: &Known) -> bool {
        match (self.name, known.name.as_deref()) {
            (Some(name), Some(before)) if name != before => true,
            (Some(_), Some(_)) => known.ended && self.text.trim_start().starts_with('{'),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn numbers(pieces: &[Value]) -> Vec<usize> {
        let mut calls = ToolCallMatcher::default();
        let read = |piece: &Value| serde_json::from_value::<ToolCallDelta>(piece.clone()).unwrap();
        pieces
            .iter()
            .map(|piece| calls.position_of(&read(piece)))
            .collect()
    }

    fn piece(index: Option<u64>, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
        json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
    }

    // L72, L73
    #[test]
    fn pieces_go_where_they_belong_whatever_is_left_out_said_again_or_used_again() {
        for (what, pieces, expected) in [
            (
                "as they should be",
                vec![
                    piece(Some(0), Some("a"), Some("f"), ""),
                    piece(Some(1), Some("b"), Some("g"), ""),
                    piece(Some(0), None, None, "{"),
                    piece(Some(1), None, None, "{}"),
                    piece(Some(0), None, None, "}"),
                ],
                vec![0, 1, 0, 1, 0],
            ),
            (
                "everything with every piece",
                vec![
                    piece(Some(0), Some("a"), Some("f"), "{"),
                    piece(Some(0), Some("a"), Some("f"), "\"x\":{}"),
                    piece(Some(0), Some("a"), Some("f"), "}"),
                ],
                vec![0, 0, 0],
            ),
            (
                "a new id at a used index",
                vec![
                    piece(Some(0), Some("a"), Some("f"), "{}"),
                    piece(Some(0), Some("b"), Some("f"), "{}"),
                    piece(Some(0), Some("a"), None, " "),
                ],
                vec![0, 1, 0],
            ),
            (
                "ids and no indexes",
                vec![
                    piece(None, Some("a"), Some("f"), "{"),
                    piece(None, Some("b"), Some("f"), "{"),
                    piece(None, Some("a"), None, "}"),
                    piece(None, None, None, "}"),
                ],
                vec![0, 1, 0, 1],
            ),
            (
                "one index and empty ids, each call whole",
                vec![
                    piece(Some(0), Some(""), Some("f"), "{\"a\":1}"),
                    piece(Some(0), Some(""), Some("g"), "{\"b\":2}"),
                    piece(Some(0), Some(""), Some("g"), "{\"c\":3}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "one id at several indexes",
                vec![
                    piece(Some(0), Some("call"), Some("f"), "{}"),
                    piece(Some(1), Some("call"), Some("g"), "{}"),
                    piece(Some(2), Some("call"), Some("g"), "{}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "neither index nor id, each call whole",
                vec![
                    piece(None, None, Some("f"), "{}"),
                    piece(None, None, Some("g"), "{}"),
                    piece(None, None, Some("g"), "{}"),
                ],
                vec![0, 1, 2],
            ),
            (
                "neither index nor id, in pieces",
                vec![
                    piece(None, None, Some("f"), ""),
                    piece(None, None, None, "{"),
                    piece(None, None, Some(""), "}"),
                    piece(None, None, Some("g"), "{}"),
                ],
                vec![0, 0, 0, 1],
            ),
            (
                "an id that comes late",
                vec![
                    piece(Some(0), None, Some("f"), ""),
                    piece(Some(0), Some("a"), None, "{}"),
                ],
                vec![0, 0],
            ),
        ] {
            assert_eq!(numbers(&pieces), expected, "{what}");
        }
    }
}
