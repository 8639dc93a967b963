//! The idle connections to one origin.
//!
//! Always true: every connection in the pool is between two exchanges; the one used last is used first, so those that a
//! burst opened grow old and are closed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, response};
use http_body_util::Full;
use llmpool_core::time::Timestamp;

use super::connect::{Connect, ConnectError, origin_of};
use super::connection::{Body, Connection, SendError};
use crate::clock;

const MOST_IDLE: usize = 256;
const LONGEST_IDLE: Duration = Duration::from_secs(90);

/// Connections to any origin: one pool for each, shared by all keys and models.
pub(crate) struct Connections {
    connector: Arc<dyn Connect>,
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

impl Connections {
    pub(crate) fn new(connector: Arc<dyn Connect>) -> Self {
        Self {
            connector,
            pools: Mutex::default(),
        }
    }

    /// The connections to the origin of `uri`.
    pub(crate) fn to(&self, uri: &Uri) -> Arc<Pool> {
        let origin = origin_of(uri);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry(origin.to_string())
            .or_insert_with(|| Arc::new(Pool::new(origin, self.connector.clone())))
            .clone()
    }
}

/// Connections to one origin, opened as needed and kept for reuse.
pub(crate) struct Pool {
    origin: Uri,
    connector: Arc<dyn Connect>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Box<Connection>,
    since: Timestamp,
}

/// A connection taken out of the pool for one exchange.
pub(crate) struct Lease {
    connection: Box<Connection>,
    pool: Arc<Pool>,
}

impl Pool {
    fn new(origin: Uri, connector: Arc<dyn Connect>) -> Self {
        Self {
            origin,
            connector,
            idle: Mutex::default(),
        }
    }

    /// An idle connection, or a new one.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, ConnectError> {
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => {
                let connected = self.connector.connect(&self.origin).await?;
                Connection::open(connected).await.map_err(ConnectError::new)?
            }
        };
        Ok(Lease {
            connection,
            pool: self.clone(),
        })
    }

    pub(super) fn release(&self, connection: Box<Connection>) {
        let now = clock::now();
        let mut idle = self.lock();
        let expired = idle.partition_point(|idle| now.since(idle.since) > LONGEST_IDLE);
        let surplus = (idle.len() + 1).saturating_sub(MOST_IDLE);
        // Closed after the lock is released.
        let old: Vec<Idle> = match expired.max(surplus) {
            0 => Vec::new(),
            old => idle.drain(..old).collect(),
        };
        idle.push(Idle {
            connection,
            since: now,
        });
        drop(idle);
        drop(old);
    }

    fn take_idle(&self) -> Option<Box<Connection>> {
        loop {
            let Idle {
                mut connection,
                since,
            } = self.lock().pop()?;
            if clock::now().since(since) <= LONGEST_IDLE && connection.is_usable() {
                return Some(connection);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<(response::Parts, Body), SendError> {
        self.connection.send(request, self.pool).await
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("origin", &self.origin)
            .field("idle", &self.lock().len())
            .finish()
    }
}
