//! Pools of idle connections, one pool for each origin (scheme, host and port).
//!
//! Invariant: no connection in a pool is in use. The most recently used connection is reused first, so that the additional connections of a
//! burst of requests expire.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use llmpool_core::time::Timestamp;

use super::connect::{Connect, ConnectError, origin_of};
use super::connection::Connection;
use crate::clock;

/// The maximum number of idle connections to one origin.
const MAX_IDLE: usize = 256;
/// The maximum time for which a connection may be idle and still be reused.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The connection pools of all origins, shared by all keys and models.
pub(crate) struct ConnectionPools {
    connector: Arc<dyn Connect>,
    pools: Mutex<BTreeMap<String, Arc<ConnectionPool>>>,
}

impl ConnectionPools {
    pub(crate) fn new(connector: Arc<dyn Connect>) -> Self {
        Self {
            connector,
            pools: Mutex::default(),
        }
    }

    /// Returns the pool for the origin of `uri`. Creates the pool if it does not exist.
    pub(crate) fn pool_for(&self, uri: &Uri) -> Arc<ConnectionPool> {
        let origin = origin_of(uri);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry(origin.to_string())
            .or_insert_with(|| Arc::new(ConnectionPool::new(origin, self.connector.clone())))
            .clone()
    }
}

/// The idle connections to one origin. Connections are opened on demand and kept for reuse.
pub(crate) struct ConnectionPool {
    origin: Uri,
    connector: Arc<dyn Connect>,
    idle: Mutex<Vec<IdleConnection>>,
}

struct IdleConnection {
    connection: Box<Connection>,
    since: Timestamp,
}

impl ConnectionPool {
    fn new(origin: Uri, connector: Arc<dyn Connect>) -> Self {
        Self {
            origin,
            connector,
            idle: Mutex::default(),
        }
    }

    /// Takes an idle connection out of the pool, or opens a new one.
    pub(crate) async fn acquire(&self) -> Result<Box<Connection>, ConnectError> {
        if let Some(connection) = self.take_idle() {
            return Ok(connection);
        }
        let connected = self.connector.connect(&self.origin).await?;
        // Boxed because the future is large, and most calls reuse a connection.
        let opened = Box::pin(Connection::open(connected)).await;
        opened.map_err(ConnectError::new)
    }

    /// Returns a connection to the pool after an exchange, or closes the connection if it cannot be used again.
    pub(super) fn release(&self, mut connection: Box<Connection>) {
        if !connection.is_usable() {
            return;
        }
        connection.is_reused = true;
        let now = clock::now();
        let mut idle = self.lock();
        let expired = idle.partition_point(|idle| now.since(idle.since) > IDLE_TIMEOUT);
        let surplus = (idle.len() + 1).saturating_sub(MAX_IDLE);
        // Old connections are closed, by being dropped, after the lock is released.
        let old: Vec<IdleConnection> = match expired.max(surplus) {
            0 => Vec::new(),
            old => idle.drain(..old).collect(),
        };
        idle.push(IdleConnection {
            connection,
            since: now,
        });
        drop(idle);
        drop(old);
    }

    fn take_idle(&self) -> Option<Box<Connection>> {
        loop {
            let IdleConnection {
                mut connection,
                since,
            } = self.lock().pop()?;
            if clock::now().since(since) <= IDLE_TIMEOUT && connection.is_usable() {
                return Some(connection);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPool")
            .field("origin", &self.origin)
            .field("idle", &self.lock().len())
            .finish()
    }
}
