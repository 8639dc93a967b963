//! Sends requests over pooled connections.
//!
//! There is one connection pool per origin (scheme, host and port). All API keys share the pool, because the
//! key is sent in a header of each request.
//!
//! A connection has no task of its own: the task that uses the connection also performs its IO. Therefore,
//! dropping an unfinished response closes the socket at once. After a complete response, the connection is in
//! its pool again before the caller sees the end of the body. The only task of this module reads the last
//! bytes of a stream that was dropped after its answer was complete.

mod body;
mod coding;
mod connect;
mod connection;
mod monitored_io;
mod net;
mod no_proxy;
#[cfg(not(feature = "rustls"))]
mod no_tls;
mod party;
mod poll_gate;
mod pool;
mod proxy;
mod tcp;
#[cfg(feature = "rustls")]
mod tls;
mod tunnel;

pub(crate) use body::{Body, BodyError, MAX_DRAIN_BYTES, MAX_DRAIN_TIME, send};
pub use connect::{BoxIo, Connect, ConnectError, Connected, Io};
pub(crate) use connection::SendError;
pub(crate) use net::NetConnector;
pub(crate) use party::{Party, credentials_refused};
pub(crate) use pool::{ConnectionPool, ConnectionPools};
