//! The answer to a Responses request, as one object or as a stream of events.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::item::{OutputItemKind, ReasoningVisibility, SimulatedItem};
use super::owner::ResponseOwner;
use super::request::{ParsedResponsesRequest, TurnContext};
use super::store::{ResponseStore, StoredResponse};
use super::template::{ResponsePhase, ResponseTemplate, failure};
use crate::answer_draft::{AnswerDraft, DraftKind};
use crate::random::SplitMix64;
use crate::response::{AnswerEncoder, DONE};
use crate::scenario::{Scenario, UsagePolicy};

/// The types of the stream events before the events of the first output item.
const OPENING: [&str; 2] = ["response.created", "response.in_progress"];

/// The answer to a Responses request. Encoding the complete answer also adds the response to the store,
/// unless the request disables storage.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedResponse {
    template: ResponseTemplate,
    items: Vec<SimulatedItem>,
    cut_short: bool,
    tokens: usize,
    /// The usage object, or `null` if the scenario never reports usage.
    usage: Value,
    done: bool,
    store_entry: Option<StoreEntry>,
}

/// A response that will be stored once it is complete, with its owner and the store.
#[derive(Clone, Debug)]
struct StoreEntry {
    store: Arc<ResponseStore>,
    owner: ResponseOwner,
    id: String,
    response: StoredResponse,
}

impl SimulatedResponse {
    /// Creates the answer to `request`, which follows the conversation `context`. The ids in the answer
    /// derive from `number`, the number of requests that the simulator received before this request.
    /// `created` is the creation time in seconds since the Unix epoch.
    pub(crate) fn new(
        scenario: &Scenario,
        request: &ParsedResponsesRequest,
        context: TurnContext,
        (owner, store): (ResponseOwner, Arc<ResponseStore>),
        (number, created): (u64, u64),
    ) -> Self {
        let mut random = owner.request_random(scenario.seed, number);
        let draft = AnswerDraft::new(scenario, request.draft_request(&context));
        let id = format!("resp_{:016x}", random.next());
        let usage = match scenario.usage {
            UsagePolicy::Always | UsagePolicy::OnRequest => usage(request.prompt_words(&context), &draft),
            UsagePolicy::Never => Value::Null,
        };
        let (cut_short, tokens) = (draft.cut_short, draft.tokens());
        let encrypted = request
            .includes("reasoning.encrypted_content")
            .then(|| owner.encrypt(scenario.seed, random.next()));
        let items = items(request, draft, encrypted, &mut random);
        let response = stored_response(scenario, context, &items);
        Self {
            template: ResponseTemplate::new(request, &id, created),
            cut_short,
            tokens,
            usage,
            done: scenario.done,
            items,
            store_entry: request.is_stored().then_some(StoreEntry {
                store,
                owner,
                id,
                response,
            }),
        }
    }

    /// Returns the number of tokens in reasoning and content together.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Stores the response unless the request disables storage, and returns the JSON object of the finished
    /// response.
    fn finish(&self) -> Value {
        if let Some(StoreEntry {
            store,
            owner,
            id,
            response,
        }) = &self.store_entry
        {
            store.insert(*owner, id, response.clone());
        }
        let phase = if self.cut_short {
            ResponsePhase::Incomplete
        } else {
            ResponsePhase::Completed
        };
        let output = self.items.iter().map(SimulatedItem::closed_object).collect();
        self.template.response(phase, output, &self.usage)
    }

    /// Returns all stream events, without sequence numbers.
    fn unnumbered_events(self) -> impl Iterator<Item = Value> + Send + 'static {
        let started = self
            .template
            .response(ResponsePhase::InProgress, Vec::new(), &Value::Null);
        let opening = OPENING.map(|kind| json!({"type": kind, "response": started}));
        let items = self.items.clone().into_iter().enumerate();
        let last = std::iter::once_with(move || {
            let response = self.finish();
            json!({"type": format!("response.{}", response["status"].as_str().unwrap_or_default()), "response": response})
        });
        opening
            .into_iter()
            .chain(items.flat_map(|(index, item)| item.events(index)))
            .chain(last)
    }

    /// Returns the last two events of a stream that fails after `event_count` events: an `error` event, and a
    /// `response.failed` event whose response contains the items that were closed before the failure.
    fn failure_events(&self, event_count: usize) -> [Value; 2] {
        let mut events = OPENING.len();
        let closed = self.items.iter().take_while(|item| {
            events += item.event_count();
            events <= event_count
        });
        let output = closed.map(SimulatedItem::closed_object).collect();
        let mut error = failure();
        error["type"] = json!("error");
        error["param"] = Value::Null;
        let response = self
            .template
            .response(ResponsePhase::Failed, output, &Value::Null);
        [error, json!({"type": "response.failed", "response": response})]
    }
}

