//! A model behind an OpenAI-compatible endpoint.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Uri, header};
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatChunk, ChatCompletion, ChatRequest, ChunkDecoder, StreamOptions};
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::limits::{KeyId, Limits, RateLimit, RateLimitError, TargetLimits};
use llmpool_core::provider_profile::ProviderProfile;
use llmpool_core::responses::Response;
use llmpool_core::routing::retry::RetryPolicy;
use llmpool_core::translate::{self, TranslatedRequest};
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::base_url::redacted;
use crate::call::{self, Answer, RequestEncoder};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Endpoint, Rendered, Reply};
use crate::interface::{ChatResponse, ChatStream, ChunkSource, LlmInterface};
use crate::key_pool::ApiKeyPool;
use crate::openai_responses::{self, TranslatedChunks};
use crate::options::{CallOptions, DEFAULT_OPTIONS, Timeouts};
use crate::raw::{self, RawResponse, RawStream};
use crate::report::CallReport;
use crate::secrets::KeyLabel;
use crate::target::{KeyStatus, LearnedCapabilities, Provider, Target, Uris};
use crate::token_bucket::{self, RateLimitStatus};
use crate::tokens;
use crate::transport::{Connect, ConnectionPools};

/// The context window where none is configured, as in the origin.
const DEFAULT_CONTEXT_WINDOW: u32 = 200_000;

/// A model at one base URL with its pool of keys. A clone is another handle on the same target.
#[derive(Clone)]
pub struct OpenAiCompatible {
    target: Arc<Target>,
}

/// What can be set for a target beside its keys, model and base URL.
#[derive(Clone)]
pub struct TargetSettings {
    /// In which format the model is asked. Default: chat completions.
    pub api: ApiFormat,
    /// Most requests at once and requests a second; `None`: no limit of ours.
    pub rate_limit: Option<(u32, f64)>,
    /// Most requests in any 60 s; `None`: no limit of ours. They are paced, and come as many at once as `rate_limit` allows
    /// (else one), which lowers the pace by as much.
    pub rpm: Option<u32>,
    /// Most tokens of the model, prompts and answers together, in any 60 s; `None`: no limit of ours. A call reserves an estimate of its
    /// prompt and the answer it expects, and is corrected by what the provider says it used.
    pub tpm: Option<u32>,
    /// Most requests in any 24 hours; `None`: no limit of ours.
    pub rpd: Option<u32>,
    /// Most attempts under way at once, whatever the key; `None`: any number.
    pub max_concurrency: Option<u32>,
    /// Tokens that an answer is expected to have where the call names no maximum. `None`: learned from the answers so far (95 of 100 are
    /// shorter), and 1024 until then. Only used where a limit counts tokens.
    pub expected_output_tokens: Option<u32>,
    /// After so many failures in a row that blame the model's server (5xx, timeouts, no connection) it is left alone, for 5 s that double
    /// to a minute, and then tried by a single call. `None`, the default: never, which is right where there is nowhere else to go; a
    /// pause that the provider names is kept either way.
    pub breaker: Option<u32>,
    /// What statuses do to a key, where it is not what they usually do.
    pub on_status: StatusPolicy,
    /// Whether keys are slowed down by what the provider's headers and refusals say of its limits. Default `true`.
    pub learn_limits: bool,
    /// Retries after the first attempt. Default 5.
    pub max_retries: u32,
    /// The longest first pause before a retry; it doubles from retry to retry. Default 1 s.
    pub retry_delay: std::time::Duration,
    /// The timeouts of each attempt and of the whole call.
    pub timeouts: Timeouts,
    /// Tokens of prompt and answer together. Default 200 000.
    pub context_window: u32,
    /// Request members for every call; the call's own win.
    pub api_params: Vec<(String, Box<RawValue>)>,
    /// Sent with every request.
    pub headers: HeaderMap,
}

impl Default for TargetSettings {
    fn default() -> Self {
        let RetryPolicy { max_retries, base } = RetryPolicy::default();
        Self {
            api: ApiFormat::default(),
            rate_limit: None,
            rpm: None,
            tpm: None,
            rpd: None,
            max_concurrency: None,
            expected_output_tokens: None,
            breaker: None,
            on_status: StatusPolicy::default(),
            learn_limits: true,
            max_retries,
            retry_delay: base,
            timeouts: Timeouts::default(),
            context_window: DEFAULT_CONTEXT_WINDOW,
            api_params: Vec::new(),
            headers: HeaderMap::new(),
        }
    }
}

