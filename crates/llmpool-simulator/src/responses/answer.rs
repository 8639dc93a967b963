//! The answer to a request of the Responses API: whole, or event by event.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::item::{Item, Kind, Shown};
use super::object::{Frame, Status, failure};
use super::owner::Owner;
use super::request::{History, ResponsesRequest};
use super::store::{Memory, Store};
use crate::answer::DONE;
use crate::draft::{Draft, Says};
use crate::outgoing::Answer;
use crate::random::SplitMix64;
use crate::scenario::{Scenario, UsagePolicy};

/// The events before the first item.
const OPENING: [&str; 2] = ["response.created", "response.in_progress"];

/// A response, ready to be told either way. Once all of it was told it can be continued.
#[derive(Clone, Debug)]
pub(crate) struct ResponseAnswer {
    frame: Frame,
    items: Vec<Item>,
    cut_short: bool,
    tokens: usize,
    /// `null` if usage is never told.
    usage: Value,
    done: bool,
    keepsake: Option<Keepsake>,
}

/// What is remembered, by whom and for whom.
#[derive(Clone, Debug)]
struct Keepsake {
    store: Arc<Store>,
    owner: Owner,
    id: String,
    memory: Memory,
}

impl ResponseAnswer {
    /// The answer to `request` after `history`; `number` makes its ids, `created` is seconds since 1970.
    pub(crate) fn new(
        scenario: &Scenario,
        request: &ResponsesRequest,
        history: History,
        (owner, store): (Owner, Arc<Store>),
        (number, created): (u64, u64),
    ) -> Self {
        let mut random = owner.random(scenario.seed, number);
        let draft = Draft::new(scenario, request.asked(&history));
        let id = format!("resp_{:016x}", random.next());
        let usage = match scenario.usage {
            UsagePolicy::Always | UsagePolicy::OnRequest => usage(request.prompt_words(&history), &draft),
            UsagePolicy::Never => Value::Null,
        };
        let (cut_short, tokens) = (draft.cut_short, draft.tokens());
        let encrypted = request
            .includes("reasoning.encrypted_content")
            .then(|| owner.seal(scenario.seed, random.next()));
        let items = items(request, draft, encrypted, &mut random);
        let memory = memory(scenario, history, &items);
        Self {
            frame: Frame::new(request, &id, created),
            cut_short,
            tokens,
            usage,
            done: scenario.done,
            items,
            keepsake: request.stores().then_some(Keepsake {
                store,
                owner,
                id,
                memory,
            }),
        }
    }

    /// How long it is in tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The whole response, which from now on can be continued.
    fn ended(&self) -> Value {
        if let Some(Keepsake {
            store,
            owner,
            id,
            memory,
        }) = &self.keepsake
        {
            store.remember(*owner, id, memory.clone());
        }
        let status = if self.cut_short {
            Status::Incomplete
        } else {
            Status::Completed
        };
        let output = self.items.iter().map(Item::closed).collect();
        self.frame.response(status, output, &self.usage)
    }

    /// All events without their numbers.
    fn steps(self) -> impl Iterator<Item = Value> + Send + 'static {
        let begun = self.frame.response(Status::InProgress, Vec::new(), &Value::Null);
        let opening = OPENING.map(|kind| json!({"type": kind, "response": begun}));
        let items = self.items.clone().into_iter().enumerate();
        let ending = std::iter::once_with(move || {
            let response = self.ended();
            json!({"type": format!("response.{}", response["status"].as_str().unwrap_or_default()), "response": response})
        });
        opening
            .into_iter()
            .chain(items.flat_map(|(index, item)| item.events(index)))
            .chain(ending)
    }

    /// What remains of a stream that breaks after so many events: the error, and a response with the items that had
    /// been closed.
    fn broken(&self, after: usize) -> [Value; 2] {
        let mut told = OPENING.len();
        let closed = self.items.iter().take_while(|item| {
            told += item.event_count();
            told <= after
        });
        let output = closed.map(Item::closed).collect();
        let mut error = failure();
        error["type"] = json!("error");
        error["param"] = Value::Null;
        let response = self.frame.response(Status::Failed, output, &Value::Null);
        [error, json!({"type": "response.failed", "response": response})]
    }
}

