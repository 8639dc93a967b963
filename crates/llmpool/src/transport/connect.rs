//! Opening a connection, as a seam: the network in earnest, a script in tests.

use std::fmt;

use futures_core::future::BoxFuture;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any byte stream.
pub type BoxIo = Box<dyn Io>;

/// Opens connections. Timeouts and retries are not its business.
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection over which requests to `origin` (scheme, host and port) can be sent. Dropping the future abandons
    /// the attempt.
    fn connect(&self, origin: &Uri) -> BoxFuture<'static, Result<Connected, ConnectError>>;
}

/// An open connection.
pub struct Connected {
    /// The bytes.
    pub io: BoxIo,
    /// Whether it leads to a forward proxy, which wants the whole URI in the request line.
    pub absolute_form: bool,
    /// What that proxy wants to know of us.
    pub proxy_authorization: Option<HeaderValue>,
}

impl Connected {
    /// A connection straight to the origin.
    pub fn direct(io: impl Io) -> Self {
        Self {
            io: Box::new(io),
            absolute_form: false,
            proxy_authorization: None,
        }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("absolute_form", &self.absolute_form)
            .finish_non_exhaustive()
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError(Box<dyn std::error::Error + Send + Sync>);

impl ConnectError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(deeper) = cause {
            write!(f, ": {deeper}")?;
            cause = deeper.source();
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Scheme, host and port of a URI: what a connection leads to.
pub(crate) fn origin_of(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
