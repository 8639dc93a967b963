//! Stands in for the TLS connector if the feature `rustls` is off.

use http::Uri;
use tokio::net::TcpStream;

use super::connect::{ConnectError, Connected};

/// A TLS connector whose connections always fail, because TLS support is not compiled in.
#[derive(Clone, Default)]
pub(super) struct NoTls {}

impl NoTls {
    pub(super) async fn connect(self, _: TcpStream, _: &Uri) -> Result<Connected, ConnectError> {
        Err(ConnectError::new(
            "https:// URLs need the feature `rustls` of the crate llmpool",
        ))
    }
}