impl AnswerEncoder for SimulatedResponse {
    fn plain_body(&self) -> Bytes {
        Bytes::from(self.finish().to_string())
    }

    fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let done = self.done.then_some(DONE);
        numbered(self.unnumbered_events()).chain(done)
    }

    /// Limits `count` so that the error comes before the last event, which would complete the response.
    fn events_before_error(self, count: usize) -> impl Iterator<Item = Bytes> + Send + 'static {
        let items: usize = self.items.iter().map(SimulatedItem::event_count).sum();
        let count = count.min(OPENING.len() + items);
        let (failure, done) = (self.failure_events(count), self.done.then_some(DONE));
        numbered(self.unnumbered_events().take(count).chain(failure)).chain(done)
    }
}

fn items(
    request: &ParsedResponsesRequest,
    draft: AnswerDraft,
    encrypted: Option<String>,
    random: &mut SplitMix64,
) -> Vec<SimulatedItem> {
    let visibility = match &request.field("reasoning")["summary"] {
        Value::String(_) => ReasoningVisibility::Summary,
        _ if encrypted.is_some() => ReasoningVisibility::Hidden,
        _ => ReasoningVisibility::Raw,
    };
    // If the reasoning alone reaches `max_output_tokens`, the reasoning is the last item.
    let content_omitted = draft.cut_short && draft.text.words() == 0;
    let reasoning = draft.reasoning.map(|text| SimulatedItem {
        id: format!("rs_{:016x}", random.next()),
        kind: OutputItemKind::Reasoning {
            visibility,
            encrypted,
        },
        text,
        complete: !content_omitted,
    });
    let (prefix, kind) = match draft.kind {
        DraftKind::Text => ("msg", OutputItemKind::Message),
        DraftKind::Refusal => ("msg", OutputItemKind::Refusal),
        DraftKind::ToolCall { name } => {
            let call_id = format!("call_{:016x}", random.next());
            ("fc", OutputItemKind::FunctionCall { call_id, name })
        }
    };
    let content = SimulatedItem {
        id: format!("{prefix}_{:016x}", random.next()),
        kind,
        text: draft.text,
        complete: !draft.cut_short,
    };
    reasoning
        .into_iter()
        .chain((!content_omitted).then_some(content))
        .collect()
}

/// Returns the summary of the conversation that is stored with the response. The reasoning is not counted,
/// because reasoning does not carry over to the next turn.
fn stored_response(scenario: &Scenario, context: TurnContext, items: &[SimulatedItem]) -> StoredResponse {
    let mut open_calls = context.open_calls;
    let content = items
        .iter()
        .filter(|item| !matches!(item.kind, OutputItemKind::Reasoning { .. }));
    let (words, chars) = content.fold((context.words, context.chars), |(words, chars), item| {
        (
            words + item.text.words(),
            chars + item.text.full_text().chars().count(),
        )
    });
    let items: Vec<(String, Option<String>)> = items
        .iter()
        .map(|item| match &item.kind {
            OutputItemKind::FunctionCall { call_id, .. } => (item.id.clone(), Some(call_id.clone())),
            OutputItemKind::Message | OutputItemKind::Refusal | OutputItemKind::Reasoning { .. } => {
                (item.id.clone(), None)
            }
        })
        .collect();
    open_calls.extend(items.iter().filter_map(|(_, call)| call.clone()));
    StoredResponse {
        words,
        chars,
        user_text: context.user_text.filter(|_| scenario.echo),
        open_calls,
        items,
    }
}

/// Returns the `usage` object for `input` input tokens and the tokens of the draft. All members of the object
/// are present, even those with the value 0.
fn usage(input: usize, draft: &AnswerDraft) -> Value {
    let output = draft.tokens();
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": draft.reasoning_tokens()},
        "total_tokens": input + output,
    })
}

/// Encodes events as server-sent events, with sequence numbers from 0.
fn numbered(
    events: impl Iterator<Item = Value> + Send + 'static,
) -> impl Iterator<Item = Bytes> + Send + 'static {
    events.enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        let kind = event["type"].as_str().unwrap_or_default();
        Bytes::from(format!("event: {kind}\ndata: {event}\n\n"))
    })
}
