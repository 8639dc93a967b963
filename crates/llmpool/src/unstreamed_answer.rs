//! Converts the body of an answer that should have been a stream of events, but is none.

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::framing;
use llmpool_core::provider_error::find_error_in_success;
use llmpool_core::sse::SseEvent;

/// Returns the documents in the body of an answer: at least one. Fails if there is none, or if one reports an error.
pub(crate) fn documents(body: &Bytes) -> Result<Vec<Bytes>, Failure> {
    let documents = framing::documents(body);
    // A list is no document, but may be a list of errors.
    let error = match &documents[..] {
        [] => find_error_in_success(body),
        documents => documents
            .iter()
            .find_map(|document| find_error_in_success(document)),
    };
    match error {
        Some(error) => Err(classify_in_stream(&error)),
        None if documents.is_empty() => Err(framing::unusable(body)),
        None => Ok(documents),
    }
}

/// Returns the events of an answer: those of the document in `body` or, if there are several documents, one event for
/// each. Fails if the document reports an error, or if there is none.
pub(crate) fn events(format: ApiFormat, body: &Bytes) -> Result<Vec<SseEvent>, Failure> {
    let documents = documents(body)?;
    match &documents[..] {
        [document] => framing::document_to_events(format, document).ok_or_else(|| {
            Failure::new(FailureKind::InvalidResponse).with_detail("a document that is no answer")
        }),
        _ => Ok(documents
            .into_iter()
            .map(|data| SseEvent { data, name: None })
            .collect()),
    }
}
