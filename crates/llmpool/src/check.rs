//! Whether keys are accepted, asked of the provider without a bill: who may list the models may usually call them.
//!
//! No permit is taken and no key's state is touched: somebody who looks must not change what he looks at. A listing proves nothing where
//! the provider shows it to everybody, so a key that nobody has is tried once too.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::Full;
use llmpool_core::chat::ChatRequest;
use llmpool_core::failure::{Blame, Failure, FailureKind};
use llmpool_core::limits::key::KeyId;
use llmpool_core::models::ModelList;
use llmpool_core::rate_headers::LimitHeaders;

pub use llmpool_core::limits::observed_limits::{LimitSnapshot, LimitSnapshots};

use crate::base_url;
use crate::call::RequestEncoder;
use crate::clock;
use crate::exchange::{self, CallDeadlines, Endpoint, Rendered};
use crate::openai_compatible::{OpenAiCompatible, Typed};
use crate::options::Timeouts;
use crate::secrets::{KeyLabel, masked};
use crate::stream::{RawEventStream, StreamLimits};
use crate::target::Target;

/// Keys that are asked about at the same time.
const AT_ONCE: usize = 8;
/// Nobody's key.
const NO_KEY: &str = "llmpool-check-tries-a-key-that-nobody-has";

/// What became of the keys of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCheck {
    /// Where the models are listed; of a query only the names.
    pub url: String,
    /// The base URL that was most likely meant, where there is no list of models at that of the configuration.
    pub likely_meant: Option<String>,
    /// Each key, in the order of the configuration.
    pub keys: Vec<KeyCheck>,
    /// Keys that share one account, as declared or as the provider's answers show.
    pub one_quota: Vec<Vec<KeyLabel>>,
}

/// What became of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyCheck {
    /// Which one.
    pub key: KeyLabel,
    /// Whether it is accepted.
    pub verdict: Verdict,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// The provider's own words, without keys.
    pub says: Option<String>,
    /// The models it may see; `None` where there is no list.
    pub models: Option<Vec<String>>,
    /// The limits, where the answer shows them.
    pub limits: Option<LimitSnapshots>,
    /// How long the answer took.
    pub elapsed: Duration,
    account: Option<String>,
}

impl KeyCheck {
    /// Whether a model is in the list; `None` where there is none.
    pub fn lists(&self, model: &str) -> Option<bool> {
        let models = self.models.as_ref()?;
        Some(models.iter().any(|listed| listed == model))
    }
}

/// Whether a key is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider took it, and takes not just any.
    Accepted,
    /// The provider refuses it.
    Refused(FailureKind),
    /// It cannot be told without a call.
    CannotTell(Inconclusive),
    /// No answer came.
    Unreachable(FailureKind),
}

/// Why nothing can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconclusive {
    /// The models are listed for any key.
    TakesAnyKey,
    /// There is no list of models at this URL.
    NoList,
    /// This key may not list models, and may well be allowed to call them.
    MayNotList,
    /// The key's rate is used up at the moment.
    Limited,
    /// The provider is in trouble.
    Broken,
    /// The answer is no list of models.
    Odd,
}

/// What became of one short streamed call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallCheck {
    /// With which key.
    pub key: KeyLabel,
    /// `None` where it got through.
    pub failure: Option<FailureKind>,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// The provider's own words where it failed, without keys.
    pub says: Option<String>,
    /// Events with content; 0 where nothing was streamed.
    pub pieces: usize,
    /// What the provider makes of `stream_options`, with which streams tell their usage.
    pub stream_options: StreamUsage,
    /// The limits, where the answer shows them.
    pub limits: Option<LimitSnapshots>,
    /// From the request to the first content.
    pub first_content: Option<Duration>,
}

/// What a provider makes of `stream_options: {"include_usage": true}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamUsage {
    /// The call did not get so far.
    #[default]
    Unknown,
    /// The stream told its usage.
    Told,
    /// It was taken, and no usage came.
    Ignored,
    /// The endpoint refuses it; calls leave it out from now on.
    Refused,
}

