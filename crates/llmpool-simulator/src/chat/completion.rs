//! The chat completion that answers a request, encoded either as one JSON body or as a stream with the same
//! content.
//!
//! The events of a stream are generated while they are sent, so memory use does not depend on the length of the stream.

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::ParsedChatRequest;
use crate::answer_draft::{AnswerDraft, DraftKind, DraftRequest, RequestedOutput};
use crate::errors;
use crate::random::SplitMix64;
use crate::response::{AnswerEncoder, DONE};
use crate::scenario::{Scenario, UsagePolicy};

/// A chat completion. All its choices have the same content.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    id: String,
    call_id: String,
    created: u64,
    model: String,
    choices: u32,
    draft: AnswerDraft,
    /// The token usage, as OpenAI's `usage` object. `None` if the response reports no usage.
    usage: Option<Value>,
    /// Whether each stream event before the usage event contains `"usage": null`, as OpenAI's events do if
    /// the request sets `include_usage`.
    usage_announced: bool,
    done: bool,
}

impl Completion {
    /// Creates the answer to `request`. The ids in the answer derive from `number`, the number of requests
    /// that the simulator received before this request. `created` is the creation time in seconds since the
    /// Unix epoch.
    pub(crate) fn new(scenario: &Scenario, request: &ParsedChatRequest, number: u64, created: u64) -> Self {
        let mut random = SplitMix64::new(scenario.seed, number);
        let draft_request = DraftRequest {
            output: request.requested_output().unwrap_or(RequestedOutput::Text),
            user_text: request.last_user_text(),
            max_tokens: request.max_tokens(),
        };
        let draft = AnswerDraft::new(scenario, draft_request);
        let reports_usage = match scenario.usage {
            UsagePolicy::Always => true,
            UsagePolicy::OnRequest => !request.is_streaming() || request.includes_usage(),
            UsagePolicy::Never => false,
        };
        Self {
            call_id: format!("call_{:016x}", random.next()),
            id: format!("chatcmpl-{:016x}", random.next()),
            created,
            model: request.model.clone(),
            choices: request.choices(),
            usage: reports_usage.then(|| usage(request, &draft)),
            usage_announced: reports_usage && request.includes_usage(),
            draft,
            done: scenario.done,
        }
    }

    /// Returns the total number of tokens in the reasoning and content of all choices.
    pub(crate) fn tokens(&self) -> usize {
        self.draft.tokens() * self.choices as usize
    }

    /// Returns one stream event: the event in the row `row` for the choice `index`, both zero-based. Each of
    /// the `rows` rows contains one event for each choice. The first row carries the roles, the last row the
    /// finish reasons, and each row in between one piece of the content.
    fn row_event(&self, row: usize, rows: usize, index: usize) -> Bytes {
        match row {
            0 => self.chunk(index, &self.first_delta(), None),
            last if last + 1 == rows => self.chunk(index, &json!({}), Some(self.finish_reason())),
            row => self.chunk(index, &self.delta(row - 1), None),
        }
    }

    fn chunk(&self, index: usize, delta: &Value, finish_reason: Option<&str>) -> Bytes {
        let choice =
            json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        let mut chunk = self.envelope("chat.completion.chunk", &[choice]);
        if self.usage_announced {
            chunk["usage"] = Value::Null;
        }
        event(&chunk)
    }

    fn usage_event(&self) -> Option<Bytes> {
        let mut chunk = self.envelope("chat.completion.chunk", &[]);
        chunk["usage"] = self.usage.clone()?;
        Some(event(&chunk))
    }

    fn envelope(&self, object: &str, choices: &[Value]) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn finish_reason(&self) -> &'static str {
        match self.draft.kind {
            _ if self.draft.cut_short => "length",
            DraftKind::Text | DraftKind::Refusal => "stop",
            DraftKind::ToolCall { .. } => "tool_calls",
        }
    }

    fn message(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": null, "refusal": null});
        let text = self.draft.text.full_text();
        match &self.draft.kind {
            DraftKind::Text => message["content"] = json!(text),
            DraftKind::Refusal => message["refusal"] = json!(text),
            DraftKind::ToolCall { name } => message["tool_calls"] = json!([self.tool_call(name, &text)]),
        }
        if let Some(reasoning) = &self.draft.reasoning {
            message["reasoning_content"] = json!(reasoning.full_text());
        }
        message
    }

    fn first_delta(&self) -> Value {
        match &self.draft.kind {
            DraftKind::Text => json!({"role": "assistant", "content": "", "refusal": null}),
            DraftKind::Refusal => json!({"role": "assistant", "content": null, "refusal": ""}),
            DraftKind::ToolCall { name } => {
                let mut call = self.tool_call(name, "");
                call["index"] = json!(0);
                json!({"role": "assistant", "content": null, "tool_calls": [call]})
            }
        }
    }

    /// Returns the `delta` object with one piece of reasoning or content. `piece` is a zero-based index into
    /// the pieces of the reasoning followed by the pieces of the content.
    fn delta(&self, piece: usize) -> Value {
        let reasoning_pieces = self.draft.reasoning_pieces();
        if let Some(reasoning) = self.draft.reasoning.as_ref().filter(|_| piece < reasoning_pieces) {
            return json!({"reasoning_content": reasoning.piece(piece)});
        }
        let text = self.draft.text.piece(piece - reasoning_pieces);
        match self.draft.kind {
            DraftKind::Text => json!({"content": text}),
            DraftKind::Refusal => json!({"refusal": text}),
            DraftKind::ToolCall { .. } => {
                json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
            }
        }
    }

    fn tool_call(&self, name: &str, arguments: &str) -> Value {
        json!({"id": self.call_id, "type": "function", "function": {"name": name, "arguments": arguments}})
    }
}

