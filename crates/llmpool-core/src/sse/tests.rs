use super::*;
use proptest::prelude::*;

type NameAndData = (Option<String>, String);

fn decode(reads: &[&[u8]]) -> Vec<NameAndData> {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut events = Vec::new();
    for read in reads {
        decoder.push(Bytes::copy_from_slice(read));
        while let Some(event) = decoder.next_event().unwrap() {
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            events.push((event.name.as_ref().map(text), text(&event.data)));
        }
    }
    events
}

fn data(texts: &[&str]) -> Vec<NameAndData> {
    texts.iter().map(|text| (None, (*text).to_owned())).collect()
}

const CORPUS: &[&str] = &[
    "data: {\"a\":1}\n\ndata: [DONE]\n\n",
    "data:one\r\ndata: two\r\n\r\ndata:[DONE]\r\n\r\n",
    "data: old mac\r\rdata: two\rdata: lines\r\r",
    ": OPENROUTER PROCESSING\n\n: ping\n\ndata: \u{4f60}\u{597d}\u{1f389}\u{e9}\n\n",
    "\u{feff}data: after a mark\n\nevent: error\ndata: {}\n\n",
    "event: named\nid: 7\nretry: 10\nunknown: x\ndata\ndata\n\n",
    "data: mixed\r\n\ndata: ends\n\r\ndata: here\r\r\n\n\n\ndata: half",
    "data: {\"choices\":[{\"delta\":{\"content\":\"\u{2028}\"}}]}\n\n\n\n:\n\ndata:  two spaces\n\n",
];

// L48, L49, L51
#[test]
fn vectors_of_the_specification_decode() {
    assert_eq!(decode(&[CORPUS[0].as_bytes()]), data(&["{\"a\":1}", "[DONE]"]));
    assert_eq!(decode(&[CORPUS[1].as_bytes()]), data(&["one\ntwo", "[DONE]"]));
    assert_eq!(decode(&[CORPUS[2].as_bytes()]), data(&["old mac", "two\nlines"]));
    assert_eq!(
        decode(&[CORPUS[3].as_bytes()]),
        data(&["\u{4f60}\u{597d}\u{1f389}\u{e9}"])
    );
    let named = vec![
        (None, "after a mark".to_owned()),
        (Some("error".to_owned()), "{}".to_owned()),
    ];
    assert_eq!(decode(&[CORPUS[4].as_bytes()]), named);
    assert_eq!(
        decode(&[CORPUS[5].as_bytes()]),
        vec![(Some("named".to_owned()), "\n".to_owned())]
    );
    assert_eq!(decode(&[CORPUS[6].as_bytes()]), data(&["mixed", "ends", "here"]));
    assert_eq!(decode(&[b"data:\n\ndata: \n\nevent: x\n\n"]), data(&["", ""]));
}

// L47
#[test]
fn every_split_of_the_corpus_gives_the_same_events() {
    for text in CORPUS {
        let bytes = text.as_bytes();
        let whole = decode(&[bytes]);
        for at in 0..=bytes.len() {
            assert_eq!(
                decode(&[&bytes[..at], &bytes[at..]]),
                whole,
                "{text:?} split at {at}"
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&single), whole, "{text:?} byte by byte");
    }
}

#[test]
fn mark_after_blank_lines_is_dropped() {
    for text in [
        "\n\n\u{feff}data: a\n\n",
        "\r\n\u{feff}data: a\n\n",
        " \t\n\n data: a\n\n",
        "\u{feff} \u{feff}data: a\n\n",
        "\u{feff}\n\ndata: a\n\n",
    ] {
        assert_eq!(decode(&[text.as_bytes()]), data(&["a"]), "{text:?}");
    }
    assert_eq!(
        decode(&["data: a\n\n\u{feff}data: b\n\n".as_bytes()]),
        data(&["a"])
    );
}

#[test]
fn errors_on_lines_without_data_are_events() {
    let error = |text: &str| vec![(Some("error".to_owned()), text.to_owned())];
    for (text, events) in [
        (
            "{\"error\":{\"message\":\"m\"}}\n\n",
            data(&["{\"error\":{\"message\":\"m\"}}"]),
        ),
        (
            "{\n  \"error\": \"m\"\r\n}\n\n",
            data(&["{\n  \"error\": \"m\"\n}"]),
        ),
        (": note\n{\"a\":1}\n\ndata: b\n\n", data(&["{\"a\":1}", "b"])),
        ("\u{feff}{\"a\":1}\n\n", data(&["{\"a\":1}"])),
        ("event: error\n{\"a\":1}\n\n", error("{\"a\":1}")),
        ("error: {\"a\":1}\n\n", error("{\"a\":1}")),
        ("error: slow down\n\n", error("slow down")),
        // A line that is not JSON, and lines beside data, are unknown fields.
        ("{a:1}\n\n{\n\nerrors: x\n\nerror\n\n", Vec::new()),
        ("{\"a\":1}\ndata: b\n\n", data(&["b"])),
    ] {
        assert_eq!(decode(&[text.as_bytes()]), events, "{text:?}");
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(decode(&single), events, "{text:?} byte by byte");
    }
}