impl Answer for ResponseAnswer {
    fn plain(&self) -> Bytes {
        Bytes::from(self.ended().to_string())
    }

    fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let done = self.done.then_some(DONE);
        numbered(self.steps()).chain(done)
    }

    /// An error stands before the last event at the latest: after that one a response has ended.
    fn events_before_error(self, count: usize) -> impl Iterator<Item = Bytes> + Send + 'static {
        let items: usize = self.items.iter().map(Item::event_count).sum();
        let count = count.min(OPENING.len() + items);
        let (broken, done) = (self.broken(count), self.done.then_some(DONE));
        numbered(self.steps().take(count).chain(broken)).chain(done)
    }
}

fn items(
    request: &ResponsesRequest,
    draft: Draft,
    encrypted: Option<String>,
    random: &mut SplitMix64,
) -> Vec<Item> {
    let shown = match &request.field("reasoning")["summary"] {
        Value::String(_) => Shown::Summary,
        _ if encrypted.is_some() => Shown::Nothing,
        _ => Shown::Raw,
    };
    // What was cut short is the last, and what then would come has no place any more.
    let silent = draft.cut_short && draft.words.total() == 0;
    let reasoning = draft.reasoning.map(|words| Item {
        id: format!("rs_{:016x}", random.next()),
        kind: Kind::Reasoning { shown, encrypted },
        words,
        complete: !silent,
    });
    let (prefix, kind) = match draft.says {
        Says::Text => ("msg", Kind::Message),
        Says::Refusal => ("msg", Kind::Refusal),
        Says::ToolCall { name } => {
            let call_id = format!("call_{:016x}", random.next());
            ("fc", Kind::Call { call_id, name })
        }
    };
    let said = Item {
        id: format!("{prefix}_{:016x}", random.next()),
        kind,
        words: draft.words,
        complete: !draft.cut_short,
    };
    reasoning.into_iter().chain((!silent).then_some(said)).collect()
}

/// Reasoning is of its turn alone; what was said goes on to the next.
fn memory(scenario: &Scenario, history: History, items: &[Item]) -> Memory {
    let mut open_calls = history.open_calls;
    let said = items
        .iter()
        .filter(|item| !matches!(item.kind, Kind::Reasoning { .. }));
    let (words, chars) = said.fold((history.words, history.chars), |(words, chars), item| {
        (
            words + item.words.total(),
            chars + item.words.whole().chars().count(),
        )
    });
    let items: Vec<(String, Option<String>)> = items
        .iter()
        .map(|item| match &item.kind {
            Kind::Call { call_id, .. } => (item.id.clone(), Some(call_id.clone())),
            Kind::Message | Kind::Refusal | Kind::Reasoning { .. } => (item.id.clone(), None),
        })
        .collect();
    open_calls.extend(items.iter().filter_map(|(_, call)| call.clone()));
    Memory {
        words,
        chars,
        user_text: history.user_text.filter(|_| scenario.echo),
        open_calls,
        items,
    }
}

/// All members, also where they are 0.
fn usage(input: usize, draft: &Draft) -> Value {
    let output = draft.tokens();
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": draft.reasoning_tokens()},
        "total_tokens": input + output,
    })
}

/// Server-sent events, numbered from 0.
fn numbered(
    steps: impl Iterator<Item = Value> + Send + 'static,
) -> impl Iterator<Item = Bytes> + Send + 'static {
    steps.enumerate().map(|(number, mut step)| {
        step["sequence_number"] = json!(number);
        let kind = step["type"].as_str().unwrap_or_default();
        Bytes::from(format!("event: {kind}\ndata: {step}\n\n"))
    })
}
