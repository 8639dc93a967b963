//! Pools of idle connections, one pool per origin (scheme, host and port).
//!
//! The connection that was used last is reused first. The extra connections that a burst of requests has
//! opened therefore stay idle and expire.
//!
//! Invariant: no connection in a pool is in use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use llmpool_core::time::Timestamp;

use super::connect::{Connect, ConnectError, origin_of};
use super::connection::Connection;
use super::party::Party;
use crate::clock;

/// The maximum number of idle connections in the pool of one origin.
const MAX_IDLE: usize = 256;
/// The maximum time for which a connection can be idle and still be reused.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The connection pools of all origins, and the connector that opens their connections.
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

    /// Returns the pool for the origin (scheme, host and port) of `uri`. Creates the pool if it does not
    /// exist.
    pub(crate) fn pool_for(&self, uri: &Uri) -> Arc<ConnectionPool> {
        let origin = origin_of(uri);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry(origin.to_string())
            .or_insert_with(|| Arc::new(ConnectionPool::new(origin, self.connector.clone())))
            .clone()
    }
}

/// The idle connections to one origin. New connections are opened on demand.
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

    /// Takes an idle connection out of the pool, or opens a new connection.
    pub(crate) async fn acquire(&self) -> Result<Box<Connection>, ConnectError> {
        if let Some(connection) = self.take_idle() {
            return Ok(connection);
        }
        let connected = self.connector.connect(&self.origin).await?;
        // Boxed because the future is large, and most calls reuse a connection.
        let opened = Box::pin(Connection::open(connected)).await;
        opened.map_err(ConnectError::new)
    }

    /// Returns the names of the host and of the proxy, for error messages.
    pub(crate) fn party(&self) -> Party {
        Party::new(&self.origin, self.connector.proxy_of(&self.origin))
    }

    /// Puts a connection into the pool after a complete response, or closes the connection if it cannot be
    /// used again.
    pub(super) fn release(&self, mut connection: Box<Connection>) {
        if !connection.is_usable() {
            return;
        }
        connection.is_reused = true;
        let now = clock::now();
        let mut idle = self.lock();
        let expired = idle.partition_point(|idle| now.since(idle.since) > IDLE_TIMEOUT);
        let surplus = (idle.len() + 1).saturating_sub(MAX_IDLE);
        // Old connections are dropped, and thereby closed, only after the lock is released.
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
