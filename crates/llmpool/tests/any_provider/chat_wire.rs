//! Chat completions as providers write them: documents and chunks.

use serde_json::{Map, Value, json};

use crate::answer::{Call, Choice, Usage};
use crate::provider::{CallStyle, Oddity, Provider, ReasoningPlace, UsagePlace};
use crate::wire::{raw_json, with_split_pairs, with_whole_pairs};

/// Returns the complete answer.
pub fn completion(provider: &Provider) -> Value {
    completion_so_far(provider, usize::MAX)
}

/// Returns the answers so far, the last of which is complete.
pub fn completions_so_far(provider: &Provider) -> Vec<Value> {
    let lengths = provider.answer.choices.iter().map(|choice| {
        let calls = choice.calls.iter().map(|call| call.arguments.len());
        choice.reasoning.len() + choice.text.len() + calls.sum::<usize>()
    });
    let longest = lengths.max().unwrap_or(0);
    let begun = (1..longest).map(|pieces| completion_so_far(provider, pieces));
    begun.chain([completion(provider)]).collect()
}

/// Returns the answer with the first pieces of each text.
fn completion_so_far(provider: &Provider, pieces: usize) -> Value {
    let is_complete = pieces == usize::MAX;
    let choices = provider.answer.choices.iter().enumerate().map(|(place, choice)| {
        let mut object =
            json!({"index": index(provider, place), "message": message(provider, choice, pieces)});
        if !is_complete {
            object["finish_reason"] = Value::Null;
            return as_text(provider, object, "message");
        }
        object["finish_reason"] = finish_reason(provider, choice);
        as_text(provider, with_oddities(provider, object, choice), "message")
    });
    let mut choices: Vec<Value> = choices.collect();
    if provider.has(Oddity::LastChoiceFirst) {
        choices.reverse();
    }
    let mut completion = envelope(provider, "chat.completion", choices);
    if let Some(usage) = provider.answer.usage.as_ref().filter(|_| is_complete) {
        completion["usage"] = usage_object(provider, usage);
    }
    completion
}

/// Returns the chunks of the stream, without `[DONE]`.
pub fn chunks(provider: &Provider) -> Vec<Value> {
    let answer = &provider.answer;
    let mut queues: Vec<Vec<Value>> = Vec::new();
    for (place, choice) in answer.choices.iter().enumerate() {
        queues.push(choice_pieces(provider, place, choice));
    }
    if provider.has(Oddity::LastChoiceFirst) {
        queues.reverse();
    }
    let pieces = if provider.style.is_interleaved {
        alternated(queues)
    } else {
        queues.concat()
    };
    let chunk = |choices: Vec<Value>| envelope(provider, "chat.completion.chunk", choices);
    let mut chunks: Vec<Value> = pieces.into_iter().map(|piece| chunk(vec![piece])).collect();
    let Some(usage) = answer.usage.as_ref().map(|usage| usage_object(provider, usage)) else {
        return chunks;
    };
    let last = chunks.len() - 1;
    match provider.style.usage {
        UsagePlace::OwnChunk => {
            let mut own = chunk(Vec::new());
            if provider.has(Oddity::NullChoices) {
                own["choices"] = Value::Null;
            }
            own["usage"] = usage;
            chunks.push(own);
        }
        UsagePlace::LastChunk => chunks[last]["usage"] = usage,
        UsagePlace::EveryChunk => chunks.iter_mut().for_each(|chunk| chunk["usage"] = usage.clone()),
        UsagePlace::Choice => match &mut chunks[last]["choices"] {
            Value::Array(choices) => choices[0]["usage"] = usage,
            choice => choice["usage"] = usage,
        },
        UsagePlace::Groq => chunks[last]["x_groq"] = json!({"id": "req_1", "usage": usage}),
    }
    chunks
}

fn alternated(queues: Vec<Vec<Value>>) -> Vec<Value> {
    let longest = queues.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|round| queues.iter().filter_map(move |queue| queue.get(round)));
    rounds.cloned().collect()
}