impl AnswerEncoder for Completion {
    fn plain_body(&self) -> Bytes {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| {
                json!({
                    "index": index,
                    "message": self.message(),
                    "logprobs": null,
                    "finish_reason": self.finish_reason(),
                })
            })
            .collect();
        let mut body = self.envelope("chat.completion", &choices);
        if let Some(usage) = &self.usage {
            body["usage"] = usage.clone();
        }
        Bytes::from(body.to_string())
    }

    fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let rows = 1 + self.draft.reasoning_pieces() + self.draft.text.pieces() + 1;
        let usage = self.usage_event();
        let done = self.done.then_some(DONE);
        let choices = self.choices as usize;
        let events = (0..rows * choices).map(move |position| {
            let (row, index) = (position / choices, position % choices);
            self.row_event(row, rows, index)
        });
        events.chain(usage).chain(done)
    }

    fn events_before_error(self, count: usize) -> impl Iterator<Item = Bytes> + Send + 'static {
        self.events().take(count).chain([event(&errors::in_band())])
    }
}

fn usage(request: &ParsedChatRequest, draft: &AnswerDraft) -> Value {
    let prompt = request.prompt_words();
    let completion = draft.tokens() * request.choices() as usize;
    let mut usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    });
    if draft.reasoning.is_some() {
        let reasoning = draft.reasoning_tokens() * request.choices() as usize;
        usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
    }
    usage
}

