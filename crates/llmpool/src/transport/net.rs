//! Opens network connections: TCP with `TCP_NODELAY`, and TLS, directly or through a proxy.

use futures_core::future::BoxFuture;
use http::Uri;

use super::connect::{Connect, ConnectError, Connected};
#[cfg(not(feature = "rustls"))]
use super::no_tls::NoTls as TlsConnector;
use super::proxy::{Proxies, Proxy};
#[cfg(feature = "rustls")]
use super::tls::TlsConnector;
use super::{tcp, tunnel};

/// Opens TCP and TLS connections. Uses the proxies that the environment variables `HTTP_PROXY`,
/// `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` configure.
pub(crate) struct NetConnector {
    proxies: Proxies,
    tls: TlsConnector,
}

impl NetConnector {
    pub(crate) fn from_env() -> Self {
        Self {
            proxies: Proxies::from_env(),
            tls: TlsConnector::default(),
        }
    }
}

impl Connect for NetConnector {
    fn connect(&self, origin: &Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        let proxy = self.proxies.for_origin(origin).cloned();
        let (origin, tls) = (origin.clone(), self.tls.clone());
        Box::pin(async move {
            let io = tcp::connect(&origin, proxy.as_ref()).await?;
            let is_https = origin.scheme_str() == Some("https");
            match proxy {
                None if is_https => tls.connect(io, &origin).await,
                None => Ok(Connected::direct(io)),
                Some(proxy) if is_https => {
                    let io = tunnel::open(io, &proxy, &origin).await?;
                    tls.connect(io, &origin).await
                }
                Some(proxy) => Ok(Connected {
                    io: Box::new(io),
                    absolute_form: true,
                    proxy_authorization: proxy.authorization().cloned(),
                }),
            }
        })
    }

    fn proxy_of(&self, origin: &Uri) -> Option<String> {
        self.proxies.for_origin(origin).map(Proxy::to_string)
    }
}