fn envelope(provider: &Provider, object: &str, choices: Vec<Value>) -> Value {
    let id = if provider.has(Oddity::IdAsNumber) {
        json!(17)
    } else {
        json!("chatcmpl-1")
    };
    let choices = match choices.as_slice() {
        [choice] if provider.has(Oddity::ChoicesAsObject) => choice.clone(),
        _ => choices.into(),
    };
    let mut envelope = json!({"id": id, "object": object, "created": 1, "model": "m", "choices": choices});
    if provider.has(Oddity::OddNumbers) {
        envelope["score"] = raw_json("NaN");
    }
    if provider.has(Oddity::NullMembers) {
        envelope["usage"] = Value::Null;
        envelope["service_tier"] = Value::Null;
    }
    envelope
}

fn index(provider: &Provider, place: usize) -> usize {
    place + usize::from(provider.has(Oddity::ChoicesFromOne))
}

/// Returns what the stream sends of one choice, piece by piece.
fn choice_pieces(provider: &Provider, place: usize, choice: &Choice) -> Vec<Value> {
    let index = index(provider, place);
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    // Halves are joined in members of a delta that are strings.
    let has_other_texts = [
        Oddity::DeltaAsText,
        Oddity::LegacyText,
        Oddity::TextInPlaceOfContent,
    ]
    .iter()
    .any(|oddity| provider.has(*oddity));
    let texts = |pieces: &[String]| match () {
        () if provider.has_parts() || has_other_texts => with_whole_pairs(pieces),
        () if provider.has(Oddity::SplitPairs) => with_split_pairs(pieces),
        () => pieces.to_vec(),
    };
    for piece in texts(&choice.reasoning) {
        deltas.push(reasoning_delta(provider, &piece));
    }
    for (number, piece) in texts(&choice.text).iter().enumerate() {
        deltas.push(json!({"content": content(provider, &[], &[(number, piece)])}));
    }
    for (number, call) in choice.calls.iter().enumerate() {
        let calls = call_deltas(provider, number, call).into_iter();
        deltas.extend(calls.map(|call| json!({"tool_calls": [call]})));
    }
    let first = deltas.len() - 1;
    deltas.push(json!({}));
    let mut pieces = Vec::new();
    for (number, mut delta) in deltas.into_iter().enumerate() {
        if provider.has(Oddity::RoleInEveryDelta) {
            delta["role"] = "assistant".into();
        }
        if provider.has(Oddity::EmptyRole) && number > 0 {
            delta["role"] = "".into();
        }
        let delta = with_nulls(provider, delta);
        let mut piece = json!({"index": index, "delta": delta, "finish_reason": null});
        if provider.has(Oddity::EmptyFinishReason) {
            piece["finish_reason"] = "".into();
        }
        if provider.has(Oddity::FinishReasonOfPython) {
            piece["finish_reason"] = "None".into();
        }
        if number > first {
            piece["finish_reason"] = finish_reason(provider, choice);
            if provider.has(Oddity::MessageBesideDelta) {
                piece["message"] = message(provider, choice, usize::MAX);
            }
            piece = with_oddities(provider, piece, choice);
        }
        pieces.push(as_text(provider, piece, "delta"));
    }
    pieces
}

fn finish_reason(provider: &Provider, choice: &Choice) -> Value {
    let word = provider.finish_word(choice);
    if provider.has(Oddity::FinishReasonAsObject) {
        json!({"type": word})
    } else {
        word.into()
    }
}

/// Replaces a delta or message that has nothing but text by the text itself, if the provider does so.
fn as_text(provider: &Provider, mut choice: Value, name: &str) -> Value {
    let Some(text) = choice[name]["content"].as_str() else {
        return choice;
    };
    let members = choice[name].as_object().unwrap();
    let is_text = members
        .iter()
        .all(|(name, value)| name == "content" || name == "role" || value.is_null());
    let text: Value = text.into();
    if is_text && provider.has(Oddity::DeltaAsText) {
        choice[name] = text;
    } else if is_text && provider.has(Oddity::LegacyText) {
        choice.as_object_mut().unwrap().remove(name);
        choice["text"] = text;
    } else if provider.has(Oddity::TextInPlaceOfContent) {
        choice[name].as_object_mut().unwrap().remove("content");
        choice[name]["text"] = text;
    }
    choice
}