/// Encodes `data` as a server-sent event.
fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(scenario: &str, request: &Value) -> Completion {
        let mut full = json!({"model": "m", "messages": [{"role": "user", "content": "what is this"}]});
        full.as_object_mut()
            .unwrap()
            .extend(request.as_object().unwrap().clone());
        let scenario = Scenario::from_json(scenario).unwrap();
        Completion::new(
            &scenario,
            &ParsedChatRequest::parse(full.to_string().as_bytes()).unwrap(),
            1,
            1_700_000_000,
        )
    }

    fn plain(scenario: &str, request: &Value) -> Value {
        serde_json::from_slice(&completion(scenario, request).plain_body()).unwrap()
    }

    /// Returns the JSON events of a stream, and whether the stream ends with `[DONE]`.
    fn stream(scenario: &str, request: &Value) -> (Vec<Value>, bool) {
        let mut request = request.clone();
        request["stream"] = json!(true);
        let events: Vec<Bytes> = completion(scenario, &request).events().collect();
        let data = |event: &Bytes| {
            String::from_utf8(event.to_vec()).unwrap()[6..]
                .trim_end()
                .to_owned()
        };
        let done = events.last().is_some_and(|event| data(event) == "[DONE]");
        let json = &events[..events.len() - usize::from(done)];
        (
            json.iter()
                .map(|event| serde_json::from_str(&data(event)).unwrap())
                .collect(),
            done,
        )
    }

    fn text(events: &[Value], index: u64) -> String {
        let choices = events
            .iter()
            .flat_map(|event| event["choices"].as_array().unwrap());
        choices
            .filter(|choice| choice["index"] == index)
            .filter_map(|choice| choice["delta"]["content"].as_str())
            .collect()
    }

    #[test]
    fn assembled_stream_equals_plain_answer() {
        for scenario in [
            "{}",
            r#"{"answer": "eins zwei  drei 世界", "words_per_chunk": 2}"#,
            r#"{"answer": "a b c", "chunk_count": 7}"#,
            r#"{"answer": "a b c", "chunk_count": 2}"#,
        ] {
            let (events, done) = stream(scenario, &json!({"n": 2}));
            let plain = plain(scenario, &json!({"n": 2}));
            assert!(done);
            for index in 0..2 {
                assert_eq!(
                    plain["choices"][index]["message"]["content"],
                    text(&events, index as u64),
                    "{scenario}"
                );
                assert_eq!(plain["choices"][index]["finish_reason"], "stop");
            }
        }
    }

    #[test]
    fn chunk_count_is_exact_and_repeats_the_answer() {
        let (events, _) = stream(r#"{"answer": "a b c", "chunk_count": 7}"#, &json!({}));
        assert_eq!(events.len(), 1 + 7 + 1);
        assert_eq!(text(&events, 0), "a b c a b c a ".trim_end().to_owned() + " ");
    }

    #[test]
    fn max_tokens_truncates_with_reason_length() {
        let answer = plain(r#"{"answer": "a b c"}"#, &json!({"max_tokens": 2}));
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 2);
        assert_eq!(
            plain(r#"{"answer": "a b c"}"#, &json!({"max_tokens": 3}))["choices"][0]["finish_reason"],
            "stop"
        );
    }

    #[test]
    fn usage_follows_the_policy() {
        let with_usage = json!({"stream_options": {"include_usage": true}});
        for (scenario, request, expected) in [
            ("{}", json!({}), false),
            ("{}", with_usage.clone(), true),
            (r#"{"usage": "always"}"#, json!({}), true),
            (r#"{"usage": "never"}"#, with_usage.clone(), false),
        ] {
            let (events, _) = stream(scenario, &request);
            let last = events.last().unwrap();
            assert_eq!(last["usage"].is_object(), expected, "{scenario}");
            assert_eq!(last["choices"] == json!([]), expected, "{scenario}");
        }
        let (events, _) = stream("{}", &with_usage);
        assert_eq!(events[0].get("usage"), Some(&Value::Null));
        assert_eq!(plain(r#"{"usage": "never"}"#, &json!({})).get("usage"), None);
        assert_eq!(plain("{}", &json!({}))["usage"]["prompt_tokens"], 3);
    }

    #[test]
    fn done_marker_can_be_disabled() {
        assert!(!stream(r#"{"done": false}"#, &json!({})).1);
    }

    #[test]
    fn prompt_is_echoed_only_with_echo() {
        let content = |scenario| plain(scenario, &json!({}))["choices"][0]["message"]["content"].clone();
        assert!(!content("{}").as_str().unwrap().contains("what is this"));
        assert_eq!(content(r#"{"echo": true}"#), "what is this");
    }

    #[test]
    fn forced_tool_call_has_valid_arguments() {
        let request = || {
            json!({
                "tool_choice": "required",
                "tools": [{"type": "function", "function": {"name": "weather", "parameters":
                    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
            })
        };
        let plain = plain("{}", &request());
        let call = &plain["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(
            call["function"],
            json!({"name": "weather", "arguments": "{\"city\":\"xxxx\"}"})
        );
        assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");

        let (events, _) = stream(r#"{"tool_arguments": "{\"city\": \"Paris\"}"}"#, &request());
        let calls: Vec<&Value> = events
            .iter()
            .map(|event| &event["choices"][0]["delta"]["tool_calls"][0])
            .filter(|c| !c.is_null())
            .collect();
        assert_eq!(calls[0]["function"]["name"], "weather");
        assert!(calls[0]["id"].is_string() && calls[1].get("id").is_none());
        let arguments: String = calls
            .iter()
            .filter_map(|call| call["function"]["arguments"].as_str())
            .collect();
        assert_eq!(arguments, r#"{"city": "Paris"}"#);
    }

    #[test]
    fn refusal_and_reasoning_use_the_standard_fields() {
        let scenario = r#"{"answer": "a b", "reasoning": "d e", "refusal": "I will not."}"#;
        let plain = plain(scenario, &json!({}));
        let message = &plain["choices"][0]["message"];
        assert_eq!(message["content"], Value::Null);
        assert_eq!(
            (&message["refusal"], &message["reasoning_content"]),
            (&json!("I will not."), &json!("d e"))
        );
        assert_eq!(
            (
                &plain["usage"]["completion_tokens"],
                &plain["usage"]["completion_tokens_details"]["reasoning_tokens"]
            ),
            (&json!(5), &json!(2))
        );

        let (events, _) = stream(scenario, &json!({}));
        let joined = |field: &str| -> String {
            let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
            deltas.filter_map(|delta| delta[field].as_str()).collect()
        };
        assert_eq!(events.len(), 1 + 2 + 3 + 1);
        assert_eq!(
            (joined("refusal"), joined("reasoning_content")),
            ("I will not.".into(), "d e".into())
        );
    }

    #[test]
    fn structured_answer_fits_its_schema() {
        let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
        let format = json!({"type": "json_schema", "json_schema": {"name": "r", "schema": schema}});
        let answer = plain("{}", &json!({"response_format": format}));
        assert_eq!(answer["choices"][0]["message"]["content"], "{\"ok\":false}");
    }
}
