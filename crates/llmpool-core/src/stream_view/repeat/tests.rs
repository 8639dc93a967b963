use proptest::prelude::*;

use super::super::StreamView;
use super::*;
use crate::api_format::ApiFormat;

fn event(data: &str) -> SseEvent {
    SseEvent {
        data: Bytes::copy_from_slice(data.as_bytes()),
        name: None,
    }
}

fn chunk(delta: &str) -> String {
    format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

/// Events that a careless template could confuse.
fn similar_events() -> Vec<String> {
    vec![
        chunk(r#"{"content":" a"}"#),
        chunk(r#"{"content":""}"#),
        chunk(r#"{"content":"b","reasoning":""}"#),
        chunk(r#"{"content":"","reasoning":"b"}"#),
        chunk(r#"{"content":"","x":{"reasoning":"b"}}"#),
        chunk(r#"{"\u0063ontent":"a","x":{"content":""}}"#),
        chunk(r#"{"content":"\"finish_reason\":null \"usage\" \"error\""}"#),
        chunk(r#"{"content":"usage"}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":""}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"x"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"x"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"x","content":"y"}}]}"#),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"x","content":"longer"}}]}"#),
        r#"{"choices":[{"index":0,"delta":{"content":"\u00e9"}}],"id":1,"id":2}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"\u00e9"}}],"usage":1,"usage":null}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"x":{"finish_reason":null}}"#.into(),
        r#"{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":null}]}"#.into(),
        r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"x"}}]},"finish_reason":null}]}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":9}}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":null}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null,"usage":null}],"usage":{"total_tokens":9}}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"error":{"code":1}}"#.into(),
        r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"error":{"content":""}}"#.into(),
    ]
}

fn assert_same(view: &mut StreamView, data: &str) {
    let mut fresh = StreamView::default();
    let full = fresh.observe(&event(data)).flags;
    (view.choices, view.finished, view.output) = Default::default();
    view.usage = None;
    assert_eq!(view.observe(&event(data)).flags, full, "{data}");
    assert_eq!(view.output, fresh.output, "{data}");
    assert_eq!(
        (view.choices, view.finished),
        (fresh.choices, fresh.finished),
        "{data}"
    );
    assert_eq!(view.usage(), fresh.usage(), "{data}");
}

#[test]
fn template_gives_the_facts_of_a_full_classification() {
    for learned in similar_events() {
        for other in similar_events() {
            let mut view = StreamView::default();
            for data in [&learned, &learned, &other, &learned, &other, &other] {
                assert_same(&mut view, data);
            }
        }
    }
}

#[test]
fn text_deltas_of_both_formats_are_recognised() {
    for (api_format, name, start, end) in [
        (
            ApiFormat::ChatCompletions,
            None,
            r#"{"choices":[{"index":0,"delta":{"content":"#,
            "}}]}",
        ),
        (
            ApiFormat::Responses,
            Some(Bytes::from_static(b"response.output_text.delta")),
            r#"{"type":"response.output_text.delta","item_id":"i","delta":"#,
            r#","logprobs":[]}"#,
        ),
    ] {
        let mut view = StreamView::new(api_format);
        for turn in 0..3 {
            let event = SseEvent {
                data: Bytes::from(format!("{start}\"word {turn}\\n\"{end}")),
                name: name.clone(),
            };
            let observed = view.observe(&event);
            assert!(observed.flags.content);
            let texts: Vec<_> = observed
                .repeat
                .iter()
                .flat_map(|repeat| repeat.values(&event.data))
                .map(|(field, _)| observed.repeat.unwrap().string(&event.data, field).unwrap())
                .collect();
            let expected = if turn > 0 {
                vec![format!("word {turn}\n")]
            } else {
                vec![]
            };
            assert_eq!(texts, expected);
        }
        assert_eq!(view.estimated_tokens(), 6);
    }
}

#[test]
fn repeated_tool_call_counts_like_the_first_one() {
    let delta = chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"abcd"}}]}"#);
    let mut view = StreamView::default();
    view.observe(&event(&delta));
    let of_one = view.output.bytes;
    assert_eq!(
        of_one,
        r#"[{"index":0,"function":{"arguments":"abcd"}}]"#.len() as u64
    );
    assert!(view.observe(&event(&delta)).repeat.is_some());
    assert_eq!(view.output.bytes, 2 * of_one);
}

#[test]
fn sequence_numbers_may_differ() {
    let mut view = StreamView::new(ApiFormat::Responses);
    for number in 8..12 {
        let data =
            format!(r#"{{"type":"response.output_text.delta","sequence_number":{number},"delta":"a"}}"#);
        assert_eq!(view.observe(&event(&data)).repeat.is_some(), number > 8);
    }
}

proptest! {
    #[test]
    fn any_sequence_of_similar_events_is_classified_like_fresh_ones(
        order in prop::collection::vec((any::<prop::sample::Index>(), 1_usize..4), 1..12),
    ) {
        let events = similar_events();
        let mut view = StreamView::default();
        for (index, times) in order {
            for _ in 0..times {
                assert_same(&mut view, &events[index.index(events.len())]);
            }
        }
    }
}
