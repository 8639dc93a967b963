//! What ties a request to the account that made something, and what an answer holds that will tie those that follow.
//!
//! A provider keeps responses and conversations for one account, and only that account can read what it has encrypted.

use std::borrow::Cow;

use serde::Deserialize;

/// Something a request refers to that only the account that made it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tie<'a> {
    /// The member of the request that refers to it.
    pub member: &'static str,
    /// Its id, or the encrypted text itself.
    pub made: Cow<'a, str>,
}

/// What ties a request; nothing where it is not JSON.
pub fn ties_of(request: &[u8]) -> Vec<Tie<'_>> {
    let Ok(request) = serde_json::from_slice::<Request<'_>>(request) else {
        return Vec::new();
    };
    let mut ties = Vec::new();
    let mut tie = |member, made: Option<Cow<'_, str>>| {
        ties.extend(made.map(|made| Tie {
            member,
            made: Cow::Owned(made.into_owned()),
        }));
    };
    tie("previous_response_id", request.previous_response_id);
    tie("conversation", request.conversation.and_then(Conversation::id));
    if let Some(Input::Items(items)) = request.input {
        for item in items {
            tie("encrypted_content", item.encrypted_content);
            if item.kind.as_deref() == Some("item_reference") {
                tie("item_reference", item.id);
            }
        }
    }
    ties
}

/// What an answer, or an event with one, holds that requests will refer to.
pub fn made_by(answer: &[u8]) -> Vec<String> {
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(answer) else {
        return Vec::new();
    };
    let Answer {
        response,
        id,
        conversation,
        output,
    } = answer;
    let whole = response.unwrap_or(Whole {
        id,
        conversation,
        output,
    });
    let conversation = whole.conversation.and_then(Conversation::id);
    let items = whole.output.into_iter().flatten();
    let items = items.flat_map(|item| [item.id, item.encrypted_content]);
    let made = [whole.id, conversation].into_iter().chain(items).flatten();
    made.map(Cow::into_owned).collect()
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    previous_response_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    conversation: Option<Conversation<'a>>,
    #[serde(borrow, default)]
    input: Option<Input<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Conversation<'a> {
    #[serde(borrow)]
    Named(Cow<'a, str>),
    Object {
        #[serde(borrow)]
        id: Cow<'a, str>,
    },
    Other(serde::de::IgnoredAny),
}

impl<'a> Conversation<'a> {
    fn id(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Named(id) | Self::Object { id } => Some(id),
            Self::Other(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input<'a> {
    #[serde(borrow)]
    Items(Vec<Item<'a>>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    encrypted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    conversation: Option<Conversation<'a>>,
    #[serde(borrow, default)]
    output: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    response: Option<Whole<'a>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    conversation: Option<Conversation<'a>>,
    #[serde(borrow, default)]
    output: Option<Vec<Item<'a>>>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ties(request: &Value) -> Vec<(&'static str, String)> {
        let text = request.to_string();
        let ties = ties_of(text.as_bytes());
        ties.into_iter()
            .map(|tie| (tie.member, tie.made.into_owned()))
            .collect()
    }

    #[test]
    fn l10_everything_that_only_its_maker_knows_ties_a_request() {
        let free =
            json!({"model": "m", "input": "resp_1", "previous_response_id": null, "conversation": null});
        assert_eq!(ties(&free), []);
        let items = json!([
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secr\"et"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": []},
            {"type": "item_reference", "id": "msg_2"},
            {"type": "compaction", "encrypted_content": "much"},
            {"type": "reasoning", "id": "rs_2", "encrypted_content": null},
        ]);
        let tied =
            json!({"previous_response_id": "resp_1", "conversation": {"id": "conv_1"}, "input": items});
        let expected = [
            ("previous_response_id", "resp_1"),
            ("conversation", "conv_1"),
            ("encrypted_content", "secr\"et"),
            ("item_reference", "msg_2"),
            ("encrypted_content", "much"),
        ];
        assert_eq!(
            ties(&tied),
            expected.map(|(member, made)| (member, made.to_owned()))
        );
        let named = json!({"conversation": "conv_2", "input": {"odd": true}});
        assert_eq!(ties(&named), [("conversation", "conv_2".to_owned())]);
    }

    #[test]
    fn l10_an_answer_tells_what_it_made_whole_or_in_an_event() {
        let answer = json!({"id": "resp_1", "conversation": {"id": "conv_1"}, "output": [
            {"type": "reasoning", "id": "rs_1", "encrypted_content": "secret"},
            {"type": "message", "id": "msg_1", "content": []},
        ]});
        let expected = ["resp_1", "conv_1", "rs_1", "secret", "msg_1"];
        assert_eq!(made_by(answer.to_string().as_bytes()), expected);
        let event = json!({"type": "response.completed", "response": answer});
        assert_eq!(made_by(event.to_string().as_bytes()), expected);
        assert_eq!(made_by(b"[DONE]"), [""; 0]);
        assert_eq!(
            made_by(br#"{"type": "response.output_text.delta", "delta": "a"}"#),
            [""; 0]
        );
    }
}
