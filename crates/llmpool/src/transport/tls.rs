//! TLS connections with rustls and the root certificates of the platform.

use std::io;
use std::sync::{Arc, OnceLock};

use http::Uri;
use llmpool_core::failure::{Failure, FailureKind};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, InvalidMessage};
use tokio::net::TcpStream;

use super::connect::{ConnectError, Connected};
use super::party::Address;

const HELP_ROOTS: &str = "set SSL_CERT_FILE to a file with the certificate of the issuer";

#[derive(Clone, Default)]
pub(super) struct TlsConnector {
    /// The TLS settings, or an error message if they could not be created. Created for the first TLS
    /// connection and not earlier, because reading the platform's root certificates takes milliseconds.
    settings: Arc<OnceLock<Result<Settings, String>>>,
}

struct Settings {
    config: Arc<rustls::ClientConfig>,
    /// Why some of the root certificates could not be read.
    unread_roots: Option<String>,
}

impl TlsConnector {
    /// Opens a TLS connection to the host of `origin` over a TCP connection or a tunnel.
    pub(super) async fn connect(self, io: TcpStream, origin: &Uri) -> Result<Connected, ConnectError> {
        let settings = self.settings.get_or_init(platform_tls);
        let settings = settings.as_ref().map_err(|message| {
            Failure::new(FailureKind::Certificate)
                .with_detail(message.clone())
                .with_help("install the system's CA certificates or set SSL_CERT_FILE")
        })?;
        let address = Address::of(origin);
        let name = ServerName::try_from(address.host.trim_matches(['[', ']']).to_owned());
        let Ok(name) = name else {
            let detail = format!("{} is not a valid host name for TLS", address.host);
            return Err(Failure::new(FailureKind::Certificate).with_detail(detail).into());
        };
        let connector = tokio_rustls::TlsConnector::from(settings.config.clone());
        match connector.connect(name, io).await {
            Ok(io) => Ok(Connected::direct(io)),
            Err(error) => Err(describe(&error, &address, settings.unread_roots.as_deref()).into()),
        }
    }
}

fn platform_tls() -> Result<Settings, String> {
    let loaded = rustls_native_certs::load_native_certs();
    let unread_roots = loaded.errors.first().map(ToString::to_string);
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let cause = unread_roots.map(|cause| format!(": {cause}")).unwrap_or_default();
        return Err(format!("no root certificates found{cause}"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| error.to_string())?;
    Ok(Settings {
        config: Arc::new(config),
        unread_roots,
    })
}

/// Returns the failure of a TLS handshake with the host at `address`.
fn describe(error: &io::Error, address: &Address, unread_roots: Option<&str>) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(refusal)) => refused(refusal, address, unread_roots),
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            Failure::new(FailureKind::WrongEndpoint)
                .with_detail(format!("{address} answers without TLS"))
                .with_help("use http:// in base_url")
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Failure::new(FailureKind::Connect).with_detail(
            format!("{address} closed the connection during the TLS handshake"),
        ),
        _ => Failure::new(FailureKind::Connect)
            .with_detail(format!("TLS handshake with {address} failed: {error}")),
    }
}

/// Returns the failure for a certificate that was refused.
fn refused(refusal: &CertificateError, address: &Address, unread_roots: Option<&str>) -> Failure {
    let (detail, help) = match refusal {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("{address} presents a certificate for {}", names(refusal)),
            "use the name of the certificate in base_url",
        ),
        // The signature is wrong if the issuer has the name of a known one, but another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("the certificate of {address} is signed by an unknown issuer"),
            HELP_ROOTS,
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("the certificate of {address} has expired"),
            "renew the certificate of the server, or correct the system clock",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            format!("the certificate of {address} is not valid yet"),
            "correct the system clock",
        ),
        other => (
            format!("the certificate of {address} is not valid: {other}"),
            HELP_ROOTS,
        ),
    };
    let unread = unread_roots.filter(|_| *refusal == CertificateError::UnknownIssuer);
    let detail = match unread {
        Some(cause) => format!("{detail}; not all root certificates could be read: {cause}"),
        None => detail,
    };
    Failure::new(FailureKind::Certificate)
        .with_detail(detail)
        .with_help(help)
}

/// Returns the names for which a certificate is valid: up to three, as the certificate contains them.
fn names(refusal: &CertificateError) -> String {
    const SHOWN: usize = 3;
    let presented: &[String] = match refusal {
        CertificateError::NotValidForNameContext { presented, .. } => presented,
        _ => &[],
    };
    // Rustls writes a name as `DnsName("a.example")` and an address as `IpAddress(127.0.0.1)`.
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    let mut names: Vec<String> = presented.iter().take(SHOWN).map(bare).collect();
    if presented.len() > SHOWN {
        names.push("…".to_owned());
    }
    if names.is_empty() {
        names.push("another name".to_owned());
    }
    names.join(", ")
}