/// Adds the oddities of a choice that ends.
fn with_oddities(provider: &Provider, mut choice: Value, model: &Choice) -> Value {
    if provider.has(Oddity::NativeFinishReason) {
        choice["native_finish_reason"] = provider.finish_word(model).to_uppercase().into();
    }
    if provider.has(Oddity::OddNumbers) {
        let token =
            json!({"token": "a", "logprob": raw_json("-Infinity"), "bytes": null, "top_logprobs": []});
        choice["logprobs"] = json!({"content": [token]});
    }
    choice
}

fn with_nulls(provider: &Provider, mut message: Value) -> Value {
    if provider.has(Oddity::NullMembers) {
        for name in [
            "refusal",
            "function_call",
            "tool_calls",
            "audio",
            "content",
            "role",
        ] {
            if message.get(name).is_none() {
                message[name] = Value::Null;
            }
        }
    }
    message
}

/// Returns the message of a complete choice, with the first pieces of its texts: of the reasoning, the text, and the
/// arguments of its calls.
fn message(provider: &Provider, choice: &Choice, mut pieces: usize) -> Value {
    let mut begun = |texts: &[String]| -> Vec<String> {
        let texts = with_whole_pairs(texts);
        let count = texts.len().min(pieces);
        pieces -= count;
        texts[..count].to_vec()
    };
    let (reasoning, text) = (begun(&choice.reasoning), begun(&choice.text));
    let mut message = json!({"role": "assistant"});
    let in_parts: Vec<String> = match reasoning_name(provider) {
        Some(_) if reasoning.is_empty() => Vec::new(),
        Some(name) => {
            message[name] = reasoning.concat().into();
            Vec::new()
        }
        None => reasoning,
    };
    let numbered: Vec<(usize, &String)> = text.iter().enumerate().collect();
    message["content"] = match (numbered.is_empty(), in_parts.is_empty()) {
        (true, true) => Value::Null,
        _ => content(provider, &in_parts, &numbered),
    };
    let calls = choice.calls.iter().filter_map(|call| {
        let arguments = begun(&call.arguments);
        let is_begun = if provider.has(Oddity::ArgumentsAsObject) {
            arguments.len() == with_whole_pairs(&call.arguments).len()
        } else {
            !arguments.is_empty()
        };
        let call_id = is_begun.then_some(&call.id)?;
        let arguments = arguments_value(provider, arguments.concat());
        let function = json!({"name": call.whole_name(), "arguments": arguments});
        Some(json!({"id": call_id, "type": "function", "function": function}))
    });
    let calls: Vec<Value> = calls.collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    with_nulls(provider, message)
}

impl Provider {
    /// Returns whether content consists of parts.
    fn has_parts(&self) -> bool {
        let has_thinking = self
            .answer
            .choices
            .iter()
            .any(|choice| !choice.reasoning.is_empty());
        self.has(Oddity::PartsOfEveryKind) || has_thinking && reasoning_name(self).is_none()
    }
}

/// Returns the field of the reasoning. `None` if it is in content parts.
fn reasoning_name(provider: &Provider) -> Option<&'static str> {
    match provider.style.reasoning {
        ReasoningPlace::ReasoningContent => Some("reasoning_content"),
        ReasoningPlace::Reasoning => Some("reasoning"),
        ReasoningPlace::ThinkingParts | ReasoningPlace::ThinkingText => None,
    }
}

fn reasoning_delta(provider: &Provider, piece: &str) -> Value {
    match reasoning_name(provider) {
        Some(name) => json!({name: piece}),
        None => json!({"content": [thinking_part(provider, piece)]}),
    }
}

fn thinking_part(provider: &Provider, piece: &str) -> Value {
    match provider.style.reasoning {
        ReasoningPlace::ThinkingText => json!({"type": "thinking", "thinking": piece}),
        _ => json!({"type": "thinking", "thinking": [{"type": "text", "text": piece}]}),
    }
}

/// Returns the content of a message or delta: a string, or parts.
fn content(provider: &Provider, reasoning: &[String], text: &[(usize, &String)]) -> Value {
    let joined: String = text.iter().map(|(_, piece)| piece.as_str()).collect();
    if !provider.has_parts() {
        return joined.into();
    }
    let mut parts = Vec::new();
    for piece in reasoning {
        parts.push(thinking_part(provider, piece));
    }
    for (number, piece) in text {
        parts.push(if provider.has(Oddity::PartsOfEveryKind) {
            part_of_any_kind(*number, piece)
        } else {
            json!({"type": "text", "text": piece})
        });
    }
    parts.into()
}

