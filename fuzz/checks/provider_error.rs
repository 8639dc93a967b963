//! Bodies of failed requests, and errors in the bodies of successful ones.

use bytes::Bytes;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::failure::{classify, classify_in_stream};
use llmpool_core::provider_error::{ProviderError, find_error_in_success};
use llmpool_core::rate_headers::ErrorHeaders;
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::StreamView;
use serde_json::Value;

/// The largest body of an error that is read.
const MAX_BODY: usize = 64 << 10;

/// Any body is read as an error of bounded size, and an error is the same with an error status and with a success.
pub fn provider_error(input: &[u8]) {
    let body = &input[..input.len().min(MAX_BODY)];
    let parsed = ProviderError::parse(body);
    if let Some(error) = &parsed {
        check_size(error, body);
    }
    drop(ProviderError::parse(&body[..body.len() / 2]));
    let headers = ErrorHeaders::parse(|_| None, parsed.as_ref(), None);
    for status in [400, 401, 403, 404, 429, 500] {
        let failure = classify(status, &headers, parsed.as_ref());
        assert_eq!(failure.status, Some(status));
        let message = parsed.as_ref().and_then(|error| error.message.as_ref());
        assert_eq!(failure.message.as_ref(), message);
    }
    let found = find_error_in_success(body);
    check_found(body, found.as_ref(), parsed.as_ref());
    if let Some(error) = &found {
        check_size(error, body);
        let failure = classify_in_stream(error);
        assert_eq!(failure.message, error.message);
        check_event(body);
    }
}

/// Asserts that an error is not much larger than the body that describes it.
fn check_size(error: &ProviderError, body: &[u8]) {
    // Up to five messages are joined, and invalid bytes become characters of three bytes.
    let bound = 16 * body.len() + 64;
    let texts = [&error.message, &error.code, &error.kind, &error.param];
    assert!(
        texts
            .into_iter()
            .flatten()
            .all(|text| text.len() <= bound && !text.is_empty())
    );
    assert!(error.codes.len() <= 16 && error.codes.iter().all(|code| code.len() <= 64));
    assert!(error.headers.len() <= 32);
    assert!(error.retry_delay.is_none_or(|wait| !wait.is_zero()));
}

/// Asserts that an error in a success is the one that the body describes with an error status.
fn check_found(body: &[u8], found: Option<&ProviderError>, parsed: Option<&ProviderError>) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let has_error = value["error"].as_object().is_some_and(|error| !error.is_empty());
    // The name is searched for as text, so that ordinary answers need not be parsed.
    let is_written_plainly = body.windows(7).any(|text| text == b"\"error\"");
    assert!(found.is_some() || !has_error || !is_written_plainly);
    if let Some(found) = found.filter(|_| has_error) {
        assert!(Some(found) == parsed);
    }
}

/// Asserts that an error object is an error as an event of a stream, too.
fn check_event(body: &[u8]) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let has_error = value["error"].as_object().is_some_and(|error| !error.is_empty());
    if !has_error {
        return;
    }
    for format in [ApiFormat::ChatCompletions, ApiFormat::Responses] {
        let event = SseEvent {
            data: Bytes::copy_from_slice(body),
            name: None,
        };
        assert!(StreamView::new(format).observe(&event).flags.error, "{format:?}");
    }
}
