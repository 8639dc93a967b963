//! Opens TCP connections, and describes why a connection could not be opened.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use llmpool_core::failure::{Failure, FailureKind};
use tokio::net::TcpStream;
use tower_service::Service;

use super::connect::ConnectError;
use super::party::Address;
use super::proxy::Proxy;

const KEEPALIVE: Duration = Duration::from_secs(30);

/// Opens a TCP connection to the host of `origin`, or to `proxy` if it is `Some`. The connection has
/// `TCP_NODELAY` and keepalive probes.
pub(super) async fn connect(origin: &Uri, proxy: Option<&Proxy>) -> Result<TcpStream, ConnectError> {
    let uri = match proxy {
        Some(proxy) => proxy.uri()?,
        None => origin,
    };
    match connector().call(uri.clone()).await {
        Ok(io) => Ok(io.into_inner()),
        Err(error) => Err(describe(&error, &Address::of(uri), proxy).into()),
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Closes idle connections that a router on the path has dropped, so that no call uses them.
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(3));
    connector
}

/// Returns the failure of a connection to `address`, which is the address of `proxy` if there is one.
fn describe(error: &(dyn Error + 'static), address: &Address, proxy: Option<&Proxy>) -> Failure {
    let name = proxy.map_or_else(|| address.to_string(), Proxy::to_string);
    // The type of the error is private, and this is its only sign of a failed name lookup.
    let detail = if error.to_string() == "dns error" {
        match proxy {
            Some(_) => format!("cannot find the host of {name}"),
            None => format!("cannot find host {}", address.host),
        }
    } else {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => format!("{name} refused the connection"),
            Some(io::ErrorKind::TimedOut) => format!("{name} did not answer"),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
                format!("{name} is unreachable")
            }
            _ => match cause {
                Some(cause) => format!("no connection to {name}: {cause}"),
                None => format!("no connection to {name}: {error}"),
            },
        }
    };
    let failure = Failure::new(FailureKind::Connect).with_detail(detail);
    match proxy {
        Some(proxy) => failure.with_help(proxy.help()),
        None => failure,
    }
}
