//! Statistics of requests, connections and aborts, for assertions in tests.
//!
//! Invariant: the statistics never contain a key or a prompt. A key is identified by its label and its index.
//! Each list is bounded: when a list is full, new entries are dropped, but the counters continue to count.

mod recorder;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::limits::ProviderLimitKind;

pub(crate) use recorder::{LogIndex, Recorder, RequestOrigin};

/// Maximum number of entries in each list of [`Stats`].
const MAX_ENTRIES: usize = 100_000;

/// Statistics since the simulator started or since the last reset. All times are in milliseconds since the
/// simulator started, even after a reset.
///
/// Each list keeps its first 100,000 entries; later entries are dropped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Number of requests whose head (request line and headers) arrived, except requests to `/stats` and
    /// `/stats/reset`.
    pub requests: u64,
    /// Number of requests of which at least one byte arrived, except requests to `/stats` and `/stats/reset`.
    /// Includes requests with an incomplete head, and requests on a connection that was dropped on reuse. A
    /// request that is not counted in this field never reached the simulator.
    pub requests_with_bytes: u64,
    /// Number of bytes read from all connections.
    pub bytes_received: u64,
    /// Number of accepted connections.
    pub connections_opened: u64,
    /// Number of connections that are open now.
    pub connections_open: u64,
    /// Number of requests in flight. A request is in flight from the arrival of its head until the last byte
    /// of its response, a cut, or an abort by the client.
    pub in_flight: u64,
    /// Highest value of `in_flight` since the start or the last reset.
    pub max_in_flight: u64,
    /// Number of responses by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Statistics of each key, in the order of [`Scenario::keys`](crate::Scenario::keys).
    pub keys: Vec<KeyStats>,
    /// Statistics of each account, in the order of [`Scenario::accounts`](crate::Scenario::accounts).
    pub accounts: Vec<AccountStats>,
    /// Accepted connections, in the order of acceptance. A reset keeps only the connections that are open.
    pub connections: Vec<ConnectionStats>,
    /// Requests that clients aborted by disconnecting before the response was complete.
    pub aborts: Vec<Abort>,
    /// Requests whose head arrived, in the order of arrival.
    pub log: Vec<LogEntry>,
    /// Number of entries that are missing from `connections`, `aborts` and `log` because the list was full.
    pub entries_dropped: u64,
}

/// Statistics of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KeyStats {
    /// Zero-based index of the key in [`Scenario::keys`](crate::Scenario::keys).
    pub index: usize,
    /// The label of the key: the configured label, or `key-N` with the key's zero-based index `N`.
    pub label: String,
    /// Number of requests with this key.
    pub requests: u64,
    /// Number of requests in flight with this key.
    pub in_flight: u64,
    /// Highest value of the key's `in_flight` since the start or the last reset.
    pub max_in_flight: u64,
    /// Number of responses to requests with this key, by HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// Number of requests denied by the [limits](crate::ProviderLimits) of the key or its account. Requests
    /// that a quota denied or a rule rejected are not counted. The HTTP status of a denial depends on the
    /// dialect.
    pub rate_limited: u64,
    /// Number of requests denied because a [quota](crate::RequestQuota) of the key or its account was used up.
    pub out_of_quota: u64,
}

/// Statistics of the requests with any key of one account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountStats {
    /// The name of the account in the scenario.
    pub name: String,
    /// Number of requests with keys of this account.
    pub requests: u64,
    /// Number of requests in flight with keys of this account.
    pub in_flight: u64,
    /// Highest value of the account's `in_flight` since the start or the last reset.
    pub max_in_flight: u64,
    /// Sum of [`KeyStats::rate_limited`] over the keys of this account.
    pub rate_limited: u64,
    /// Sum of [`KeyStats::out_of_quota`] over the keys of this account.
    pub out_of_quota: u64,
}

/// A connection that the simulator accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionStats {
    /// Zero-based number of the connection in the order of acceptance. A reset of the statistics does not restart the
    /// numbering.
    pub id: u64,
    /// Number of requests whose head arrived on this connection.
    pub requests: u64,
    /// Time at which the connection was accepted, in milliseconds since the simulator started.
    pub opened_ms: f64,
    /// Time at which the client or the simulator closed the connection, in milliseconds since the simulator started.
    /// `None` while the connection is open.
    pub closed_ms: Option<f64>,
}

