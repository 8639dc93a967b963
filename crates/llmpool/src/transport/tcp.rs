//! Opens TCP connections, and determines the URL of a proxy.

use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Intercept;

use super::connect::ConnectError;

const KEEPALIVE: Duration = Duration::from_secs(30);

/// Returns a connector that sets `TCP_NODELAY` and keepalive probes.
pub(super) fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Detects idle connections that a router on the path has dropped, before a call uses them.
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(3));
    connector
}

/// Returns the URL of a proxy. Fails if the URL's scheme is not `http`, because proxies over TLS or SOCKS are not supported.
pub(super) fn http_proxy(proxy: &Intercept) -> Result<Uri, ConnectError> {
    match proxy.uri().scheme_str() {
        Some("http") => Ok(proxy.uri().clone()),
        other => {
            let scheme = other.unwrap_or("none");
            Err(ConnectError::new(format!(
                "unsupported proxy scheme {scheme}; use an http:// proxy"
            )))
        }
    }
}