impl TargetSettings {
    fn limits(&self) -> Result<TargetLimits, RateLimitError> {
        let rate_limit = self
            .rate_limit
            .map(|(capacity, rate)| RateLimit::new(capacity, rate));
        let limits = Limits {
            rate_limit: rate_limit.transpose()?,
            rpm: self.rpm,
            tpm: self.tpm,
            rpd: self.rpd,
            max_concurrency: self.max_concurrency,
        };
        limits.per_minute_bucket()?;
        Ok(TargetLimits {
            limits,
            breaker: self.breaker,
        })
    }
}

impl OpenAiCompatible {
    /// A model at a base URL, with the keys of a pool and no limit of its own. Models over one pool share its load.
    ///
    /// The base URL is joined as it is with `chat/completions`: it has to carry `/v1` where the provider wants it.
    pub fn new(pool: &ApiKeyPool, model: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        Self::with_settings(pool, model, base_url, TargetSettings::default())
    }

    /// A model at a base URL, with everything set.
    pub fn with_settings(
        pool: &ApiKeyPool,
        model: impl Into<String>,
        base_url: &str,
        settings: TargetSettings,
    ) -> Result<Self, Error> {
        let connections = pool.provider.connections();
        Self::over_keys(pool, &pool.key_ids(), model, base_url, settings, connections)
    }

    /// A model whose connections are opened by `connector`.
    pub fn with_connector(
        pool: &ApiKeyPool,
        model: impl Into<String>,
        base_url: &str,
        settings: TargetSettings,
        connector: Arc<dyn Connect>,
    ) -> Result<Self, Error> {
        let connections = ConnectionPools::new(connector);
        Self::over_keys(pool, &pool.key_ids(), model, base_url, settings, &connections)
    }

    /// A model that uses some of a pool's keys.
    pub(crate) fn over_keys(
        pool: &ApiKeyPool,
        keys: &[KeyId],
        model: impl Into<String>,
        base_url: &str,
        settings: TargetSettings,
        connections: &ConnectionPools,
    ) -> Result<Self, Error> {
        let uris = Uris::under(base_url, settings.api)?;
        let uri = uris.of(Endpoint::Answers);
        let limits = settings
            .limits()
            .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
        let model = model.into();
        let provider = pool.provider.clone();
        let id = provider.admission.add_target(keys, limits);
        let target = Target {
            id,
            counts_tokens: provider
                .admission
                .with_limiter(|limiter| limiter.counts_tokens(id)),
            expected_output: settings.expected_output_tokens,
            on_status: settings.on_status,
            name: format!("{}/{model}", provider.id).into(),
            provider,
            keys: keys.to_vec(),
            model,
            base_url: base_url.to_owned(),
            connections: connections.pool_for(uri),
            headers: standing_headers(settings.headers, uri),
            wire: settings.api,
            key_header: ProviderProfile::for_authority(uri.authority().map_or("", |host| host.as_str()))
                .key_header,
            uris,
            api_params: settings.api_params,
            retry: RetryPolicy {
                max_retries: settings.max_retries,
                base: settings.retry_delay,
            },
            timeouts: settings.timeouts,
            context_window: settings.context_window,
            facts: LearnedCapabilities::default(),
        };
        Ok(Self {
            target: Arc::new(target),
        })
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    pub(crate) fn provider(&self) -> &Arc<Provider> {
        &self.target.provider
    }

    /// `provider/model`.
    pub fn id(&self) -> &str {
        &self.target.name
    }

    /// The base URL as configured.
    pub fn base_url(&self) -> &str {
        &self.target.base_url
    }

    /// The base URL as it may be shown: of a query only the names, since a key may be in it.
    pub fn redacted_base_url(&self) -> String {
        redacted(&self.target.base_url)
    }

    /// What the rate limit admits now; `None` when there is none.
    pub fn rate_limit_status(&self) -> Option<RateLimitStatus> {
        token_bucket::status_of(&self.target.provider.admission, self.target.id)
    }

    /// How many calls wait for their turn.
    pub fn waiting(&self) -> usize {
        self.target.provider.admission.waiting(self.target.id)
    }

    /// Fills the bucket of the rate limit.
    pub fn reset_rate_limit(&self) {
        self.target.provider.admission.reset(self.target.id);
    }

    /// Sends an encoded request with default options: see [`raw_chat_with`](Self::raw_chat_with).
    pub async fn raw_chat(&self, body: Bytes) -> Result<RawResponse, Error> {
        self.raw_chat_with(body, &DEFAULT_OPTIONS).await
    }

    /// Opens a stream for an encoded request with default options: see [`raw_chat_stream_with`](Self::raw_chat_stream_with).
    pub async fn raw_chat_stream(&self, body: Bytes) -> Result<RawStream, Error> {
        self.raw_chat_stream_with(body, &DEFAULT_OPTIONS).await
    }

    /// Sends an encoded chat request unchanged and returns the body of the answer unchanged.
    ///
    /// The body must name the model and must not ask for a stream; `api_params` are not applied. Dropping the future closes the
    /// connection and releases the key.
    pub async fn raw_chat_with(&self, body: Bytes, options: &CallOptions) -> Result<RawResponse, Error> {
        raw::plain(&self.target, body, options).await
    }

    /// Sends an encoded streaming chat request unchanged and returns the events of the answer unchanged.
    ///
    /// The body must name the model and `"stream": true`, and `stream_options` if usage is wanted; `api_params` are not applied.
    /// Dropping the future or the stream closes the connection and releases the key.
    pub async fn raw_chat_stream_with(&self, body: Bytes, options: &CallOptions) -> Result<RawStream, Error> {
        raw::stream(&self.target, &raw::Encoded { body, stream: true }, options).await
    }

    /// Takes a key out of use for all models of its provider, or puts it back into use whatever was known of it. Attempts under way go on.
    /// Answers whether there is such a key.
    pub fn set_key_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        self.target.provider.set_enabled(label, enabled)
    }