impl OpenAiCompatible {
    /// Asks the provider about every key, without a bill: one request for the list of models with each key, at most eight at a time, and
    /// one with a key that nobody has. Each is given up after `timeout`.
    ///
    /// Models with the same base URL and keys have the same answers but for [`KeyCheck::lists`]; one of them need be asked.
    ///
    /// Takes no permit and changes no key's state. Dropping the future ends it.
    pub async fn check_keys(&self, timeout: Duration) -> ModelCheck {
        let target = self.target();
        let mut keys = Vec::new();
        for some in target.keys.chunks(AT_ONCE) {
            let checks = some.iter().map(|key| check(target, *key, timeout));
            keys.extend(all(checks).await);
        }
        let proves_nothing = keys.iter().any(|key| key.verdict == Verdict::Accepted)
            && lists_for_anybody(target, timeout).await;
        for key in keys.iter_mut().filter(|key| key.verdict == Verdict::Accepted) {
            if proves_nothing {
                key.verdict = Verdict::CannotTell(Inconclusive::TakesAnyKey);
            }
        }
        ModelCheck {
            url: base_url::shown(&target.uris.of(Endpoint::Models).to_string()),
            likely_meant: likely_meant(target, &keys),
            one_quota: one_quota(target, &keys),
            keys,
        }
    }

    /// Makes one short streamed call with a key, which is billed, and tells what came. `None` where the model has no such key.
    ///
    /// Takes no permit and changes no key's state. Dropping the future ends the call.
    pub async fn check_call(&self, key: &KeyLabel, timeout: Duration) -> Option<CallCheck> {
        let target = self.target();
        let id = *target
            .keys
            .iter()
            .find(|id| target.provider.key(**id).label == *key)?;
        let ask = ChatRequest {
            max_tokens: Some(16),
            ..ChatRequest::user("Say hello.")
        };
        let mut check = CallCheck {
            key: key.clone(),
            failure: None,
            status: None,
            says: None,
            pieces: 0,
            stream_options: StreamUsage::Unknown,
            limits: None,
            first_content: None,
        };
        let patience = patience(timeout);
        loop {
            let typed = Typed {
                request: &ask,
                stream: true,
            };
            let Ok(rendered) = typed.render(target) else {
                check.failure = Some(FailureKind::InvalidRequest);
                return Some(check);
            };
            let Err(failure) = call(target, id, &rendered, &patience, &mut check).await else {
                return Some(check);
            };
            let failure = target.provider.masked(failure);
            if failure.kind == FailureKind::StreamOptionsRefused && rendered.added_stream_options {
                target.facts.refused_stream_options();
                check.stream_options = StreamUsage::Refused;
                continue;
            }
            check.failure = Some(failure.kind);
            check.status = failure.status.or(check.status);
            check.says = failure.message;
            return Some(check);
        }
    }
}

fn likely_meant(target: &Target, keys: &[KeyCheck]) -> Option<String> {
    let leads_nowhere = |key: &KeyCheck| {
        matches!(
            key.verdict,
            Verdict::CannotTell(Inconclusive::NoList | Inconclusive::Odd)
        )
    };
    let nowhere = !keys.is_empty() && keys.iter().all(leads_nowhere);
    nowhere.then(|| base_url::likely_meant(&target.base_url))?
}

async fn check(target: &Target, key: KeyId, timeout: Duration) -> KeyCheck {
    let provider = &target.provider;
    let began = clock::now();
    let answer = list(target, |headers| target.add_key(headers, key), timeout).await;
    let mut check = KeyCheck {
        key: provider.key(key).label.clone(),
        verdict: Verdict::CannotTell(Inconclusive::Odd),
        status: None,
        says: None,
        models: None,
        limits: None,
        elapsed: clock::now().since(began),
        account: None,
    };
    match answer {
        Ok(Listed { headers, models }) => {
            (check.limits, check.account) = told(&headers);
            check.status = Some(200);
            if models.is_some() {
                check.verdict = Verdict::Accepted;
            }
            check.models = models;
        }
        Err(failure) => {
            check.verdict = verdict(&failure);
            check.status = failure.status;
            let secrets = provider.keys.iter().map(|key| &key.secret);
            check.says = failure.message.map(|words| masked(&words, secrets));
        }
    }
    check
}

fn verdict(failure: &Failure) -> Verdict {
    let Some(status) = failure.status else {
        return match failure.blame() {
            Blame::Target => Verdict::CannotTell(Inconclusive::Broken),
            _ => Verdict::Unreachable(failure.kind),
        };
    };
    match (failure.kind, status) {
        (FailureKind::InvalidKey | FailureKind::NoQuota, _) => Verdict::Refused(failure.kind),
        (FailureKind::RateLimited, _) => Verdict::CannotTell(Inconclusive::Limited),
        (FailureKind::PermissionDenied, _) => Verdict::CannotTell(Inconclusive::MayNotList),
        (_, 404 | 405 | 501) => Verdict::CannotTell(Inconclusive::NoList),
        (_, 500..) | (FailureKind::Overloaded, _) => Verdict::CannotTell(Inconclusive::Broken),
        _ => Verdict::CannotTell(Inconclusive::Odd),
    }
}

