//! Getting a request to a provider and the bytes of its answer back.
//!
//! Our own small pool over hyper's connections: one for each origin, shared by all keys, because the key is a header of a
//! request and not a property of a connection. Connections are driven by whoever uses them, not by a task of their own:
//! dropping an exchange closes its socket at once, and a connection is back in the pool before its user sees the end of the
//! body.

mod connect;
mod connection;
mod gate;
mod net;
mod pool;

pub use connect::{BoxIo, Connect, ConnectError, Connected, Io};
pub(crate) use connection::{Body, SendError};
pub(crate) use net::NetConnector;
pub(crate) use pool::{Connections, Pool};
