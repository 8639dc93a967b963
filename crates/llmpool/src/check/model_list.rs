//! Requests the model list of a provider with one key.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::Full;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::models::ModelList;
use llmpool_core::provider_error::find_error_in_success;

use crate::call_deadlines::CallDeadlines;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::exchange;
use crate::plain_answer;
use crate::target::Target;

/// A made-up API key. If the provider returns its model list for this key, the list says nothing about other
/// keys.
const INVALID_KEY: &str = "llmpool-check-invalid-key";

/// The status, the headers and the content of a successful response to a model list request.
pub(super) struct ModelListResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The ids of the models. `None` if the response body is not a model list.
    pub(super) models: Option<Vec<String>>,
}

/// Returns whether the provider sends its model list even for an invalid key.
pub(super) async fn lists_for_any_key(target: &Target, timeout: Duration) -> bool {
    let add_key = |headers: &mut HeaderMap| target.add_foreign_key(headers, INVALID_KEY);
    let response = list_models(target, add_key, timeout).await;
    response.is_ok_and(|response| response.models.is_some())
}

pub(super) async fn list_models(
    target: &Target,
    add_key: impl Fn(&mut HeaderMap),
    timeout: Duration,
) -> Result<ModelListResponse, Failure> {
    let deadlines = CallDeadlines::within(timeout);
    let request = || {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::GET;
        *request.uri_mut() = target.uris.get(Endpoint::Models).clone();
        *request.headers_mut() = target.headers.clone();
        request.headers_mut().remove(header::CONTENT_TYPE);
        add_key(request.headers_mut());
        request
    };
    let head_by = (deadlines.deadline, FailureKind::DeadlineExceeded);
    let (head, body) =
        exchange::send_request(target, request, |_| {}, &deadlines, clock::now(), head_by).await?;
    if !head.status.is_success() {
        return Err(exchange::read_failure(&head, body, &deadlines).await);
    }
    let body = plain_answer::read_body(body, &deadlines).await?;
    let status = head.status.as_u16();
    let models = model_names(&body);
    // Some providers refuse a key with status 200.
    if models.is_none()
        && let Some(error) = find_error_in_success(&body)
    {
        return Err(Failure {
            status: Some(status),
            ..classify_in_stream(&error)
        });
    }
    Ok(ModelListResponse {
        status,
        headers: head.headers,
        models,
    })
}

fn model_names(body: &[u8]) -> Option<Vec<String>> {
    let list = ModelList::decode_lenient(body)?;
    Some(list.data.into_iter().filter_map(|model| model.id).collect())
}
