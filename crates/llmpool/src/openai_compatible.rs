//! Models of providers with an OpenAI-compatible API.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatCompletion, ChatRequest};
use llmpool_core::limits::KeyConstraint;
use llmpool_core::responses::Response;
use llmpool_core::translate;

use crate::base_url::redacted;
use crate::call;
use crate::chat_chunks::{DecodedChunks, TranslatedChunks};
use crate::chat_encoder::ChatEncoder;
use crate::error::Error;
use crate::exchange::AttemptResponse;
use crate::interface::{ChatResponse, ChatStream, LlmInterface};
use crate::key_status::KeyStatus;
use crate::observer::{Observer, Observers};
use crate::options::CallOptions;
use crate::provider::Provider;
use crate::raw;
use crate::secrets::KeyLabel;
use crate::target::Target;
use crate::target_handle::TargetHandle;
use crate::token_bucket::{self, RateLimitStatus};
use crate::tokens;
use crate::unreadable;
use crate::watched_call::WatchedKeys;

/// A model at one base URL, with its key pool. A clone is another handle to the same model.
#[derive(Clone)]
pub struct OpenAiCompatible {
    handle: TargetHandle,
}

impl OpenAiCompatible {
    pub(crate) fn from_target(target: Target) -> Self {
        Self {
            handle: TargetHandle {
                target: Arc::new(target),
                observers: Observers::default(),
            },
        }
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.handle.target
    }

    pub(crate) fn handle(&self) -> &TargetHandle {
        &self.handle
    }

    /// Returns a handle to the same model. `observer` receives the events of calls through this handle, after the
    /// observers that the handle has already, such as those of
    /// [`Providers::with_observer`](crate::Providers::with_observer). It receives no events of calls through other
    /// handles.
    ///
    /// [`check_keys`](Self::check_keys) and [`check_call`](Self::check_call) are no calls in this sense.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.handle.observers = self.handle.observers.with(observer);
        self
    }

    /// Returns a handle to the same model that has only these observers.
    pub(crate) fn with_observers(mut self, observers: &Observers) -> Self {
        self.handle.observers = observers.clone();
        self
    }

    /// Returns whether there is another handle to the model, or a call or stream that uses it.
    pub(crate) fn has_other_handles(&self) -> bool {
        Arc::strong_count(&self.handle.target) > 1
    }

    pub(crate) fn provider(&self) -> &Arc<Provider> {
        &self.handle.target.provider
    }

    /// Returns the model's id in the form `provider/model`.
    pub fn id(&self) -> &str {
        &self.handle.target.name
    }

    /// Returns the base URL as configured. The query of the URL may contain a key. To display the URL, use
    /// [`redacted_base_url`](Self::redacted_base_url).
    pub fn base_url(&self) -> &str {
        &self.handle.target.base_url
    }

    /// Returns the base URL for display. The value of each query parameter except `api-version` is replaced
    /// by `…`, because a query parameter may contain a key.
    pub fn redacted_base_url(&self) -> String {
        redacted(&self.handle.target.base_url)
    }

    /// Returns the state of the token bucket that enforces the model's `rate_limit`. Returns `None` if no
    /// `rate_limit` is configured, even if `rpm` is.
    pub fn rate_limit_status(&self) -> Option<RateLimitStatus> {
        token_bucket::status_of(&self.handle.target.provider.admission, self.handle.target.id)
    }

    /// Returns the label of the least loaded usable key, which a call would take now if no other call waits. Reserves
    /// nothing. Returns `None` if a call would have to wait for a limit or a key.
    pub fn least_loaded_key_label(&self) -> Option<KeyLabel> {
        let target = self.handle.target.id;
        self.provider().least_loaded_key(target, KeyConstraint::Any)
    }

    /// Returns the number of calls in the model's wait queue.
    pub fn waiting(&self) -> usize {
        self.handle
            .target
            .provider
            .admission
            .waiting(self.handle.target.id)
    }

    /// Resets the model's limits: fills the token buckets to capacity, clears the counters of tokens per
    /// minute and requests per day, and ends a pause of the model that the provider asked for or that the
    /// circuit breaker started.
    pub fn reset_rate_limit(&self) {
        let admission = &self.handle.target.provider.admission;
        admission.change(|limiter, _| limiter.reset(self.handle.target.id));
    }

    /// Enables or disables the key with this label for all models of the provider. Returns whether the
    /// provider has a key with this label.
    ///
    /// Attempts in flight continue. Enabling a key also ends the key's cooldowns, which are pauses after
    /// refusals by the provider.
    pub fn set_key_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        let watcher = WatchedKeys::new(&self.handle);
        let target = self.handle.target.id;
        self.provider()
            .set_enabled(label, enabled, Some((&watcher, target)))
    }

    /// Returns the state and load of each key of this model. The state of a key that the provider rejects
    /// only for this model is [`Forbidden`](crate::KeyState::Forbidden).
    pub fn key_status(&self) -> Vec<KeyStatus> {
        let Target {
            provider, id, keys, ..
        } = &*self.handle.target;
        provider.key_status(Some(*id), keys.iter().copied())
    }
}

