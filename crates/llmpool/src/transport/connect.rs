//! The trait [`Connect`], which opens connections. Tests implement the trait with scripted byte streams.

use std::fmt;

use futures_core::future::BoxFuture;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional byte stream, such as a TCP or TLS connection. Implemented by all types with the required
/// traits.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A bidirectional byte stream of any type, in a box.
pub type BoxIo = Box<dyn Io>;

/// Opens connections to providers. Implementations need no timeouts and no retries, because the library adds
/// both.
pub trait Connect: Send + Sync + 'static {
    /// Opens a connection for requests to `origin`, a URI with the provider's scheme and host, its port if
    /// specified, and the path `/`. Dropping the future cancels the connection attempt.
    fn connect(&self, origin: &Uri) -> BoxFuture<'static, Result<Connected, ConnectError>>;
}

/// An open connection to a provider or a proxy.
pub struct Connected {
    /// The byte stream that carries requests and responses.
    pub io: BoxIo,
    /// Whether requests must have the absolute URI in the request line, because the byte stream leads to a
    /// forward proxy.
    pub absolute_form: bool,
    /// The value of the header `Proxy-Authorization`, which is added to each request. `None` if the byte
    /// stream does not lead to a forward proxy, or if the proxy requires no authorization.
    pub proxy_authorization: Option<HeaderValue>,
}

impl Connected {
    /// Creates a connection from a byte stream that leads to the provider itself, not to a forward proxy.
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

/// The error of a connection that could not be opened.
#[derive(Debug)]
pub struct ConnectError(Box<dyn std::error::Error + Send + Sync>);

impl ConnectError {
    /// Creates an error from its cause: another error, or a message.
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

/// Returns `uri` with the same scheme, host and port, but with the path `/` and no query.
pub(crate) fn origin_of(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
