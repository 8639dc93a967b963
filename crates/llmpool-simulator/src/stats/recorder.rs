//! Records statistics. Each change holds the lock only briefly and then notifies the waiters.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limits::ProviderLimitKind;
use crate::scenario::Scenario;

use super::{
    Abort, AbortPhase, AccountStats, ConnectionStats, KeyStats, LogEntry, MAX_ENTRIES, RequestKind, Stats,
    WaitTimeout,
};

/// Holds the [`Stats`], and wakes waiters when the statistics change.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: Clock,
    state: Mutex<RecorderState>,
    changed: Notify,
}

#[derive(Debug)]
struct RecorderState {
    stats: Stats,
    /// For each key of the scenario, in order: the zero-based index of the key's account, or `None` if the
    /// key has no account.
    account_of: Vec<Option<usize>>,
    next_connection: u64,
    /// Number of resets so far. Each [`LogIndex`] carries the generation in which its request arrived, so
    /// that a request that arrived before a reset does not change the entries that are logged after the
    /// reset.
    generation: u64,
    /// Whether the simulator is stopping. While the simulator stops, requests on closed connections are not
    /// recorded as aborts.
    stopping: bool,
}

/// The connection, key and endpoint of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestOrigin {
    pub(crate) connection: u64,
    pub(crate) key: Option<usize>,
    pub(crate) kind: RequestKind,
}

/// The position of a request in the log. `index` is zero-based, or `None` if the log was full when the
/// request arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogIndex {
    generation: u64,
    index: Option<usize>,
}