impl LlmInterface for OpenAiCompatible {
    fn model_name(&self) -> &str {
        &self.handle.target.model
    }

    fn context_window(&self) -> u32 {
        self.handle.target.context_window
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        Box::pin(async move {
            let encoder = ChatEncoder {
                request,
                stream: false,
                adapt_schema: options.adapt_schema,
            };
            let mut outcome = call::run(&self.handle, &encoder, options).await?;
            // Nothing here is passed through another function, because moving a completion costs.
            let AttemptResponse::Complete { body, .. } = outcome.response else {
                return Err(raw::unexpected_stream(outcome.report, outcome.watched));
            };
            let decoded = match self.handle.target.format {
                ApiFormat::ChatCompletions => ChatCompletion::decode(&body).map_err(drop),
                ApiFormat::Responses => decode_response(&body, &mut outcome.report.dropped_output),
            };
            let fail = |report, watched| {
                let failure = unreadable::failure(&self.handle.target, &body);
                raw::failed(failure, report, watched)
            };
            let completion = match decoded {
                Ok(completion) => completion,
                Err(()) => return Err(fail(outcome.report, outcome.watched)),
            };
            if unreadable::why_unreadable(&completion).is_some() {
                return Err(fail(outcome.report, outcome.watched));
            }
            outcome.report.note_usage(completion.usage.as_ref(), || {
                tokens::estimated_plain(&outcome.request_body, &body)
            });
            if let Some(watched) = outcome.watched {
                watched.succeed(&outcome.report);
            }
            Ok(ChatResponse {
                completion,
                report: outcome.report,
            })
        })
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        Box::pin(async move {
            let encoder = ChatEncoder {
                request,
                stream: true,
                adapt_schema: options.adapt_schema,
            };
            let events = raw::stream(&self.handle, &encoder, options).await?;
            Ok(match self.handle.target.format {
                ApiFormat::ChatCompletions => ChatStream::from_source(DecodedChunks::new(events)),
                ApiFormat::Responses => ChatStream::from_source(TranslatedChunks::new(events)),
            })
        })
    }
}

/// Decodes a complete response as a completion, and puts the paths of the parts that the completion leaves out into
/// `dropped`. Fails if the body is no response, or has no output that a completion can contain.
fn decode_response(body: &[u8], dropped: &mut Vec<String>) -> Result<ChatCompletion, ()> {
    let response = Response::decode(body).map_err(drop)?;
    let response = Some(response)
        .filter(|response| response.has("output"))
        .ok_or(())?;
    *dropped = translate::dropped_from_response(&response);
    translate::response_to_completion(response).map_err(drop)
}

impl fmt::Debug for OpenAiCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiCompatible")
            .field("model_name", &self.handle.target.model)
            .field("base_url", &redacted(&self.handle.target.base_url))
            .finish()
    }
}
