//! Opens connections over the network: TCP with `TCP_NODELAY`, TLS with the platform's root certificates, and proxies from environment
//! variables.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::connect::{Connect, ConnectError, Connected};

const KEEPALIVE: Duration = Duration::from_secs(30);

/// Opens TCP and TLS connections, through a proxy if `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` configure one.
pub(crate) struct NetConnector {
    proxies: Matcher,
    /// The TLS configuration. It is created for the first TLS connection, because reading the platform's root certificates takes
    /// milliseconds.
    tls: Arc<OnceLock<Result<rustls::ClientConfig, String>>>,
}

impl NetConnector {
    pub(crate) fn from_env() -> Self {
        Self {
            proxies: Matcher::from_env(),
            tls: Arc::default(),
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
                let config = tls.get_or_init(platform_tls).clone().map_err(ConnectError::new)?;
                return secure(&origin, proxy, config).await;
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

async fn secure(
    origin: &Uri,
    proxy: Option<Intercept>,
    config: rustls::ClientConfig,
) -> Result<Connected, ConnectError> {
    let Some(proxy) = proxy else {
        let io = over_tls(tcp(), config)
            .call(origin.clone())
            .await
            .map_err(ConnectError::new)?;
        return Ok(Connected::direct(TokioIo::new(io)));
    };
    let mut tunnel = Tunnel::new(http_proxy(&proxy)?, tcp());
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let io = over_tls(tunnel, config)
        .call(origin.clone())
        .await
        .map_err(ConnectError::new)?;
    Ok(Connected::direct(TokioIo::new(io)))
}

fn over_tls<C>(inner: C, config: rustls::ClientConfig) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(inner)
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Keepalive probes detect idle connections that a router on the path has dropped, before a call uses them.
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(3));
    connector
}

fn http_proxy(proxy: &Intercept) -> Result<Uri, ConnectError> {
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

fn platform_tls() -> Result<rustls::ClientConfig, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        return Err(
            "no root certificates found; install the system's CA certificates or set SSL_CERT_FILE"
                .to_owned(),
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| error.to_string())
}
