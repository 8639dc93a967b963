//! Where everything is counted: one lock, held for a few instructions, and a notification after each change.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::limits::Meter;
use crate::scenario::Scenario;

use super::{
    Abort, AccountStats, ConnectionStats, KeyStats, LogEntry, MAX_ENTRIES, NotReached, Phase, RequestKind,
    Stats,
};

/// Keeps [`Stats`] and wakes who waits for them to change.
#[derive(Debug)]
pub(crate) struct Recorder {
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    stats: Stats,
    /// The index of each key's account.
    account_of: Vec<Option<usize>>,
    next_connection: u64,
    /// Grows with each reset, so that what began before one does not write into the lists after it.
    generation: u64,
    /// After a stop, what ends is no client that went away.
    stopping: bool,
}

/// A request on arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) connection: u64,
    pub(crate) key: Option<usize>,
    pub(crate) kind: RequestKind,
}

/// A request's place in the log, if it got one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
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
            state: Mutex::new(State {
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
        mut reached: impl FnMut(&Stats) -> bool,
        timeout: Duration,
    ) -> Result<Stats, NotReached> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            // Made before looking: it hears every change from its making on, so none is missed.
            let changed = self.changed.notified();
            if let Some(stats) = self.if_reached(&mut reached) {
                return Ok(stats);
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return self
                    .if_reached(&mut reached)
                    .ok_or_else(|| NotReached(Box::new(self.snapshot())));
            }
        }
    }

    /// Counters and lists begin anew; what is open or in flight stays counted as such.
    pub(crate) fn reset(&self) {
        self.change(|state| {
            state.generation += 1;
            let old = std::mem::take(&mut state.stats);
            state.stats = Stats {
                connections_open: old.connections_open,
                in_flight: old.in_flight,
                max_in_flight: old.in_flight,
                keys: old.keys.into_iter().map(KeyStats::reset).collect(),
                accounts: old.accounts.into_iter().map(AccountStats::reset).collect(),
                connections: old
                    .connections
                    .into_iter()
                    .filter_map(ConnectionStats::reset)
                    .collect(),
                ..Stats::default()
            };
        });
    }

    pub(crate) fn stopping(&self) {
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

    /// `unfinished`: bytes of a request had come, but never its whole head.
    pub(crate) fn connection_closed(&self, id: u64, unfinished: bool) {
        let at_ms = self.now_ms();
        self.change(|state| {
            state.stats.connections_open -= 1;
            if let Some(connection) = state.stats.connection(id) {
                connection.closed_ms = Some(at_ms);
            }
            if unfinished {
                state.aborted(Abort {
                    at_ms,
                    key: None,
                    connection: id,
                    phase: Phase::Reading,
                });
            }
        });
    }

    pub(crate) fn bytes(&self, count: usize, first_of_request: bool) {
        self.change(|state| {
            state.stats.bytes_received += count as u64;
            state.stats.requests_with_bytes += u64::from(first_of_request);
        });
    }

    /// The request whose first byte was counted asks about the simulator itself.
    pub(crate) fn not_a_request(&self) {
        self.change(|state| {
            state.stats.requests_with_bytes = state.stats.requests_with_bytes.saturating_sub(1);
        });
    }

    pub(crate) fn arrived(&self, arrival: Arrival) -> Entry {
        let at_ms = self.now_ms();
        self.change(|state| {
            if let Some(account) = state.account_of(arrival.key) {
                account.requests += 1;
                account.in_flight += 1;
                account.max_in_flight = account.max_in_flight.max(account.in_flight);
            }
            let stats = &mut state.stats;
            stats.requests += 1;
            stats.in_flight += 1;
            stats.max_in_flight = stats.max_in_flight.max(stats.in_flight);
            if let Some(connection) = stats.connection(arrival.connection) {
                connection.requests += 1;
            }
            if let Some(key) = stats.key_at(arrival.key) {
                key.requests += 1;
                key.in_flight += 1;
                key.max_in_flight = key.max_in_flight.max(key.in_flight);
            }
            let Arrival {
                connection,
                key,
                kind,
            } = arrival;
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
            Entry {
                generation: state.generation,
                index,
            }
        })
    }

    pub(crate) fn answered(&self, arrival: Arrival, entry: Entry, status: u16) {
        self.change(|state| {
            if let Some(logged) = state.entry(entry) {
                logged.status = Some(status);
            }
            *state.stats.statuses.entry(status).or_default() += 1;
            if let Some(key) = state.stats.key_at(arrival.key) {
                *key.statuses.entry(status).or_default() += 1;
            }
        });
    }

    pub(crate) fn denied(&self, arrival: Arrival, entry: Entry, by: Meter) {
        let count = |rate: &mut u64, quota: &mut u64| *if by == Meter::Quota { quota } else { rate } += 1;
        self.change(|state| {
            if let Some(logged) = state.entry(entry) {
                logged.denied = Some(by);
            }
            if let Some(key) = state.stats.key_at(arrival.key) {
                count(&mut key.rate_limited, &mut key.out_of_quota);
            }
            if let Some(account) = state.account_of(arrival.key) {
                count(&mut account.rate_limited, &mut account.out_of_quota);
            }
        });
    }

    /// `aborted_in`: the phase in which the client went away, if it did.
    pub(crate) fn ended(&self, arrival: Arrival, entry: Entry, aborted_in: Option<Phase>) {
        let at_ms = self.now_ms();
        self.change(|state| {
            state.stats.in_flight -= 1;
            if let Some(key) = state.stats.key_at(arrival.key) {
                key.in_flight -= 1;
            }
            if let Some(account) = state.account_of(arrival.key) {
                account.in_flight -= 1;
            }
            if let Some(logged) = state.entry(entry) {
                logged.ended_ms = Some(at_ms);
            }
            if let Some(phase) = aborted_in {
                state.aborted(Abort {
                    at_ms,
                    key: arrival.key,
                    connection: arrival.connection,
                    phase,
                });
            }
        });
    }

    fn if_reached(&self, reached: &mut impl FnMut(&Stats) -> bool) -> Option<Stats> {
        let state = self.lock();
        reached(&state.stats).then(|| state.stats.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// A test's predicate may panic under the lock; the numbers are right all the same.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> f64 {
        self.clock.elapsed().as_secs_f64() * 1000.0
    }
}

impl State {
    fn entry(&mut self, entry: Entry) -> Option<&mut LogEntry> {
        let index = entry.index.filter(|_| entry.generation == self.generation)?;
        self.stats.log.get_mut(index)
    }

    fn account_of(&mut self, key: Option<usize>) -> Option<&mut AccountStats> {
        let account = self.account_of.get(key?).copied().flatten()?;
        self.stats.accounts.get_mut(account)
    }

    fn aborted(&mut self, abort: Abort) {
        if !self.stopping {
            push(&mut self.stats.aborts, abort, &mut self.stats.entries_dropped);
        }
    }
}

impl Stats {
    fn key_at(&mut self, index: Option<usize>) -> Option<&mut KeyStats> {
        self.keys.get_mut(index?)
    }

    /// The list is in order of ids, but resets leave gaps.
    fn connection(&mut self, id: u64) -> Option<&mut ConnectionStats> {
        let index = self
            .connections
            .binary_search_by_key(&id, |connection| connection.id)
            .ok()?;
        self.connections.get_mut(index)
    }
}

impl KeyStats {
    fn reset(self) -> Self {
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
    fn reset(self) -> Self {
        Self {
            max_in_flight: self.in_flight,
            in_flight: self.in_flight,
            name: self.name,
            ..Self::default()
        }
    }
}

impl ConnectionStats {
    fn reset(self) -> Option<Self> {
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

    const ARRIVAL: Arrival = Arrival {
        connection: 0,
        key: Some(0),
        kind: RequestKind::Chat,
    };

    fn recorder() -> Recorder {
        Recorder::new(&Scenario::with_keys(["a"]), Clock::start(0.0))
    }

    #[test]
    fn a_reset_keeps_what_is_open_and_forgets_the_rest() {
        let recorder = recorder();
        let closed = recorder.connection_opened();
        let open = recorder.connection_opened();
        recorder.connection_closed(closed, false);
        let entry = recorder.arrived(ARRIVAL);
        recorder.reset();
        let stats = recorder.snapshot();
        assert_eq!((stats.requests, stats.in_flight, stats.max_in_flight), (0, 1, 1));
        assert_eq!(stats.keys[0].in_flight, 1);
        assert_eq!(stats.connections.iter().map(|c| c.id).collect::<Vec<_>>(), [open]);

        let later = recorder.arrived(ARRIVAL);
        recorder.answered(ARRIVAL, entry, 500);
        recorder.ended(ARRIVAL, entry, None);
        assert_eq!(
            recorder.snapshot().log[0].status,
            None,
            "an old request wrote into a new entry"
        );
        recorder.ended(ARRIVAL, later, None);
        assert_eq!(recorder.snapshot().in_flight, 0);
    }

    #[test]
    fn a_full_list_drops_and_counts() {
        let (mut list, mut dropped) = (vec![0; MAX_ENTRIES], 0);
        assert_eq!(push(&mut list, 1, &mut dropped), None);
        assert_eq!((list.len(), dropped), (MAX_ENTRIES, 1));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_change_or_with_the_state_at_the_timeout() {
        let recorder = recorder();
        let reached = async {
            recorder
                .wait_for(|stats| stats.requests == 1, Duration::from_secs(5))
                .await
        };
        let change = async { recorder.arrived(ARRIVAL) };
        let (stats, _) = tokio::join!(reached, change);
        assert_eq!(stats.unwrap().in_flight, 1);
        let NotReached(stats) = recorder
            .wait_for(|stats| stats.requests == 9, Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(stats.requests, 1);
    }
}