    /// Every key with its state and load.
    pub fn key_status(&self) -> Vec<KeyStatus> {
        let target = &self.target;
        target
            .provider
            .key_status(Some(target.id), target.keys.iter().copied())
    }
}

impl LlmInterface for OpenAiCompatible {
    fn model_name(&self) -> &str {
        &self.target.model
    }

    fn context_window(&self) -> u32 {
        self.target.context_window
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        Box::pin(async move {
            let outgoing = Typed {
                request,
                stream: false,
            };
            let Answer {
                reply,
                mut report,
                sent,
                ..
            } = call::run(&self.target, &outgoing, options).await?;
            let Reply::Plain { body, .. } = reply else {
                return Err(raw::invalid_response(report));
            };
            let Some(response) = decoded(self.target.wire, &body) else {
                return Err(raw::invalid_response(report));
            };
            report.note_usage(response.usage.clone(), || tokens::estimated_plain(&sent, &body));
            Ok(ChatResponse {
                completion: response,
                report,
            })
        })
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        Box::pin(async move {
            let outgoing = Typed {
                request,
                stream: true,
            };
            let frames = raw::stream(&self.target, &outgoing, options).await?;
            Ok(match self.target.wire {
                ApiFormat::ChatCompletions => ChatStream::from_source(Chunks {
                    frames,
                    decoder: ChunkDecoder::new(),
                }),
                ApiFormat::Responses => ChatStream::from_source(TranslatedChunks::new(frames)),
            })
        })
    }
}

/// A whole answer, if it is one.
fn decoded(wire: ApiFormat, body: &[u8]) -> Option<ChatCompletion> {
    match wire {
        ApiFormat::ChatCompletions => {
            let decoded = ChatCompletion::decode(body).ok();
            decoded.filter(|response| !response.choices.is_empty())
        }
        ApiFormat::Responses => {
            let response = Response::decode(body).ok();
            let response = response.filter(|response| response.has("output"))?;
            translate::response_to_completion(response).ok()
        }
    }
}

/// A typed request on its way out.
pub(crate) struct Typed<'a> {
    pub(crate) request: &'a ChatRequest,
    pub(crate) stream: bool,
}

impl RequestEncoder for Typed<'_> {
    fn render(&self, target: &Target) -> Result<Rendered, Error> {
        if target.wire == ApiFormat::Responses {
            return self.render_for_responses(target);
        }
        let mut body = Vec::with_capacity(512);
        let (options, added) = self.stream_options(target);
        self.write(target, options.as_ref(), &mut body)
            .map_err(unencodable)?;
        Ok(Rendered {
            added_stream_options: added,
            ..Rendered::new(Bytes::from(body), self.stream)
        })
    }
}

