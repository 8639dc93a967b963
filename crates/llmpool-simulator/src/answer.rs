//! Proper answers to chat requests, plain and as streams of the same content.
//!
//! Words stand for tokens. A stream is made event by event as it is sent, so that a long one costs no memory.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::chat::{ChatRequest, Wanted};
use crate::random::SplitMix64;
use crate::sample;
use crate::scenario::{Scenario, UsagePolicy};

/// A completion, ready to be told either way.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    id: String,
    created: u64,
    model: String,
    choices: u32,
    content: Content,
    cut_short: bool,
    /// Of all choices together.
    tokens: usize,
    /// `None` if usage is not told in this form of the answer.
    usage: Option<Value>,
    /// Events before the usage carry `"usage": null`.
    usage_announced: bool,
    done: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Text(Words),
    ToolCall {
        id: String,
        name: String,
        arguments: Words,
    },
}

/// A text as words, each with the space behind it; repeated or cut to `total`.
#[derive(Clone, Debug)]
struct Words {
    words: Vec<String>,
    total: usize,
    per_piece: usize,
}

impl Completion {
    /// The answer to a request; `number` makes its ids, `created` is seconds since 1970.
    pub(crate) fn new(scenario: &Scenario, request: &ChatRequest, number: u64, created: u64) -> Self {
        let mut random = SplitMix64::new(scenario.seed, number);
        let (content, available) = Content::for_request(scenario, request, &mut random);
        let streams = request.streams();
        let told = match scenario.usage {
            UsagePolicy::Always => true,
            UsagePolicy::OnRequest => !streams || request.includes_usage(),
            UsagePolicy::Never => false,
        };
        let completion_tokens = content.words().total * request.choices() as usize;
        let prompt_tokens = request.prompt_words();
        Self {
            id: format!("chatcmpl-{:016x}", random.next()),
            created,
            model: request.model.clone(),
            choices: request.choices(),
            cut_short: content.words().total < available,
            content,
            tokens: completion_tokens,
            usage: told.then(|| {
                json!({
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": completion_tokens,
                    "total_tokens": prompt_tokens + completion_tokens,
                })
            }),
            usage_announced: told && request.includes_usage(),
            done: scenario.done,
        }
    }

