//! What a caller gets from an answer, read with the public types.

use llmpool::chat::{Assembler, ChatCompletion, ChunkDecoder, FinishReason, Role, Usage};
use llmpool::responses::{EventDecoder, EventKind, Item, Response, ResponseEvent, ResponseStatus};
use llmpool::{CallReport, UsageSource};

use crate::answer::{ChoiceReading, Reading, normal_arguments};

/// Reads a completion, and the usage in the report of its call.
pub fn of_completion(completion: &ChatCompletion, report: &CallReport) -> Reading {
    let mut choices: Vec<_> = completion.choices.iter().collect();
    choices.sort_by_key(|choice| choice.index());
    let choices = choices.into_iter().map(|choice| {
        let message = &choice.message;
        assert!(
            matches!(message.role, None | Some(Role::Assistant)),
            "another role"
        );
        let calls = message.tool_calls.iter().map(|call| {
            let id = call.id.clone().unwrap_or_default();
            [id, call.name().to_owned(), normal_arguments(call.arguments())]
        });
        ChoiceReading {
            reasoning: message.reasoning_text().into_owned(),
            text: message.text().into_owned(),
            calls: calls.collect(),
            finish: choice
                .finish_reason
                .as_ref()
                .map_or("", FinishReason::as_str)
                .to_owned(),
        }
    });
    Reading {
        choices: choices.collect(),
        usage: reported_usage(report),
    }
}

/// Reads the data of the events of a chat stream.
pub fn of_chunks<'a>(events: impl Iterator<Item = &'a [u8]>, report: &CallReport) -> Result<Reading, String> {
    let (mut decoder, mut assembler) = (ChunkDecoder::new(), Assembler::new());
    for data in events.filter(|data| !is_mark(data)) {
        let chunk = decoder.decode(data).map_err(|error| error.to_string())?;
        assembler.push(chunk);
    }
    decoder
        .finish()
        .into_iter()
        .for_each(|chunk| assembler.push(chunk));
    Ok(of_completion(&assembler.finish(), report))
}

/// Reads a response, and the usage in the report of its call.
pub fn of_response(response: &Response, report: &CallReport) -> Reading {
    Reading {
        choices: vec![ChoiceReading {
            finish: finish_of(response).to_owned(),
            ..of_items(&response.output)
        }],
        usage: reported_usage(report),
    }
}

/// Reads the data of the events of a response.
pub fn of_events<'a>(events: impl Iterator<Item = &'a [u8]>, report: &CallReport) -> Result<Reading, String> {
    let mut decoder = EventDecoder::new();
    let events = events
        .filter(|data| !is_mark(data))
        .map(|data| decoder.decode(data));
    let events: Result<Vec<_>, _> = events.collect();
    Ok(of_decoded_events(
        &events.map_err(|error| error.to_string())?,
        report,
    ))
}

/// Reads a response from its last event or, if it has no output there, from the items or deltas before.
pub fn of_decoded_events(events: &[ResponseEvent], report: &CallReport) -> Reading {
    let last = events.iter().rev().find_map(|event| event.response.as_deref());
    let last = last.cloned().unwrap_or_default();
    let done = events.iter().filter(|event| event.kind == EventKind::ItemDone);
    let items: Vec<Item> = done.filter_map(|event| event.item.clone()).collect();
    let reading = match (last.output.is_empty(), items.is_empty()) {
        (false, _) => of_items(&last.output),
        (true, false) => of_items(&items),
        (true, true) => of_deltas(events),
    };
    let streamed = of_deltas(events);
    for (streamed, complete) in [
        (&streamed.text, &reading.text),
        (&streamed.reasoning, &reading.reasoning),
    ] {
        let is_half = complete
            .strip_prefix(streamed.as_str())
            .is_some_and(|rest| rest == "\u{fffd}");
        assert!(
            streamed.is_empty() || streamed == complete || is_half,
            "deltas differ"
        );
    }
    Reading {
        choices: vec![ChoiceReading {
            finish: finish_of(&last).to_owned(),
            ..reading
        }],
        usage: reported_usage(report),
    }
}

fn of_items(items: &[Item]) -> ChoiceReading {
    let mut response = Response::default();
    response.output = items.to_vec();
    let reasoning = items.iter().filter_map(|item| match item {
        Item::Reasoning(reasoning) => Some(reasoning.text()),
        _ => None,
    });
    let calls = items.iter().filter_map(|item| match item {
        Item::FunctionCall(call) => Some([
            call.call_id.clone(),
            call.name.clone(),
            normal_arguments(&call.arguments),
        ]),
        _ => None,
    });
    ChoiceReading {
        reasoning: reasoning.collect(),
        text: response.text(),
        calls: calls.collect(),
        finish: String::new(),
    }
}

fn of_deltas(events: &[ResponseEvent]) -> ChoiceReading {
    let deltas_of = |kind: EventKind| -> String {
        let deltas = events.iter().filter(|event| event.kind == kind);
        deltas.filter_map(ResponseEvent::delta_text).collect()
    };
    let mut calls: Vec<[String; 3]> = Vec::new();
    for event in events {
        match (&event.kind, &event.item) {
            (EventKind::ItemAdded, Some(Item::FunctionCall(call))) => {
                calls.push([call.call_id.clone(), call.name.clone(), String::new()]);
            }
            (EventKind::ArgumentsDelta, _) => {
                if let Some(call) = calls.last_mut() {
                    call[2] += event.delta_text().unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    for call in &mut calls {
        call[2] = normal_arguments(&call[2]);
    }
    ChoiceReading {
        reasoning: deltas_of(EventKind::SummaryTextDelta),
        text: deltas_of(EventKind::TextDelta),
        calls,
        finish: String::new(),
    }
}

fn finish_of(response: &Response) -> &'static str {
    let details = response.incomplete_details.as_ref();
    let reason = details.and_then(|details| details.reason.as_deref());
    match (&response.status, reason) {
        (Some(ResponseStatus::Completed), _) => "stop",
        (Some(ResponseStatus::Incomplete), Some("max_output_tokens")) => "length",
        (Some(ResponseStatus::Incomplete), Some("content_filter")) => "content_filter",
        _ => "unfinished",
    }
}

fn reported_usage(report: &CallReport) -> Option<[Option<u64>; 3]> {
    let is_reported = report.usage_source == UsageSource::Provider;
    let usage = report.usage.as_ref().filter(|_| is_reported)?;
    Some([
        Usage::prompt_tokens(usage),
        usage.completion_tokens(),
        usage.total_tokens(),
    ])
}

/// Returns whether an event has no data, or is the end of a chat stream.
pub fn is_mark(data: &[u8]) -> bool {
    matches!(data.trim_ascii(), b"" | b"[DONE]")
}