fn part_of_any_kind(number: usize, text: &str) -> Value {
    match number % 6 {
        0 => json!({"type": "text", "text": text}),
        1 => json!({"type": "output_text", "text": text, "annotations": []}),
        2 => json!(text),
        3 => json!({"text": text}),
        4 => json!({"type": "text", "text": {"value": text, "annotations": []}}),
        _ => json!({"type": "input_text", "text": text}),
    }
}

fn arguments_value(provider: &Provider, arguments: String) -> Value {
    if provider.has(Oddity::ArgumentsAsObject) {
        return serde_json::from_str(&arguments).unwrap();
    }
    arguments.into()
}

fn call_deltas(provider: &Provider, number: usize, call: &Call) -> Vec<Value> {
    let style = provider.style.calls;
    let (id, name) = (call.id.as_str(), call.whole_name());
    let whole = call.arguments.concat();
    if style == CallStyle::Whole {
        let function = json!({"name": name, "arguments": arguments_value(provider, whole)});
        return vec![json!({"id": id, "type": "function", "function": function})];
    }
    let place = |is_first: bool| {
        let mut place = Map::new();
        if matches!(style, CallStyle::Index | CallStyle::IndexAndId) {
            place.insert("index".to_owned(), number.into());
        }
        if is_first || matches!(style, CallStyle::Id | CallStyle::IndexAndId) {
            place.insert("id".to_owned(), id.into());
        }
        Value::from(place)
    };
    let mut first = place(true);
    first["type"] = "function".into();
    let [start, end] = call.name;
    let names = if provider.has(Oddity::NameInPieces) {
        vec![start, end]
    } else if provider.has(Oddity::NameSoFar) {
        vec![start, &name]
    } else {
        vec![&*name]
    };
    let begun = if provider.has(Oddity::PlaceholderArguments) {
        "{}"
    } else {
        ""
    };
    first["function"] = json!({"name": names[0], "arguments": begun});
    let mut deltas = vec![first];
    for piece in &names[1..] {
        let mut delta = place(false);
        delta["function"] = json!({"name": piece});
        deltas.push(delta);
    }
    let arguments: Vec<Value> = if provider.has(Oddity::ArgumentsAsObject) {
        vec![arguments_value(provider, whole)]
    } else if provider.has(Oddity::SplitPairs) {
        with_split_pairs(&call.arguments)
            .into_iter()
            .map(Value::from)
            .collect()
    } else {
        call.arguments.iter().cloned().map(Value::from).collect()
    };
    for (number, piece) in arguments.into_iter().enumerate() {
        let mut delta = place(false);
        if provider.has(Oddity::NewIdWithEveryPiece) && style == CallStyle::IndexAndId {
            delta["id"] = format!("{id}-{number}").into();
        }
        delta["function"] = json!({"arguments": piece});
        if provider.has(Oddity::NameWithEveryPiece) {
            delta["function"]["name"] = name.as_str().into();
        }
        deltas.push(delta);
    }
    if provider.has(Oddity::CallRepeatedAtItsEnd) {
        let mut delta = place(true);
        let arguments = with_whole_pairs(&call.arguments).concat();
        delta["function"] = json!({"name": name, "arguments": arguments_value(provider, arguments)});
        deltas.push(delta);
    }
    deltas
}

fn usage_object(provider: &Provider, usage: &Usage) -> Value {
    let [prompt, completion] = if provider.has(Oddity::UsageNamesOfAnotherApi) {
        ["input_tokens", "output_tokens"]
    } else {
        ["prompt_tokens", "completion_tokens"]
    };
    let mut object = json!({
        prompt: usage.prompt.to_json(),
        completion: usage.completion.to_json(),
        "total_tokens": usage.total.to_json(),
    });
    if provider.has(Oddity::DetailsOfAnotherType) {
        object["prompt_tokens_details"] = json!([]);
    }
    object
}