#[test]
fn last_event_without_a_blank_line_is_taken_if_it_is_complete() {
    for (text, last) in [
        ("data: a\n\ndata: {\"b\":1}", Some("{\"b\":1}")),
        ("data: {\"b\":1}\n", Some("{\"b\":1}")),
        ("data: {\"b\":1}\r", Some("{\"b\":1}")),
        ("data: [DONE]", Some("[DONE]")),
        ("\u{feff}data:  [DONE]", Some(" [DONE]")),
        ("{\"error\":\"m\"}", Some("{\"error\":\"m\"}")),
        ("error: slow down", Some("slow down")),
        ("data: {\"b\":\"\t\",\"c\":NaN}", Some("{\"b\":\"\t\",\"c\":NaN}")),
        ("data: {\"b\":\"\t\"", None),
        ("data: {\"b\":", None),
        ("data: [DO", None),
        ("{\"error\":", None),
        ("data: a\n\n", None),
        ("", None),
    ] {
        for size in [1, 3, 100] {
            let mut decoder = SseDecoder::new(1 << 20);
            for piece in text.as_bytes().chunks(size) {
                decoder.push(Bytes::copy_from_slice(piece));
                while decoder.next_event().unwrap().is_some() {}
            }
            let event = decoder.take_unfinished();
            let taken = event.as_ref().map(|event| &event.data[..]);
            assert_eq!(taken, last.map(str::as_bytes), "{text:?}");
            assert_eq!(decoder.take_unfinished(), None);
        }
    }
}

#[test]
fn push_before_all_events_are_taken_keeps_the_rest() {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut read = Vec::new();
    decoder.push(Bytes::from_static(b"data: a\n\ndata: b\n\nda"));
    read.extend(decoder.next_event().unwrap());
    decoder.push(Bytes::from_static(b"ta: c\n\n"));
    while let Some(event) = decoder.next_event().unwrap() {
        read.push(event);
    }
    let data: Vec<_> = read.iter().map(|event| &event.data[..]).collect();
    assert_eq!(data, [b"a", b"b", b"c"]);
}

#[test]
fn event_within_one_read_is_a_slice_of_it() {
    let read = Bytes::from_static(b"data: text\n\n");
    let mut decoder = SseDecoder::new(100);
    decoder.push(read.clone());
    let event = decoder.next_event().unwrap().unwrap();
    assert_eq!(event.data.as_ptr(), read[6..].as_ptr());
}

// L48
#[test]
fn buffered_line_is_bounded() {
    let mut decoder = SseDecoder::new(64);
    for _ in 0..6 {
        decoder.push(Bytes::from_static(b"data: 56789"));
        if let Err(error) = decoder.next_event() {
            assert_eq!(error, EventTooLong { limit: 64 });
            return;
        }
    }
    panic!("66 bytes were buffered with a limit of 64");
}

#[test]
fn event_above_the_limit_within_one_read_is_an_error() {
    let mut decoder = SseDecoder::new(8);
    decoder.push(Bytes::from_static(b"data: 0123456789\n\n"));
    assert_eq!(decoder.next_event(), Err(EventTooLong { limit: 8 }));
}

/// A reference implementation that decodes all bytes at once.
fn reference(bytes: &[u8]) -> Vec<NameAndData> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let text = text
        .trim_start_matches(['\u{feff}', ' ', '\t', '\n', '\r'])
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut events = Vec::new();
    let (mut name, mut lines, mut block) = (None, Vec::new(), Vec::new());
    for line in text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
    {
        if line.is_empty() {
            let name: Option<String> = name.take().filter(|name: &String| !name.is_empty());
            let lines: Vec<String> = std::mem::take(&mut lines);
            let block: Vec<&str> = std::mem::take(&mut block);
            if lines.is_empty() {
                events.extend(reference_without_data(&block, name));
            } else {
                events.push((name, lines.join("\n")));
            }
            continue;
        }
        block.push(line);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "data" => lines.push(value),
            "event" => name = Some(value),
            _ => {}
        }
    }
    events
}

/// The event in lines of which none is data.
fn reference_without_data(lines: &[&str], name: Option<String>) -> Option<NameAndData> {
    let is_error = |line: &str| {
        line.strip_prefix("error:")
            .is_some_and(|value| !value.trim().is_empty())
    };
    let at = lines
        .iter()
        .position(|line| line.starts_with('{') || is_error(line))?;
    if let Some(value) = lines[at].strip_prefix("error:") {
        let value = value.strip_prefix(' ').unwrap_or(value);
        return Some((Some("error".to_owned()), value.to_owned()));
    }
    let json = lines[at..].join("\n");
    serde_json::from_str::<serde_json::Value>(&json).ok()?;
    Some((name, json))
}

fn stream_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\r\n".to_owned()),
        Just("data: ".to_owned()),
        Just("data:".to_owned()),
        Just("data".to_owned()),
        Just("event: ".to_owned()),
        Just(": ".to_owned()),
        Just("[DONE]".to_owned()),
        Just("{\"a\":1}".to_owned()),
        Just("error: ".to_owned()),
        Just("\u{4f60}\u{1f389}".to_owned()),
        "[a-z:{}\" ]{0,6}",
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    // L47, L48
    #[test]
    fn any_split_decodes_like_the_reference(text in stream_text(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(decode(&pieces), reference(bytes));
    }
}
