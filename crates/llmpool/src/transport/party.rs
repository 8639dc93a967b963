//! The other end of a connection, as errors name it.
//!
//! Invariant: contains neither credentials nor the path or query of a URL.

use std::fmt;

use http::Uri;
use llmpool_core::failure::{Failure, FailureKind};

/// A host and a port. Displayed as `host:port`.
pub(super) struct Address {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Returns the host and the port of a URL. If the URL contains no port, returns the default port of its
    /// scheme.
    pub(super) fn of(uri: &Uri) -> Self {
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        Self {
            host: uri.host().unwrap_or_default().to_owned(),
            port: uri.port_u16().unwrap_or(default),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The host of an origin, and the proxy that leads to it.
pub(crate) struct Party {
    /// The host and the port of the origin.
    pub(crate) host: String,
    /// The proxy as [`Connect::proxy_of`](super::Connect::proxy_of) names it.
    pub(crate) proxy: Option<String>,
    /// Whether the origin has the scheme `https`. If so, a proxy only sees a tunnel.
    pub(crate) is_https: bool,
}

impl Party {
    pub(super) fn new(origin: &Uri, proxy: Option<String>) -> Self {
        Self {
            host: Address::of(origin).to_string(),
            proxy,
            is_https: origin.scheme_str() == Some("https"),
        }
    }
}

/// Displayed as the end to which TCP connections are opened: the proxy, or else the host.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.proxy.as_deref().unwrap_or(&self.host))
    }
}

/// Returns the failure of a request that `proxy` answered with status 407.
pub(crate) fn credentials_refused(proxy: impl fmt::Display) -> Failure {
    Failure::new(FailureKind::ProxyRefused)
        .with_detail(format!("{proxy} requires valid credentials (407)"))
        .with_help("write user:password@ before the host in the URL of the proxy")
}
