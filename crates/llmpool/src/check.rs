//! Checks API keys: [`check_keys`](OpenAiCompatible::check_keys) requests the model list with each key, which
//! costs nothing, and [`check_call`](OpenAiCompatible::check_call) makes a short billed call with one key.
//!
//! A key that may list models can usually call them. But some providers send the model list to any client, so
//! the list is also requested with an invalid key: if that request succeeds, the list proves nothing about
//! the keys.
//!
//! A check neither waits for the configured limits nor counts towards them, and it changes no key's state.

mod model_list;

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderMap;
use llmpool_core::chat::ChatRequest;
use llmpool_core::failure::{Blame, Failure, FailureKind};
use llmpool_core::limits::KeyId;
use llmpool_core::rate_headers::LimitHeaders;
pub use llmpool_core::rate_headers::{LimitSnapshot, LimitSnapshots};
use llmpool_core::stream_view::StreamView;

use crate::base_url;
use crate::call_deadlines::CallDeadlines;
use crate::chat_encoder::ChatEncoder;
use crate::clock;
use crate::encoded_request::{EncodedRequest, RequestEncoder};
use crate::endpoint::Endpoint;
use crate::exchange;
use crate::openai_compatible::OpenAiCompatible;
use crate::secrets::KeyLabel;
use crate::stream::{RawEventStream, StreamLimits};
use crate::target::Target;
use model_list::{ModelListResponse, list_models, lists_for_any_key};

/// The maximum number of keys that are checked at the same time.
const MAX_PARALLEL_CHECKS: usize = 8;

/// The result of checking all keys of a model with [`OpenAiCompatible::check_keys`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ModelCheck {
    /// The URL of the model list. The value of every query parameter except `api-version` is replaced by `…`,
    /// because the value may contain a key.
    pub url: String,
    /// A base URL to try instead of the configured one. `None` if a key found a model list at the configured
    /// URL, if the responses do not suggest that the URL is wrong, or if no correction can be guessed.
    pub suggested_base_url: Option<String>,
    /// The results for the individual keys, in the order in which the keys are configured.
    pub keys: Vec<KeyCheck>,
    /// Groups of keys that look like one account, because the response headers name the same organization for
    /// all keys of a group (`openai-organization`). Each group contains at least two keys, of which at least
    /// one has no [`quota_group`](crate::KeyEntry::quota_group). If the keys share limits, set the same
    /// `quota_group` for them. The library does not change any limit because of these headers.
    pub likely_accounts: Vec<Vec<KeyLabel>>,
}

/// The result of checking one key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyCheck {
    /// The label of the checked key.
    pub key: KeyLabel,
    /// Whether the provider accepts the key.
    pub outcome: KeyCheckOutcome,
    /// The HTTP status of the response. `None` if no complete response was received.
    pub status: Option<u16>,
    /// What failed and where, such as `127.0.0.1:1 refused the connection`, in words of this library. `None` if
    /// nothing failed, or if the other fields say it.
    pub detail: Option<String>,
    /// The provider's error message, with keys masked. `None` if the provider sent no error message.
    pub provider_message: Option<String>,
    /// The ids in the model list that the provider sent for this key. `None` if the provider sent no model
    /// list.
    pub models: Option<Vec<String>>,
    /// The rate limits that the response headers report. `None` if the headers report none, or if the request
    /// failed.
    pub limits: Option<LimitSnapshots>,
    /// The time from the start of the request until the response was complete or the request failed.
    pub elapsed: Duration,
    /// The name of the key's account, from the header `openai-organization`. `None` if no header names it.
    account: Option<String>,
}

impl KeyCheck {
    /// Returns whether the model list that the provider sent for this key contains `model`, with or without
    /// `models/` in front, which Gemini lists but does not require in requests. `None` if the provider sent no
    /// model list.
    pub fn lists(&self, model: &str) -> Option<bool> {
        let models = self.models.as_ref()?;
        let is_named = |listed: &String| listed == model || listed.strip_prefix("models/") == Some(model);
        Some(models.iter().any(is_named))
    }
}

