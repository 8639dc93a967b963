//! Opens TCP connections, and checks the URLs of proxies.

use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Intercept;

use super::connect::ConnectError;

const KEEPALIVE: Duration = Duration::from_secs(30);

/// Returns a connector for TCP connections with `TCP_NODELAY` and keepalive probes.
pub(super) fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Closes idle connections that a router on the path has dropped, so that no call uses them.
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(3));
    connector
}

/// Returns the URL of a proxy. Fails if the scheme of the URL is not `http`, because TLS and SOCKS proxies
/// are not supported.
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