impl Recorder {
    pub(crate) fn new(scenario: &Scenario, clock: Clock) -> Self {
        let keys = scenario.keys.iter().enumerate().map(|(index, key)| KeyStats {
            index,
            label: key.label.clone().unwrap_or_else(|| format!("key-{index}")),
            ..KeyStats::default()
        });
        let accounts = scenario.accounts.iter().map(|account| AccountStats {
            name: account.name.clone(),
            ..AccountStats::default()
        });
        let stats = Stats {
            keys: keys.collect(),
            accounts: accounts.collect(),
            ..Stats::default()
        };
        Self {
            clock,
            state: Mutex::new(RecorderState {
                stats,
                account_of: scenario.keys.iter().map(|key| scenario.account_of(key)).collect(),
                next_connection: 0,
                generation: 0,
                stopping: false,
            }),
            changed: Notify::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        self.lock().stats.clone()
    }

    pub(crate) async fn wait_for(
        &self,
        mut condition: impl FnMut(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, WaitTimeout> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            // `changed` is created before the condition is checked, so that no change between the check and the wait is
            // missed.
            let changed = self.changed.notified();
            if let Some(stats) = self.stats_if(&mut condition) {
                return Ok(stats);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self
                    .stats_if(&mut condition)
                    .ok_or_else(|| WaitTimeout(Box::new(self.snapshot())));
            }
        }
    }

    /// Resets the counters and lists. Open connections and requests in flight remain counted.
    pub(crate) fn reset(&self) {
        self.change(|state| {
            state.generation += 1;
            let old = std::mem::take(&mut state.stats);
            state.stats = Stats {
                connections_open: old.connections_open,
                in_flight: old.in_flight,
                max_in_flight: old.in_flight,
                keys: old.keys.into_iter().map(KeyStats::after_reset).collect(),
                accounts: old.accounts.into_iter().map(AccountStats::after_reset).collect(),
                connections: old
                    .connections
                    .into_iter()
                    .filter_map(ConnectionStats::after_reset)
                    .collect(),
                ..Stats::default()
            };
        });
    }

    pub(crate) fn mark_stopping(&self) {
        self.lock().stopping = true;
    }

    pub(crate) fn connection_opened(&self) -> u64 {
        let opened_ms = self.now_ms();
        self.change(|state| {
            let id = state.next_connection;
            state.next_connection += 1;
            let stats = &mut state.stats;
            stats.connections_opened += 1;
            stats.connections_open += 1;
            let connection = ConnectionStats {
                id,
                requests: 0,
                opened_ms,
                closed_ms: None,
            };
            push(&mut stats.connections, connection, &mut stats.entries_dropped);
            id
        })
    }

    /// Records that a connection is closed. If `head_incomplete` is `true`, a part of a request's head
    /// arrived but not the whole head, and the request is recorded as aborted.
    pub(crate) fn connection_closed(&self, id: u64, head_incomplete: bool) {
        let at_ms = self.now_ms();
        self.change(|state| {
            state.stats.connections_open -= 1;
            if let Some(connection) = state.stats.connection(id) {
                connection.closed_ms = Some(at_ms);
            }
            if head_incomplete {
                state.record_abort(Abort {
                    at_ms,
                    key: None,
                    connection: id,
                    phase: AbortPhase::Reading,
                });
            }
        });
    }

    /// Counts received bytes. `first_of_request` is `true` if these bytes start a new request.
    pub(crate) fn bytes_received(&self, count: usize, first_of_request: bool) {
        self.change(|state| {
            state.stats.bytes_received += count as u64;
            state.stats.requests_with_bytes += u64::from(first_of_request);
        });
    }

    /// Removes a request to `/stats` from `requests_with_bytes`, which counted the request when its first
    /// byte arrived.
    pub(crate) fn uncount_request_bytes(&self) {
        self.change(|state| {
            state.stats.requests_with_bytes = state.stats.requests_with_bytes.saturating_sub(1);
        });
    }

    pub(crate) fn request_arrived(&self, origin: RequestOrigin) -> LogIndex {
        let at_ms = self.now_ms();
        self.change(|state| {
            if let Some(account) = state.account_of(origin.key) {
                account.requests += 1;
                account.in_flight += 1;
                account.max_in_flight = account.max_in_flight.max(account.in_flight);
            }
            let stats = &mut state.stats;
            stats.requests += 1;
            stats.in_flight += 1;
            stats.max_in_flight = stats.max_in_flight.max(stats.in_flight);
            if let Some(connection) = stats.connection(origin.connection) {
                connection.requests += 1;
            }
            if let Some(key) = stats.key_at(origin.key) {
                key.requests += 1;
                key.in_flight += 1;
                key.max_in_flight = key.max_in_flight.max(key.in_flight);
            }
            let RequestOrigin {
                connection,
                key,
                kind,
            } = origin;
            let entry = LogEntry {
                at_ms,
                key,
                status: None,
                denied: None,
                connection,
                kind,
                ended_ms: None,
            };
            let index = push(&mut stats.log, entry, &mut stats.entries_dropped);
            LogIndex {
                generation: state.generation,
                index,
            }
        })
    }

    pub(crate) fn response_started(&self, origin: RequestOrigin, log_index: LogIndex, status: u16) {
        self.change(|state| {
            if let Some(logged) = state.log_entry(log_index) {
                logged.status = Some(status);
            }
            *state.stats.statuses.entry(status).or_default() += 1;
            if let Some(key) = state.stats.key_at(origin.key) {
                *key.statuses.entry(status).or_default() += 1;
            }
        });
    }

    pub(crate) fn request_denied(
        &self,
        origin: RequestOrigin,
        log_index: LogIndex,
        limit: ProviderLimitKind,
    ) {
        let count = |rate: &mut u64, quota: &mut u64| {
            let counter = if limit == ProviderLimitKind::Quota {
                quota
            } else {
                rate
            };
            *counter += 1;
        };
        self.change(|state| {
            if let Some(logged) = state.log_entry(log_index) {
                logged.denied = Some(limit);
            }
            if let Some(key) = state.stats.key_at(origin.key) {
                count(&mut key.rate_limited, &mut key.out_of_quota);
            }
            if let Some(account) = state.account_of(origin.key) {
                count(&mut account.rate_limited, &mut account.out_of_quota);
            }
        });
    }

    /// Records the end of a request. `aborted_in` is the phase in which the client disconnected, or `None` if the
    /// client did not disconnect.
    pub(crate) fn request_ended(
        &self,
        origin: RequestOrigin,
        log_index: LogIndex,
        aborted_in: Option<AbortPhase>,
    ) {
        let at_ms = self.now_ms();
        self.change(|state| {
            state.stats.in_flight -= 1;
            if let Some(key) = state.stats.key_at(origin.key) {
                key.in_flight -= 1;
            }
            if let Some(account) = state.account_of(origin.key) {
                account.in_flight -= 1;
            }
            if let Some(logged) = state.log_entry(log_index) {
                logged.ended_ms = Some(at_ms);
            }
            if let Some(phase) = aborted_in {
                state.record_abort(Abort {
                    at_ms,
                    key: origin.key,
                    connection: origin.connection,
                    phase,
                });
            }
        });
    }

    fn stats_if(&self, condition: &mut impl FnMut(&Stats) -> bool) -> Option<Stats> {
        let state = self.lock();
        condition(&state.stats).then(|| state.stats.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut RecorderState) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Locks the state. Ignores poisoning: the only code that is expected to panic while holding the lock is
    /// a condition passed to `wait_for`, and such a condition cannot change the statistics.
    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> f64 {
        self.clock.elapsed().as_secs_f64() * 1000.0
    }
}

impl RecorderState {
    fn log_entry(&mut self, log_index: LogIndex) -> Option<&mut LogEntry> {
        let index = log_index
            .index
            .filter(|_| log_index.generation == self.generation)?;
        self.stats.log.get_mut(index)
    }

    fn account_of(&mut self, key: Option<usize>) -> Option<&mut AccountStats> {
        let account = self.account_of.get(key?).copied().flatten()?;
        self.stats.accounts.get_mut(account)
    }

    fn record_abort(&mut self, abort: Abort) {
        if !self.stopping {
            push(&mut self.stats.aborts, abort, &mut self.stats.entries_dropped);
        }
    }
}

impl Stats {
    fn key_at(&mut self, index: Option<usize>) -> Option<&mut KeyStats> {
        self.keys.get_mut(index?)
    }

    /// Returns the connection with this id, or `None` if the list of connections does not contain the id. The
    /// list is sorted by id, with gaps after resets.
    fn connection(&mut self, id: u64) -> Option<&mut ConnectionStats> {
        let index = self
            .connections
            .binary_search_by_key(&id, |connection| connection.id)
            .ok()?;
        self.connections.get_mut(index)
    }
}

impl KeyStats {
    fn after_reset(self) -> Self {
        let Self {
            index,
            label,
            in_flight,
            ..
        } = self;
        Self {
            index,
            label,
            in_flight,
            max_in_flight: in_flight,
            ..Self::default()
        }
    }
}

impl AccountStats {
    fn after_reset(self) -> Self {
        Self {
            max_in_flight: self.in_flight,
            in_flight: self.in_flight,
            name: self.name,
            ..Self::default()
        }
    }
}

impl ConnectionStats {
    fn after_reset(self) -> Option<Self> {
        self.closed_ms.is_none().then_some(Self { requests: 0, ..self })
    }
}

fn push<T>(list: &mut Vec<T>, item: T, dropped: &mut u64) -> Option<usize> {
    if list.len() == MAX_ENTRIES {
        *dropped += 1;
        return None;
    }
    list.push(item);
    Some(list.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: RequestOrigin = RequestOrigin {
        connection: 0,
        key: Some(0),
        kind: RequestKind::Chat,
    };

    fn recorder() -> Recorder {
        Recorder::new(&Scenario::with_keys(["a"]), Clock::start(0.0))
    }

    #[test]
    fn reset_keeps_open_connections_and_requests() {
        let recorder = recorder();
        let closed = recorder.connection_opened();
        let open = recorder.connection_opened();
        recorder.connection_closed(closed, false);
        let before_reset = recorder.request_arrived(ORIGIN);
        recorder.reset();
        let stats = recorder.snapshot();
        assert_eq!((stats.requests, stats.in_flight, stats.max_in_flight), (0, 1, 1));
        assert_eq!(stats.keys[0].in_flight, 1);
        assert_eq!(stats.connections.iter().map(|c| c.id).collect::<Vec<_>>(), [open]);

        let after_reset = recorder.request_arrived(ORIGIN);
        recorder.response_started(ORIGIN, before_reset, 500);
        recorder.request_ended(ORIGIN, before_reset, None);
        assert_eq!(
            recorder.snapshot().log[0].status,
            None,
            "a request from before the reset changed a new entry"
        );
        recorder.request_ended(ORIGIN, after_reset, None);
        assert_eq!(recorder.snapshot().in_flight, 0);
    }

    #[test]
    fn full_list_drops_and_counts_entries() {
        let (mut list, mut dropped) = (vec![0; MAX_ENTRIES], 0);
        assert_eq!(push(&mut list, 1, &mut dropped), None);
        assert_eq!((list.len(), dropped), (MAX_ENTRIES, 1));
    }

    #[tokio::test]
    async fn wait_returns_on_change_or_timeout() {
        let recorder = recorder();
        let reached = async {
            recorder
                .wait_for(|stats| stats.requests == 1, Duration::from_secs(5))
                .await
        };
        let change = async { recorder.request_arrived(ORIGIN) };
        let (stats, _) = tokio::join!(reached, change);
        assert_eq!(stats.unwrap().in_flight, 1);
        let WaitTimeout(stats) = recorder
            .wait_for(|stats| stats.requests == 9, Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(stats.requests, 1);
    }
}
