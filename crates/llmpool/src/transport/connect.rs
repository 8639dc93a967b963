//! The trait [`Connect`], which opens connections. Tests implement the trait with scripted byte streams.

use std::fmt;

use futures_core::future::BoxFuture;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional byte stream, such as a TCP or TLS connection.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A boxed byte stream.
pub type BoxIo = Box<dyn Io>;

/// Opens connections. Implementations need no timeouts or retries, because the library adds both.
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection for requests to `origin`, a URI with scheme, host and port. Dropping the future cancels the attempt.
    fn connect(&self, origin: &Uri) -> BoxFuture<'static, Result<Connected, ConnectError>>;
}

/// An open connection.
pub struct Connected {
    /// The byte stream over which requests are sent.
    pub io: BoxIo,
    /// Whether the byte stream leads to a forward proxy, so that the request line must contain the absolute URI.
    pub absolute_form: bool,
    /// The value of the `Proxy-Authorization` header. `None` if the connection leads to no forward proxy, or if the proxy requires no
    /// authorization.
    pub proxy_authorization: Option<HeaderValue>,
}

impl Connected {
    /// Creates a connection to the origin without a proxy.
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

/// A failure to open a connection.
#[derive(Debug)]
pub struct ConnectError(Box<dyn std::error::Error + Send + Sync>);

impl ConnectError {
    /// Creates an error from its cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {}

/// Returns the scheme, host and port of a URI, with the path `/`.
pub(crate) fn origin_of(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