fn unencodable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unsendable, "the request cannot be encoded").with_source(error)
}

impl Typed<'_> {
    fn render_for_responses(&self, target: &Target) -> Result<Rendered, Error> {
        let translated = translate::chat_request_to_responses(self.request);
        let TranslatedRequest { mut request, dropped } = translated.map_err(|refused| {
            Error::new(ErrorKind::Unsendable, refused.to_string()).with_param(refused.param)
        })?;
        openai_responses::complete(&mut request, self.request.store.is_some(), target);
        let rendered = openai_responses::render(&request, self.stream, target)?;
        Ok(Rendered { dropped, ..rendered })
    }

    fn write(
        &self,
        target: &Target,
        options: Option<&StreamOptions>,
        body: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        const OURS: [&str; 3] = ["model", "stream", "stream_options"];
        let mut json = serde_json::Serializer::new(body);
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("model", &target.model)?;
        self.request.serialize_fields(&mut map, &OURS)?;
        if self.stream {
            map.serialize_entry("stream", &true)?;
        }
        if let Some(options) = options {
            map.serialize_entry("stream_options", options)?;
        }
        for (name, value) in &target.api_params {
            if !self.request.has(name) && !OURS.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }

    /// What to say of `stream_options`, and whether we say it on our own account.
    fn stream_options(&self, target: &Target) -> (Option<StreamOptions>, bool) {
        if !self.stream {
            return (None, false);
        }
        match &self.request.stream_options {
            Some(theirs) => {
                let include_usage = theirs.include_usage.or(Some(true));
                (
                    Some(StreamOptions {
                        include_usage,
                        ..theirs.clone()
                    }),
                    false,
                )
            }
            None if target.facts.takes_stream_options() => (
                Some(StreamOptions {
                    include_usage: Some(true),
                    ..StreamOptions::default()
                }),
                true,
            ),
            None => (None, false),
        }
    }
}

/// Chunks decoded from frames.
struct Chunks {
    frames: RawStream,
    decoder: ChunkDecoder,
}

impl Stream for Chunks {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let frame = match std::task::ready!(this.frames.poll_frame(cx)) {
                Some(Ok(frame)) if frame.flags.done => continue,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            return Poll::Ready(Some(
                match this.decoder.decode(&frame.event.data, frame.repeat.as_ref()) {
                    Ok(chunk) => Ok(chunk),
                    Err(_) => Err(this.frames.fail(Failure::new(FailureKind::InvalidResponse))),
                },
            ));
        }
    }
}

impl ChunkSource for Chunks {
    fn report(&self) -> CallReport {
        self.frames.report().clone()
    }
}

fn standing_headers(mut headers: HeaderMap, uri: &Uri) -> HeaderMap {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!(
            "llmpool/",
            env!("CARGO_PKG_VERSION")
        )));
    if let Some(host) = uri
        .authority()
        .and_then(|host| HeaderValue::try_from(host.as_str()).ok())
    {
        headers.insert(header::HOST, host);
    }
    headers
}

impl fmt::Debug for TargetSettings {
    /// Names headers and parameters without their values: either may hold what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> = self.api_params.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        f.debug_struct("TargetSettings")
            .field("api", &self.api)
            .field("rate_limit", &self.rate_limit)
            .field("rpm", &self.rpm)
            .field("tpm", &self.tpm)
            .field("rpd", &self.rpd)
            .field("max_concurrency", &self.max_concurrency)
            .field("expected_output_tokens", &self.expected_output_tokens)
            .field("breaker", &self.breaker)
            .field("on_status", &self.on_status)
            .field("learn_limits", &self.learn_limits)
            .field("max_retries", &self.max_retries)
            .field("retry_delay", &self.retry_delay)
            .field("timeouts", &self.timeouts)
            .field("context_window", &self.context_window)
            .field("api_params", &params)
            .field("headers", &headers)
            .finish()
    }
}

impl fmt::Debug for OpenAiCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiCompatible")
            .field("model_name", &self.target.model)
            .field("base_url", &redacted(&self.target.base_url))
            .finish()
    }
}
