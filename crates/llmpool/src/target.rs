//! One model at one base URL, with everything a call to it needs ready at hand.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use llmpool_core::api_format::ApiFormat;
use llmpool_core::estimate::OutputLengths;
use llmpool_core::failure::Failure;
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::limits::{Affinity, KeyAvailability, KeyId, SharedQuotaDetector, TargetId};
use llmpool_core::provider_profile::KeyHeader;
use llmpool_core::routing::retry::RetryPolicy;
use serde_json::value::RawValue;

use crate::base_url::{endpoint, redacted};
use crate::error::Error;
use crate::exchange::Endpoint;
use crate::limits::SharedAdmission;
use crate::options::Timeouts;
use crate::secrets::{self, KeyLabel, Secret};
use crate::transport::{ConnectionPool, ConnectionPools, NetConnector};

/// The keys of one provider and the admission to them; shared by all its targets.
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) admission: Arc<SharedAdmission>,
    pub(crate) keys: Vec<ApiKey>,
    /// Made when a target over this provider's pool is made by hand.
    pub(crate) connections: OnceLock<ConnectionPools>,
    kinship: Mutex<SharedQuotaDetector>,
    /// Who made what requests refer to.
    affinity: Mutex<Affinity>,
}

/// A key as it is shown and as it is sent.
pub(crate) struct ApiKey {
    pub(crate) label: KeyLabel,
    pub(crate) secret: Secret,
    /// `Bearer …`, marked sensitive.
    pub(crate) authorization: HeaderValue,
    /// The key itself, for those who want it so; marked sensitive.
    pub(crate) bare: HeaderValue,
}

/// One model at one base URL.
pub(crate) struct Target {
    pub(crate) provider: Arc<Provider>,
    pub(crate) id: TargetId,
    /// Those of the provider's keys that it may use.
    pub(crate) keys: Vec<KeyId>,
    /// `provider/model`.
    pub(crate) name: Arc<str>,
    pub(crate) model: String,
    /// As configured, for people.
    pub(crate) base_url: String,
    /// In which format it is asked.
    pub(crate) wire: ApiFormat,
    /// Where it is asked.
    pub(crate) uris: Uris,
    /// In which header it wants its keys.
    pub(crate) key_header: KeyHeader,
    pub(crate) connections: Arc<ConnectionPool>,
    /// Sent with every request, all but the key.
    pub(crate) headers: HeaderMap,
    /// Request members that a call may override.
    pub(crate) api_params: Vec<(String, Box<RawValue>)>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) context_window: u32,
    /// Whether a limit counts tokens, so that every call has to say how many it needs.
    pub(crate) counts_tokens: bool,
    pub(crate) expected_output: Option<u32>,
    pub(crate) on_status: StatusPolicy,
    pub(crate) facts: LearnedCapabilities,
}

/// Where a target is asked for what.
pub(crate) struct Uris {
    answers: Uri,
    embeddings: Uri,
    models: Uri,
}

impl Uris {
    pub(crate) fn under(base_url: &str, wire: ApiFormat) -> Result<Self, Error> {
        Ok(Self {
            answers: endpoint(base_url, wire.path())?,
            embeddings: endpoint(base_url, "embeddings")?,
            models: endpoint(base_url, "models")?,
        })
    }

    pub(crate) fn of(&self, what: Endpoint) -> &Uri {
        match what {
            Endpoint::Answers => &self.answers,
            Endpoint::Embeddings => &self.embeddings,
            Endpoint::Models => &self.models,
        }
    }
}

impl Target {
    /// Adds a key to the headers of a request.
    pub(crate) fn add_key(&self, headers: &mut HeaderMap, key: KeyId) {
        let key = self.provider.key(key);
        match self.key_header {
            KeyHeader::Bearer => headers.insert(header::AUTHORIZATION, key.authorization.clone()),
            KeyHeader::ApiKey => headers.insert(API_KEY, key.bare.clone()),
        };
    }

    /// Adds a key that is none of the provider's.
    pub(crate) fn add_nobodys_key(&self, headers: &mut HeaderMap, key: &'static str) {
        let secret = Secret::from(key);
        let (name, value) = match self.key_header {
            KeyHeader::Bearer => (header::AUTHORIZATION, secret.bearer()),
            KeyHeader::ApiKey => (API_KEY, secret.bare()),
        };
        headers.extend(value.map(|value| (name, value)));
    }
}

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// What was learned about an endpoint from its answers.
#[derive(Debug, Default)]
pub(crate) struct LearnedCapabilities {
    stream_options_refused: AtomicBool,
    answer_lengths: Mutex<OutputLengths>,
}

