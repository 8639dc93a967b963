//! Statistics for assertions in tests: requests, connections and aborts, with their times.
//!
//! Invariant: the statistics never contain a key or a prompt. Keys are identified by label and index. Lists are
//! bounded; when a list is full, counters continue.

mod recorder;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::limits::ProviderLimitKind;

pub(crate) use recorder::{LogIndex, Recorder, RequestOrigin};

/// Maximum number of entries in each list of [`Stats`].
const MAX_ENTRIES: usize = 100_000;

/// Statistics since the simulator started or since the last reset. Times are in milliseconds since the start.
///
/// Each list keeps its first 100,000 entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Requests whose head arrived, except requests to `/stats`.
    pub requests: u64,
    /// Requests of which at least one byte arrived, including those with an incomplete head and those that hit a
    /// connection dropped on reuse. A request that is not counted here never left the client.
    pub requests_with_bytes: u64,
    /// Bytes read from all connections.
    pub bytes_received: u64,
    /// Connections accepted.
    pub connections_opened: u64,
    /// Open connections.
    pub connections_open: u64,
    /// Requests in flight: from the arrival of the head to the last byte of the response, a cut, or an abort.
    pub in_flight: u64,
    /// Maximum of `in_flight`.
    pub max_in_flight: u64,
    /// Number of responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// One entry for each key, in the order of the scenario.
    pub keys: Vec<KeyStats>,
    /// One entry for each account, in the order of the scenario.
    pub accounts: Vec<AccountStats>,
    /// Connections in the order of acceptance.
    pub connections: Vec<ConnectionStats>,
    /// Requests whose client disconnected before the response was complete.
    pub aborts: Vec<Abort>,
    /// Requests in the order of arrival.
    pub log: Vec<LogEntry>,
    /// Entries that were dropped because their list was full.
    pub entries_dropped: u64,
}

/// Statistics of one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KeyStats {
    /// Index in the scenario, from 0.
    pub index: usize,
    /// The label of the key.
    pub label: String,
    /// Requests with this key.
    pub requests: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Maximum of `in_flight`.
    pub max_in_flight: u64,
    /// Number of responses by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests denied by the [limits](crate::ProviderLimits) of the key or its account, except by a quota. The
    /// status depends on the dialect. Requests rejected by rules are not counted.
    pub rate_limited: u64,
    /// Requests denied because a [quota](crate::RequestQuota) was used up.
    pub out_of_quota: u64,
}

/// Statistics of one account, all its keys together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountStats {
    /// The name in the scenario.
    pub name: String,
    /// Requests with keys of the account.
    pub requests: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Maximum of `in_flight`.
    pub max_in_flight: u64,
    /// See [`KeyStats::rate_limited`].
    pub rate_limited: u64,
    /// See [`KeyStats::out_of_quota`].
    pub out_of_quota: u64,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionStats {
    /// A number counted from 0; resets do not affect it.
    pub id: u64,
    /// Requests whose head arrived on this connection.
    pub requests: u64,
    /// Time of acceptance.
    pub opened_ms: f64,
    /// Time at which either side closed it; `None` while it is open.
    pub closed_ms: Option<f64>,
}

/// A request in the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// Arrival of the head.
    pub at_ms: f64,
    /// Index of the key in the scenario; `None` without a key of the scenario.
    pub key: Option<usize>,
    /// Status of the response; `None` until its head is sent.
    pub status: Option<u16>,
    /// The limit that denied the request, if one did.
    pub denied: Option<ProviderLimitKind>,
    /// Id of the connection.
    pub connection: u64,
    /// The endpoint.
    pub kind: RequestKind,
    /// Time of the last byte of the response, a cut, or an abort; `None` while in flight.
    pub ended_ms: Option<f64>,
}

/// The endpoint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `GET /v1/models` or `GET /v1/models/{id}`.
    Models,
    /// Any other path or method.
    Unknown,
}

/// A request that the client aborted by disconnecting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Abort {
    /// Time at which the simulator noticed the abort.
    pub at_ms: f64,
    /// Index of the key in the scenario, if known.
    pub key: Option<usize>,
    /// Id of the connection.
    pub connection: u64,
    /// The progress of the request.
    pub phase: AbortPhase,
}

/// The progress of an aborted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortPhase {
    /// The request was not complete.
    Reading,
    /// The request was complete; the head of the response was not sent.
    BeforeHead,
    /// The head of the response was sent; the body was not complete.
    MidStream,
}

/// The error of a wait whose condition did not become true in time. Holds the statistics at the timeout.
#[derive(Clone, Debug)]
pub struct WaitTimeout(pub Box<Stats>);

impl Stats {
    /// Returns the statistics of the key with this label.
    pub fn key(&self, label: &str) -> Option<&KeyStats> {
        self.keys.iter().find(|key| key.label == label)
    }

    /// Returns the logged requests of the key with this index, in the order of arrival.
    pub fn requests_of(&self, key: usize) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().filter(move |entry| entry.key == Some(key))
    }

    /// Returns the statistics of the account with this name.
    pub fn account(&self, name: &str) -> Option<&AccountStats> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Returns the arrival times of the model calls with the key of this index, as durations since the start. They
    /// can be passed to [`ProviderLimits::denials`](crate::ProviderLimits::denials).
    pub fn arrivals_of(&self, key: usize) -> impl Iterator<Item = Duration> {
        self.requests_of(key)
            .filter(|entry| entry.kind.is_call())
            .map(|entry| Duration::try_from_secs_f64(entry.at_ms / 1000.0).unwrap_or_default())
    }
}

impl RequestKind {
    /// Returns whether [limits](crate::ProviderLimits) count the request.
    fn is_call(self) -> bool {
        match self {
            Self::Chat | Self::Responses | Self::Embeddings => true,
            Self::Models | Self::Unknown => false,
        }
    }
}

impl fmt::Display for WaitTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "condition not reached in time; statistics: {:?}", self.0)
    }
}

impl std::error::Error for WaitTimeout {}
