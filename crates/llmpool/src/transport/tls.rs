//! TLS connections with rustls and the root certificates of the platform.

use std::sync::{Arc, OnceLock};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use super::connect::{ConnectError, Connected};
use super::tcp::{http_proxy, tcp};

#[derive(Clone, Default)]
pub(super) struct TlsConnector {
    /// The TLS configuration, or an error message if it could not be created. Created for the first TLS
    /// connection and not earlier, because reading the platform's root certificates takes milliseconds.
    config: Arc<OnceLock<Result<rustls::ClientConfig, String>>>,
}

impl TlsConnector {
    /// Opens a TLS connection to `origin`. If `proxy` is `Some`, the connection goes through a tunnel that
    /// the proxy opens.
    pub(super) async fn connect(
        self,
        origin: Uri,
        proxy: Option<Intercept>,
    ) -> Result<Connected, ConnectError> {
        let config = self
            .config
            .get_or_init(platform_tls)
            .clone()
            .map_err(ConnectError::new)?;
        let Some(proxy) = proxy else {
            let io = over_tls(tcp(), config)
                .call(origin)
                .await
                .map_err(ConnectError::new)?;
            return Ok(Connected::direct(TokioIo::new(io)));
        };
        let mut tunnel = Tunnel::new(http_proxy(&proxy)?, tcp());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let io = over_tls(tunnel, config)
            .call(origin)
            .await
            .map_err(ConnectError::new)?;
        Ok(Connected::direct(TokioIo::new(io)))
    }
}

fn over_tls<C>(inner: C, config: rustls::ClientConfig) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .wrap_connector(inner)
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