/// A success: the names of the models, if it is a list of them.
struct Listed {
    headers: HeaderMap,
    models: Option<Vec<String>>,
}

async fn lists_for_anybody(target: &Target, timeout: Duration) -> bool {
    let nobodys = |headers: &mut HeaderMap| target.add_nobodys_key(headers, NO_KEY);
    let listed = list(target, nobodys, timeout).await;
    listed.is_ok_and(|listed| listed.models.is_some())
}

async fn list(
    target: &Target,
    add_key: impl Fn(&mut HeaderMap),
    timeout: Duration,
) -> Result<Listed, Failure> {
    let patience = patience(timeout);
    let request = || {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::GET;
        *request.uri_mut() = target.uris.of(Endpoint::Models).clone();
        *request.headers_mut() = target.headers.clone();
        request.headers_mut().remove(header::CONTENT_TYPE);
        add_key(request.headers_mut());
        request
    };
    let by = (patience.deadline, FailureKind::DeadlineExceeded);
    let (head, body) = exchange::hand_over(target, request, |_| {}, &patience, clock::now(), by).await?;
    if !head.status.is_success() {
        return Err(exchange::refusal(&head, body, &patience).await);
    }
    let body = exchange::whole(body, &patience).await?;
    Ok(Listed {
        headers: head.headers,
        models: models(&body),
    })
}

fn models(body: &[u8]) -> Option<Vec<String>> {
    let list = ModelList::read(body)?;
    list.data.into_iter().map(|model| model.id).collect()
}

async fn call(
    target: &Target,
    key: KeyId,
    rendered: &Rendered,
    patience: &CallDeadlines,
    check: &mut CallCheck,
) -> Result<(), Failure> {
    let began = clock::now();
    let request = || exchange::request(target, Some(key), rendered);
    let by = (patience.deadline, FailureKind::DeadlineExceeded);
    let (head, body) = exchange::hand_over(target, request, |_| {}, patience, began, by).await?;
    check.status = Some(head.status.as_u16());
    (check.limits, _) = told(&head.headers);
    if !head.status.is_success() {
        return Err(exchange::refusal(&head, body, patience).await);
    }
    let limits = StreamLimits {
        first_content_at: patience.deadline,
        idle: None,
        deadline: patience.deadline,
    };
    let mut frames = RawEventStream::new(body, target.wire, limits, None);
    while let Some(frame) = frames.next_frame().await {
        if frame?.flags.content {
            check.pieces += 1;
            check.first_content.get_or_insert(clock::now().since(began));
        }
    }
    let usage = frames.view().usage().is_some();
    check.stream_options = match (check.stream_options, usage) {
        (StreamUsage::Refused, _) => StreamUsage::Refused,
        (_, true) => StreamUsage::Told,
        (_, false) => StreamUsage::Ignored,
    };
    Ok(())
}

/// The limits and the account that an answer shows.
fn told(headers: &HeaderMap) -> (Option<LimitSnapshots>, Option<String>) {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let LimitHeaders { limits, account } = LimitHeaders::parse_all(headers, || Some(clock::wall_now()));
    (limits, account.map(str::to_owned))
}

/// Those of several keys that are one account.
fn one_quota(target: &Target, keys: &[KeyCheck]) -> Vec<Vec<KeyLabel>> {
    let declared: Vec<_> = target.provider.admission.look(|limiter| {
        let groups = target.keys.iter().map(|key| limiter.group_of(*key));
        groups.collect()
    });
    let is_kin = |a: usize, b: usize| {
        let named = keys[a].account.is_some() && keys[a].account == keys[b].account;
        named || declared[a].is_some() && declared[a] == declared[b]
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in 0..keys.len() {
        match groups
            .iter_mut()
            .find(|group| group.iter().any(|member| is_kin(*member, at)))
        {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    let several = groups.into_iter().filter(|group| group.len() > 1);
    several
        .map(|group| group.into_iter().map(|at| keys[at].key.clone()).collect())
        .collect()
}

fn patience(timeout: Duration) -> CallDeadlines {
    CallDeadlines {
        timeouts: Timeouts {
            connect: Some(timeout),
            first_content: Some(timeout),
            idle: None,
            total: Some(timeout),
        },
        deadline: clock::now() + timeout,
    }
}

/// Waits for all of a few futures at once.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
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
