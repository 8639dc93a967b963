//! Takes apart the body of an answer that has arrived completely.

use bytes::Bytes;
use llmpool_core::failure::{Failure, classify_in_stream};
use llmpool_core::framing;
use llmpool_core::provider_error::find_error_in_success;
use llmpool_core::sse::{SseDecoder, SseEvent};
use serde_json::value::RawValue;

/// What the body of an answer consists of.
pub(crate) enum Parts {
    Document(Bytes),
    /// The events of a stream, or one event for each of several documents.
    Events(Vec<SseEvent>),
}

/// Takes the body of an answer apart. Fails if the first document reports an error, or if there is nothing to read.
pub(crate) fn parts(body: &Bytes) -> Result<Parts, Failure> {
    let documents = framing::documents(body);
    let error = match &documents[..] {
        // A list is no document, but may be a list of errors.
        [] => find_error_in_success(body),
        // Whether an error in a later document matters depends on those before it, as in a stream.
        [first, ..] => find_error_in_success(first),
    };
    if let Some(error) = error {
        return Err(classify_in_stream(&error));
    }
    let documents = if documents.is_empty() {
        objects_of_list(body)
    } else {
        documents
    };
    match &documents[..] {
        // The first event may be an object without a field name.
        [] if framing::has_data_line(body) => Ok(Parts::Events(decoded(body))),
        [] => Err(framing::unusable(body)),
        [document] => Ok(Parts::Document(body.slice_ref(document))),
        documents => Ok(Parts::Events(
            documents
                .iter()
                .map(|document| SseEvent {
                    data: body.slice_ref(document),
                    name: None,
                })
                .collect(),
        )),
    }
}

/// Returns the objects of a JSON list. Empty if the body is anything else.
fn objects_of_list(body: &[u8]) -> Vec<&[u8]> {
    let body = framing::without_prefix(body);
    let items: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    let items: Vec<_> = items.iter().map(|item| item.get().as_bytes()).collect();
    if items.iter().all(|item| item.starts_with(b"{")) {
        items
    } else {
        Vec::new()
    }
}

fn decoded(body: &Bytes) -> Vec<SseEvent> {
    // The size of the whole body is limited already.
    let mut decoder = SseDecoder::new(usize::MAX);
    decoder.push(body.clone());
    let mut events = Vec::new();
    while let Ok(Some(event)) = decoder.next_event() {
        events.push(event);
    }
    events.extend(decoder.take_unfinished());
    events
}