/// Whether the provider accepts a key, as far as a check can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheckOutcome {
    /// The provider accepts the key: it sends its model list for this key but not for an invalid key.
    Accepted,
    /// The provider rejects the key, because the key is invalid or its account is out of quota.
    Rejected(FailureKind),
    /// The check does not show whether the provider accepts the key. To find out, make a short billed call
    /// with [`OpenAiCompatible::check_call`].
    Inconclusive(Inconclusive),
    /// The provider did not send a complete response, because the connection failed or the check timed out.
    Unreachable(FailureKind),
}

/// The reason why a check does not show whether the provider accepts a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconclusive {
    /// The provider sends its model list for any key, even an invalid key.
    AcceptsAnyKey,
    /// The provider has no model list at this URL: the status is 404, 405 or 501.
    NoModelList,
    /// The provider does not allow the key to list models, but may allow the key to call them.
    ListingForbidden,
    /// A rate limit of the provider refused the request.
    RateLimited,
    /// The provider failed or is overloaded: it responded with a 5xx status, for example.
    ServerError,
    /// The response is neither a model list nor an error that says whether the key is valid.
    UnexpectedResponse,
}

/// The result of a short streamed call with one key, made by [`OpenAiCompatible::check_call`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CallCheck {
    /// The label of the key that was used for the call.
    pub key: KeyLabel,
    /// The kind of failure. `None` if the call succeeded.
    pub failure: Option<FailureKind>,
    /// The HTTP status of the response. `None` if no response was received.
    pub status: Option<u16>,
    /// What failed and where, such as `127.0.0.1:1 refused the connection`, in words of this library. `None` if
    /// nothing failed, or if the other fields say it.
    pub detail: Option<String>,
    /// The provider's error message, with keys masked. `None` if the provider sent no error message.
    pub provider_message: Option<String>,
    /// The number of received stream events that contain content. 0 if the call failed before the first
    /// content.
    pub content_events: usize,
    /// Whether the stream reported the token usage, which the call requests with `stream_options`.
    pub stream_usage: StreamUsage,
    /// The rate limits that the response headers report. `None` if the headers report none, or if no response
    /// was received.
    pub limits: Option<LimitSnapshots>,
    /// The time from sending the request to the first content of the stream. `None` if no content was
    /// received.
    pub time_to_first_content: Option<Duration>,
}

/// How a provider handles `stream_options: {"include_usage": true}`, which requests the token usage at the
/// end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamUsage {
    /// Not known, because the call failed before the end of the stream.
    #[default]
    Unknown,
    /// The stream reported the token usage of the call.
    Reported,
    /// The call succeeded, but the stream reported no token usage.
    Ignored,
    /// The provider rejected `stream_options.include_usage`, in this call or in an earlier one. The library
    /// no longer adds `stream_options` to calls of this model.
    Rejected,
}

impl OpenAiCompatible {
    /// Checks every key of the model by requesting the model list, for which providers do not bill.
    ///
    /// At most eight requests run at a time, and each request fails after `timeout`. If any key can list the
    /// models, the list is also requested with an invalid key. If that request succeeds, the result of every
    /// accepted key changes to [`Inconclusive::AcceptsAnyKey`].
    ///
    /// Models with the same base URL and the same keys give the same result, so checking one of these models
    /// is enough: call [`KeyCheck::lists`] with the name of each model.
    ///
    /// The requests neither wait for the configured limits nor count towards them, and they change no key's
    /// state. Dropping the future ends the check.
    pub async fn check_keys(&self, timeout: Duration) -> ModelCheck {
        let target = self.target();
        let mut keys = Vec::new();
        for batch in target.keys.chunks(MAX_PARALLEL_CHECKS) {
            let checks = batch.iter().map(|key| check_key(target, *key, timeout));
            keys.extend(join_all(checks).await);
        }
        let has_accepted = keys.iter().any(|key| key.outcome == KeyCheckOutcome::Accepted);
        if has_accepted && lists_for_any_key(target, timeout).await {
            for key in &mut keys {
                if key.outcome == KeyCheckOutcome::Accepted {
                    key.outcome = KeyCheckOutcome::Inconclusive(Inconclusive::AcceptsAnyKey);
                }
            }
        }
        ModelCheck {
            url: base_url::redacted(&target.uris.get(Endpoint::Models).to_string()),
            suggested_base_url: suggested_base_url(target, &keys),
            likely_accounts: likely_accounts(target, &keys),
            keys,
        }
    }

