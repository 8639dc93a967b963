//! Stands in for the TLS connector if the feature `rustls` is off.

use http::Uri;
use hyper_util::client::proxy::matcher::Intercept;

use super::connect::{ConnectError, Connected};

/// A TLS connector whose connections always fail, because TLS support is not compiled in.
#[derive(Clone, Default)]
pub(super) struct NoTls {}

impl NoTls {
    pub(super) async fn connect(self, _: Uri, _: Option<Intercept>) -> Result<Connected, ConnectError> {
        Err(ConnectError::new(
            "https:// URLs need the feature `rustls` of the crate llmpool",
        ))
    }
}