/// A request in [`Stats::log`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// Time at which the head of the request arrived, in milliseconds since the simulator started.
    pub at_ms: f64,
    /// Zero-based index of the request's key in the scenario. `None` if the request has no key or a key that
    /// the scenario does not list.
    pub key: Option<usize>,
    /// HTTP status of the response. `None` until the head of the response is sent.
    pub status: Option<u16>,
    /// The limit that denied the request. `None` if no limit denied the request.
    pub denied: Option<ProviderLimitKind>,
    /// The [`ConnectionStats::id`] of the request's connection.
    pub connection: u64,
    /// The endpoint that the request is for.
    pub kind: RequestKind,
    /// Time of the last byte of the response, of a cut, or of an abort, in milliseconds since the simulator started.
    /// `None` while the request is in flight.
    pub ended_ms: Option<f64>,
}

/// The endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A request to `POST /v1/chat/completions`.
    Chat,
    /// A request to `POST /v1/responses`.
    Responses,
    /// A request to `POST /v1/embeddings`.
    Embeddings,
    /// A request to `GET /v1/models` or `GET /v1/models/{id}`.
    Models,
    /// A request with any other path or method.
    Unknown,
}

/// A request that the client aborted by disconnecting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Abort {
    /// Time at which the simulator noticed the abort, in milliseconds since the simulator started.
    pub at_ms: f64,
    /// Zero-based index of the request's key in the scenario. `None` if the head of the request was
    /// incomplete, or if the request has no key or a key that the scenario does not list.
    pub key: Option<usize>,
    /// The [`ConnectionStats::id`] of the request's connection.
    pub connection: u64,
    /// How far the request and its response had got when the client disconnected.
    pub phase: AbortPhase,
}

/// How far an aborted request and its response had got when the client disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortPhase {
    /// The client disconnected before sending the whole request.
    Reading,
    /// The client disconnected after sending the whole request and before the simulator sent the head of the
    /// response.
    BeforeHead,
    /// The client disconnected after the simulator sent the head of the response and before the simulator
    /// sent the whole body.
    MidStream,
}

/// The error of [`Simulator::wait_for`](crate::Simulator::wait_for) if the condition is still false after the
/// timeout. Holds the statistics at the time of the timeout.
#[derive(Clone, Debug)]
pub struct WaitTimeout(pub Box<Stats>);

impl Stats {
    /// Returns the statistics of the key with this label, or `None` if the scenario has no such key.
    pub fn key(&self, label: &str) -> Option<&KeyStats> {
        self.keys.iter().find(|key| key.label == label)
    }

    /// Returns the logged requests with the key at this zero-based index, in the order of arrival.
    pub fn requests_of(&self, key: usize) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().filter(move |entry| entry.key == Some(key))
    }

    /// Returns the statistics of the account with this name, or `None` if the scenario has no such account.
    pub fn account(&self, name: &str) -> Option<&AccountStats> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Returns the arrival times of the logged chat, Responses and embeddings requests with the key at this
    /// zero-based index, as durations since the simulator started. The times can be passed to
    /// [`ProviderLimits::denials`](crate::ProviderLimits::denials).
    pub fn arrivals_of(&self, key: usize) -> impl Iterator<Item = Duration> {
        self.requests_of(key)
            .filter(|entry| entry.kind.is_call())
            .map(|entry| Duration::try_from_secs_f64(entry.at_ms / 1000.0).unwrap_or_default())
    }
}

impl RequestKind {
    /// Returns whether requests to this endpoint count towards the [limits](crate::ProviderLimits) of their key.
    fn is_call(self) -> bool {
        match self {
            Self::Chat | Self::Responses | Self::Embeddings => true,
            Self::Models | Self::Unknown => false,
        }
    }
}

impl fmt::Display for WaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the condition was still false after the timeout; statistics: {:?}",
            self.0
        )
    }
}

impl std::error::Error for WaitTimeout {}
