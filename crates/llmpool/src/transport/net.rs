//! Opens network connections: TCP with `TCP_NODELAY`, and TLS, directly or through a proxy.

use futures_core::future::BoxFuture;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tower_service::Service;

use super::connect::{Connect, ConnectError, Connected};
#[cfg(not(feature = "rustls"))]
use super::no_tls::NoTls as TlsConnector;
use super::tcp::{http_proxy, tcp};
#[cfg(feature = "rustls")]
use super::tls::TlsConnector;

/// Opens TCP and TLS connections. Uses the proxies that the environment variables `HTTP_PROXY`,
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` configure.
pub(crate) struct NetConnector {
    proxies: Matcher,
    tls: TlsConnector,
}

impl NetConnector {
    pub(crate) fn from_env() -> Self {
        Self {
            proxies: Matcher::from_env(),
            tls: TlsConnector::default(),
        }
    }
}

impl Connect for NetConnector {
    fn connect(&self, origin: &Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let proxy = self.proxies.intercept(origin);
        let origin = origin.clone();
        let tls = self.tls.clone();
        Box::pin(async move {
            if origin.scheme_str() == Some("https") {
                return tls.connect(origin, proxy).await;
            }
            match proxy {
                Some(proxy) => {
                    let proxy_authorization = proxy.basic_auth().cloned();
                    let io = tcp().call(http_proxy(&proxy)?).await.map_err(ConnectError::new)?;
                    Ok(Connected {
                        io: Box::new(io.into_inner()),
                        absolute_form: true,
                        proxy_authorization,
                    })
                }
                None => Ok(Connected::direct(
                    tcp().call(origin).await.map_err(ConnectError::new)?.into_inner(),
                )),
            }
        })
    }
}
