//! What the simulator saw, for tests to assert on: requests, connections, aborts, and when each came.
//!
//! It never holds a key or a prompt: keys go by label. The lists are bounded; counters go on when a list is full.

mod recorder;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::limits::Meter;

pub(crate) use recorder::{Arrival, Entry, Recorder};

/// Entries kept in each of the lists of [`Stats`].
const MAX_ENTRIES: usize = 100_000;

/// What the simulator saw since it started or was reset. Times are milliseconds since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Requests whose head arrived, whatever became of them. Asking for the stats themselves does not count.
    pub requests: u64,
    /// Requests of which at least one byte arrived, even if the head never became complete or the connection was
    /// dropped on reuse. What is missing from it never left the client.
    pub requests_with_bytes: u64,
    /// Bytes read from all connections.
    pub bytes_received: u64,
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests being answered now: from the head's arrival to the response's last byte, a cut or an abort.
    pub in_flight: u64,
    /// The most there ever were of them at once.
    pub max_in_flight: u64,
    /// How many responses began with each status.
    pub statuses: BTreeMap<u16, u64>,
    /// One for each key of the scenario, in its order.
    pub keys: Vec<KeyStats>,
    /// One for each account of the scenario, in its order.
    pub accounts: Vec<AccountStats>,
    /// Connections in the order they were accepted.
    pub connections: Vec<ConnectionStats>,
    /// Requests whose client went away before the response was complete.
    pub aborts: Vec<Abort>,
    /// Requests in the order they arrived.
    pub log: Vec<LogEntry>,
    /// Entries that found their list full.
    pub entries_dropped: u64,
}

/// What one key saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KeyStats {
    /// Position in the scenario, from 0.
    pub index: usize,
    /// The key's label; the key itself is not kept here.
    pub label: String,
    /// Requests with this key.
    pub requests: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// The most there ever were of them at once.
    pub max_in_flight: u64,
    /// How many responses began with each status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that the [limits](crate::Limits) of the key or its account denied for now, whatever status the dialect
    /// gives to that. What rules refuse is not counted here.
    pub rate_limited: u64,
    /// Requests that were denied because a [quota](crate::Quota) was used up.
    pub out_of_quota: u64,
}

/// What one account saw, all its keys together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountStats {
    /// Its name in the scenario.
    pub name: String,
    /// Requests with its keys.
    pub requests: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// The most there ever were of them at once.
    pub max_in_flight: u64,
    /// As [`KeyStats::rate_limited`].
    pub rate_limited: u64,
    /// As [`KeyStats::out_of_quota`].
    pub out_of_quota: u64,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectionStats {
    /// Counted from 0 since the simulator started.
    pub id: u64,
    /// Requests whose head arrived on it.
    pub requests: u64,
    /// When it was accepted.
    pub opened_ms: f64,
    /// When it ended, by whichever side.
    pub closed_ms: Option<f64>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// When its head arrived.
    pub at_ms: f64,
    /// Index of the key it came with, if that is a key of the scenario.
    pub key: Option<usize>,
    /// The status of the response, once that has begun; `None` for ever if it never does.
    pub status: Option<u16>,
    /// What the limits of its key or account had run out of, if that is why it was refused.
    pub denied: Option<Meter>,
    /// The connection it came on.
    pub connection: u64,
    /// What it asked for.
    pub kind: RequestKind,
    /// When it ended: last byte of the response, a cut, or an abort.
    pub ended_ms: Option<f64>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A chat completion.
    Chat,
    /// A response.
    Responses,
    /// Embeddings.
    Embeddings,
    /// The models, or one of them.
    Models,
    /// Something that does not exist here.
    Unknown,
}

/// A client that went away.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Abort {
    /// When it was noticed.
    pub at_ms: f64,
    /// Index of the key, where one was told.
    pub key: Option<usize>,
    /// The connection.
    pub connection: u64,
    /// How far the request had come.
    pub phase: Phase,
}

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It was not complete yet.
    Reading,
    /// It was complete, and the response had not begun.
    BeforeHead,
    /// The response had begun, and was not complete.
    MidStream,
}

/// What was waited for did not come about in time; holds what was the case then.
#[derive(Clone, Debug)]
pub struct NotReached(pub Box<Stats>);

impl Stats {
    /// What the key with this label saw.
    pub fn key(&self, label: &str) -> Option<&KeyStats> {
        self.keys.iter().find(|key| key.label == label)
    }

    /// The requests that came with one key of the scenario, in the order they arrived.
    pub fn requests_of(&self, key: usize) -> impl Iterator<Item = &LogEntry> {
        self.log.iter().filter(move |entry| entry.key == Some(key))
    }

    /// What the account with this name saw.
    pub fn account(&self, name: &str) -> Option<&AccountStats> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// When the calls of a model with one key of the scenario arrived, since the simulator started: to be judged by
    /// [`Limits::denials`](crate::Limits::denials), for example.
    pub fn arrivals_of(&self, key: usize) -> impl Iterator<Item = Duration> {
        self.requests_of(key)
            .filter(|entry| entry.kind.is_call())
            .map(|entry| Duration::try_from_secs_f64(entry.at_ms / 1000.0).unwrap_or_default())
    }
}

impl RequestKind {
    /// Whether [limits](crate::Limits) count it.
    fn is_call(self) -> bool {
        match self {
            Self::Chat | Self::Responses | Self::Embeddings => true,
            Self::Models | Self::Unknown => false,
        }
    }
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulator did not get there in time; it saw {:?}", self.0)
    }
}

impl std::error::Error for NotReached {}
