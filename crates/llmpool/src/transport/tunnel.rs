//! Opens a tunnel through a proxy with the method `CONNECT`.

use std::io;

use http::Uri;
use llmpool_core::failure::{Failure, FailureKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connect::ConnectError;
use super::party::{Address, credentials_refused};
use super::proxy::Proxy;

/// Maximum size of the head of the proxy's answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Asks the proxy at the other end of `io` for a tunnel to the host of `origin`. Returns `io`, which then is the
/// tunnel.
pub(super) async fn open<T>(mut io: T, proxy: &Proxy, origin: &Uri) -> Result<T, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let address = Address::of(origin);
    let status = match request(&mut io, proxy, &address).await {
        Ok(status) => status,
        Err(error) => {
            let detail = format!("{proxy} broke the connection: {error}");
            return Err(Failure::new(FailureKind::Connect).with_detail(detail).into());
        }
    };
    match status {
        Some(200..=299) => Ok(io),
        Some(407) => Err(credentials_refused(proxy).into()),
        Some(status @ 500..) => Err(Failure::new(FailureKind::Connect)
            .with_detail(format!("{proxy} cannot connect to {address} ({status})"))
            .into()),
        Some(status) => Err(Failure::new(FailureKind::ProxyRefused)
            .with_detail(format!("{proxy} refuses connections to {address} ({status})"))
            .with_help(proxy.help())
            .into()),
        None => Err(Failure::new(FailureKind::ProxyRefused)
            .with_detail(format!("{proxy} is not an HTTP proxy"))
            .with_help(proxy.help())
            .into()),
    }
}

/// Sends the request, and reads the head of the answer. Returns the status, or `None` if the answer is not HTTP.
async fn request(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Proxy,
    address: &Address,
) -> io::Result<Option<u16>> {
    let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
    if let Some(authorization) = proxy.authorization() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    io.write_all(&request).await?;
    io.flush().await?;
    let mut head = Vec::with_capacity(1024);
    // The host sends nothing before the TLS handshake, so the first piece that ends a head is its end. The body
    // of a refusal may follow in the same piece.
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if io.read_buf(&mut head).await? == 0 {
            return match status(&head) {
                Some(status) => Ok(Some(status)),
                None if head.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
                None => Ok(None),
            };
        }
        if head.len() > MAX_HEAD {
            break;
        }
    }
    Ok(status(&head))
}

/// Returns the status of an HTTP answer.
fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(1..5)?.strip_prefix(b" ")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    async fn tunnel(answer: &str) -> (String, Option<(FailureKind, String)>) {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let proxy = Proxy::parse("HTTPS_PROXY", "http://me:SECRET@10.0.0.1:3128");
        let answer = answer.as_bytes().to_vec();
        let answering = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                theirs.read_buf(&mut request).await.unwrap();
            }
            theirs.write_all(&answer).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let opened = open(ours, &proxy, &Uri::from_static("https://api.x.com/")).await;
        let failure = opened.err().map(|error| {
            let failure = error.into_failure();
            (failure.kind, failure.detail().unwrap().to_owned())
        });
        (answering.await.unwrap(), failure)
    }

    #[tokio::test]
    async fn request_names_host_and_credentials() {
        let (request, failure) = tunnel("HTTP/1.1 200 Connection established\r\n\r\n").await;
        assert_eq!(failure, None);
        assert_eq!(
            request,
            "CONNECT api.x.com:443 HTTP/1.1\r\nHost: api.x.com:443\r\nProxy-Authorization: Basic bWU6U0VDUkVU\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn refusals_name_proxy_host_and_status() {
        use FailureKind::{Connect, ProxyRefused};
        for (answer, kind, detail) in [
            (
                "HTTP/1.1 407 No\r\n\r\n",
                ProxyRefused,
                "requires valid credentials (407)",
            ),
            (
                "HTTP/1.0 403 No\r\nx: y\r\n\r\n<html>",
                ProxyRefused,
                "refuses connections to api.x.com:443 (403)",
            ),
            (
                "HTTP/1.1 502 Bad\r\n\r\n",
                Connect,
                "cannot connect to api.x.com:443 (502)",
            ),
            (
                "HTTP/1.1 302 Found\r\n\r\n",
                ProxyRefused,
                "refuses connections to api.x.com:443 (302)",
            ),
            (
                "HTTP/1.1 407 No\r\n",
                ProxyRefused,
                "requires valid credentials (407)",
            ),
            ("SSH-2.0-x\r\n", ProxyRefused, "is not an HTTP proxy"),
            ("", Connect, "broke the connection: unexpected end of file"),
        ] {
            let (_, failure) = tunnel(answer).await;
            let detail = format!("proxy 10.0.0.1:3128 (HTTPS_PROXY) {detail}");
            assert_eq!(failure, Some((kind, detail)), "{answer:?}");
        }
    }
}
