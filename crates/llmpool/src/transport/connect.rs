//! The trait [`Connect`], which opens connections. Tests implement the trait with scripted byte streams.

use std::fmt;

use futures_core::future::BoxFuture;
use http::{HeaderValue, Uri};
use llmpool_core::failure::{Failure, FailureKind};
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

    /// Returns a description of the proxy that leads to `origin`, for error messages, such as
    /// `proxy 10.0.0.1:3128 (HTTPS_PROXY)`. Returns `None` if connections lead to the provider itself. The
    /// description must contain no credentials.
    fn proxy_of(&self, origin: &Uri) -> Option<String> {
        let _ = origin;
        None
    }
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
pub struct ConnectError(Box<Failure>);

impl ConnectError {
    /// Creates an error from its cause: another error, or a message. The text of the cause and of its sources
    /// becomes part of the error message of the call, so it must contain no secret.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        let mut detail = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            detail = format!("{detail}: {error}");
            source = error.source();
        }
        Failure::new(FailureKind::Connect).with_detail(detail).into()
    }

    pub(crate) fn into_failure(self) -> Failure {
        *self.0
    }
}

/// `failure` has a detail, which becomes the error message.
impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        Self(Box::new(failure))
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.detail().unwrap_or(self.0.kind.as_str()))
    }
}

impl std::error::Error for ConnectError {}

/// Returns `uri` with the same scheme, host and port, but with the path `/` and no query.
pub(crate) fn origin_of(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}