    /// How long it is in tokens, all choices together.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// The body of a plain answer.
    pub(crate) fn plain(&self) -> Bytes {
        let choices: Vec<Value> = (0..self.choices)
            .map(|index| {
                json!({
                    "index": index,
                    "message": self.content.message(),
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

    /// The events of a stream, one after the other.
    pub(crate) fn events(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let rows = 1 + self.content.words().pieces() + 1;
        let usage = self.usage_event();
        let done = self.done.then(|| Bytes::from_static(b"data: [DONE]\n\n"));
        let choices = self.choices as usize;
        let events = (0..rows * choices).map(move |position| {
            let (row, index) = (position / choices, position % choices);
            self.row(row, rows, index)
        });
        events.chain(usage).chain(done)
    }

    /// Choices take turns: a row of roles, one of each piece of the content, and a row of finish reasons.
    fn row(&self, row: usize, rows: usize, index: usize) -> Bytes {
        match row {
            0 => self.chunk(index, &self.content.first_delta(), None),
            last if last + 1 == rows => self.chunk(index, &json!({}), Some(self.finish_reason())),
            row => self.chunk(index, &self.content.delta(row - 1), None),
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
        match self.content {
            _ if self.cut_short => "length",
            Content::Text(_) => "stop",
            Content::ToolCall { .. } => "tool_calls",
        }
    }
}

impl Content {
    /// The content, and how many words it would have had without `max_tokens`.
    fn for_request(scenario: &Scenario, request: &ChatRequest, random: &mut SplitMix64) -> (Self, usize) {
        let words = |text: &str| Words::new(text, scenario.words_per_chunk);
        let mut content = match request.wanted().unwrap_or(Wanted::Text) {
            Wanted::Text => {
                let echo = scenario.echo.then(|| request.last_user_text()).flatten();
                let text = words(echo.as_deref().unwrap_or(&scenario.answer));
                Self::Text(text.repeated_to(scenario.chunk_count))
            }
            Wanted::Json(Value::Null) => Self::Text(words("{}")),
            Wanted::Json(schema) => Self::Text(words(&sample::fitting(schema).to_string())),
            Wanted::ToolCall { name, parameters } => {
                let arguments = scenario.tool_arguments.clone();
                Self::ToolCall {
                    id: format!("call_{:016x}", random.next()),
                    name: name.to_owned(),
                    arguments: words(&arguments.unwrap_or_else(|| arguments_for(parameters))),
                }
            }
        };
        let available = content.words().total;
        let words = content.words_mut();
        words.total = available.min(request.max_tokens().unwrap_or(available));
        (content, available)
    }

    fn words(&self) -> &Words {
        match self {
            Self::Text(words) | Self::ToolCall { arguments: words, .. } => words,
        }
    }

    fn words_mut(&mut self) -> &mut Words {
        match self {
            Self::Text(words) | Self::ToolCall { arguments: words, .. } => words,
        }
    }

    fn message(&self) -> Value {
        match self {
            Self::Text(words) => json!({"role": "assistant", "content": words.whole(), "refusal": null}),
            Self::ToolCall { id, name, arguments } => json!({
                "role": "assistant",
                "content": null,
                "refusal": null,
                "tool_calls": [tool_call(id, name, &arguments.whole())],
            }),
        }
    }

    fn first_delta(&self) -> Value {
        match self {
            Self::Text(_) => json!({"role": "assistant", "content": "", "refusal": null}),
            Self::ToolCall { id, name, .. } => {
                let mut call = tool_call(id, name, "");
                call["index"] = json!(0);
                json!({"role": "assistant", "content": null, "tool_calls": [call]})
            }
        }
    }

    fn delta(&self, piece: usize) -> Value {
        let text = self.words().piece(piece);
        match self {
            Self::Text(_) => json!({"content": text}),
            Self::ToolCall { .. } => json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
        }
    }
}

impl Words {
    fn new(text: &str, per_piece: usize) -> Self {
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Self {
            total: words.len(),
            words,
            per_piece,
        }
    }

    fn repeated_to(self, pieces: Option<usize>) -> Self {
        Self {
            total: pieces.map_or(self.total, |pieces| pieces * self.per_piece),
            ..self
        }
    }

    fn pieces(&self) -> usize {
        self.total.div_ceil(self.per_piece)
    }

    fn piece(&self, index: usize) -> String {
        let start = index * self.per_piece;
        (start..self.total.min(start + self.per_piece))
            .map(|word| self.word(word))
            .collect()
    }

    fn whole(&self) -> String {
        (0..self.pieces()).map(|index| self.piece(index)).collect()
    }

    /// Where the text begins again, its last word needs a space.
    fn word(&self, index: usize) -> String {
        let word = &self.words[index % self.words.len()];
        let space = if index + 1 < self.total && !word.ends_with(' ') {
            " "
        } else {
            ""
        };
        format!("{word}{space}")
    }
}

/// Parameters may be left out; a tool then takes an empty object.
fn arguments_for(parameters: &Value) -> String {
    match sample::fitting(parameters) {
        Value::Null => "{}".to_owned(),
        arguments => arguments.to_string(),
    }
}

fn tool_call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// One server-sent event.
pub(crate) fn event(data: &Value) -> Bytes {
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
            &ChatRequest::parse(full.to_string().as_bytes()).unwrap(),
            1,
            1_700_000_000,
        )
    }

    fn plain(scenario: &str, request: &Value) -> Value {
        serde_json::from_slice(&completion(scenario, request).plain()).unwrap()
    }

    /// The JSON events, and whether `[DONE]` came last.
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
    fn a_stream_assembled_is_the_plain_answer() {
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
    fn the_chunk_count_is_exact_and_repeats_the_answer() {
        let (events, _) = stream(r#"{"answer": "a b c", "chunk_count": 7}"#, &json!({}));
        assert_eq!(events.len(), 1 + 7 + 1);
        assert_eq!(text(&events, 0), "a b c a b c a ".trim_end().to_owned() + " ");
    }

    #[test]
    fn max_tokens_cuts_and_says_length() {
        let answer = plain(r#"{"answer": "a b c"}"#, &json!({"max_tokens": 2}));
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 2);
        assert_eq!(
            plain(r#"{"answer": "a b c"}"#, &json!({"max_tokens": 3}))["choices"][0]["finish_reason"],
            "stop"
        );
    }

    #[test]
    fn usage_is_told_when_the_policy_says_so() {
        let asked = json!({"stream_options": {"include_usage": true}});
        for (scenario, request, told) in [
            ("{}", json!({}), false),
            ("{}", asked.clone(), true),
            (r#"{"usage": "always"}"#, json!({}), true),
            (r#"{"usage": "never"}"#, asked.clone(), false),
        ] {
            let (events, _) = stream(scenario, &request);
            let last = events.last().unwrap();
            assert_eq!(last["usage"].is_object(), told, "{scenario}");
            assert_eq!(last["choices"] == json!([]), told, "{scenario}");
        }
        let (events, _) = stream("{}", &asked);
        assert_eq!(events[0].get("usage"), Some(&Value::Null));
        assert_eq!(plain(r#"{"usage": "never"}"#, &json!({})).get("usage"), None);
        assert_eq!(plain("{}", &json!({}))["usage"]["prompt_tokens"], 3);
    }

    #[test]
    fn the_done_marker_can_be_left_out() {
        assert!(!stream(r#"{"done": false}"#, &json!({})).1);
    }

    #[test]
    fn the_prompt_is_only_repeated_where_asked() {
        let content = |scenario| plain(scenario, &json!({}))["choices"][0]["message"]["content"].clone();
        assert!(!content("{}").as_str().unwrap().contains("what is this"));
        assert_eq!(content(r#"{"echo": true}"#), "what is this");
    }

    #[test]
    fn a_forced_tool_is_called_with_arguments_that_fit() {
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
    fn a_structured_answer_fits_its_schema() {
        let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
        let format = json!({"type": "json_schema", "json_schema": {"name": "r", "schema": schema}});
        let answer = plain("{}", &json!({"response_format": format}));
        assert_eq!(answer["choices"][0]["message"]["content"], "{\"ok\":false}");
    }
}