    /// Makes one short streamed call with the key that has this label. The provider bills the call. Returns
    /// `None` if the model has no such key.
    ///
    /// The call fails after `timeout`. The call neither waits for the configured limits nor counts towards
    /// them, and changes no key's state. Dropping the future ends the call.
    pub async fn check_call(&self, key: &KeyLabel, timeout: Duration) -> Option<CallCheck> {
        let target = self.target();
        let id = *target
            .keys
            .iter()
            .find(|id| target.provider.key(**id).label == *key)?;
        let request = ChatRequest {
            max_tokens: Some(16),
            ..ChatRequest::user("Say hello.")
        };
        let mut check = CallCheck {
            key: key.clone(),
            failure: None,
            status: None,
            detail: None,
            provider_message: None,
            content_events: 0,
            stream_usage: StreamUsage::Unknown,
            limits: None,
            time_to_first_content: None,
        };
        let deadlines = CallDeadlines::within(timeout);
        loop {
            let encoder = ChatEncoder {
                request: &request,
                stream: true,
                adapt_schema: false,
            };
            let Ok(rendered) = encoder.encode(target) else {
                check.failure = Some(FailureKind::InvalidRequest);
                return Some(check);
            };
            let Err(failure) = call(target, id, &rendered, &deadlines, &mut check).await else {
                return Some(check);
            };
            let failure = target.provider.masked(failure);
            if failure.kind == FailureKind::StreamOptionsRefused && rendered.added_stream_options {
                target.capabilities.reject_stream_options();
                check.stream_usage = StreamUsage::Rejected;
                continue;
            }
            check.failure = Some(failure.kind);
            check.status = failure.status.or(check.status);
            check.detail = failure.detail().map(str::to_owned);
            check.provider_message = failure.message;
            return Some(check);
        }
    }
}

/// Returns a base URL to try instead of the configured one. Returns `None` if any key found a model list, if
/// a problem other than a wrong URL may be the cause, or if no correction can be guessed.
fn suggested_base_url(target: &Target, keys: &[KeyCheck]) -> Option<String> {
    let has_no_list = |key: &KeyCheck| {
        matches!(
            key.outcome,
            KeyCheckOutcome::Inconclusive(Inconclusive::NoModelList | Inconclusive::UnexpectedResponse)
        )
    };
    let is_wrong = !keys.is_empty() && keys.iter().all(has_no_list);
    is_wrong.then(|| base_url::suggested(&target.base_url))?
}

async fn check_key(target: &Target, key: KeyId, timeout: Duration) -> KeyCheck {
    let provider = &target.provider;
    let started = clock::now();
    let response = list_models(target, |headers| target.add_key(headers, key), timeout).await;
    let mut check = KeyCheck {
        key: provider.key(key).label.clone(),
        outcome: KeyCheckOutcome::Inconclusive(Inconclusive::UnexpectedResponse),
        status: None,
        detail: None,
        provider_message: None,
        models: None,
        limits: None,
        elapsed: clock::now().since(started),
        account: None,
    };
    match response {
        Ok(ModelListResponse {
            status,
            headers,
            models,
        }) => {
            (check.limits, check.account) = parse_limit_headers(&headers);
            check.status = Some(status);
            if models.is_some() {
                check.outcome = KeyCheckOutcome::Accepted;
            }
            check.models = models;
        }
        Err(failure) => {
            let failure = provider.masked(failure);
            check.outcome = outcome_of(&failure);
            check.status = failure.status;
            check.detail = failure.detail().map(str::to_owned);
            check.provider_message = failure.message;
        }
    }
    check
}

