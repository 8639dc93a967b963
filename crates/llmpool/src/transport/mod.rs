//! Sends requests over pooled connections.
//!
//! There is one pool of connections for each origin (scheme, host and port). All API keys share the pool, because each request contains its
//! key in a header. A connection has no task of its own: the task that uses the connection drives it. Therefore dropping an unfinished
//! exchange closes its socket at once, and after a complete exchange the connection is back in its pool before the caller sees the end of
//! the body.

mod body;
mod connect;
mod connection;
mod net;
#[cfg(not(feature = "rustls"))]
mod no_tls;
mod poll_gate;
mod pool;
mod tcp;
#[cfg(feature = "rustls")]
mod tls;

pub(crate) use body::{Body, send};
pub use connect::{BoxIo, Connect, ConnectError, Connected, Io};
pub(crate) use connection::SendError;
pub(crate) use net::NetConnector;
pub(crate) use pool::{ConnectionPool, ConnectionPools};