impl LearnedCapabilities {
    /// Whether `stream_options` may be added to a request on our own account.
    pub(crate) fn takes_stream_options(&self) -> bool {
        !self.stream_options_refused.load(Ordering::Relaxed)
    }

    /// An answer had so many tokens.
    pub(crate) fn note_answer(&self, tokens: u32) {
        self.answer_lengths
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(tokens);
    }

    /// A length that most answers stay below, once enough are known.
    pub(crate) fn long_answer(&self) -> Option<u32> {
        self.answer_lengths
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .p95()
    }

    /// The endpoint said that it does not know `stream_options`.
    pub(crate) fn refused_stream_options(&self) {
        self.stream_options_refused.store(true, Ordering::Relaxed);
    }
}

impl Provider {
    pub(crate) fn new(id: String, admission: Arc<SharedAdmission>, keys: Vec<ApiKey>) -> Self {
        Self {
            id,
            admission,
            keys,
            connections: OnceLock::new(),
            kinship: Mutex::default(),
            affinity: Mutex::default(),
        }
    }

    /// What is known of keys that share an account.
    pub(crate) fn kinship(&self) -> MutexGuard<'_, SharedQuotaDetector> {
        self.kinship.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who made what requests refer to.
    pub(crate) fn affinity(&self) -> MutexGuard<'_, Affinity> {
        self.affinity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections of targets that bring none.
    pub(crate) fn connections(&self) -> &ConnectionPools {
        self.connections
            .get_or_init(|| ConnectionPools::new(Arc::new(NetConnector::from_env())))
    }

    /// A failure without keys in it: providers sometimes send one back, and not only the one that was used.
    pub(crate) fn masked(&self, mut failure: Failure) -> Failure {
        let texts = [
            &mut failure.message,
            &mut failure.code,
            &mut failure.param,
            &mut failure.request_id,
        ];
        for text in texts.into_iter().flatten() {
            *text = secrets::mask_secrets(text, self.keys.iter().map(|key| &key.secret));
        }
        failure
    }

    pub(crate) fn set_enabled(&self, label: &KeyLabel, enabled: bool) -> bool {
        let found = self.keys.iter().position(|key| key.label == *label);
        let found = found.and_then(|at| self.admission.key_ids().get(at).copied());
        if let Some(id) = found {
            self.admission.set_enabled(id, enabled);
        }
        found.is_some()
    }

    pub(crate) fn key(&self, id: KeyId) -> &ApiKey {
        &self.keys[id.index()]
    }
}

/// A key as an operator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyStatus {
    /// Position and fingerprint; the key itself is never shown.
    pub label: KeyLabel,
    /// In use, or why not.
    pub state: KeyAvailability,
    /// Attempts under way.
    pub in_flight: u32,
    /// The most requests a minute that it, or the account it shares, is configured for.
    pub configured_per_minute: Option<f64>,
    /// The most requests a minute that the provider was seen to allow, where that is known.
    pub observed_per_minute: Option<f64>,
    /// The other keys of its account, declared or found out: what one uses is gone for all.
    pub shares_with: Vec<KeyLabel>,
}

impl Provider {
    /// `target`: as seen by one model, which a key may be forbidden for.
    pub(crate) fn key_status(
        &self,
        target: Option<TargetId>,
        ids: impl IntoIterator<Item = KeyId>,
    ) -> Vec<KeyStatus> {
        self.admission.with_limiter(|limiter| {
            let status = |id: KeyId| {
                let kin = limiter.group_of(id).map(|group| limiter.members(group));
                let kin = kin.unwrap_or_default().iter().filter(|other| **other != id);
                let (own, account) = limiter.configured_limits(id);
                let all = account.map_or(own, |account| own.stricter(&account));
                KeyStatus {
                    label: self.key(id).label.clone(),
                    state: target.map_or_else(
                        || limiter.key_availability(id),
                        |target| limiter.key_availability_at(target, id),
                    ),
                    in_flight: limiter.in_flight(id),
                    configured_per_minute: all.per_minute(),
                    observed_per_minute: limiter.observed_per_minute(id),
                    shares_with: kin.map(|other| self.key(*other).label.clone()).collect(),
                }
            };
            ids.into_iter().map(status).collect()
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("base_url", &redacted(&self.base_url))
            .finish_non_exhaustive()
    }
}