fn outcome_of(failure: &Failure) -> KeyCheckOutcome {
    let Some(status) = failure.status else {
        let is_reached = !matches!(
            failure.kind,
            FailureKind::Certificate | FailureKind::WrongEndpoint
        );
        return match failure.blame() {
            Blame::Target if is_reached => KeyCheckOutcome::Inconclusive(Inconclusive::ServerError),
            _ => KeyCheckOutcome::Unreachable(failure.kind),
        };
    };
    KeyCheckOutcome::Inconclusive(match (failure.kind, status) {
        (FailureKind::InvalidKey | FailureKind::NoQuota, _) => {
            return KeyCheckOutcome::Rejected(failure.kind);
        }
        (FailureKind::RateLimited, _) => Inconclusive::RateLimited,
        (FailureKind::PermissionDenied, _) => Inconclusive::ListingForbidden,
        (_, 404 | 405 | 501) => Inconclusive::NoModelList,
        (_, 500..) | (FailureKind::Overloaded, _) => Inconclusive::ServerError,
        _ => Inconclusive::UnexpectedResponse,
    })
}

async fn call(
    target: &Target,
    key: KeyId,
    rendered: &EncodedRequest,
    deadlines: &CallDeadlines,
    check: &mut CallCheck,
) -> Result<(), Failure> {
    let started = clock::now();
    let request = || exchange::http_request(target, Some(key), rendered);
    let head_by = (deadlines.deadline, FailureKind::DeadlineExceeded);
    let (head, body) = exchange::send_request(target, request, |_| {}, deadlines, started, head_by).await?;
    check.status = Some(head.status.as_u16());
    (check.limits, _) = parse_limit_headers(&head.headers);
    if !head.status.is_success() {
        return Err(exchange::read_failure(&head, body, deadlines).await);
    }
    let limits = StreamLimits {
        first_content_at: Some(deadlines.deadline),
        idle: None,
        deadline: deadlines.deadline,
    };
    let mut events = RawEventStream::new(Some(body), StreamView::new(target.format), limits, None);
    while let Some(event) = events.next_event().await {
        let event = event?;
        if event.flags.content {
            check.content_events += 1;
            check
                .time_to_first_content
                .get_or_insert(clock::now().since(started));
        }
    }
    let has_usage = events.view().usage().is_some();
    check.stream_usage = if !target.capabilities.accepts_stream_options() {
        StreamUsage::Rejected
    } else if has_usage {
        StreamUsage::Reported
    } else {
        StreamUsage::Ignored
    };
    Ok(())
}

/// Returns the rate limits and the account name that response headers report. Returns `None` for a value that
/// the headers do not report.
fn parse_limit_headers(headers: &HeaderMap) -> (Option<LimitSnapshots>, Option<String>) {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let LimitHeaders { limits, account } = LimitHeaders::parse(headers, Some(clock::wall_now()));
    (limits, account.map(str::to_owned))
}

/// Returns the groups of at least two keys for which the response headers name the same account. Leaves out
/// groups in which each key has a configured quota group.
fn likely_accounts(target: &Target, keys: &[KeyCheck]) -> Vec<Vec<KeyLabel>> {
    let mut accounts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, key) in keys.iter().enumerate() {
        if let Some(account) = &key.account {
            accounts.entry(account).or_default().push(index);
        }
    }
    let has_group = |index: &usize| {
        let admission = &target.provider.admission;
        admission.with_limiter(|limiter| limiter.group_of(target.keys[*index]).is_some())
    };
    let mut groups: Vec<_> = accounts
        .into_values()
        .filter(|group| group.len() > 1 && !group.iter().all(has_group))
        .collect();
    groups.sort_unstable();
    let labels = |group: Vec<usize>| group.into_iter().map(|index| keys[index].key.clone()).collect();
    groups.into_iter().map(labels).collect()
}

/// Runs futures concurrently and returns their outputs in the order of `futures`. Suitable only for a few
/// futures, because each wake-up polls all unfinished futures.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *output = Some(done);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
